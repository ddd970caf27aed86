//! `trueup detect` and `trueup signals`: the codes for found, stale and absent, and what is told.

use serde_json::{Value, json};

use super::{DAY, USAGE, lines, refused};
use crate::support::{EVENTS, World, assert_code, files_below, stdout};

/// A metering system with one negative record, exported.
fn events(more: &str) -> World {
    let world = World::new(&format!("as_of = \"{DAY}\"\n{EVENTS}{more}"));
    world.write("events/usage_records.csv", USAGE);
    assert_code(&world.run(&["export"]), 0);
    world
}

#[test]
fn detect_tells_finds_and_answers_with_its_code() {
    let world = events("");
    let before = files_below(&world.path("lake"));
    let rule = ["detect", "--rule", "negative-usage", "--format", "json"];
    let dry = world.run(&[&rule[..], &["--dry-run"]].concat());
    assert_code(&dry, 0);
    let planned = lines(&stdout(&dry));
    assert_eq!(
        (planned.len(), &planned[0]["change"]),
        (1, &json!("opened"))
    );
    assert_eq!(planned[0]["signal"]["rule_id"], "negative-usage");
    assert_eq!(
        files_below(&world.path("lake")),
        before,
        "a dry run wrote something"
    );

    assert_code(&world.run(&[&rule[..], &["--fail-on", "high"]].concat()), 0);
    assert_code(
        &world.run(&[&rule[..], &["--fail-on", "medium"]].concat()),
        10,
    );
    let listed = world.run(&["signals", "list", "--format", "json"]);
    assert_code(&listed, 0);
    let listed = lines(&stdout(&listed));
    assert_eq!(
        (listed.len(), &listed[0]["severity"]),
        (1, &json!("medium"))
    );
    let id = listed[0]["signal_id"].as_str().unwrap();
    let shown = world.run(&["signals", "show", &id[..8], "--format", "json"]);
    assert_code(&shown, 0);
    let shown: Value = serde_json::from_str(&stdout(&shown)).unwrap();
    assert_eq!(shown["signal"]["signal_id"], id);
    let primary: Vec<_> = shown["entities"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|e| e["role"] == "primary")
        .collect();
    assert_eq!((primary.len(), &primary[0]["entity_id"]), (1, &json!("u2")));
    assert_eq!(shown["events"][0]["kind"], "opened");
    assert!(!shown["remediations"].as_array().unwrap().is_empty());
    refused(
        &world,
        &["signals", "show", "sig_nothing"],
        &["there is no signal `sig_nothing`"],
    );

    // Three days later, what was exported says nothing about the last of them.
    let stale = world.run(&[&rule[..], &["--as-of", "2026-03-07T12:00:00Z"]].concat());
    assert_code(&stale, 30);
    let query = "select reason from rule_runs where status = 'inconclusive'";
    let reasons = world.rows(query);
    let reason = reasons[0]["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("usage_records of events was last exported at 2026-03-04T12:00:0"),
        "{reason}"
    );
    assert!(stdout(&stale).contains(reason), "{}", stdout(&stale));
}

#[test]
fn what_was_never_exported_is_inconclusive_and_what_does_not_exist_is_skipped() {
    let shop = "[[sources]]\nname = \"shop\"\nkind = \"files\"\npath = \"shop/\"\nwithout = [\"usage_records\"]\n";
    let world = World::new(&format!("as_of = \"{DAY}\"\n{EVENTS}{shop}"));
    let rule = ["detect", "--rule", "negative-usage"];
    assert_code(&world.run(&rule), 30);
    let runs = world.rows("select source, status, reason from rule_runs order by source");
    let known = [
        json!({"source": "events", "status": "inconclusive", "reason": "usage_records of events has never been exported"}),
        json!({"source": "shop", "status": "skipped", "reason": "shop has no usage_records"}),
    ];
    assert_eq!(runs, known);
    assert_code(&world.run(&[&rule[..], &["--source", "shop"]].concat()), 0);
}
