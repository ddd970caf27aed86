//! From any Arrow batch to the canonical columns of a table: one path for every format.
//!
//! It goes column by column, because that is what is fast; a bad cell marks its row, and marked rows
//! leave the batch together at the end, each as one reject with its first problem. Nothing here
//! reads a file, and nothing rounds.

mod attributes;
mod cell;
mod checks;
mod column;
mod marks;
mod near;
mod text;
mod tiers;

use std::iter::repeat_n;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray, new_null_array,
};
use datafusion::arrow::compute::{cast, filter};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::RecordBatch;

use crate::sources::error::SourceError;
use crate::sources::spec::{Decoded, Places, Reject, TableSpec};
use marks::Marks;
pub(super) use near::misspelt;

/// Column of a raw batch that holds the path of the file.
pub(super) const FILE_COLUMN: &str = "_file";
/// Column of a raw batch that holds the line, or in Parquet the row, counted from 1.
pub(super) const LINE_COLUMN: &str = "_line";

/// Input rows, and how to name and show one of them.
pub(super) struct Input<'a> {
    /// The rows.
    pub(super) batch: &'a RecordBatch,
    /// The file that places without one are in.
    pub(super) file: &'a str,
    /// Where the rows stand.
    pub(super) places: Places,
    /// A row as it came.
    pub(super) raw: &'a dyn Fn(usize) -> String,
}

/// Where a column comes from, for what is said about it.
struct Site<'a> {
    table: &'a str,
    place: &'a str,
}

impl Site<'_> {
    fn arrow(&self, error: ArrowError) -> SourceError {
        SourceError::Decode {
            place: self.place.to_owned(),
            source: Arc::new(error),
        }
    }
}

/// Turns rows of any Arrow types into canonical rows of `spec`, with `source` filled in.
///
/// Where the batch has the columns `_file` and `_line`, they name a row; elsewhere `origin` does.
pub fn canonicalise(
    batch: &RecordBatch,
    spec: &TableSpec,
    source: &str,
    origin: &dyn Fn(usize) -> String,
) -> Result<Decoded, SourceError> {
    let places = stated(batch, origin)
        .unwrap_or_else(|| Places::Texts((0..batch.num_rows()).map(origin).collect()));
    decode_typed(batch, "", places, spec, source)
}

/// The same for rows that stand at these lines of a file.
pub(super) fn canonicalise_lines(
    batch: &RecordBatch,
    file: &str,
    lines: Vec<u64>,
    spec: &TableSpec,
    source: &str,
) -> Result<Decoded, SourceError> {
    let own = stated(batch, &|row| format!("{file}:{}", lines[row]));
    let places = own.unwrap_or(Places::Lines(lines));
    decode_typed(batch, file, places, spec, source)
}

/// The places that the columns `_file` and `_line` name, if there are any.
fn stated(batch: &RecordBatch, otherwise: &dyn Fn(usize) -> String) -> Option<Places> {
    let file = cast(batch.column_by_name(FILE_COLUMN)?, &DataType::Utf8).ok()?;
    let file: &StringArray = file.as_string_opt::<i32>()?;
    let line = batch
        .column_by_name(LINE_COLUMN)
        .and_then(|array| cast(array, &DataType::Int64).ok());
    let line: Option<&Int64Array> = line
        .as_ref()
        .and_then(|array| array.as_primitive_opt::<Int64Type>());
    let place = |row: usize| {
        if file.is_null(row) {
            return otherwise(row);
        }
        match line.filter(|line| line.is_valid(row)) {
            None => file.value(row).to_owned(),
            Some(line) => format!("{}:{}", file.value(row), line.value(row)),
        }
    };
    Some(Places::Texts((0..batch.num_rows()).map(place).collect()))
}

fn decode_typed(
    batch: &RecordBatch,
    file: &str,
    places: Places,
    spec: &TableSpec,
    source: &str,
) -> Result<Decoded, SourceError> {
    let raw = |row: usize| attributes::row_as_json(batch, row);
    let input = Input {
        batch,
        file,
        places,
        raw: &raw,
    };
    decode(input, spec, source)
}

/// The same, for a reader that knows where its rows stand and how they looked.
pub(super) fn decode(
    input: Input<'_>,
    spec: &TableSpec,
    source: &str,
) -> Result<Decoded, SourceError> {
    let batch = input.batch;
    let rows = batch.num_rows();
    let place = if rows == 0 {
        source.to_owned()
    } else {
        input.places.of(0, input.file)
    };
    let site = Site {
        table: &spec.name,
        place: &place,
    };
    let mut marks = Marks::default();
    let mut columns = Vec::with_capacity(spec.schema.fields().len());
    for field in spec.schema.fields() {
        let name = field.name().as_str();
        let found = batch.column_by_name(name).filter(|_| spec.reads(name));
        let column: ArrayRef = match (name, found) {
            ("source", _) => Arc::new(StringArray::from_iter_values(repeat_n(source, rows))),
            ("attributes", _) => attributes::column(batch, spec, &site, &mut marks)?,
            (_, Some(array)) => column::decode(array, field, &site, &mut marks)?,
            (_, None) => new_null_array(field.data_type(), rows),
        };
        columns.push(if column.data_type() == field.data_type() {
            column
        } else {
            cast(&column, field.data_type()).map_err(|error| site.arrow(error))?
        });
    }
    checks::fill_usage_date(spec, &mut columns);
    checks::required(spec, &columns, &mut marks);
    checks::periods(spec, &columns, &mut marks);
    let kept = (!marks.is_empty())
        .then(|| BooleanArray::from_iter((0..rows).map(|row| Some(!marks.has(row)))));
    if let Some(kept) = &kept {
        for column in &mut columns {
            *column = filter(column.as_ref(), kept).map_err(|error| site.arrow(error))?;
        }
    }
    let misspelt = misspelt(attributes::unknown_names(batch, spec), batch, spec);
    let batch = RecordBatch::try_new(Arc::clone(&spec.schema), columns)
        .map_err(|error| site.arrow(error))?;
    let rejects: Vec<Reject> = marks
        .into_rows()
        .map(|(row, code, reason)| Reject {
            origin: input.places.of(row, input.file),
            reason_code: code.to_owned(),
            reason,
            raw: (input.raw)(row),
        })
        .collect();
    let mut places = input.places;
    if let Some(kept) = &kept {
        places.retain(|row| kept.value(row));
    }
    Ok(Decoded {
        batch,
        places,
        rejects,
        rows_read: rows as u64,
        misspelt,
    })
}

#[cfg(test)]
mod tests;
