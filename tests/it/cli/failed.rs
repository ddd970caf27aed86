//! A run that dies leaves a row that says so, and a lake that is not there is not an empty one.

use serde_json::{Value, json};

use super::{DAY, USAGE, refused};
use crate::support::{EVENTS, World, assert_code, stderr, stdout};

fn world() -> World {
    let world = World::new(&format!("as_of = \"{DAY}\"\n{EVENTS}"));
    world.write("events/usage_records.csv", USAGE);
    world
}

/// The run of that kind, as the lake knows it.
fn known(world: &World, kind: &str) -> Value {
    let query = "select kind, status, error from runs";
    let mut rows = world.rows(query);
    rows.retain(|row| row["kind"] == kind);
    assert_eq!(rows.len(), 1, "{kind}: {rows:?}");
    rows.remove(0)
}

/// Runs the command while a table cannot be opened, then again with that mended.
fn die_and_try_again(world: &World, table: &str, arguments: &[&str]) {
    let kind = arguments[0];
    world.write(
        &format!("lake/{table}/_delta_log/00000000000000000000.json"),
        "no log\n",
    );
    let died = world.run(arguments);
    assert_code(&died, 40);
    std::fs::remove_dir_all(world.path(&format!("lake/{table}"))).unwrap();
    let row = known(world, kind);
    assert_eq!(row["status"], "failed");
    let name = table.rsplit('/').next().unwrap();
    let error = row["error"].as_str().unwrap();
    assert!(error.contains(&format!("table {name}")), "{error}");
    // The first error is the one that is told.
    assert!(stderr(&died).contains(error), "{}", stderr(&died));

    let again = world.run(arguments);
    assert_code(&again, 0);
    let row = known(world, kind);
    assert_eq!(row, json!({"kind": kind, "status": "ok", "error": null}));
}

#[test]
fn a_detection_that_dies_is_on_record_until_it_is_repeated() {
    let world = world();
    assert_code(&world.run(&["export"]), 0);
    let detect = ["detect", "--rule", "negative-usage"];
    die_and_try_again(&world, "results/signals", &detect);
}

#[test]
fn an_export_that_dies_is_on_record_until_it_is_repeated() {
    die_and_try_again(&world(), "derived/usage_daily", &["export"]);
}

#[test]
fn a_nightly_run_that_dies_is_on_record_until_it_is_repeated() {
    let rules = trueup::rules::embedded().unwrap();
    let others = rules.ids().filter(|id| *id != "negative-usage");
    let off: String = others
        .map(|id| format!("[rules.override.{id}]\nenabled = false\n"))
        .collect();
    let world = world();
    world.write("trueup.toml", &format!("as_of = \"{DAY}\"\n{EVENTS}{off}"));
    die_and_try_again(&world, "results/signals", &["run"]);
}

#[test]
fn an_export_with_a_failed_source_has_failed() {
    let world = world();
    let shop = "[[sources]]\nname = \"shop\"\nkind = \"files\"\npath = \"gone/\"\n";
    world.write("trueup.toml", &format!("as_of = \"{DAY}\"\n{EVENTS}{shop}"));
    assert_code(&world.run(&["export"]), 40);
    let row = known(&world, "export");
    assert_eq!(row["status"], "failed");
    let error = row["error"].as_str().unwrap();
    assert!(error.starts_with("shop: "), "{error}");
}

#[test]
fn what_cannot_be_entered_hides_nothing() {
    let world = world();
    assert_code(&world.run(&["export"]), 0);
    std::fs::remove_dir_all(world.path("lake/results/runs")).unwrap();
    for table in ["signals", "runs"] {
        let log = format!("lake/results/{table}/_delta_log/00000000000000000000.json");
        world.write(&log, "no log\n");
    }
    let died = world.run(&["detect", "--rule", "negative-usage"]);
    assert_code(&died, 40);
    let said = stderr(&died);
    assert!(said.contains("trueup: cannot open table "), "{said}");
    assert!(said.contains("could not be entered in runs"), "{said}");
}

#[test]
fn a_lake_that_is_not_there_is_not_an_empty_one() {
    let world = world();
    let days = ["--from", "2026-03-01", "--to", "2026-03-04"];
    let backtest = [&["rules", "backtest", "negative-usage"][..], &days].concat();
    world.write("labels.jsonl", "");
    let score = [
        "simulate",
        "score",
        "--labels",
        "labels.jsonl",
        "--lake",
        "lake",
    ];
    for arguments in [
        &["signals", "list"][..],
        &["signals", "show", "sig_1"],
        &["explain", "sig_1"],
        &["sql", "select 1 as a"],
        &["maintain"],
        &backtest[..],
        &score[..],
    ] {
        let words = [
            "lake not found at /",
            "run `trueup run` first, or pass --lake",
        ];
        refused(&world, arguments, &words);
    }
    assert!(!world.path("lake").exists(), "looking made a lake");

    assert_code(&world.run(&["export"]), 0);
    let misspelt = ["signals", "list", "--lake", "laek"];
    refused(&world, &misspelt, &["lake not found at /", "/laek"]);
    let none = world.run(&["signals", "list"]);
    assert_code(&none, 0);
    assert_eq!(
        (stdout(&none), stderr(&none)),
        (String::new(), "no signals\n".to_owned())
    );
}
