//! `trueup rules`: a user's own rules, their mistakes, and what is overridden or suppressed.

use serde_json::{Value, json};

use super::{DAY, USAGE, lines, refused};
use crate::support::{EVENTS, World, assert_code, stderr, stdout};

const BIG_SQL: &str = "select
    source,
    'usage_record' as entity_type,
    usage_id as entity_id,
    meter,
    quantity as actual
from usage_records
where quantity > $most and occurred_at >= $window_start and occurred_at < $window_end
";
const BIG_TOML: &str = r#"version = 1
title = "Big record of {meter}"
description = "A record above what was ever seen."
status = "stable"
category = "usage_anomaly"
stage = "usage"
severity = "low"
owner = "us"
platforms = ["*"]
roles = ["metering"]
reads = ["usage_records"]
schedule = "hourly"
window = "45 days"
settle = "1 hour"
group_by = ["source", "meter"]
quiet_when = ["it is exactly the most"]
known_gaps = ["Records that are big together are not seen."]

[params]
most = { type = "decimal", default = "100", help = "what is usual at most" }

[trigger]
min_entities = 1
min_impact = "0"

[[remediation]]
target = "metering"
action = "Look at {entity_id}"
check = "The record"
why = "It is big"
outcome = "It is explained"
"#;
const BIG_SLT: &str = "# case: fires — above the most
statement ok
insert into usage_records (source, usage_id, usage_date, meter, quantity, occurred_at) values
    ('metering', 'u1', '2026-03-01', 'api', 101, '2026-03-01T10:00:00Z'),
    ('metering', 'u2', '2026-03-01', 'api', 100, '2026-03-01T10:00:00Z')

query T rowsort
select entity_id from findings
----
u1

# case: quiet — it is exactly the most
statement ok
reset

statement ok
insert into usage_records (source, usage_id, usage_date, meter, quantity, occurred_at) values
    ('metering', 'u2', '2026-03-01', 'api', 100, '2026-03-01T10:00:00Z')

query T rowsort
select entity_id from findings
----
";

fn write_rule(world: &World, name: &str, sql: &str, toml: &str) {
    for (kind, text) in [("sql", sql), ("toml", toml), ("slt", BIG_SLT)] {
        world.write(&format!("rules/usage/{name}.{kind}"), text);
    }
}

#[test]
fn a_users_rules_are_added_replace_ours_and_are_checked_before_any_scan() {
    let world = World::new("[rules]\ndirs = [\"rules/\"]\n");
    write_rule(&world, "big-records", BIG_SQL, BIG_TOML);
    write_rule(&world, "negative-usage", BIG_SQL, BIG_TOML);
    let listed = lines(&stdout(&world.run(&["rules", "list"])));
    assert_eq!(
        listed.len(),
        trueup::rules::embedded().unwrap().rules.len() + 1
    );
    for rule in ["big-records", "negative-usage"] {
        let shown: Value =
            serde_json::from_str(&stdout(&world.run(&["rules", "show", rule]))).unwrap();
        assert_eq!(shown["title"], "Big record of {meter}");
        let origin = shown["origin"].as_str().unwrap();
        assert!(
            origin.ends_with(&format!("rules/usage/{rule}.sql")),
            "{origin}"
        );
    }
    assert_code(&world.run(&["rules", "test", "big-records"]), 0);
    let sound = world.run(&["rules", "check"]);
    assert_code(&sound, 0);
    assert!(
        stderr(&sound).contains(&format!("{} rules", listed.len())),
        "{}",
        stderr(&sound)
    );

    write_rule(
        &world,
        "big-records",
        &BIG_SQL.replace("    meter,", "    metre,"),
        BIG_TOML,
    );
    refused(
        &world,
        &["rules", "check"],
        &["rules/usage/big-records.sql:5:5: ", "metre"],
    );
    write_rule(
        &world,
        "big-records",
        &BIG_SQL.replace("> $most", "> $mots"),
        BIG_TOML,
    );
    let words = [
        "rules/usage/big-records.sql:8: parameter `$mots` is not declared",
        "did you mean `most`?",
    ];
    refused(&world, &["rules", "check"], &words);
    write_rule(
        &world,
        "big-records",
        BIG_SQL,
        &BIG_TOML.replace("severity", "sevrity"),
    );
    refused(
        &world,
        &["rules", "list"],
        &[
            "rules/usage/big-records.toml:7: `sevrity`",
            "did you mean `severity`?",
        ],
    );
}

