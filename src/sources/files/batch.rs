//! Rows of text gathered into a batch: columns, line numbers and the rows as they came.
//!
//! A batch closes at a number of rows or of bytes, whichever comes first: that bounds the memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, StringArray, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::sources::spec::Reject;

const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Room made before the first row; most files are small.
const ROWS_EXPECTED: usize = 8192;

/// A batch of text rows.
pub(super) struct TextBatch {
    /// Only `Utf8` columns; an empty cell is NULL.
    pub(super) batch: RecordBatch,
    /// The line of each row.
    pub(super) lines: Vec<u64>,
    /// Lines that are no rows.
    pub(super) rejects: Vec<Reject>,
    /// Names in the rows that are no columns of the batch, where they have values.
    pub(super) others: BTreeSet<String>,
    raw: Vec<u8>,
    raw_ends: Vec<usize>,
}

impl TextBatch {
    /// A row as it came.
    pub(super) fn raw(&self, row: usize) -> String {
        let start = if row == 0 { 0 } else { self.raw_ends[row - 1] };
        String::from_utf8_lossy(&self.raw[start..self.raw_ends[row]]).into_owned()
    }
}

/// A batch being gathered.
pub(super) struct Gathering {
    columns: Vec<StringBuilder>,
    lines: Vec<u64>,
    rejects: Vec<Reject>,
    raw: Vec<u8>,
    raw_ends: Vec<usize>,
    rows_max: usize,
}

impl Gathering {
    pub(super) fn new(columns: usize, rows_max: usize) -> Self {
        let rows_max = rows_max.max(1);
        let expected = rows_max.min(ROWS_EXPECTED);
        let column = || StringBuilder::with_capacity(expected, expected * 8);
        Self {
            columns: (0..columns).map(|_| column()).collect(),
            lines: Vec::with_capacity(expected),
            rejects: Vec::new(),
            raw: Vec::new(),
            raw_ends: Vec::with_capacity(expected),
            rows_max,
        }
    }

    /// Whether it is time to hand it on.
    pub(super) fn is_full(&self) -> bool {
        self.lines.len() + self.rejects.len() >= self.rows_max || self.raw.len() >= BATCH_BYTES_MAX
    }

    /// Whether there is nothing to hand on.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.rejects.is_empty()
    }

    /// Adds a row: one cell for each column, in order.
    pub(super) fn push<'a>(
        &mut self,
        line: u64,
        raw: &[u8],
        cells: impl IntoIterator<Item = Option<&'a str>>,
    ) {
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            column.append_option(cell);
        }
        self.lines.push(line);
        self.raw.extend_from_slice(raw);
        self.raw_ends.push(self.raw.len());
    }

    /// Adds a line that is no row.
    pub(super) fn refuse(&mut self, path: &str, line: u64, code: &str, reason: String, raw: &[u8]) {
        self.rejects.push(Reject {
            origin: format!("{path}:{line}"),
            reason_code: code.to_owned(),
            reason,
            raw: String::from_utf8_lossy(raw).into_owned(),
        });
    }

    /// The batch, with columns of these names.
    pub(super) fn finish(mut self, schema: &SchemaRef) -> Result<TextBatch, ArrowError> {
        let columns: Vec<ArrayRef> = self
            .columns
            .iter_mut()
            .map(|column| -> ArrayRef {
                let texts: StringArray = column.finish();
                Arc::new(texts)
            })
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.lines.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?;
        Ok(TextBatch {
            batch,
            lines: self.lines,
            rejects: self.rejects,
            others: BTreeSet::new(),
            raw: self.raw,
            raw_ends: self.raw_ends,
        })
    }
}

/// Nullable `Utf8` columns of these names.
pub(super) fn text_schema<T: Into<String>>(names: impl IntoIterator<Item = T>) -> SchemaRef {
    let fields: Vec<Field> = names
        .into_iter()
        .map(|name| Field::new(name, DataType::Utf8, true))
        .collect();
    Arc::new(Schema::new(fields))
}
