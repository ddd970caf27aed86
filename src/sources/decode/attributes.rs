//! `attributes`: what the input said and no column holds, as one JSON object per row.
//!
//! A given `attributes` column must hold JSON objects; where both name a key, the given one stands.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, StringArray, StringBuilder, new_null_array,
};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Map, Value};

use super::column::plain;
use super::marks::Marks;
use super::{FILE_COLUMN, LINE_COLUMN, Site};
use crate::sources::error::SourceError;
use crate::sources::spec::TableSpec;

const NAME: &str = "attributes";
const BAD_JSON: &str = "bad_json";

/// The `attributes` column of a batch.
pub(super) fn column(
    batch: &RecordBatch,
    spec: &TableSpec,
    site: &Site<'_>,
    marks: &mut Marks,
) -> Result<ArrayRef, SourceError> {
    let rows = batch.num_rows();
    let given = match batch.column_by_name(NAME) {
        Some(array) if array.data_type() != &DataType::Null => Some(plain(array, site)?),
        _ => None,
    };
    let given = match &given {
        None => None,
        Some(array) => {
            Some(
                array
                    .as_string_opt::<i32>()
                    .ok_or_else(|| SourceError::WrongType {
                        place: site.place.to_owned(),
                        column: NAME.to_owned(),
                        found: array.data_type().clone(),
                        wanted: DataType::Utf8,
                    })?,
            )
        }
    };
    let unknown = unknown_columns(batch, spec).map_err(|error| site.arrow(error))?;
    if given.is_none() && unknown.is_empty() {
        return Ok(new_null_array(&DataType::Utf8, rows));
    }
    let mut out = StringBuilder::with_capacity(rows, rows * 16);
    let mut object = String::new();
    for row in 0..rows {
        object.clear();
        for column in &unknown {
            column.write(row, &mut object);
        }
        if !object.is_empty() {
            object.push('}');
        }
        let text = match given {
            Some(given) if given.is_valid(row) => given.value(row).trim_ascii(),
            _ => "",
        };
        match (text.is_empty(), object.is_empty()) {
            (true, true) => out.append_null(),
            (true, false) => out.append_value(&object),
            (false, _) => match merged(text, &object) {
                Ok(text) => out.append_value(text),
                Err(error) => {
                    marks.add(row, BAD_JSON, || {
                        format!("`{NAME}` is not a JSON object: {error}")
                    });
                    out.append_null();
                }
            },
        }
    }
    Ok(Arc::new(out.finish()))
}

fn merged(given: &str, unknown: &str) -> Result<String, serde_json::Error> {
    let mut object: Map<String, Value> = serde_json::from_str(given)?;
    if unknown.is_empty() {
        return Ok(given.to_owned());
    }
    let unknown: Map<String, Value> = serde_json::from_str(unknown)?;
    for (key, value) in unknown {
        object.entry(key).or_insert(value);
    }
    serde_json::to_string(&object)
}

/// A column of the input that the table does not have.
struct Unknown {
    /// The name as a JSON string.
    key: String,
    values: StringArray,
    /// Whether the values are JSON as they stand: whole numbers and booleans.
    bare: bool,
}

impl Unknown {
    fn new(name: &str, array: &ArrayRef) -> Result<Self, ArrowError> {
        let found = array.data_type();
        let bare = found.is_integer() || found == &DataType::Boolean;
        let values = match array.as_string_opt::<i32>() {
            Some(texts) => texts.clone(),
            None => {
                let formatter = ArrayFormatter::try_new(array.as_ref(), &FormatOptions::default())?;
                (0..array.len())
                    .map(|row| {
                        array
                            .is_valid(row)
                            .then(|| formatter.value(row).to_string())
                    })
                    .collect()
            }
        };
        Ok(Self {
            key: quoted(name),
            values,
            bare,
        })
    }

    /// Appends `{"key":value` or `,"key":value`; nothing where there is no value.
    fn write(&self, row: usize, object: &mut String) {
        if self.values.is_null(row) || self.values.value(row).is_empty() {
            return;
        }
        let value = self.values.value(row);
        object.push(if object.is_empty() { '{' } else { ',' });
        object.push_str(&self.key);
        object.push(':');
        if self.bare {
            object.push_str(value);
        } else if value
            .bytes()
            .all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
        {
            object.push('"');
            object.push_str(value);
            object.push('"');
        } else {
            object.push_str(&quoted(value));
        }
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn unknown_columns(batch: &RecordBatch, spec: &TableSpec) -> Result<Vec<Unknown>, ArrowError> {
    unknown(batch, spec)
        .map(|(name, array)| Unknown::new(name, array))
        .collect()
}

/// The names of the columns that the table does not have, where they have values.
pub(super) fn unknown_names<'b>(
    batch: &'b RecordBatch,
    spec: &'b TableSpec,
) -> impl Iterator<Item = &'b str> {
    unknown(batch, spec).map(|(name, _)| name)
}

fn unknown<'b>(
    batch: &'b RecordBatch,
    spec: &'b TableSpec,
) -> impl Iterator<Item = (&'b str, &'b ArrayRef)> {
    let columns = batch.schema_ref().fields().iter().zip(batch.columns());
    columns
        .map(|(field, array)| (field.name().as_str(), array))
        .filter(move |(name, array)| {
            let ours = spec.reads(name)
                || matches!(*name, NAME | FILE_COLUMN | LINE_COLUMN)
                || (*name == "usage_date" && spec.schema.index_of(name).is_ok());
            !ours && array.null_count() < array.len() && array.data_type() != &DataType::Null
        })
}

/// A row as a JSON object, for the record of what was refused.
pub(super) fn row_as_json(batch: &RecordBatch, row: usize) -> String {
    let batch = batch.slice(row, 1);
    let mut object = String::new();
    for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        if matches!(field.name().as_str(), FILE_COLUMN | LINE_COLUMN) || array.is_null(0) {
            continue;
        }
        match Unknown::new(field.name(), array) {
            Ok(column) => column.write(0, &mut object),
            // A type that has no text still leaves its name, so that the reader knows it was there.
            Err(_) => {
                let separator = if object.is_empty() { '{' } else { ',' };
                let shown = quoted(&format!("({})", array.data_type()));
                if write!(object, "{separator}{}:{shown}", quoted(field.name())).is_err() {
                    break;
                }
            }
        }
    }
    if object.is_empty() {
        "{}".to_owned()
    } else {
        object + "}"
    }
}
