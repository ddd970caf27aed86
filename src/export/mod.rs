//! Export: what the sources say now, brought into the canonical tables.
//!
//! ```text
//! list files ─► those that changed ─► decode ─┬─► rejects ─► results/rejects
//!                                             └─► rows ───► canonical/<table>  (upsert by key)
//!                                     counts and cursor ──► results/exports
//! ```
//! The cursors of a source are written last: a run that dies in between reads the same files again,
//! finds its rows in the lake, and ends with the same tables and the same counts.

mod chunk;
mod cursor;
mod later;
mod mapped;
mod reader;
mod record;
mod rows;
mod table;

use std::sync::Arc;

use crate::config::{CANONICAL_TABLES, Source};
use crate::lake::{Lake, LakeError, object_place};
use crate::model::Run;
use crate::session::{ReadError, Sessions};
use crate::sources::{FilesSource, Mapping, SourceError, TableSpec};

use cursor::Known;
pub use record::mark_failed;
pub use rows::{ExportRow, RejectRow};
use table::TableJob;

/// What to export.
#[derive(Debug)]
pub struct Request<'a> {
    /// Where to.
    pub lake: &'a Lake,
    /// Makes the sessions that upserts and mappings need.
    pub sessions: &'a Sessions,
    /// The run this export belongs to.
    pub run: &'a Run,
    /// The sources to pull from.
    pub sources: Vec<&'a Source>,
    /// Only this table.
    pub table: Option<&'a str>,
    /// Reads every file again, changed or not.
    pub full: bool,
}

/// What came of one table of one source.
#[derive(Clone, Debug)]
pub struct TableReport {
    /// The bookkeeping row as it is in `results/exports`.
    pub row: ExportRow,
    /// Files that were read.
    pub files_read: usize,
    /// Files that had not changed.
    pub files_unchanged: usize,
    /// What a person should know of its files though nothing failed.
    pub warnings: Vec<String>,
}

/// What came of an export.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Table by table.
    pub tables: Vec<TableReport>,
    /// What a person should know though nothing failed.
    pub warnings: Vec<String>,
    /// Sources that failed as a whole, with the reason.
    pub failed: Vec<(String, String)>,
}

impl Report {
    /// Whether anything could not be exported.
    pub fn has_failures(&self) -> bool {
        !self.failed.is_empty() || self.tables.iter().any(|table| table.row.status == "failed")
    }
}

/// A failure that ends the export of a table, or of everything.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The lake failed: nothing more can be written.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// What was exported before could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file or folder could not be read.
    #[error("cannot {0}")]
    Source(#[from] SourceError),
    /// The mapping of a table failed.
    #[error("sources.tables.{table}.sql of `{source_name}` fails on {file}")]
    Mapping {
        /// The source.
        source_name: String,
        /// The table.
        table: String,
        /// The file it was run over.
        file: String,
        /// What the engine said.
        #[source]
        source: Box<datafusion::error::DataFusionError>,
    },
    /// The counts of a table do not add up: rows would have been lost without a trace.
    #[error(
        "{source_name}.{table}: {read} rows read, but {written} written + {unchanged} unchanged + \
         {rejected} rejected"
    )]
    Unbalanced {
        /// The source.
        source_name: String,
        /// The table.
        table: String,
        /// Rows read.
        read: i64,
        /// Rows written.
        written: i64,
        /// Rows that were there already.
        unchanged: i64,
        /// Rows rejected.
        rejected: i64,
    },
    /// The lake lacks a table this version declares.
    #[error("table {0} is not declared")]
    Undeclared(&'static str),
}

/// Told as the work goes on.
pub trait Progress: Sync {
    /// A table begins: so many files and bytes are to be read.
    fn table_started(&self, source: &str, table: &str, files: usize, bytes: u64);
    /// A file has been read.
    fn file_read(&self, bytes: u64);
    /// The table is done.
    fn table_finished(&self, report: &TableReport);
}

