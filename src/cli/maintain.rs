//! `trueup maintain`: the plan first, then the work.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::args::{Global, MaintainArgs};
use super::context::{Context, configuration_or_lake};
use super::output::{cell, rows, say};
use super::{Exit, Failure};
use crate::lake::table as table_named;
use crate::model::span::parse_span;

pub(super) async fn maintain(
    global: &Global,
    args: &MaintainArgs,
    now: DateTime<Utc>,
) -> Result<Exit, Failure> {
    let retention = parse_span(&args.retain)
        .map_err(|error| Failure::new(Exit::Usage, format!("--retain: {error}")))?;
    let retention = TimeDelta::from_std(retention).map_err(Failure::internal)?;
    if retention < TimeDelta::days(7) {
        let reason = "--retain: files younger than 7 days may still be read or written by others";
        return Err(Failure::new(Exit::Usage, reason));
    }
    let context = Context::of_lake(configuration_or_lake(global)?, now).await?;
    let failed = |error| Failure::of(Exit::Failed, &error);
    let plans = context
        .lake
        .maintenance_plan(retention)
        .await
        .map_err(failed)?;
    let values: Vec<_> = plans
        .iter()
        .map(|plan| {
            json!({
                "table": plan.table,
                "version": plan.version,
                "files": plan.files,
                "files_to_delete": plan.expired,
            })
        })
        .collect();
    let headings = ["table", "version", "files", "files_to_delete"];
    rows(global, &headings, &values, |value| {
        headings.iter().map(|name| cell(&value[*name])).collect()
    })?;
    if !args.yes {
        let note = "nothing was done; --yes compacts, checkpoints and vacuums these tables";
        say(note);
        return Ok(Exit::Done);
    }
    let ctx = context.sessions.session();
    for plan in plans {
        let Some(def) = table_named(plan.table) else {
            continue;
        };
        let done = context
            .lake
            .maintain(&ctx, def, retention)
            .await
            .map_err(failed)?;
        say(&format!(
            "{}: {} files became {}, {} deleted",
            done.table, done.compacted, done.written, done.deleted
        ));
    }
    Ok(Exit::Done)
}
