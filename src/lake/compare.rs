//! Rows as bytes, so that keys can be looked up and contents compared whatever the column types.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, PrimitiveArray, RecordBatch, UInt32Array,
};
use datafusion::arrow::compute::{SortColumn, cast, concat_batches, lexsort_to_indices, take};
use datafusion::arrow::datatypes::TimestampMicrosecondType;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::row::{OwnedRow, RowConverter, Rows, SortField};

use super::TableDef;

/// The batch with the table's own column order and types, whatever an engine made of them.
pub(crate) fn conform(def: &TableDef, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = def.schema();
    let columns = schema
        .fields()
        .iter()
        .map(|field| {
            let column = batch.column_by_name(field.name()).ok_or_else(|| {
                ArrowError::SchemaError(format!("column `{}` is missing", field.name()))
            })?;
            if column.data_type() == field.data_type() {
                Ok(Arc::clone(column))
            } else {
                cast(column, field.data_type())
            }
        })
        .collect::<Result<Vec<ArrayRef>, _>>()?;
    RecordBatch::try_new(schema, columns)
}

/// All batches as one, in the table's shape.
pub(super) fn conform_all(
    def: &TableDef,
    batches: &[RecordBatch],
) -> Result<RecordBatch, ArrowError> {
    let batches: Vec<_> = batches
        .iter()
        .map(|batch| conform(def, batch))
        .collect::<Result<_, _>>()?;
    concat_batches(&def.schema(), &batches)
}

/// Comparable bytes of some columns of a batch, one row each.
pub(super) struct RowBytes {
    converter: RowConverter,
    columns: Vec<usize>,
}

impl RowBytes {
    /// Bytes of the key columns.
    pub(super) fn of_key(def: &TableDef) -> Result<Self, ArrowError> {
        Self::of(def, |name| def.key.contains(&name))
    }

    /// Bytes of all columns but `volatile` ones, whose change alone is no change.
    pub(super) fn of_content(def: &TableDef, volatile: &[&str]) -> Result<Self, ArrowError> {
        Self::of(def, |name| !volatile.contains(&name))
    }

    fn of(def: &TableDef, wanted: impl Fn(&str) -> bool) -> Result<Self, ArrowError> {
        let schema = def.schema();
        let columns: Vec<usize> = (0..schema.fields().len())
            .filter(|&at| wanted(schema.field(at).name()))
            .collect();
        let fields = columns
            .iter()
            .map(|&at| SortField::new(schema.field(at).data_type().clone()));
        Ok(Self {
            converter: RowConverter::new(fields.collect())?,
            columns,
        })
    }

    pub(super) fn rows(&self, batch: &RecordBatch) -> Result<Rows, ArrowError> {
        let columns: Vec<ArrayRef> = self
            .columns
            .iter()
            .map(|&at| Arc::clone(batch.column(at)))
            .collect();
        self.converter.convert_columns(&columns)
    }
}

/// When each row was last changed at its source, where the table knows.
pub(crate) struct Moments(Option<PrimitiveArray<TimestampMicrosecondType>>);

impl Moments {
    pub(crate) fn of(rows: &RecordBatch) -> Self {
        let column = rows.column_by_name("updated_at");
        Self(column.and_then(|column| column.as_primitive_opt().cloned()))
    }

    fn at(&self, row: u32) -> Option<i64> {
        let moments = self.0.as_ref()?;
        let row = row as usize;
        moments.is_valid(row).then(|| moments.value(row))
    }

    /// How a row's moment compares to that of another row; `None` where one of them has none, which
    /// says nothing about which is newer.
    pub(crate) fn compare(&self, row: u32, others: &Self, other: u32) -> Option<Ordering> {
        Some(self.at(row)?.cmp(&others.at(other)?))
    }
}

/// Which rows of a batch to keep so that every key occurs once, and what became of the others.
pub(super) struct Deduplicated {
    /// Rows to keep, in their order.
    pub(super) kept: Vec<u32>,
    /// Rows that say exactly what a kept row says.
    pub(super) repeated: Vec<u32>,
    /// Rows that another row of the same key replaces: (the row, the row kept).
    pub(super) superseded: Vec<(u32, u32)>,
}

/// Keeps for each key the row with the latest `updated_at`, the later row where that does not decide:
/// the same as if the rows had been written one after the other.
pub(super) fn deduplicate(def: &TableDef, batch: &RecordBatch) -> Result<Deduplicated, ArrowError> {
    let keys = RowBytes::of_key(def)?.rows(batch)?;
    let contents = RowBytes::of_content(def, &[])?.rows(batch)?;
    let updated = Moments::of(batch);
    let mut winner: HashMap<&[u8], u32> = HashMap::with_capacity(batch.num_rows());
    let mut losers: Vec<(u32, u32)> = Vec::new();
    for row in 0..batch.num_rows() {
        let at =
            u32::try_from(row).map_err(|_| ArrowError::ComputeError("batch too large".into()))?;
        winner
            .entry(keys.row(row).data())
            .and_modify(|kept| {
                if updated.compare(at, &updated, *kept) == Some(Ordering::Less) {
                    losers.push((at, *kept));
                } else {
                    losers.push((*kept, at));
                    *kept = at;
                }
            })
            .or_insert(at);
    }
    let mut result = Deduplicated {
        kept: Vec::new(),
        repeated: Vec::new(),
        superseded: Vec::new(),
    };
    for (loser, _) in losers {
        let kept = winner[keys.row(loser as usize).data()];
        if contents.row(loser as usize) == contents.row(kept as usize) {
            result.repeated.push(loser);
        } else {
            result.superseded.push((loser, kept));
        }
    }
    result.kept = winner.into_values().collect();
    result.kept.sort_unstable();
    Ok(result)
}

/// Key → (row in `existing`, content).
pub(super) fn index(
    key: &RowBytes,
    content: &RowBytes,
    existing: &RecordBatch,
) -> Result<HashMap<OwnedRow, (u32, OwnedRow)>, ArrowError> {
    let keys = key.rows(existing)?;
    let contents = content.rows(existing)?;
    Ok((0u32..)
        .zip(keys.iter().zip(contents.iter()))
        .map(|(at, (key, content))| (key.owned(), (at, content.owned())))
        .collect())
}

/// The rows of a batch at these places.
pub(super) fn pick(batch: &RecordBatch, rows: &[u32]) -> Result<RecordBatch, ArrowError> {
    let indices = UInt32Array::from(rows.to_vec());
    let columns = batch
        .columns()
        .iter()
        .map(|column| take(column, &indices, None))
        .collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(batch.schema(), columns)
}

/// The rows in the order in which the table keeps them inside a file.
pub(super) fn sorted(def: &TableDef, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let by: Vec<SortColumn> = def
        .partition
        .iter()
        .chain(def.sort)
        .filter_map(|name| batch.column_by_name(name))
        .map(|column| SortColumn {
            values: Arc::clone(column),
            options: None,
        })
        .collect();
    if by.is_empty() || batch.num_rows() < 2 {
        return Ok(batch.clone());
    }
    let order = lexsort_to_indices(&by, None)?;
    let columns = batch
        .columns()
        .iter()
        .map(|column| take(column, &order, None))
        .collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(batch.schema(), columns)
}

/// How many rows have no value in the column.
pub(super) fn nulls_in(batch: &RecordBatch, column: &str) -> usize {
    batch
        .column_by_name(column)
        .map_or(batch.num_rows(), |column| column.null_count())
}
