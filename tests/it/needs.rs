//! What a rule needs and a source does not hold: said, and never taken for "nothing is wrong".

use std::collections::BTreeSet;

use serde_json::{Value, json};
use trueup::config::{CANONICAL_TABLES, canonical_columns};
use trueup::lake::table;

use crate::support::{World, assert_code, stdout};

const USAGE: &str = "usage_id,meter,quantity,occurred_at,recorded_at
u1,api,10,2026-03-01T10:00:00Z,
u2,api,20,2026-03-02T10:00:00Z,
";

const SQL: &str = "select
    source,
    'usage_record' as entity_type,
    usage_id as entity_id,
    meter,
    quantity as actual
from usage_records
where recorded_at > occurred_at + interval '24 hours'
    and occurred_at >= $window_start
    and occurred_at < $window_end
";

const TOML: &str = r#"title = "Late records of {meter}"
description = "Records that came more than a day late."
status = "stable"
category = "usage_completeness"
stage = "usage"
severity = "low"
owner = "us"
roles = ["metering"]
reads = ["usage_records"]
needs = ["usage_records.recorded_at"]
schedule = "hourly"
window = "45 days"
group_by = ["source", "meter"]
"#;

/// A metering system without these, and a rule about when its records arrived.
fn world(without: &str, usage: &str) -> World {
    let world = World::new("");
    configure(&world, without);
    world.write("rules/usage/late-records.sql", SQL);
    world.write("rules/usage/late-records.toml", TOML);
    world.write("events/usage_records.csv", usage);
    assert_code(&world.run(&["export"]), 0);
    world
}

fn configure(world: &World, without: &str) {
    let absent = CANONICAL_TABLES
        .into_iter()
        .filter(|table| *table != "usage_records")
        .map(|table| format!("\"{table}\", "));
    let absent: String = absent.collect();
    world.write(
        "trueup.toml",
        &format!(
            "as_of = \"2026-03-04T12:00:00Z\"\n\
             [[sources]]\nname = \"events\"\nkind = \"files\"\nrole = \"metering\"\npath = \"events/\"\n\
             without = [{absent}{without}]\n[rules]\ndirs = [\"rules/\"]\n"
        ),
    );
}

fn judged(world: &World, rule: &str, code: i32) -> Value {
    let output = world.run(&["detect", "--rule", rule]);
    assert_code(&output, code);
    let query = format!(
        "select status, reason, findings from rule_runs where rule_id = '{rule}'
         order by started_at desc limit 1"
    );
    let row = world.rows(&query).remove(0);
    if let Some(reason) = row["reason"].as_str().filter(|_| code == 30) {
        assert!(stdout(&output).contains(reason), "{}", stdout(&output));
    }
    row
}

#[test]
fn a_column_that_no_row_has_leaves_the_rule_unjudged_until_it_is_mapped_or_given_up() {
    let bare = world("", USAGE);
    assert_eq!(
        judged(&bare, "late-records", 30),
        json!({
            "status": "inconclusive",
            "reason": "no row of usage_records of events has recorded_at: rule late-records needs it; \
                       map it, or add \"usage_records.recorded_at\" to `without` of the source",
            "findings": 0,
        })
    );

    let given_up = world("\"usage_records.recorded_at\"", USAGE);
    assert_eq!(
        judged(&given_up, "late-records", 0),
        json!({
            "status": "skipped",
            "reason": "events has no usage_records.recorded_at",
            "findings": 0,
        })
    );

    // One record that has it is enough, and it is late.
    let some = USAGE.replace("02T10:00:00Z,", "02T10:00:00Z,2026-03-03T10:00:01Z");
    assert_eq!(
        judged(&world("", &some), "late-records", 0),
        json!({"status": "fired", "reason": null, "findings": 1})
    );
}

#[test]
fn usage_without_a_record_is_no_clean_usage() {
    let header = USAGE.lines().next().unwrap();
    let empty = world("", &format!("{header}\n"));
    let found = judged(&empty, "negative-usage", 30);
    assert_eq!(
        found["reason"],
        "usage_records of events holds no row: rule negative-usage needs some; export them, or add \
         \"usage_records\" to `without` of the source"
    );
}

#[test]
fn a_moment_before_all_usage_is_not_clean() {
    let world = world("", USAGE);
    let detect = ["detect", "--rule", "negative-usage", "--as-of"];
    for (as_of, code) in [("2026-02-28T23:59:59Z", 30), ("2026-03-01T00:00:00Z", 0)] {
        assert_code(&world.run(&[&detect[..], &[as_of]].concat()), code);
    }
}

#[test]
fn our_own_rules_say_what_they_need() {
    let bare = world("", USAGE);
    let found = judged(&bare, "duplicate-usage", 30);
    assert_eq!(
        found["reason"],
        "no row of usage_records of events has idempotency_key: rule duplicate-usage needs it; map it, \
         or add \"usage_records.idempotency_key\" to `without` of the source"
    );
    assert_eq!(judged(&bare, "negative-usage", 0)["status"], "clean");
}

#[test]
fn the_columns_that_the_configuration_knows_are_those_of_the_lake() {
    for name in CANONICAL_TABLES {
        let schema = table(name).unwrap().schema();
        let fields = schema.fields().iter().map(|field| field.name().as_str());
        let of_lake: BTreeSet<&str> = fields.filter(|field| *field != "source").collect();
        let known: BTreeSet<&str> = canonical_columns(name).iter().copied().collect();
        assert_eq!(known, of_lake, "{name}");
    }
}
