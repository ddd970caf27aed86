//! One file as canonical rows, batch by batch: in its own columns, or by the SQL of its mapping.
//!
//! It does not know what becomes of the rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::ExportError;
use super::mapped::{self, Mapped};
use crate::session::Sessions;
use crate::sources::{
    Decoded, FilesSource, InputFile, Places, Reject, SourceError, TableSpec, canonicalise,
};

/// Rows decoded at once.
const BATCH_ROWS: usize = 16 * 1024;

/// How the files of a table are read.
pub(super) struct Reader<'a> {
    pub(super) sessions: &'a Sessions,
    pub(super) source: &'a str,
    pub(super) files: Arc<FilesSource>,
    pub(super) spec: &'a TableSpec,
    /// The SQL of the table's mapping.
    pub(super) mapping: Option<&'a str>,
}

/// A file that is being read.
pub(super) struct Reading<'a> {
    reader: &'a Reader<'a>,
    file: String,
    rows: Rows,
}

enum Rows {
    /// Batches, and the task that sends them until it has been waited for.
    Canonical(
        mpsc::Receiver<Result<Decoded, SourceError>>,
        Option<JoinHandle<Result<(), SourceError>>>,
    ),
    /// The query, until it has ended; and how many rows it gave.
    Mapped(Option<Box<Mapped>>, usize),
}

impl Reader<'_> {
    pub(super) async fn open(&self, file: &InputFile) -> Result<Reading<'_>, ExportError> {
        let rows = match self.mapping {
            None => {
                let (sink, decoded) = mpsc::channel(2);
                let (files, spec) = (Arc::clone(&self.files), self.spec.clone());
                let input = file.clone();
                let task =
                    tokio::spawn(async move { files.read(&input, &spec, BATCH_ROWS, sink).await });
                Rows::Canonical(decoded, Some(task))
            }
            Some(sql) => {
                let ctx = self.sessions.single();
                let started = Mapped::start(&ctx, &self.files, file, sql).await;
                let mapped = started.map_err(|error| self.failed(&file.path, error))?;
                Rows::Mapped(Some(Box::new(mapped)), 0)
            }
        };
        Ok(Reading {
            reader: self,
            file: file.path.clone(),
            rows,
        })
    }

    fn failed(&self, file: &str, error: DataFusionError) -> ExportError {
        match mapped::read_error(&error) {
            Some(error) => ExportError::Source(error),
            None => ExportError::Mapping {
                source_name: self.source.to_owned(),
                table: self.spec.name.clone(),
                file: file.to_owned(),
                source: Box::new(error),
            },
        }
    }
}

/// Lines that were no rows, and nothing else.
fn refused(spec: &TableSpec, rejects: Vec<Reject>) -> Decoded {
    let mut decoded = Decoded {
        batch: RecordBatch::new_empty(Arc::clone(&spec.schema)),
        places: Places::Lines(Vec::new()),
        rejects: Vec::new(),
        rows_read: 0,
        misspelt: BTreeMap::new(),
    };
    decoded.refuse(rejects);
    decoded
}

impl Reading<'_> {
    /// The next rows; `None` at the end of the file.
    pub(super) async fn next(&mut self) -> Result<Option<Decoded>, ExportError> {
        let (mapped, row) = match &mut self.rows {
            Rows::Canonical(decoded, task) => {
                if let Some(batch) = decoded.recv().await {
                    return Ok(Some(batch?));
                }
                if let Some(task) = task.take() {
                    task.await.map_err(|error| SourceError::Task {
                        file: self.file.clone(),
                        source: Arc::new(error),
                    })??;
                }
                return Ok(None);
            }
            Rows::Mapped(None, _) => return Ok(None),
            Rows::Mapped(Some(mapped), row) => (mapped, row),
        };
        let (reader, file) = (self.reader, self.file.as_str());
        if let Some(batch) = mapped.next().await {
            let batch = batch.map_err(|error| reader.failed(file, error))?;
            let first = *row;
            *row += batch.num_rows();
            let origin = |at: usize| format!("{file}: mapped row {}", first + at + 1);
            let mut decoded = canonicalise(&batch, reader.spec, reader.source, &origin)?;
            decoded.refuse(mapped.rejects());
            return Ok(Some(decoded));
        }
        let rejects = mapped.rejects();
        self.rows = Rows::Mapped(None, 0);
        Ok((!rejects.is_empty()).then(|| refused(self.reader.spec, rejects)))
    }
}
