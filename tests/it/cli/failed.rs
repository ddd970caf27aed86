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

/// Switches every other rule off.
fn only_negative_usage() -> String {
    let rules = trueup::rules::embedded().unwrap();
    let others = rules.ids().filter(|id| *id != "negative-usage");
    others
        .map(|id| format!("[rules.override.{id}]\nenabled = false\n"))
        .collect()
}

#[test]
fn a_nightly_run_that_dies_is_on_record_until_it_is_repeated() {
    let off = only_negative_usage();
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
fn a_run_with_a_failed_source_has_failed() {
    let world = world();
    let off = only_negative_usage();
    let shop = "[[sources]]\nname = \"shop\"\nkind = \"files\"\npath = \"gone/\"\n";
    let config = format!("as_of = \"{DAY}\"\n{EVENTS}{shop}{off}");
    world.write("trueup.toml", &config);
    let output = world.run(&["run", "--format", "json"]);
    assert_code(&output, 40);
    let row = known(&world, "run");
    assert_eq!(row["status"], "failed");
    let error = row["error"].as_str().unwrap();
    assert!(error.starts_with("shop: "), "{error}");
    // What was judged is on record as well.
    let counted = world.rows("select counts, input_versions from runs");
    assert!(counted[0]["counts"].is_string(), "{counted:?}");
    assert!(counted[0]["input_versions"].is_string(), "{counted:?}");
    let told: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(told["failed"], json!([error]));
    let told = world.run(&["run", "--format", "table"]);
    let said = format!("\nfailed:\n  {error}\n");
    assert!(stdout(&told).contains(&said), "{}", stdout(&told));
}

/// Usage that adds up to more than a quantity can be.
fn overflow(source: &str) -> String {
    let record = |id: &str| {
        let huge = "90000000000000000000000000";
        format!("{source}-{id},c1,api,{huge},2026-03-02T10:00:00Z,2026-03-02T10:00:05Z\n")
    };
    let header = USAGE.lines().next().unwrap();
    format!("{header}\n{}{}", record("1"), record("2"))
}

#[test]
fn a_run_whose_rollup_failed_has_failed_and_says_of_which_table() {
    let off = only_negative_usage();
    let world = world();
    world.write("trueup.toml", &format!("as_of = \"{DAY}\"\n{EVENTS}{off}"));
    world.write("events/usage_records.csv", &overflow("events"));
    let output = world.run(&["run", "--format", "json"]);
    assert_code(&output, 40);
    let row = known(&world, "run");
    assert_eq!(row["status"], "failed");
    let error = row["error"].as_str().unwrap();
    let known = "events.usage_records: the usage of 2026-03-02 cannot be rolled up";
    assert!(error.starts_with(known), "{error}");
    let told: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(told["failed"], json!([error]));
    let exports = told["exports"].as_array().unwrap();
    let usage = exports
        .iter()
        .find(|row| row["table_name"] == "usage_records");
    let usage = usage.unwrap();
    let figures = (&usage["status"], &usage["rows_read"]);
    assert_eq!(figures, (&json!("failed"), &json!(2)));
    assert!(error.ends_with(usage["error"].as_str().unwrap()), "{usage}");
}

#[test]
fn what_fails_at_a_source_that_is_not_asked_for_is_marked_and_not_counted() {
    let source = |name: &str| EVENTS.replace("events", name);
    let (east, west) = (source("east"), source("west"));
    let world = World::new(&format!("as_of = \"{DAY}\"\n{east}{west}"));
    world.write("east/usage_records.csv", &overflow("east"));
    world.write("west/usage_records.csv", USAGE);
    let daily = "lake/derived/usage_daily";
    let log = format!("{daily}/_delta_log/00000000000000000000.json");
    world.write(&log, "no log\n");
    // Nothing is rolled up yet, and nothing is known of the failure.
    assert_code(&world.run(&["export"]), 40);
    std::fs::remove_dir_all(world.path(daily)).unwrap();
    let recorded = "select source, status from exports where table_name = 'usage_records'
        order by source";
    let as_recorded = |east: &str| {
        [
            json!({"source": "east", "status": east}),
            json!({"source": "west", "status": "ok"}),
        ]
    };
    assert_eq!(world.rows(recorded), as_recorded("ok"));

    let rule = ["detect", "--rule", "negative-usage"];
    let one = world.run(&[&rule[..], &["--source", "west"]].concat());
    assert_code(&one, 0);
    let said = stderr(&one);
    assert!(!said.contains("east"), "{said}");
    assert_eq!(world.rows(recorded), as_recorded("failed"));
    assert_eq!(known(&world, "detect")["status"], "ok");
    assert_code(&world.run(&["export", "--source", "west"]), 0);

    let of_east = [&rule[..], &["--source", "east"]].concat();
    for arguments in [&rule[..], &of_east[..]] {
        let asked = world.run(arguments);
        assert_code(&asked, 40);
        let said = stderr(&asked);
        assert!(said.contains("source east failed: the usage of"), "{said}");
    }
    let query = "select error from runs where kind = 'detect' and status = 'failed'";
    let failed = world.rows(query);
    assert_eq!(failed.len(), 2, "{failed:?}");
    for row in failed {
        let error = row["error"].as_str().unwrap();
        assert!(error.starts_with("east: the usage of"), "{error}");
    }
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
