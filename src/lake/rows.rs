//! Rust values to table rows and back, through Arrow's own JSON mapping: decimals travel as text.

use std::io::BufWriter;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::reader::ReaderBuilder;
use datafusion::arrow::json::writer::{LineDelimited, WriterBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{LakeError, TableDef};

/// The values as rows of the table; fields are matched to columns by name.
pub fn to_batch<T: Serialize>(
    def: &'static TableDef,
    values: &[T],
) -> Result<RecordBatch, LakeError> {
    let shape = LakeError::shape(def.name);
    if values.is_empty() {
        return Ok(RecordBatch::new_empty(def.schema()));
    }
    let mut decoder = ReaderBuilder::new(def.schema())
        .with_batch_size(values.len())
        .with_strict_mode(true)
        .build_decoder()
        .map_err(&shape)?;
    decoder.serialize(values).map_err(&shape)?;
    let batch = decoder.flush().map_err(&shape)?;
    Ok(batch.unwrap_or_else(|| RecordBatch::new_empty(def.schema())))
}

/// The rows as values; columns are matched to fields by name.
pub fn from_batches<T: DeserializeOwned>(batches: &[RecordBatch]) -> Result<Vec<T>, ArrowError> {
    let mut text = Vec::new();
    let mut writer = WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, LineDelimited>(BufWriter::new(&mut text));
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    drop(writer);
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            serde_json::from_slice(line)
                .map_err(|error| ArrowError::ExternalError(Arc::new(error).to_string().into()))
        })
        .collect()
}
