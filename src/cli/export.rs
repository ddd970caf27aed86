//! `trueup export`: what changed at the sources, into the lake.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};

use super::args::{ExportArgs, Global};
use super::context::{Context, configuration, rules};
use super::output::{caution, complain, rows, say};
use super::progress::Bars;
use super::record::{exported, or_failed};
use super::{Exit, Failure};
use crate::config::{CANONICAL_TABLES, Config, Source};
use crate::derive::{Refreshed, is_behind, refresh};
use crate::export::{ExportError, Report, Request, export as export_sources, mark_failed};
use crate::model::Run;

/// What is rolled up.
const USAGE: &str = "usage_records";

pub(super) async fn export(
    global: &Global,
    args: &ExportArgs,
    now: DateTime<Utc>,
) -> Result<Exit, Failure> {
    let config = configuration(global)?;
    if let Some(table) = args
        .table
        .as_deref()
        .filter(|table| !CANONICAL_TABLES.contains(table))
    {
        return Err(Failure::unknown("table", table, CANONICAL_TABLES));
    }
    source(&config, args.source.as_deref())?;
    let set = rules(&config).await?;
    let context = Context::open(config, now).await?;
    let run = context.run("export", &set);
    let bars = Bars::new(global);
    let only = (args.source.as_deref(), args.table.as_deref());
    let work = async {
        let mut report = export_all(&context, &run, only, args.full, &bars).await?;
        warn(&report);
        // Before the rollup, which may fail: what was exported is done.
        print(global, &report)?;
        let refreshed = roll_up(&context, &run, args.source.as_deref()).await?;
        enter(&mut report, &refreshed.failed);
        exported(&context, &run, &report).await?;
        Ok::<_, Failure>(report)
    };
    let report = or_failed(&context, &run, work).await?;
    Ok(if report.has_failures() {
        Exit::Failed
    } else {
        Exit::Done
    })
}

/// The rows of `exports`, table by table.
fn print(global: &Global, report: &Report) -> Result<(), Failure> {
    let values: Vec<_> = report
        .tables
        .iter()
        .map(|table| table.row.clone())
        .collect();
    rows(
        global,
        &[
            "source",
            "table",
            "status",
            "read",
            "written",
            "unchanged",
            "rejected",
            "newest",
        ],
        &values,
        |row| {
            let newest = row.high_watermark.map(moment);
            vec![
                row.source.clone(),
                row.table_name.clone(),
                row.status.clone(),
                row.rows_read.to_string(),
                row.rows_written.to_string(),
                row.rows_unchanged.to_string(),
                row.rows_rejected.to_string(),
                newest.unwrap_or_default(),
            ]
        },
    )
}

fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Refuses a source that is not configured.
pub(super) fn source<'a>(
    config: &'a Config,
    name: Option<&str>,
) -> Result<Option<&'a Source>, Failure> {
    let Some(name) = name else { return Ok(None) };
    let names = config.sources.iter().map(|source| source.name.as_str());
    match config.sources.iter().find(|source| source.name == name) {
        Some(source) => Ok(Some(source)),
        None => Err(Failure::unknown("source", name, names)),
    }
}

/// Brings what changed at the sources into the canonical tables.
pub(super) async fn export_all(
    context: &Context,
    run: &Run,
    (source, table): (Option<&str>, Option<&str>),
    full: bool,
    bars: &Bars,
) -> Result<Report, Failure> {
    let sources = &context.config.sources;
    let request = Request {
        lake: &context.lake,
        sessions: &context.sessions,
        run,
        sources: sources
            .iter()
            .filter(|s| source.is_none_or(|only| only == s.name))
            .collect(),
        table,
        full,
    };
    let report = export_sources(&request, bars).await;
    bars.clear();
    report.map_err(|error| match &error {
        ExportError::Undeclared(_) => Failure::internal(error),
        _ => Failure::of(Exit::Failed, &error),
    })
}

/// Brings the derived tables up to date. The usage of a source for which that failed is marked, so
/// that no rule takes what there is of it for all; of the sources asked for, it is told as well.
pub(super) async fn roll_up(
    context: &Context,
    run: &Run,
    only: Option<&str>,
) -> Result<Refreshed, Failure> {
    let refreshed = refresh(&context.lake, &context.sessions, &run.id).await;
    let mut refreshed = refreshed.map_err(|error| Failure::of(Exit::Failed, &error))?;
    let configured = &context.config.sources;
    // Of a source that is not configured any more nothing is judged.
    refreshed
        .failed
        .retain(|name, _| configured.iter().any(|source| source.name == *name));
    let all = refreshed.failed.clone();
    refreshed
        .failed
        .retain(|name, _| only.is_none_or(|only| only == name));
    for (source, reason) in &refreshed.failed {
        complain(&format!("source {source} failed: {reason}"));
    }
    let marked = mark_failed(&context.lake, &context.sessions, run, USAGE, &all).await;
    marked.map_err(|error| Failure::of(Exit::Failed, &error))?;
    Ok(refreshed)
}

/// Enters into the report, which was made before it, what the rollup failed on.
pub(super) fn enter(report: &mut Report, failed: &BTreeMap<String, String>) {
    for (source, reason) in failed {
        let mut rows = report.tables.iter_mut().map(|table| &mut table.row);
        match rows.find(|row| row.source == *source && row.table_name == USAGE) {
            Some(row) => {
                row.status = "failed".to_owned();
                row.error = Some(match row.error.take() {
                    Some(error) => format!("{error}; {reason}"),
                    None => reason.clone(),
                });
            }
            None => report.failed.push((source.clone(), reason.clone())),
        }
    }
}

/// Whether usage changed that is not rolled up yet.
pub(super) async fn has_usage_to_roll_up(context: &Context) -> Result<bool, Failure> {
    let behind = is_behind(&context.lake).await;
    behind.map_err(|error| Failure::of(Exit::Failed, &error))
}

/// Says what each source brought, as soon as it is known.
pub(super) fn tell(report: &Report) {
    let rows = || report.tables.iter().map(|table| &table.row);
    let mut sources: Vec<&str> = rows().map(|row| row.source.as_str()).collect();
    sources.dedup();
    for source in sources {
        let own = || rows().filter(move |row| row.source == source);
        let newest = own().filter_map(|row| row.high_watermark).max();
        let newest = newest.map(|at| format!("; the newest is of {}", moment(at)));
        say(&format!(
            "exported {source}: {} rows read, {} written, {} unchanged, {} rejected{}",
            own().map(|row| row.rows_read).sum::<i64>(),
            own().map(|row| row.rows_written).sum::<i64>(),
            own().map(|row| row.rows_unchanged).sum::<i64>(),
            own().map(|row| row.rows_rejected).sum::<i64>(),
            newest.unwrap_or_default()
        ));
    }
}

/// Says what failed and what a person should know.
pub(super) fn warn(report: &Report) {
    for (source, reason) in &report.failed {
        complain(&format!("source {source} failed: {reason}"));
    }
    for table in report
        .tables
        .iter()
        .filter(|table| table.row.status == "failed")
    {
        let reason = table.row.error.as_deref().unwrap_or("no reason");
        complain(&format!(
            "{}.{} failed: {reason}",
            table.row.source, table.row.table_name
        ));
    }
    for warning in &report.warnings {
        caution(&format!("warning: {warning}"));
    }
}
