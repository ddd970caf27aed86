//! The past as it was known: tables cut back to a moment, and a rule judged on them.
//!
//! The versions of a table begin with the first export, so they cannot tell what was known before.
//! What the rows say of themselves can: when a record arrived, when an invoice was made or became
//! final. Tables without such a moment are taken as they are today, and that has to be said.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use datafusion::error::Result;
use serde::Deserialize;

use super::cases::{DAILY, DUPLICATES, RECORDS};
use super::inputs::{Inputs, needed};
use super::world::{RUN_SOURCES, World};
use super::{DetectError, Request, RuleOutcome, before, evaluate};
use crate::config::Source;
use crate::lake::{LakeError, TABLES, from_batches, table};
use crate::rules::Rule;
use crate::session::{Parameters, Sessions, Workers, micros, plan_read_only};

/// Each table that tells when its rows became known, as it was at `$as_of`.
const AS_KNOWN: &[(&str, &str)] = &[
    (
        "usage_records",
        "select * replace (
            case when updated_at > $as_of then null else invoice_line_id end as invoice_line_id,
            case
                when updated_at > $as_of and status in ('billed', 'voided') then 'processed'
                else status
            end as status
        )
        from usage_records
        where coalesce(recorded_at, occurred_at) < $as_of",
    ),
    (
        "invoices",
        "select * replace (
            case when finalized_at > $as_of then 'draft' else status end as status,
            case when finalized_at > $as_of then null else finalized_at end as finalized_at
        )
        from invoices
        where coalesce(coalesce(created_at, finalized_at, updated_at) <= $as_of, true)",
    ),
    (
        "invoice_lines",
        "select l.*
        from invoice_lines l
        left anti join (
            select source, invoice_id
            from invoices
            where coalesce(created_at, finalized_at, updated_at) > $as_of
        ) later on later.source = l.source and later.invoice_id = l.invoice_id",
    ),
    (
        "bill_runs",
        "select * replace (
            case when executed_at > $as_of then 'pending' else status end as status,
            case when executed_at > $as_of then null else executed_at end as executed_at
        )
        from bill_runs
        where coalesce(coalesce(created_at, executed_at, updated_at) <= $as_of, true)",
    ),
    (
        "adjustments",
        "select * from adjustments
        where coalesce(coalesce(created_at, updated_at) <= $as_of, true)",
    ),
    (
        "customers",
        "select * from customers where coalesce(created_at <= $as_of, true)",
    ),
    (
        "rejects",
        "select * from rejects where coalesce(rejected_at <= $as_of, true)",
    ),
    (
        "exports",
        "select * from exports
        where coalesce(coalesce(finished_at, started_at) <= $as_of, true)",
    ),
    (
        "runs",
        "select * from runs where coalesce(as_of <= $as_of, true)",
    ),
    (
        "rule_runs",
        "select * from rule_runs where coalesce(started_at <= $as_of, true)",
    ),
];

/// What is made again from the usage that was known, each from those before it.
const REBUILT: &[(&str, &str)] = &[
    ("usage_duplicates", DUPLICATES),
    ("records", RECORDS),
    ("repeats", "select * from usage_duplicates"),
    ("usage_daily", DAILY),
];

/// When each source's usage and invoices begin.
const BEGINNINGS: &[(&str, &str)] = &[
    (
        "usage_records",
        "select source, min(coalesce(recorded_at, occurred_at)) as since
        from usage_records group by source",
    ),
    (
        "invoices",
        "select source, min(coalesce(created_at, finalized_at, updated_at)) as since
        from invoices group by source",
    ),
];

impl World {
    /// The same tables as they were known at that moment; no views yet.
    pub async fn as_known(
        &self,
        sessions: &Sessions,
        rule: &Rule,
        as_of: DateTime<Utc>,
    ) -> std::result::Result<Self, DetectError> {
        let cut = self.cut_back(sessions, rule, as_of).await;
        cut.map_err(|source| DetectError::Session {
            what: "tables as they were known",
            source: Box::new(source),
        })
    }

