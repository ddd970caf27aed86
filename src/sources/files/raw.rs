//! A file as it is, for the SQL of a mapping: its own columns, plus where each row stands.
//!
//! Nothing is interpreted here: CSV and JSON lines stay text, Parquet keeps its types.

use std::collections::BTreeMap;
use std::iter::repeat_n;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray, new_null_array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::RecordBatch;
use object_store::ObjectStore;

use super::batch::{TextBatch, text_schema};
use super::csv::CsvFile;
use super::jsonl::{self, JsonlFile, OtherKeys};
use super::open::{read_error, unpack};
use super::read::{HandOn, Opened, open_file};
use crate::sources::decode::{FILE_COLUMN, LINE_COLUMN};
use crate::sources::error::SourceError;
use crate::sources::spec::{Decoded, InputFile, Places};

/// The columns of a file, plus `_file` and `_line`.
pub(super) async fn schema(
    store: &Arc<dyn ObjectStore>,
    file: &InputFile,
) -> Result<SchemaRef, SourceError> {
    let opened = open_file(store, file, 1).await?;
    let path = file.path.clone();
    let task = tokio::task::spawn_blocking(move || own_schema(opened, &path));
    let own = task.await.unwrap_or_else(|error| {
        Err(SourceError::Task {
            file: file.path.clone(),
            source: Arc::new(error),
        })
    })?;
    let mut fields: Vec<Field> = Vec::with_capacity(own.fields().len() + 2);
    for field in own.fields() {
        if matches!(field.name().as_str(), FILE_COLUMN | LINE_COLUMN) {
            return Err(SourceError::RepeatedColumn {
                file: file.path.clone(),
                column: field.name().clone(),
            });
        }
        fields.push(field.as_ref().clone().with_nullable(true));
    }
    fields.push(Field::new(FILE_COLUMN, DataType::Utf8, true));
    fields.push(Field::new(LINE_COLUMN, DataType::Int64, true));
    Ok(Arc::new(Schema::new(fields)))
}

fn own_schema(opened: Opened, path: &str) -> Result<SchemaRef, SourceError> {
    match opened {
        Opened::Csv(packed, packing) => {
            let text = unpack(packed, packing).map_err(|error| read_error(path, error))?;
            Ok(Arc::clone(CsvFile::open(path, text)?.schema()))
        }
        Opened::Jsonl(packed, packing) => {
            let text = unpack(packed, packing).map_err(|error| read_error(path, error))?;
            Ok(text_schema(jsonl::keys(path, text)?))
        }
        Opened::Parquet(file) => Ok(Arc::clone(file.schema())),
    }
}

/// Reads a file in the columns of `schema`.
pub(super) fn read(
    opened: Opened,
    path: &str,
    schema: &SchemaRef,
    batch_rows: usize,
    hand_on: HandOn<'_>,
) -> Result<(), SourceError> {
    match opened {
        Opened::Csv(packed, packing) => {
            let text = unpack(packed, packing).map_err(|error| read_error(path, error))?;
            let mut file = CsvFile::open(path, text)?;
            while let Some(batch) = file.next_batch(batch_rows)? {
                hand_on(text_rows(batch, path, schema)?)?;
            }
        }
        Opened::Jsonl(packed, packing) => {
            let text = unpack(packed, packing).map_err(|error| read_error(path, error))?;
            let names = schema.fields().iter().map(|field| field.name().as_str());
            let own = text_schema(names.filter(|name| !matches!(*name, FILE_COLUMN | LINE_COLUMN)));
            let mut file = JsonlFile::open(path, text, own, OtherKeys::Drop);
            while let Some(batch) = file.next_batch(batch_rows)? {
                hand_on(text_rows(batch, path, schema)?)?;
            }
        }
        Opened::Parquet(mut file) => {
            let mut before = 0;
            while let Some(batch) = file.next_batch()? {
                let rows_read = batch.num_rows() as u64;
                let lines: Vec<u64> = (before + 1..=before + rows_read).collect();
                before += rows_read;
                hand_on(Decoded {
                    batch: placed(&batch, lines.iter().copied(), path, schema)?,
                    places: Places::Lines(lines),
                    rejects: Vec::new(),
                    rows_read,
                    misspelt: BTreeMap::new(),
                })?;
            }
        }
    }
    Ok(())
}

fn text_rows(text: TextBatch, path: &str, schema: &SchemaRef) -> Result<Decoded, SourceError> {
    let batch = placed(&text.batch, text.lines.iter().copied(), path, schema)?;
    let rows_read = batch.num_rows() as u64 + text.rejects.len() as u64;
    Ok(Decoded {
        batch,
        places: Places::Lines(text.lines),
        rejects: text.rejects,
        rows_read,
        misspelt: BTreeMap::new(),
    })
}

/// The batch in the columns of `schema`, with the place of each row.
fn placed(
    batch: &RecordBatch,
    lines: impl Iterator<Item = u64>,
    path: &str,
    schema: &SchemaRef,
) -> Result<RecordBatch, SourceError> {
    let failed = |error: ArrowError| SourceError::Decode {
        place: path.to_owned(),
        source: Arc::new(error),
    };
    let rows = batch.num_rows();
    let lines: ArrayRef = Arc::new(Int64Array::from_iter_values(
        lines.map(|line| i64::try_from(line).unwrap_or(i64::MAX)),
    ));
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        columns.push(
            match (field.name().as_str(), batch.column_by_name(field.name())) {
                (FILE_COLUMN, _) => Arc::new(StringArray::from_iter_values(repeat_n(path, rows))),
                (LINE_COLUMN, _) => Arc::clone(&lines),
                (_, None) => new_null_array(field.data_type(), rows),
                (_, Some(array)) if array.data_type() == field.data_type() => Arc::clone(array),
                (_, Some(array)) => cast(array, field.data_type()).map_err(failed)?,
            },
        );
    }
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(failed)
}
