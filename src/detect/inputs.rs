//! Whether what a rule reads is there, fresh and filled, source by source.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;

use super::needs::{Held, given_up};
use super::world::{World, canonical_behind};
use super::{DetectError, SourceOutcome, before};
use crate::config::{Role, Source};
use crate::lake::{LakeError, from_batches};
use crate::model::Verdict;
use crate::model::span::format_span;
use crate::rules::Rule;

/// For so long a system may rightly deliver nothing, however short the window of a rule.
const QUIET: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What a partner is compared by.
const USAGE: &[&str] = &["usage_records"];

/// The newest export of every table of every source, and which of their columns hold anything.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    exports: BTreeMap<(String, String), LastExport>,
    held: Held,
    is_past: bool,
}

#[derive(Clone, Debug, Deserialize)]
struct LastExport {
    source: String,
    table_name: String,
    status: String,
    finished_at: Option<DateTime<Utc>>,
    high_watermark: Option<DateTime<Utc>>,
    error: Option<String>,
}

impl Inputs {
    /// Reads `exports`, and looks into the tables for what these rules need.
    pub async fn load(
        world: &World,
        sources: &[Source],
        rules: &[&Rule],
        as_of: DateTime<Utc>,
    ) -> Result<Self, DetectError> {
        let read = |source| LakeError::Read {
            table: "exports",
            source: Box::new(source),
        };
        // An export without an end counts from its start: a later one that ended makes up for it.
        let query =
            "select source, table_name, status, finished_at, high_watermark, error from exports
                     qualify row_number() over (partition by source, table_name
                                                order by coalesce(finished_at, started_at) desc,
                                                         export_id) = 1";
        let rows = world
            .ctx()
            .sql(query)
            .await
            .map_err(read)?
            .collect()
            .await
            .map_err(read)?;
        let rows: Vec<LastExport> = from_batches(&rows).map_err(|source| LakeError::Shape {
            table: "exports",
            source,
        })?;
        let known = |row: &LastExport| sources.iter().any(|source| source.name == row.source);
        let exports = rows
            .into_iter()
            .filter(known)
            .map(|row| ((row.source.clone(), row.table_name.clone()), row))
            .collect();
        Ok(Self {
            exports,
            held: Held::load(world, sources, rules, as_of).await,
            is_past: false,
        })
    }

    /// Inputs that no age makes stale and no gap incomplete: when the past was exported says nothing
    /// about it, and its tables may begin empty.
    pub(super) fn of_the_past() -> Self {
        Self {
            is_past: true,
            ..Self::default()
        }
    }

    /// Why the rule cannot be judged for this source, or does not apply; `None` where it can.
    pub(super) fn obstacle(
        &self,
        rule: &Rule,
        source: &Source,
        sources: &[Source],
        as_of: DateTime<Utc>,
    ) -> Option<SourceOutcome> {
        if !rule.roles.contains(&source.role) {
            let roles: Vec<_> = rule.roles.iter().map(|role| role.as_str()).collect();
            return Some(skipped(format!(
                "it judges {} sources",
                roles.join(" and ")
            )));
        }
        if !rule
            .platforms
            .iter()
            .any(|platform| platform == "*" || *platform == source.platform)
        {
            return Some(skipped(format!(
                "it judges {} only",
                rule.platforms.join(", ")
            )));
        }
        let tables = needed(rule);
        given_up(rule, source, &tables)
            .map(skipped)
            .or_else(|| self.missing(rule, source, &tables, as_of))
            .or_else(|| self.over(rule, source, &tables, as_of))
            .or_else(|| self.idle(rule, source, &tables))
            .or_else(|| self.gap(rule, source, &tables))
            .or_else(|| self.partner_obstacle(rule, sources, as_of))
    }

    fn partner_obstacle(
        &self,
        rule: &Rule,
        sources: &[Source],
        as_of: DateTime<Utc>,
    ) -> Option<SourceOutcome> {
        let role: Role = rule.partner?;
        let partners: Vec<&Source> = sources
            .iter()
            .filter(|source| source.role == role)
            .collect();
        if partners.is_empty() {
            return Some(skipped(format!("no {role} source is configured")));
        }
        let gone = |partner: &Source| {
            given_up(rule, partner, USAGE).or_else(|| {
                let is_gone = is_without(partner, USAGE[0]) && !may_lack(rule, USAGE[0]);
                is_gone.then(|| format!("{} has no {}", partner.name, USAGE[0]))
            })
        };
        let reasons = partners.iter().map(|partner| gone(partner));
        let reasons = reasons.collect::<Option<Vec<String>>>();
        if let Some(reason) = reasons.and_then(|reasons| reasons.into_iter().next()) {
            return Some(skipped(reason));
        }
        // One that has nothing to compare by is left out of the comparison.
        let comparable = partners
            .into_iter()
            .filter(|partner| gone(partner).is_none());
        let problem = |partner: &Source| {
            let missing = self.missing(rule, partner, USAGE, as_of);
            missing.or_else(|| self.gap(rule, partner, USAGE))
        };
        comparable
            .filter_map(problem)
            .find(|problem| problem.verdict == Verdict::Inconclusive)
    }

