//! One table of one source: changed files in, rows and rejects out, counts that add up.

use std::sync::Arc;

use datafusion::error::DataFusionError;
use tokio::sync::mpsc;

use super::chunk::Chunk;
use super::cursor::Cursor;
use super::mapped::{self, Mapped};
use super::rows::ExportRow;
use super::{ExportError, Progress, Request, TableReport};
use crate::config::Source;
use crate::lake::{TableDef, Writer, rows_committed};
use crate::model::identity::short_id;
use crate::sources::{Decoded, FilesSource, InputFile, SourceError, TableSpec, canonicalise};

/// Rows decoded at once.
const BATCH_ROWS: usize = 16 * 1024;

pub(super) struct TableJob<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) source: &'a Source,
    pub(super) files: Arc<FilesSource>,
    pub(super) spec: &'a TableSpec,
    pub(super) inputs: Vec<InputFile>,
    pub(super) before: Option<&'a Cursor>,
    /// Whether an earlier try of this very run has recorded this table.
    pub(super) is_recorded: bool,
}

impl TableJob<'_> {
    /// Reads what changed; `None` where this very run has nothing to add to what it recorded before.
    pub(super) async fn run(
        self,
        progress: &dyn Progress,
    ) -> Result<Option<TableReport>, ExportError> {
        let run = self.request.run;
        let mapping = self
            .source
            .tables
            .get(&self.spec.name)
            .and_then(|m| m.sql.as_deref());
        let now = Cursor::of(&self.inputs, mapping);
        let changed: Vec<&InputFile> = self
            .inputs
            .iter()
            .filter(|file| {
                self.request.full || !self.before.is_some_and(|before| before.holds(&now, file))
            })
            .collect();
        let bytes: u64 = changed.iter().map(|file| file.size).sum();
        progress.table_started(&self.source.name, &self.spec.name, changed.len(), bytes);
        let mut row = ExportRow {
            export_id: short_id("exp", [run.id.as_str(), &self.source.name, &self.spec.name]),
            run_id: run.id.clone(),
            source: self.source.name.clone(),
            table_name: self.spec.name.clone(),
            started_at: Some(run.now()),
            status: "ok".to_owned(),
            cursor_before: self.before.and_then(Cursor::to_json),
            cursor_after: now.to_json(),
            bytes: signed(bytes),
            requests: changed.len() as i64,
            ..ExportRow::default()
        };
        let files_unchanged = self.inputs.len() - changed.len();
        if changed.is_empty() && self.is_recorded {
            return Ok(None);
        }
        let failed = self.read(&changed, &mut row, mapping, progress).await?;
        if let Some((_, error)) = failed.first() {
            // A file that cannot be read fails its table, not the run: the others are in the lake,
            // and it is read again next time.
            row.status = "failed".to_owned();
            row.error = Some(super::describe(error));
            row.cursor_after = now.without(failed.iter().map(|(path, _)| path)).to_json();
        }
        row.finished_at = Some(run.now());
        Ok(Some(TableReport {
            row,
            files_read: changed.len(),
            files_unchanged,
        }))
    }

    /// Reads the files; those that fail are named with their reason.
    async fn read(
        &self,
        changed: &[&InputFile],
        row: &mut ExportRow,
        mapping: Option<&str>,
        progress: &dyn Progress,
    ) -> Result<Vec<(String, ExportError)>, ExportError> {
        let def: &'static TableDef =
            crate::lake::table(&self.spec.name).ok_or(ExportError::Undeclared("canonical"))?;
        let name = format!("export:{}", self.source.name);
        let writer = Writer::new(name, &self.request.run.id);
        let mut chunk = Chunk::new(self.request, def, &writer, &self.source.name).await?;
        let mut failed = Vec::new();
        for file in changed {
            let result = match mapping {
                Some(sql) => self.read_mapped(file, sql, &mut chunk).await,
                None => self.read_canonical(file, &mut chunk).await,
            };
            match result {
                Ok(()) => {}
                Err(error @ (ExportError::Source(_) | ExportError::Mapping { .. })) => {
                    failed.push((file.path.clone(), error));
                }
                Err(error) => return Err(error),
            }
            progress.file_read(file.size);
        }
        let counts = chunk.finish().await?;
        row.rows_read = signed(counts.read);
        row.rows_rejected = signed(counts.rejected);
        row.rows_written = signed(counts.written);
        row.rows_unchanged = signed(counts.unchanged);
        row.high_watermark = counts.high_watermark;
        // A try of this run that was killed may have written rows that this try found unchanged.
        if counts.unchanged > 0 && !self.is_recorded {
            let table = self.request.lake.table(def).await?;
            let written = signed(rows_committed(def, &table, &writer).await?);
            let earlier = (written - row.rows_written).clamp(0, row.rows_unchanged);
            row.rows_written += earlier;
            row.rows_unchanged -= earlier;
        }
        if row.rows_read != row.rows_written + row.rows_unchanged + row.rows_rejected {
            return Err(ExportError::Unbalanced {
                source_name: self.source.name.clone(),
                table: self.spec.name.clone(),
                read: row.rows_read,
                written: row.rows_written,
                unchanged: row.rows_unchanged,
                rejected: row.rows_rejected,
            });
        }
        Ok(failed)
    }

    async fn read_canonical(
        &self,
        file: &InputFile,
        chunk: &mut Chunk<'_>,
    ) -> Result<(), ExportError> {
        let (sink, mut decoded) = mpsc::channel::<Result<Decoded, SourceError>>(2);
        let (files, spec, input) = (Arc::clone(&self.files), self.spec.clone(), file.clone());
        let reader = tokio::spawn(async move { files.read(&input, &spec, BATCH_ROWS, sink).await });
        while let Some(batch) = decoded.recv().await {
            chunk.add(&file.path, batch?).await?;
        }
        match reader.await {
            Ok(result) => Ok(result?),
            Err(error) => Err(SourceError::Task {
                file: file.path.clone(),
                source: Arc::new(error),
            }
            .into()),
        }
    }

    /// Runs the mapping over the file as it is, and its result through the same decoding.
    async fn read_mapped(
        &self,
        file: &InputFile,
        sql: &str,
        chunk: &mut Chunk<'_>,
    ) -> Result<(), ExportError> {
        let failed = |source| ExportError::Mapping {
            source_name: self.source.name.clone(),
            table: self.spec.name.clone(),
            file: file.path.clone(),
            source: Box::new(source),
        };
        let failed = |error: DataFusionError| match mapped::read_error(&error) {
            Some(error) => ExportError::Source(error),
            None => failed(error),
        };
        let ctx = self.request.sessions.single();
        let started = Mapped::start(&ctx, &self.files, file, sql).await;
        let mut mapped = started.map_err(failed)?;
        let mut row = 0;
        while let Some(batch) = mapped.next().await {
            let batch = batch.map_err(failed)?;
            chunk.reject(mapped.rejects()).await?;
            let first = row;
            let origin = |at: usize| format!("{}: mapped row {}", file.path, first + at + 1);
            let decoded = canonicalise(&batch, self.spec, &self.source.name, &origin)?;
            row += batch.num_rows();
            chunk.add(&file.path, decoded).await?;
        }
        chunk.reject(mapped.rejects()).await?;
        Ok(())
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
