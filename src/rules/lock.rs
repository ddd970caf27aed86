//! Hashes that say whether a rule still asks what it asked; layout, comments and prose do not count.
//!
//! `queries/rules.lock` keeps them beside the versions, and `queries/retired.toml` keeps the ids that are
//! gone; whether a change obeys both is a test of the whole pack.

use std::collections::BTreeMap;

use super::error::RuleError;
use super::rule::{Rule, RuleSet, View};
use super::sql;
use crate::config::Role;
use crate::model::Decimal;
use crate::model::identity::fingerprint;
use crate::model::span::format_span;

const RETIRED: &str = include_str!("../../queries/retired.toml");

/// The lock file of a pack: one line a rule, `id version hash`, sorted by id, then one line a view,
/// `view name hash`, sorted by name.
pub fn lock_file(set: &RuleSet) -> String {
    let of_rule = |rule: &Rule| format!("{} {} {}\n", rule.id, rule.version, rule_hash(rule));
    let of_view = |view: &View| format!("view {} {}\n", view.name, view_hash(view));
    let mut rules: Vec<String> = set.rules.iter().map(of_rule).collect();
    let mut views: Vec<String> = set.views.iter().map(of_view).collect();
    rules.sort();
    views.sort();
    rules.concat() + &views.concat()
}

/// The ids that rules of ours had and that are not used again, each with the reason why it is gone.
///
/// # Errors
/// The embedded file cannot be read: of a build whose tests were not run.
pub fn retired() -> Result<BTreeMap<String, String>, RuleError> {
    toml::from_str(RETIRED)
        .map_err(|error| RuleError::of_toml("queries/retired.toml", RETIRED, &error))
}

/// SHA-256 in hex over everything that decides what a run finds.
pub fn lock_hash(set: &RuleSet) -> String {
    let mut parts = Vec::new();
    for rule in &set.rules {
        parts.push(format!("rule {}", rule.id));
        parts.push(rule.version.to_string());
        parts.push(rule_hash(rule));
    }
    for view in &set.views {
        parts.push(format!("view {}", view.name));
        parts.push(view_hash(view));
    }
    fingerprint(parts.iter().map(String::as_str))
}

/// SHA-256 in hex over a rule's SQL, parameter values and the metadata that bears meaning; not over
/// its version, so that the lock file can tell a change without a new version.
pub fn rule_hash(rule: &Rule) -> String {
    let amount = |amount: Option<Decimal>| amount.map(|a| a.to_string()).unwrap_or_default();
    let roles: Vec<&str> = rule.roles.iter().map(|role| role.as_str()).collect();
    let mut parts = vec![
        format!("sql={}", sql::normalised(&rule.sql)),
        format!("status={}", rule.status),
        format!("category={}", rule.category),
        format!("stage={}", rule.stage),
        format!("severity={}", rule.severity),
        format!("platforms={}", rule.platforms.join(",")),
        format!("roles={}", roles.join(",")),
        format!("may_lack={}", rule.may_lack.join(",")),
        format!(
            "partner={}",
            rule.partner.map(Role::as_str).unwrap_or_default()
        ),
        format!("reads={}", rule.reads.join(",")),
        format!("window={}", format_span(rule.window)),
        format!("settle={}", format_span(rule.settle)),
        format!("group_by={}", rule.group_by.join(",")),
        format!(
            "max_staleness={}",
            rule.max_staleness.map(format_span).unwrap_or_default()
        ),
        format!("min_entities={}", rule.trigger.min_entities),
        format!("min_impact={}", rule.trigger.min_impact),
        format!("critical_impact={}", amount(rule.escalate.critical_impact)),
        format!("high_impact={}", amount(rule.escalate.high_impact)),
        format!("resolve_after_runs={}", rule.resolve_after_runs),
    ];
    for need in &rule.needs {
        parts.push(format!("needs={need}"));
    }
    for concern in &rule.concerns {
        parts.push(format!("concerns={concern}"));
    }
    if let Some(explain) = rule.explain {
        parts.push(format!("explain={explain}"));
    }
    for (name, param) in &rule.params {
        parts.push(format!("param {name}: {}={}", param.kind, param.value));
    }
    fingerprint(parts.iter().map(String::as_str))
}

/// SHA-256 in hex over a view's SQL.
pub fn view_hash(view: &View) -> String {
    // Whether it is computed once or often changes the cost, never the answer.
    fingerprint([sql::normalised(&view.sql).as_str()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::metadata::tests::sample;
    use crate::rules::need::Need;

    #[test]
    fn meaning_counts_and_prose_does_not() {
        let rule = sample();
        let mut same = rule.clone();
        same.description = "other words".to_owned();
        same.sql = format!("-- a comment\n{}", same.sql);
        assert_eq!(rule_hash(&rule), rule_hash(&same));

        let mut other = rule.clone();
        other.trigger.min_entities = 5;
        assert_ne!(rule_hash(&rule), rule_hash(&other));

        let mut needy = rule.clone();
        needy
            .needs
            .push(Need::parse("invoice_lines.price_id").unwrap());
        assert_ne!(rule_hash(&rule), rule_hash(&needy));

        let mut concerned = rule.clone();
        concerned
            .concerns
            .push(Need::parse("invoice_lines.price_id").unwrap());
        assert_ne!(rule_hash(&rule), rule_hash(&concerned));
        assert_ne!(rule_hash(&needy), rule_hash(&concerned));

        let mut raised = rule.clone();
        raised.version += 1;
        assert_eq!(rule_hash(&rule), rule_hash(&raised));
        let lock = |rule: &Rule| {
            lock_hash(&RuleSet {
                rules: vec![rule.clone()],
                ..RuleSet::default()
            })
        };
        assert_ne!(lock(&rule), lock(&raised));
        assert_eq!(lock(&rule), lock(&same));
    }
}