    /// Usage that ended before the rule begins to look: there is nothing in its window that could be wrong.
    fn over(
        &self,
        rule: &Rule,
        source: &Source,
        tables: &[&'static str],
        as_of: DateTime<Utc>,
    ) -> Option<SourceOutcome> {
        if self.is_past || !tables.contains(&USAGE[0]) || is_without(source, USAGE[0]) {
            return None;
        }
        let key = (source.name.clone(), USAGE[0].to_owned());
        let newest = self.exports.get(&key)?.high_watermark?;
        (newest < before(as_of, rule.window.max(QUIET))).then(|| {
            inconclusive(format!(
                "the newest record of {} of {} is of {}: there is none in the window of the rule",
                USAGE[0],
                source.name,
                newest.to_rfc3339_opts(SecondsFormat::Secs, true)
            ))
        })
    }

    fn idle(&self, rule: &Rule, source: &Source, tables: &[&'static str]) -> Option<SourceOutcome> {
        if self.is_past {
            return None;
        }
        self.held.idle(rule, source, tables).map(skipped)
    }

    fn gap(&self, rule: &Rule, source: &Source, tables: &[&'static str]) -> Option<SourceOutcome> {
        if self.is_past {
            return None;
        }
        self.held.gap(rule, source, tables).map(inconclusive)
    }

    fn missing(
        &self,
        rule: &Rule,
        source: &Source,
        tables: &[&'static str],
        as_of: DateTime<Utc>,
    ) -> Option<SourceOutcome> {
        for table in tables {
            if is_without(source, table) {
                // A link between two systems may be kept on either side.
                if may_lack(rule, table) || *table == "entity_links" {
                    continue;
                }
                return Some(skipped(format!("{} has no {table}", source.name)));
            }
            if let Some(reason) = self.stale(rule.max_staleness, source, table, as_of) {
                return Some(inconclusive(reason));
            }
        }
        None
    }

    fn stale(
        &self,
        limit: Option<Duration>,
        source: &Source,
        table: &str,
        as_of: DateTime<Utc>,
    ) -> Option<String> {
        if self.is_past {
            return None;
        }
        let name = &source.name;
        let Some(last) = self.exports.get(&(name.clone(), table.to_owned())) else {
            return Some(format!("{table} of {name} has never been exported"));
        };
        if last.status != "ok" {
            let why = last.error.as_deref().unwrap_or("no reason recorded");
            return Some(format!(
                "the last export of {table} of {name} failed: {why}"
            ));
        }
        let Some(exported_at) = last.finished_at else {
            return Some(format!(
                "the last export of {table} of {name} has no recorded end"
            ));
        };
        let age = (as_of - exported_at).to_std().ok()?;
        let limit = limit.filter(|limit| age > *limit)?;
        Some(format!(
            "{table} of {name} was last exported at {}, more than {} ago",
            exported_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            format_span(limit)
        ))
    }
}

/// The canonical tables whose freshness the rule depends on.
pub(super) fn needed(rule: &Rule) -> Vec<&'static str> {
    let mut tables: Vec<&'static str> = rule
        .reads
        .iter()
        .filter_map(|table| canonical_behind(table))
        .collect();
    tables.sort_unstable();
    tables.dedup();
    tables
}

/// Whether the configuration says that the source does not have this table or column.
pub(super) fn is_without(source: &Source, what: &str) -> bool {
    source.without.iter().any(|without| without == what)
}

/// Whether the rule stays right without the table, or without what is made from it.
pub(super) fn may_lack(rule: &Rule, table: &str) -> bool {
    let mut lacking = rule.may_lack.iter();
    lacking.any(|lacking| canonical_behind(lacking) == Some(table))
}

fn inconclusive(reason: String) -> SourceOutcome {
    SourceOutcome {
        verdict: Verdict::Inconclusive,
        reason: Some(reason),
    }
}

fn skipped(reason: String) -> SourceOutcome {
    SourceOutcome {
        verdict: Verdict::Skipped,
        reason: Some(reason),
    }
}

#[cfg(test)]
mod tests;