/// Exports what changed. One source's failure does not stop the others; a lake that fails stops all.
pub async fn export(request: &Request<'_>, progress: &dyn Progress) -> Result<Report, ExportError> {
    let mut report = Report::default();
    let run_id = &request.run.id;
    let known = cursor::load(request.lake, request.sessions, run_id).await?;
    for source in &request.sources {
        let done = report.tables.len();
        let result = export_source(request, source, &known, &mut report, progress).await;
        let tables = report.tables[done..].iter();
        let mut rows: Vec<ExportRow> = tables.map(|table| table.row.clone()).collect();
        let end = match result {
            Ok(()) => Ok(()),
            Err(ExportError::Source(error)) => {
                let reason = describe(&error);
                // Every table of the source is marked: what was exported before is not fresh any more.
                let provided = CANONICAL_TABLES.iter().filter(|table| {
                    !source.without.iter().any(|without| without == *table)
                        && request.table.is_none_or(|only| only == **table)
                });
                rows = provided
                    .map(|table| failed_row(request, source, &known, table, &reason))
                    .collect();
                report.failed.push((source.name.clone(), reason));
                Ok(())
            }
            Err(error) => Err(error),
        };
        // What was done is recorded even where the rest could not be.
        let recorded = record::write(request.lake, request.sessions, run_id, &rows).await;
        end.and(recorded)?;
    }
    Ok(report)
}

/// The error and its causes on one line.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

async fn export_source(
    request: &Request<'_>,
    source: &Source,
    known: &Known,
    report: &mut Report,
    progress: &dyn Progress,
) -> Result<(), ExportError> {
    let place = object_place(&source.path)?;
    let mappings = source
        .tables
        .iter()
        .map(|(table, mapping)| {
            (
                table.clone(),
                Mapping {
                    files: mapping.files.clone(),
                    sql: mapping.sql.clone(),
                },
            )
        })
        .collect();
    let files = Arc::new(FilesSource::new(
        &source.name,
        place.store,
        place.root,
        mappings,
    ));
    let specs = specs()?;
    let listing = files.list(&specs).await?;
    for unknown in &listing.unknown {
        report.warnings.push(format!(
            "{}: `{unknown}` is no file of any table",
            source.name
        ));
    }
    for table in &listing.unmatched {
        report.warnings.push(format!(
            "{}: the pattern of sources.tables.{table}.files meets no file",
            source.name
        ));
    }
    for spec in &specs {
        if request.table.is_some_and(|only| only != spec.name) {
            continue;
        }
        let inputs: Vec<_> = listing
            .files
            .iter()
            .filter(|file| file.table == spec.name)
            .cloned()
            .collect();
        let absent = source.without.contains(&spec.name);
        let key = (source.name.clone(), spec.name.clone());
        let (before, own) = (known.before.get(&key), known.own.get(&key));
        if inputs.is_empty() {
            let was_read = own.is_some_and(|own| own.cursor_after.is_some());
            if (before.is_some() || was_read) && !absent {
                let reason = "all of its files are gone";
                report.tables.push(TableReport {
                    row: failed_row(request, source, known, &spec.name, reason),
                    files_read: 0,
                    files_unchanged: 0,
                    warnings: Vec::new(),
                });
            } else if !absent {
                report.warnings.push(format!(
                    "{}: no file of {}; if this source has none, say so with without = [\"{}\"]",
                    source.name, spec.name, spec.name
                ));
            }
            continue;
        }
        if absent {
            report.warnings.push(format!(
                "{}: {} has files although the configuration says `without`; they are read",
                source.name, spec.name
            ));
        }
        let job = TableJob {
            request,
            source,
            files: Arc::clone(&files),
            spec,
            inputs,
            before,
            own,
        };
        let Some(table) = job.run(progress).await? else {
            continue;
        };
        progress.table_finished(&table);
        report.warnings.extend(table.warnings.iter().cloned());
        report.tables.push(table);
    }
    Ok(())
}

/// The bookkeeping of a table that could not be read at all, with what an earlier try has counted.
fn failed_row(
    request: &Request<'_>,
    source: &Source,
    known: &Known,
    table: &str,
    reason: &str,
) -> ExportRow {
    let key = (source.name.clone(), table.to_owned());
    let own = known.own.get(&key).cloned();
    let row = own.unwrap_or_else(|| ExportRow::begun(request.run, &source.name, table));
    row.failed(request.run, reason)
}

/// The canonical tables as the sources need to know them.
fn specs() -> Result<Vec<TableSpec>, ExportError> {
    CANONICAL_TABLES
        .iter()
        .map(|name| {
            let def = crate::lake::table(name).ok_or(ExportError::Undeclared(name))?;
            let key = def.key.iter().map(|column| (*column).to_owned()).collect();
            Ok(TableSpec {
                name: def.name.to_owned(),
                schema: def.schema(),
                key,
            })
        })
        .collect()
}
