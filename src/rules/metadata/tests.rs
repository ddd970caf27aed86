//! Reading metadata: defaults, and what a wrong file is told.

use super::*;

pub(in crate::rules) const TOML: &str = r#"
title = "Price {price_id} is odd"
description = "Charges that differ."
status = "stable"
category = "catalogue"
stage = "rating"
severity = "high"
owner = "billing-ops"
reads = ["invoice_lines"]
schedule = "hourly"
window = "45 days"
group_by = ["source", "price_id"]
quiet_when = ["the difference is inside the tolerance"]

[params]
tolerance = { type = "money", default = "0.01", help = "what is let through" }

[trigger]
min_impact = 5

[[remediation]]
root_cause = "configuration"
target = "catalogue"
action = "Correct {price_id}"
check = "Its tiers"
why = "It is the cause"
outcome = "No finding"
"#;

pub(in crate::rules) const SLT: &str = "\
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

fn read_text(text: &str) -> Result<Rule, Vec<RuleError>> {
    let texts = Texts {
        id: "odd-price".to_owned(),
        sql: "select source from invoice_lines where amount > $tolerance".to_owned(),
        sql_origin: "queries/rules/rating/odd-price.sql".to_owned(),
        cases: Some(SLT.to_owned()),
    };
    read("queries/rules/rating/odd-price.toml", text, texts)
}

/// A rule without fault, for the tests of this layer.
pub(in crate::rules) fn sample() -> Rule {
    read_text(TOML).unwrap()
}

fn messages(text: &str) -> Vec<String> {
    read_text(text)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn fills_the_defaults() {
    let rule = sample();
    assert_eq!(rule.version, 1);
    assert_eq!(rule.platforms, ["*"]);
    assert_eq!(rule.roles, [Role::Billing]);
    assert_eq!(rule.settle, Duration::ZERO);
    assert_eq!(rule.explain, None);
    assert_eq!(rule.trigger.min_entities, 1);
    assert_eq!(rule.trigger.min_impact, Decimal::from_i64(5));
    assert_eq!(rule.resolve_after_runs, 2);
    assert_eq!(rule.params["tolerance"].value.to_string(), "0.01");
    assert_eq!(rule.cases_origin(), "queries/rules/rating/odd-price.slt");
    assert_eq!(
        rule.placeholders().into_iter().collect::<Vec<_>>(),
        ["price_id"]
    );
}

#[test]
fn an_unknown_key_is_refused_with_line_and_nearest() {
    let text = TOML.replace("severity =", "sevrity =");
    assert_eq!(
        messages(&text),
        [
            "queries/rules/rating/odd-price.toml:7: `sevrity`: unknown key; \
          did you mean `severity`?"
        ]
    );
}

#[test]
fn a_missing_key_is_named() {
    let text = TOML.replace("owner = \"billing-ops\"\n", "");
    let found = messages(&text);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains("`owner`: required, but missing"),
        "{found:?}"
    );
}

#[test]
fn all_wrong_values_are_reported_at_once() {
    let text = TOML
        .replace("\"rating\"", "\"ratng\"")
        .replace("\"45 days\"", "\"long\"")
        .replace("\"hourly\"", "\"often\"")
        .replace("default = \"0.01\"", "default = 0.01");
    let found = messages(&text);
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found[0].contains(":6: `stage`: unknown stage `ratng`; did you mean `rating`?"));
    assert!(
        found[1].contains(":10: `schedule`: `often` is not a schedule"),
        "{found:?}"
    );
    assert!(
        found[2].contains(":11: `window`: `long` is not a span"),
        "{found:?}"
    );
    assert!(
        found[3].contains(":16: `params.tolerance`: `0.01` is not a decimal"),
        "{found:?}"
    );
}

#[test]
fn what_is_needed_is_a_column_of_what_is_read() {
    let with = |need: &str| {
        let both = format!("needs = [\"{need}\"]\nseverity =");
        TOML.replace("severity =", &both)
    };
    assert!(sample().needs.is_empty());
    let rule = read_text(&with("invoice_lines.price_id|invoice_lines.item_id")).unwrap();
    let needs: Vec<String> = rule.needs.iter().map(ToString::to_string).collect();
    assert_eq!(needs, ["invoice_lines.price_id|invoice_lines.item_id"]);
    assert_eq!(
        messages(&with("invoice_lines.price")),
        [
            "queries/rules/rating/odd-price.toml:7: `needs`: unknown column \
          `invoice_lines.price`; did you mean `invoice_lines.price_id`?"
        ]
    );
    assert_eq!(
        messages(&with("prices.meter")),
        [
            "queries/rules/rating/odd-price.toml:7: `needs`: `prices.meter` is not a column of a \
          table that `reads` names"
        ]
    );
}

#[test]
fn what_is_explained_is_one_of_three_words() {
    let with = |word: &str| {
        let both = format!("explain = \"{word}\"\nseverity =");
        TOML.replace("severity =", &both)
    };
    let rule = read_text(&with("quantity")).unwrap();
    assert_eq!(rule.explain, Some(Explain::Quantity));
    let found = messages(&with("prices"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains(":7: `explain`: unknown explain `prices`; did you mean `price`?"),
        "{found:?}"
    );
}
