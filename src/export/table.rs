//! One table of one source: changed files in, rows and rejects out, counts that add up.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::chunk::{Chunk, Counts};
use super::cursor::{Before, Cursor};
use super::later::Later;
use super::reader::Reader;
use super::rows::ExportRow;
use super::{ExportError, Progress, Request, TableReport, describe};
use crate::config::Source;
use crate::lake::{TableDef, Writer, rows_committed};
use crate::sources::{FilesSource, InputFile, TableSpec};

/// How many files that failed are named with their reasons.
const FAILURES_NAMED: usize = 3;

pub(super) struct TableJob<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) source: &'a Source,
    pub(super) files: Arc<FilesSource>,
    pub(super) spec: &'a TableSpec,
    /// By path.
    pub(super) inputs: Vec<InputFile>,
    /// How far other runs have come.
    pub(super) before: Option<&'a Before>,
    /// What an earlier try of this very run has written.
    pub(super) own: Option<&'a ExportRow>,
}

/// What came of reading files.
#[derive(Default)]
struct Outcome {
    counts: Counts,
    /// Files that could not be read, and why.
    failed: Vec<(String, ExportError)>,
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
        let is_read = |by: &Cursor| self.inputs.iter().all(|file| by.holds(&now, file));
        if !self.request.full && self.recorded().as_ref().is_some_and(is_read) {
            return Ok(None);
        }
        let before = self.before.map(|before| &before.cursor);
        let is_known = |file: &InputFile| before.is_some_and(|before| before.holds(&now, file));
        let (unchanged, changed): (Vec<&InputFile>, Vec<&InputFile>) = self
            .inputs
            .iter()
            .partition(|file| !self.request.full && is_known(file));
        let (files_read, files_unchanged) = (changed.len(), unchanged.len());
        let bytes: u64 = changed.iter().map(|file| file.size).sum();
        progress.table_started(&self.source.name, &self.spec.name, files_read, bytes);
        let begun = ExportRow::begun(run, &self.source.name, &self.spec.name);
        let outcome = if changed.is_empty() {
            Outcome::default()
        } else {
            self.read(&changed, unchanged, mapping, progress).await?
        };
        let counts = outcome.counts;
        let known = self.before.and_then(|before| before.high_watermark);
        let row = ExportRow {
            cursor_before: before.and_then(Cursor::to_json),
            bytes: signed(bytes),
            requests: changed.len() as i64,
            rows_read: signed(counts.read),
            rows_written: signed(counts.written),
            rows_unchanged: signed(counts.unchanged),
            rows_rejected: signed(counts.rejected),
            // Without a newer row the data is as old as it was.
            high_watermark: counts.high_watermark.max(known),
            ..begun
        };
        // A file that cannot be read fails its table, not the run: the others are in the lake. It is
        // read again next time, and so are all where not one row of them could be taken.
        let refused = all_refused(&counts);
        let failures = failures(&outcome.failed, refused.as_deref());
        let unread = outcome.failed.iter().map(|(path, _)| path);
        let refused_files = changed.iter().map(|file| &file.path);
        let unread = unread.chain(refused_files.filter(|_| refused.is_some()));
        let row = ExportRow {
            cursor_after: now.without(unread).to_json(),
            finished_at: Some(run.now()),
            ..row
        };
        Ok(Some(TableReport {
            row: match failures {
                Some(reason) => row.failed(run, &reason),
                None => row,
            },
            files_read,
            files_unchanged,
            warnings: self.warnings(&counts),
        }))
    }

    /// How far an earlier try of this run has come, if it did all that it had to.
    fn recorded(&self) -> Option<Cursor> {
        let own = self.own.filter(|own| own.status == "ok")?;
        Cursor::from_json(own.cursor_after.as_deref()?)
    }

    /// Reads the files; those that fail are named with their reason.
    async fn read(
        &self,
        changed: &[&InputFile],
        unchanged: Vec<&InputFile>,
        mapping: Option<&str>,
        progress: &dyn Progress,
    ) -> Result<Outcome, ExportError> {
        let def: &'static TableDef =
            crate::lake::table(&self.spec.name).ok_or(ExportError::Undeclared("canonical"))?;
        let name = format!("export:{}", self.source.name);
        let writer = Writer::new(name, &self.request.run.id);
        let reader = Reader {
            sessions: self.request.sessions,
            source: &self.source.name,
            files: Arc::clone(&self.files),
            spec: self.spec,
            mapping,
        };
        let later = Later::new(&reader, def, unchanged);
        let mut chunk = Chunk::new(self.request, def, &writer, &self.source.name, later).await?;
        let mut failed = Vec::new();
        for file in changed {
            if let Err(error) = read_file(&reader, file, &mut chunk).await? {
                failed.push((file.path.clone(), error));
            }
            progress.file_read(file.size);
        }
        let (mut counts, not_looked_at) = chunk.finish().await?;
        failed.extend(not_looked_at);
        // An earlier try of this run may have written rows that this one found unchanged.
        if counts.unchanged > 0 {
            let table = self.request.lake.table(def).await?;
            let written = rows_committed(def, &table, &writer).await?;
            let earlier = written.saturating_sub(counts.written).min(counts.unchanged);
            counts.written += earlier;
            counts.unchanged -= earlier;
        }
        if counts.read != counts.written + counts.unchanged + counts.rejected {
            return Err(ExportError::Unbalanced {
                source_name: self.source.name.clone(),
                table: self.spec.name.clone(),
                read: signed(counts.read),
                written: signed(counts.written),
                unchanged: signed(counts.unchanged),
                rejected: signed(counts.rejected),
            });
        }
        Ok(Outcome { counts, failed })
    }

    /// Columns that seem to be misspelt: their values are not where they were meant to be.
    fn warnings(&self, counts: &Counts) -> Vec<String> {
        let kept = match self.spec.schema.index_of("attributes") {
            Ok(_) => "its values are kept in attributes",
            Err(_) => "its values are not kept",
        };
        let source = &self.source.name;
        let of = |files: &BTreeSet<String>| {
            let first = files.iter().next().cloned().unwrap_or_default();
            let others = more(files.len().saturating_sub(1)).map(|more| format!(" {more}"));
            first + &others.unwrap_or_default()
        };
        let misspelt = counts.misspelt.iter();
        misspelt
            .map(|((name, meant), files)| {
                let of = of(files);
                format!(
                    "{source}: column `{name}` of {of} is not known; did you mean `{meant}`? {kept}"
                )
            })
            .collect()
    }
}

