//! What can be said against a rule from its text alone, before anything is planned.
//!
//! Columns, types and the tables of the plan are checked where the query is planned; this file only
//! makes sure that the rule is complete, `cases` that its promises have proofs, and `query` that its
//! SQL is a pure question.

mod cases;
mod query;

use super::error::{Problem, RuleError};
use super::rule::Rule;
use super::template;
use crate::config::CANONICAL_TABLES;
use crate::model::text::nearest;

pub(super) use query::{query_of_rule, query_of_view};

/// The tables beside the canonical ones that a rule may declare in `reads`.
const OTHER_TABLES: [&str; 8] = [
    "usage_daily",
    "usage_duplicates",
    "usage_keys",
    "rejects",
    "exports",
    "runs",
    "rule_runs",
    "run_sources",
];

/// The tables that a rule may declare in `reads`.
pub fn tables() -> impl Iterator<Item = &'static str> {
    CANONICAL_TABLES.into_iter().chain(OTHER_TABLES)
}

/// Everything that is wrong with the rule's text.
pub fn lint(rule: &Rule) -> Vec<RuleError> {
    let mut errors = query_of_rule(rule);
    errors.extend(required(rule));
    errors.extend(texts(rule));
    errors.extend(reads(rule));
    errors.extend(cases::of_rule(rule));
    errors
}

/// Keys that must not be empty, and values that contradict each other.
fn required(rule: &Rule) -> Vec<RuleError> {
    let file = rule.metadata_origin();
    let missing = |key: &str| RuleError::of(&file, Problem::Missing).at_key(key);
    let mut errors = Vec::new();
    let keys = [
        ("title", rule.title.trim().is_empty()),
        ("description", rule.description.trim().is_empty()),
        ("owner", rule.owner.trim().is_empty()),
        ("platforms", rule.platforms.is_empty()),
        ("roles", rule.roles.is_empty()),
        ("reads", rule.reads.is_empty()),
        ("group_by", rule.group_by.is_empty()),
        ("quiet_when", rule.quiet_when.is_empty()),
        ("remediation", rule.remediation.is_empty()),
    ];
    errors.extend(
        keys.into_iter()
            .filter(|(_, empty)| *empty)
            .map(|(key, _)| missing(key)),
    );
    for (key, text) in rule
        .texts()
        .into_iter()
        .filter(|(key, _)| key.starts_with("remediation"))
    {
        if text.trim().is_empty() {
            errors.push(missing(&key));
        }
    }
    if !is_id(&rule.id) {
        let expected = "a rule id: lower-case words and digits joined by `-`";
        errors.push(RuleError::of(
            &file,
            Problem::BadValue {
                value: rule.id.clone(),
                expected,
            },
        ));
    }
    if rule.settle >= rule.window {
        let value = crate::model::span::format_span(rule.settle);
        let problem = Problem::BadValue {
            value,
            expected: "shorter than the window",
        };
        errors.push(RuleError::of(&file, problem).at_key("settle"));
    }
    if rule.version == 0 || rule.resolve_after_runs == 0 {
        let key = if rule.version == 0 {
            "version"
        } else {
            "resolve_after_runs"
        };
        let problem = Problem::BadValue {
            value: "0".to_owned(),
            expected: "at least 1",
        };
        errors.push(RuleError::of(&file, problem).at_key(key));
    }
    errors
}

/// Whether the text can be a rule's id, and so the stem of its files.
pub(super) fn is_id(id: &str) -> bool {
    id.split('-').all(|word| {
        !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    })
}

fn texts(rule: &Rule) -> Vec<RuleError> {
    let file = rule.metadata_origin();
    let lone = rule
        .texts()
        .into_iter()
        .filter(|(_, text)| template::has_lone_brace(text));
    lone.map(|(key, _)| RuleError::of(&file, Problem::LoneBrace).at_key(key))
        .collect()
}

fn reads(rule: &Rule) -> Vec<RuleError> {
    let file = rule.metadata_origin();
    let unknown = rule
        .reads
        .iter()
        .filter(|table| !tables().any(|known| known == table.as_str()));
    unknown
        .map(|table| {
            let nearest = nearest(table, tables()).map(str::to_owned);
            let problem = Problem::UnknownWord {
                what: "table",
                word: table.clone(),
                nearest,
            };
            RuleError::of(&file, problem).at_key("reads")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::metadata::tests::sample;

    const CASES: &str = "\
# case: fires — a difference
statement ok
insert into invoice_lines (source, line_id, amount) values ('billing', 'l1', 1)

query T
select entity_id from findings
----
l1

# case: quiet — the difference is inside the tolerance
query T
select entity_id from findings where entity_id <> 'l1'
----
";

    #[test]
    fn a_good_rule_passes() {
        let mut rule = sample();
        rule.cases = Some(CASES.to_owned());
        let faults = lint(&rule);
        assert!(faults.is_empty(), "{faults:?}");
    }

    #[test]
    fn promises_need_cases_and_tables_need_to_exist() {
        let mut rule = sample();
        rule.cases = None;
        rule.reads = vec!["invoice_line".to_owned()];
        rule.title = "An odd { title".to_owned();
        let found: Vec<Problem> = lint(&rule).into_iter().map(|error| error.problem).collect();
        assert_eq!(found.len(), 5, "{found:?}");
        assert_eq!(found[0], Problem::LoneBrace);
        assert!(
            matches!(&found[1], Problem::UnknownWord { nearest: Some(table), .. }
            if table == "invoice_lines")
        );
        assert_eq!(found[2], Problem::NoCase { kind: "fires" });
        assert!(matches!(found[4], Problem::QuietWithoutCase { .. }));
    }
}
