//! Export: what the sources say now, brought into the canonical tables.
//!
//! ```text
//! list files ─► those that changed ─► decode ─┬─► rejects ─► results/rejects
//!                                             └─► rows ───► canonical/<table>  (upsert by key)
//!                                     counts and cursor ──► results/exports
//! ```
//! The cursor is written last: a run that dies in between reads the same files again, finds its rows
//! in the lake, and ends with the same tables and the same counts.

mod chunk;
mod cursor;
mod mapped;
mod rows;
mod table;

use std::sync::Arc;

use crate::config::{CANONICAL_TABLES, Source};
use crate::lake::{Lake, LakeError, Upsert, Writer, object_place, to_batch, upsert};
use crate::model::Run;
use crate::model::identity::short_id;
use crate::session::{ReadError, Sessions};
use crate::sources::{FilesSource, Mapping, SourceError, TableSpec};

use cursor::Known;
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
    let session = request.sessions.session();
    let known = cursor::load(request.lake, &session, &request.run.id).await?;
    for source in &request.sources {
        match export_source(request, source, &known, &mut report, progress).await {
            Ok(()) => {}
            Err(ExportError::Source(error)) => {
                let reason = describe(&error);
                // Every table of the source is marked: what was exported before is not fresh any more.
                let provided = CANONICAL_TABLES.iter().filter(|table| {
                    !source.without.iter().any(|without| without == *table)
                        && request.table.is_none_or(|only| only == **table)
                });
                for table in provided {
                    write_row(request, &failed_row(request, source, table, &reason)).await?;
                }
                report.failed.push((source.name.clone(), reason));
            }
            Err(error) => return Err(error),
        }
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
        let before = known.cursors.get(&key);
        if inputs.is_empty() {
            if before.is_some() && !absent {
                let reason = "all of its files are gone";
                let row = failed_row(request, source, &spec.name, reason);
                write_row(request, &row).await?;
                report.tables.push(TableReport {
                    row,
                    files_read: 0,
                    files_unchanged: 0,
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
            is_recorded: known.recorded.contains(&key),
        };
        let Some(table) = job.run(progress).await? else {
            continue;
        };
        progress.table_finished(&table);
        write_row(request, &table.row).await?;
        report.tables.push(table);
    }
    Ok(())
}

/// The bookkeeping of a table that could not be read at all.
fn failed_row(request: &Request<'_>, source: &Source, table: &str, reason: &str) -> ExportRow {
    let run = request.run;
    ExportRow {
        export_id: short_id("exp", [run.id.as_str(), &source.name, table]),
        run_id: run.id.clone(),
        source: source.name.clone(),
        table_name: table.to_owned(),
        started_at: Some(run.now()),
        finished_at: Some(run.now()),
        status: "failed".to_owned(),
        error: Some(reason.to_owned()),
        ..ExportRow::default()
    }
}

async fn write_row(request: &Request<'_>, row: &ExportRow) -> Result<(), ExportError> {
    let def = crate::lake::table("exports").ok_or(ExportError::Undeclared("exports"))?;
    let writer = Writer::new("exports", &request.run.id);
    let rows = Upsert {
        rows: to_batch(def, std::slice::from_ref(row))?,
        volatile: ExportRow::VOLATILE,
        new_since: None,
    };
    upsert(
        request.lake,
        &request.sessions.session(),
        def,
        &writer,
        rows,
    )
    .await?;
    Ok(())
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