#[test]
fn cases_that_prove_nothing_are_refused() {
    let world = World::new("[rules]\ndirs = [\"rules/\"]\n");
    write_rule(&world, "big-records", BIG_SQL, BIG_TOML);
    let hollow = "# case: fires — above the most\n\n# case: quiet — it is exactly the most\n";
    let silent = BIG_SLT
        .replace("\nu1\n", "\n")
        .replace("'api', 101", "'api', 99");
    for (cases, words) in [
        (
            hollow.to_owned(),
            "1: `fires — above the most` is not a proof: no query of `findings`",
        ),
        (
            silent,
            "1: `fires — above the most` is not a proof: it expects no finding",
        ),
        (
            BIG_SLT.replacen(
                "# case: quiet",
                "statement ok\nreset\n\nhalt\n\n# case: quiet",
                1,
            ),
            "17: `quiet — it is exactly the most` is not a proof: no query of `findings`",
        ),
    ] {
        world.write("rules/usage/big-records.slt", &cases);
        let words = [&format!("rules/usage/big-records.slt:{words}")[..]];
        refused(&world, &["rules", "check"], &words);
        refused(&world, &["rules", "test", "big-records"], &words);
    }
}

#[test]
fn suppressions_and_overrides_change_what_is_seen_and_not_what_is_recorded() {
    let world = World::new("");
    write_rule(&world, "big-records", BIG_SQL, BIG_TOML);
    world.write("events/usage_records.csv", USAGE);
    let more = r#"
[rules]
dirs = ["rules/"]
[rules.override.big-records]
severity = "critical"
params = { most = "9.5" }
[[suppress]]
rule = "negative-usage"
match = { meter = "api" }
reason = "planned backfill"
owner = "maria"
expires = 2026-03-05
[[suppress]]
rule = "big-records"
match = { meter = "api" }
reason = "it was planned"
owner = "maria"
expires = 2026-03-04
"#;
    world.write("trueup.toml", &format!("as_of = \"{DAY}\"\n{EVENTS}{more}"));
    assert_code(&world.run(&["export"]), 0);
    // What is suppressed does not fail a run; what was suppressed until today does.
    assert_code(
        &world.run(&["detect", "--rule", "negative-usage", "--fail-on", "info"]),
        0,
    );
    let output = world.run(&[
        "detect",
        "--rule",
        "big-records",
        "--rule",
        "negative-usage",
        "--fail-on",
        "critical",
    ]);
    assert_code(&output, 10);
    let query =
        "select rule_id, severity, is_suppressed, suppression_reason from signals order by rule_id";
    let reason = "planned backfill (maria, until 2026-03-05)";
    let known = [
        json!({"rule_id": "big-records", "severity": "critical", "is_suppressed": false, "suppression_reason": null}),
        json!({"rule_id": "negative-usage", "severity": "medium", "is_suppressed": true, "suppression_reason": reason}),
    ];
    assert_eq!(world.rows(query), known);
    let listed = |arguments: &[&str]| {
        lines(&stdout(
            &world.run(&[&["signals", "list"][..], arguments].concat()),
        ))
        .len()
    };
    assert_eq!((listed(&[]), listed(&["--all"])), (1, 2));
}

#[test]
fn a_new_rule_runs_at_once_and_overwrites_nothing() {
    let world = World::new("[rules]\ndirs = [\"rules/\"]\n");
    let rules = world.path("rules");
    let dir = rules.to_str().unwrap();
    let new =
        |id: &str, stage: &str| world.run(&["rules", "new", id, "--stage", stage, "--dir", dir]);
    for stage in ["usage", "rating", "billing", "invoice"] {
        let id = format!("my-{stage}");
        let begun = new(&id, stage);
        assert_code(&begun, 0);
        let said = stderr(&begun);
        assert!(said.contains(&format!("rules test {id}")), "{said}");
        assert!(!said.contains("name the folder"), "{said}");
    }
    assert_code(&world.run(&["rules", "check"]), 0);
    // Stages but usage share one template: two rules stand for both.
    assert_code(&world.run(&["rules", "test", "my-usage", "my-billing"]), 0);

    let before = std::fs::read_to_string(world.path("rules/usage/my-usage.sql")).unwrap();
    world.write("elsewhere/invoice/half.toml", "");
    for (arguments, word) in [
        (["my-usage", "invoice", "rules"], "already"),
        (["usage-spike", "usage", "rules"], "already"),
        (["half", "usage", "elsewhere"], "half.toml"),
        (["My_rule", "usage", "rules"], "not a rule id"),
        (["ours", "usage", "s3://acme/rules"], "local folder"),
        (["ours", "usages", "rules"], "usages"),
    ] {
        let [id, stage, dir] = arguments;
        let typed = ["rules", "new", id, "--stage", stage, "--dir", dir];
        refused(&world, &typed, &[word]);
    }
    let after = std::fs::read_to_string(world.path("rules/usage/my-usage.sql")).unwrap();
    assert_eq!(before, after);

    let begun = world.run(&["rules", "new", "ours", "--stage", "usage", "--dir", "more"]);
    assert_code(&begun, 0);
    assert!(
        stderr(&begun).contains("dirs = [\"more\"]"),
        "{}",
        stderr(&begun)
    );
    assert!(world.path("more/usage/ours.slt").exists());
}
