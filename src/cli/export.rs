//! `trueup export`: what changed at the sources, into the lake.

use chrono::{DateTime, Utc};

use super::args::{ExportArgs, Global};
use super::context::{Context, configuration, rules};
use super::output::{complain, rows};
use super::progress::Bars;
use super::{Exit, Failure};
use crate::config::{CANONICAL_TABLES, Config, Source};
use crate::derive::{Refreshed, refresh};
use crate::export::{ExportError, Report, Request, export as export_sources};
use crate::model::Run;
use crate::model::text::nearest;

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
        return Err(unknown("table", table, CANONICAL_TABLES));
    }
    source(&config, args.source.as_deref())?;
    let set = rules(&config).await?;
    let context = Context::open(config, now).await?;
    let run = context.run("export", &set);
    let bars = Bars::new(global);
    let only = (args.source.as_deref(), args.table.as_deref());
    let (report, _) = export_and_derive(&context, &run, only, args.full, &bars).await?;
    warn(&report);
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
        ],
        &values,
        |row| {
            vec![
                row.source.clone(),
                row.table_name.clone(),
                row.status.clone(),
                row.rows_read.to_string(),
                row.rows_written.to_string(),
                row.rows_unchanged.to_string(),
                row.rows_rejected.to_string(),
            ]
        },
    )?;
    Ok(if report.has_failures() {
        Exit::Failed
    } else {
        Exit::Done
    })
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
        None => Err(unknown("source", name, names)),
    }
}

fn unknown<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Failure {
    let hint = nearest(name, known);
    let hint = hint
        .map(|name| format!("; did you mean `{name}`?"))
        .unwrap_or_default();
    Failure::new(Exit::Usage, format!("there is no {what} `{name}`{hint}"))
}

/// Exports, then brings the derived tables up to date: they are part of the same state of the data.
pub(super) async fn export_and_derive(
    context: &Context,
    run: &Run,
    (source, table): (Option<&str>, Option<&str>),
    full: bool,
    bars: &Bars,
) -> Result<(Report, Refreshed), Failure> {
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
    let report = export_sources(&request, bars)
        .await
        .map_err(|error| match &error {
            ExportError::Undeclared(_) => Failure::internal(error),
            _ => Failure::of(Exit::Failed, &error),
        })?;
    let refreshed = refresh(&context.lake, &context.sessions, &run.id).await;
    let refreshed = refreshed.map_err(|error| Failure::of(Exit::Failed, &error))?;
    bars.clear();
    Ok((report, refreshed))
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
        complain(&format!("warning: {warning}"));
    }
}