/// Reads one file. The inner error is the file's own, and the others go on without it.
async fn read_file(
    reader: &Reader<'_>,
    file: &InputFile,
    chunk: &mut Chunk<'_>,
) -> Result<Result<(), ExportError>, ExportError> {
    let own = |error: ExportError| match error {
        error @ (ExportError::Source(_) | ExportError::Mapping { .. }) => Ok(Err(error)),
        error => Err(error),
    };
    let mut reading = match reader.open(file).await {
        Ok(reading) => reading,
        Err(error) => return own(error),
    };
    loop {
        match reading.next().await {
            Ok(Some(decoded)) => chunk.add(&file.path, decoded).await?,
            Ok(None) => return Ok(Ok(())),
            Err(error) => return own(error),
        }
    }
}

/// Why nothing of what was read is in the lake, where there was something to read.
fn all_refused(counts: &Counts) -> Option<String> {
    let first = counts.first_malformed.as_ref()?;
    let rows = match counts.malformed {
        1 => "the only row is rejected".to_owned(),
        all => format!("all {all} rows are rejected, the first"),
    };
    (counts.malformed == counts.read).then(|| format!("{rows} at {first}"))
}

/// What failed, in one text: the first files with their reasons, and how many more there are.
fn failures(failed: &[(String, ExportError)], refused: Option<&str>) -> Option<String> {
    let named = failed.iter().take(FAILURES_NAMED);
    let mut texts: Vec<String> = named.map(|(_, error)| describe(error)).collect();
    texts.extend(more(failed.len().saturating_sub(FAILURES_NAMED)));
    texts.extend(refused.map(str::to_owned));
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// How many files are not named, if any.
fn more(files: usize) -> Option<String> {
    match files {
        0 => None,
        1 => Some("and 1 more file".to_owned()),
        files => Some(format!("and {files} more files")),
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