    async fn cut_back(
        &self,
        sessions: &Sessions,
        rule: &Rule,
        as_of: DateTime<Utc>,
    ) -> Result<Self> {
        let ctx = sessions.session();
        let mut parameters = Parameters::default();
        parameters.set("as_of", micros(as_of));
        let is_rebuilt = |name: &str| REBUILT.iter().any(|(rebuilt, _)| *rebuilt == name);
        for def in TABLES.iter().filter(|def| !is_rebuilt(def.name)) {
            let known = AS_KNOWN.iter().find(|(name, _)| *name == def.name);
            let table = match known {
                Some((_, sql)) => plan_read_only(self.ctx(), sql)
                    .await?
                    .with_param_values(parameters.values())?
                    .into_view(),
                None => self.ctx().table_provider(def.name).await?,
            };
            ctx.register_table(def.name, table)?;
        }
        let run_sources = self.ctx().table_provider(RUN_SOURCES).await?;
        ctx.register_table(RUN_SOURCES, run_sources)?;
        // Views ask for the rollup again and again: it is made once a day, where it is read at all.
        let reads_rollup = rule.explain.is_some() || rule.reads.iter().any(|name| is_rebuilt(name));
        for (name, sql) in REBUILT {
            let rows = plan_read_only(&ctx, sql).await?;
            let rows = if reads_rollup && table(name).is_some() {
                rows.cache().await?
            } else {
                rows
            };
            ctx.register_table(*name, rows.into_view())?;
        }
        Ok(self.over(ctx))
    }

    /// Since when there is something to know.
    pub async fn beginnings(&self) -> std::result::Result<Beginnings, DetectError> {
        let mut beginnings = Beginnings::default();
        for &(table, sql) in BEGINNINGS {
            let read = |source| LakeError::Read {
                table,
                source: Box::new(source),
            };
            let query = plan_read_only(self.ctx(), sql).await.map_err(read)?;
            let rows = query.collect().await.map_err(read)?;
            let rows: Vec<Beginning> =
                from_batches(&rows).map_err(|source| LakeError::Shape { table, source })?;
            for row in rows {
                beginnings.0.insert((table, row.source), row.since);
            }
        }
        Ok(beginnings)
    }
}

#[derive(Deserialize)]
struct Beginning {
    source: String,
    since: Option<DateTime<Utc>>,
}

/// Since when the usage and the invoices of each source are known.
#[derive(Clone, Debug, Default)]
pub struct Beginnings(BTreeMap<(&'static str, String), Option<DateTime<Utc>>>);

impl Beginnings {
    /// The tables of which the rule could see no row of this source at that moment.
    pub fn empty_for(
        &self,
        rule: &Rule,
        source: &Source,
        as_of: DateTime<Utc>,
    ) -> Vec<&'static str> {
        let tables = needed(rule);
        let reads = |name: &str| {
            tables.contains(&name) || name == "invoices" && tables.contains(&"invoice_lines")
        };
        let is_empty = |name: &'static str| {
            let since = self.0.get(&(name, source.name.clone()));
            // Rows that do not tell are always there.
            since.is_none_or(|since| since.is_some_and(|since| since >= as_of))
        };
        BEGINNINGS
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| !source.without.iter().any(|without| without == name))
            .filter(|&name| reads(name) && is_empty(name))
            .collect()
    }
}

/// The tables that the rule reads as they are today, because they do not tell what was known when.
pub fn as_today(rule: &Rule) -> Vec<&'static str> {
    let is_dated = |name: &str| AS_KNOWN.iter().any(|(known, _)| *known == name);
    let mut tables = needed(rule);
    tables.retain(|name| !is_dated(name));
    tables
}

/// Judges variants of one rule, which differ in their parameters only, on one moment's tables.
pub async fn replay<'a>(
    request: &Request<'a>,
    workers: &Workers,
    known: &World,
    variants: &'a [Rule],
) -> std::result::Result<Vec<RuleOutcome<'a>>, DetectError> {
    let mut outcomes = Vec::new();
    let Some(first) = variants.first() else {
        return Ok(outcomes);
    };
    let as_of = request.run.as_of;
    let views = request.rules.views_behind(first);
    known
        .define_views(&views, as_of, (before(as_of, first.window), as_of))
        .await?;
    let inputs = Inputs::of_the_past();
    for rule in variants {
        outcomes.push(evaluate::evaluate(request, workers, known, &inputs, rule).await?);
    }
    Ok(outcomes)
}
