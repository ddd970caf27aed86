//! What rows say of themselves: how new they are, and the text that a row which lost is kept as.

use chrono::{DateTime, Utc};
use datafusion::arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::datatypes::TimestampMicrosecondType;
use datafusion::arrow::error::ArrowError;
use serde_json::{Map, Value};

use crate::lake::from_batches;
use crate::model::Decimal;

/// The latest moment that the rows speak of; what they say of times to come is no sign of news.
pub(super) fn watermark(batch: &RecordBatch, as_of: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let column = ["occurred_at", "updated_at", "created_at"]
        .iter()
        .filter_map(|name| batch.column_by_name(name))
        .find(|column| column.null_count() < column.len())?;
    let moments = column.as_primitive_opt::<TimestampMicrosecondType>()?;
    let limit = as_of.timestamp_micros();
    let past = moments.iter().flatten().filter(|moment| *moment <= limit);
    DateTime::from_timestamp_micros(past.max()?)
}

/// Rows as JSON objects of the table's columns, without those that are NULL: of a row that was
/// accepted, the text it was read from is not kept.
pub(super) fn texts(rows: &RecordBatch, lost: &[(u32, String)]) -> Result<Vec<String>, ArrowError> {
    let places: UInt32Array = lost.iter().map(|(row, _)| Some(*row)).collect();
    let lost = take_record_batch(rows, &places)?;
    let objects: Vec<Map<String, Value>> = from_batches(&[lost])?;
    let text = |mut object: Map<String, Value>| {
        // Ours, not the input's.
        object.remove("source");
        plain(Value::Object(object)).to_string()
    };
    Ok(objects.into_iter().map(text).collect())
}

/// Decimals as the shortest exact text, and nothing for NULL.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.to_string().parse::<Decimal>() {
            Ok(decimal) if !number.is_i64() => decimal.to_string().into(),
            _ => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(object) => Value::Object(
            object
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name, plain(value)))
                .collect(),
        ),
        other => other,
    }
}
