//! The run's own row in `runs`: written when everything else is, or when the run dies on its way.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;

use super::context::Context;
use super::summary::Outcome;
use super::{Exit, Failure};
use crate::export::Report;
use crate::lake::{Upsert, Writer, table, to_batch, upsert};
use crate::model::Run;
use crate::signals::SignalsError;

/// How long a run that died may take to say so: what killed it may be the lake.
const LAST_WORDS: Duration = Duration::from_secs(30);

#[derive(Serialize)]
struct RunRow<'a> {
    run_id: &'a str,
    kind: &'a str,
    as_of: DateTime<Utc>,
    started_at: DateTime<Utc>,
    finished_at: DateTime<Utc>,
    status: &'a str,
    trueup_version: &'a str,
    config_hash: &'a str,
    rules_lock_hash: &'a str,
    input_versions: Option<String>,
    counts: Option<String>,
    error: Option<String>,
}

impl<'a> RunRow<'a> {
    fn of(run: &'a Run, status: &'a str) -> Self {
        Self {
            run_id: &run.id,
            kind: run.kind,
            as_of: run.as_of,
            started_at: run.as_of,
            finished_at: run.now(),
            status,
            trueup_version: env!("CARGO_PKG_VERSION"),
            config_hash: &run.config_hash,
            rules_lock_hash: &run.rules_hash,
            input_versions: None,
            counts: None,
            error: None,
        }
    }

    /// Of a run that came to its end: where anything failed on the way, the run has failed.
    fn ended(run: &'a Run, failures: &[String], otherwise: &'a str) -> Self {
        if failures.is_empty() {
            return Self::of(run, otherwise);
        }
        Self {
            error: Some(failures.join("; ")),
            ..Self::of(run, "failed")
        }
    }
}

/// The sources that failed as a whole, with their reasons.
pub(super) fn failed_sources<'a>(
    failed: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Vec<String> {
    let failed = failed.into_iter();
    failed
        .map(|(source, reason)| format!("{source}: {reason}"))
        .collect()
}

/// Every source and table that failed, with its reason.
pub(super) fn failures(report: &Report) -> Vec<String> {
    let sources = report.failed.iter();
    let mut reasons = failed_sources(sources.map(|failed| (&failed.0, &failed.1)));
    let tables = report.tables.iter().map(|table| &table.row);
    let failed = tables.filter(|row| row.status == "failed");
    reasons.extend(failed.map(|row| {
        let reason = row.error.as_deref().unwrap_or("no reason");
        format!("{}.{}: {reason}", row.source, row.table_name)
    }));
    reasons
}

/// Enters a run that judged, with what it came to; one on whose way something failed has failed.
pub(super) async fn judged(context: &Context, run: &Run, outcome: &Outcome) -> Result<(), Failure> {
    let is_whole = outcome.inconclusive().next().is_none();
    let otherwise = if is_whole { "ok" } else { "inconclusive" };
    let row = RunRow {
        input_versions: Some(json!(outcome.versions).to_string()),
        counts: Some(outcome.counts().to_string()),
        ..RunRow::ended(run, &outcome.failures, otherwise)
    };
    let written = write(context, run, row).await;
    written.map_err(|error| Failure::of(Exit::Failed, &error))
}

/// Enters an export; one of whose sources or tables failed has failed.
pub(super) async fn exported(context: &Context, run: &Run, report: &Report) -> Result<(), Failure> {
    let row = RunRow::ended(run, &failures(report), "ok");
    let written = write(context, run, row).await;
    written.map_err(|error| Failure::of(Exit::Failed, &error))
}

/// What the work gives; where it fails, that is entered first. A failure to do so hides nothing.
pub(super) async fn or_failed<T>(
    context: &Context,
    run: &Run,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let failure = match work.await {
        Ok(done) => return Ok(done),
        Err(failure) => failure,
    };
    let row = RunRow {
        error: Some(failure.text.clone()),
        ..RunRow::of(run, "failed")
    };
    match tokio::time::timeout(LAST_WORDS, write(context, run, row)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the failed run could not be entered in runs"),
        Err(_) => tracing::warn!("the failed run could not be entered in runs in time"),
    }
    Err(failure)
}

async fn write(context: &Context, run: &Run, row: RunRow<'_>) -> Result<(), SignalsError> {
    let def = table("runs").ok_or(SignalsError::Undeclared("runs"))?;
    // The versions of result tables move with every run; what was judged does not.
    let volatile = &["finished_at", "input_versions"];
    let rows = Upsert {
        rows: to_batch(def, &[row])?,
        volatile,
        new_since: None,
    };
    let writer = Writer::new("runs", &run.id);
    let session = context.sessions.session();
    upsert(&context.lake, &session, def, &writer, rows).await?;
    Ok(())
}
