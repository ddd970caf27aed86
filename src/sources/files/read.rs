//! Reads one file on a thread of its own and hands its batches on.
//!
//! Decoding is work for a core, so it never runs on an async thread; the bounded channel holds the
//! reader back when the receiver is slower.

use std::io::Read;
use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use object_store::ObjectStore;
use tokio::sync::mpsc;

use super::batch::{TextBatch, text_schema};
use super::csv::CsvFile;
use super::jsonl::{JsonlFile, OtherKeys};
use super::open::{open, read_error, unpack};
use super::parquet::ParquetFile;
use crate::sources::decode::{Input, canonicalise_lines, decode, misspelt};
use crate::sources::error::SourceError;
use crate::sources::spec::{Compression, Decoded, Format, InputFile, Places, TableSpec};

/// A file of the store, ready to be read on a blocking thread.
pub(super) enum Opened {
    /// Comma-separated values, still packed.
    Csv(Box<dyn Read + Send>, Compression),
    /// JSON lines, still packed.
    Jsonl(Box<dyn Read + Send>, Compression),
    /// Parquet, its footer read.
    Parquet(Box<ParquetFile>),
}

/// Takes a batch; an error means that reading must stop.
pub(super) type HandOn<'a> = &'a mut dyn FnMut(Decoded) -> Result<(), SourceError>;

/// Opens a file.
pub(super) async fn open_file(
    store: &Arc<dyn ObjectStore>,
    file: &InputFile,
    batch_rows: usize,
) -> Result<Opened, SourceError> {
    let failed = |error: object_store::Error| SourceError::Open {
        file: file.path.clone(),
        source: Arc::new(error),
    };
    Ok(match file.format {
        Format::Csv(packing) => {
            Opened::Csv(open(store, &file.location).await.map_err(failed)?, packing)
        }
        Format::Jsonl(packing) => {
            Opened::Jsonl(open(store, &file.location).await.map_err(failed)?, packing)
        }
        Format::Parquet => {
            Opened::Parquet(Box::new(ParquetFile::open(store, file, batch_rows).await?))
        }
    })
}

/// Opens a file and lets `work` send its batches; an error is both sent and returned.
pub(super) async fn deliver<F>(
    store: &Arc<dyn ObjectStore>,
    file: &InputFile,
    batch_rows: usize,
    sink: mpsc::Sender<Result<Decoded, SourceError>>,
    work: F,
) -> Result<(), SourceError>
where
    F: FnOnce(Opened, HandOn<'_>) -> Result<(), SourceError> + Send + 'static,
{
    let outcome = match open_file(store, file, batch_rows).await {
        Err(error) => Err(error),
        Ok(opened) => {
            let (sink, path) = (sink.clone(), file.path.clone());
            let task = tokio::task::spawn_blocking(move || {
                let mut hand_on = |decoded: Decoded| {
                    let sent = sink.blocking_send(Ok(decoded));
                    sent.map_err(|_| SourceError::Stopped { file: path.clone() })
                };
                work(opened, &mut hand_on)
            });
            task.await.unwrap_or_else(|error| {
                Err(SourceError::Task {
                    file: file.path.clone(),
                    source: Arc::new(error),
                })
            })
        }
    };
    if let Err(error) = &outcome {
        // Where the receiver has gone, the returned error is the only one anybody sees.
        sink.send(Err(error.clone())).await.ok();
    }
    outcome
}

/// Reads a file with canonical columns.
pub(super) fn canonical(
    opened: Opened,
    name: &str,
    path: &str,
    spec: &TableSpec,
    batch_rows: usize,
    hand_on: HandOn<'_>,
) -> Result<(), SourceError> {
    match opened {
        Opened::Csv(packed, packing) => {
            let text = unpack(packed, packing).map_err(|error| read_error(path, error))?;
            let mut file = CsvFile::open(path, text)?;
            known_columns(file.schema(), path, spec)?;
            while let Some(batch) = file.next_batch(batch_rows)? {
                hand_on(decode_text(batch, name, path, spec)?)?;
            }
        }
        Opened::Jsonl(packed, packing) => {
            let text = unpack(packed, packing).map_err(|error| read_error(path, error))?;
            let names = spec
                .schema
                .fields()
                .iter()
                .map(|field| field.name().as_str());
            let schema = text_schema(names.filter(|name| *name != "source"));
            let mut file = JsonlFile::open(path, text, schema, OtherKeys::Gather);
            while let Some(batch) = file.next_batch(batch_rows)? {
                hand_on(decode_text(batch, name, path, spec)?)?;
            }
        }
        Opened::Parquet(mut file) => {
            known_columns(file.schema(), path, spec)?;
            let mut before = 0;
            while let Some(batch) = file.next_batch()? {
                let rows = batch.num_rows() as u64;
                let lines = (before + 1..=before + rows).collect();
                hand_on(canonicalise_lines(&batch, path, lines, spec, name)?)?;
                before += rows;
            }
        }
    }
    Ok(())
}

fn decode_text(
    mut text: TextBatch,
    name: &str,
    path: &str,
    spec: &TableSpec,
) -> Result<Decoded, SourceError> {
    let places = Places::Lines(std::mem::take(&mut text.lines));
    let raw = |row: usize| text.raw(row);
    let input = Input {
        batch: &text.batch,
        file: path,
        places,
        raw: &raw,
    };
    let mut decoded = decode(input, spec, name)?;
    let others = text.others.iter().map(String::as_str);
    decoded.misspelt.extend(misspelt(others, &text.batch, spec));
    decoded.rows_read += text.rejects.len() as u64;
    decoded.rejects.extend(text.rejects);
    Ok(decoded)
}

/// Refuses a file that shares no column with the table: every row of it would be a reject.
fn known_columns(found: &Schema, path: &str, spec: &TableSpec) -> Result<(), SourceError> {
    if found.fields().iter().any(|field| spec.reads(field.name())) {
        return Ok(());
    }
    let names: Vec<&str> = found
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    Err(SourceError::ForeignHeader {
        file: path.to_owned(),
        table: spec.name.clone(),
        found: names.join(", "),
    })
}
