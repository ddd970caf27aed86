//! A CSV file as text batches: its header names the columns.
//!
//! The header must be sound, or the whole file is refused: nothing below it could be trusted.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;

use super::batch::{Gathering, TextBatch, text_schema};
use super::open::read_error;
use super::rows::{Row, Rows, Step};
use crate::sources::error::SourceError;

/// An open CSV file, read up to the end of its header.
pub(super) struct CsvFile {
    path: String,
    rows: Rows,
    schema: SchemaRef,
    row: Row,
}

impl CsvFile {
    /// Reads the header.
    pub(super) fn open(path: &str, input: Box<dyn BufRead>) -> Result<Self, SourceError> {
        let mut rows = Rows::new(input);
        let mut row = Row::default();
        let bad = |reason: String| SourceError::BadHeader {
            file: path.to_owned(),
            reason,
        };
        match rows
            .next(&mut row, None)
            .map_err(|error| read_error(path, error))?
        {
            Step::Row => {}
            Step::Bad(reason) => return Err(bad(reason)),
            Step::End => {
                return Err(SourceError::NoHeader {
                    file: path.to_owned(),
                });
            }
        }
        let (text, bounds) = row.fields().map_err(|error| bad(error.to_string()))?;
        let mut seen = BTreeSet::new();
        let mut names = Vec::with_capacity(bounds.len());
        for (index, (start, end)) in bounds.iter().enumerate() {
            let name = match text[*start..*end].trim() {
                "" => format!("column_{}", index + 1),
                name => name.to_owned(),
            };
            if !seen.insert(name.clone()) {
                return Err(SourceError::RepeatedColumn {
                    file: path.to_owned(),
                    column: name,
                });
            }
            names.push(name);
        }
        Ok(Self {
            path: path.to_owned(),
            rows,
            schema: text_schema(names),
            row,
        })
    }

    /// The columns that the header names.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next rows; `None` at the end.
    pub(super) fn next_batch(&mut self, rows_max: usize) -> Result<Option<TextBatch>, SourceError> {
        let width = self.schema.fields().len();
        let mut batch = Gathering::new(width, rows_max);
        while !batch.is_full() {
            let step = self.rows.next(&mut self.row, Some(width));
            match step.map_err(|error| read_error(&self.path, error))? {
                Step::End => break,
                Step::Bad(reason) => {
                    batch.refuse(&self.path, self.row.line, "bad_row", reason, self.row.raw());
                }
                Step::Row => match self.row.fields() {
                    Ok((text, bounds)) => {
                        let cells = bounds
                            .iter()
                            .map(|(start, end)| (start < end).then(|| &text[*start..*end]));
                        batch.push(self.row.line, self.row.raw(), cells);
                    }
                    Err(error) => {
                        let reason = error.to_string();
                        batch.refuse(&self.path, self.row.line, "bad_row", reason, self.row.raw());
                    }
                },
            }
        }
        if batch.is_empty() {
            return Ok(None);
        }
        let finished = batch
            .finish(&self.schema)
            .map_err(|error| SourceError::Decode {
                place: self.path.clone(),
                source: Arc::new(error),
            })?;
        Ok(Some(finished))
    }
}
