//! The command line: exit codes that orchestrators obey, and messages that name the place.

use assert_cmd::Command;
use serde_json::{Value, json};

use crate::export::files_below;
use crate::support::{World, assert_code, stderr, stdout, trueup};

const DAY: &str = "2026-03-04T12:00:00Z";
const EVENTS: &str = r#"
[[sources]]
name = "events"
kind = "files"
role = "metering"
path = "events/"
without = ["customers", "subscriptions", "subscription_items", "meters", "prices", "bill_runs", "invoices",
    "invoice_lines", "adjustments", "entity_links"]
"#;
const USAGE: &str = "usage_id,customer_id,meter,quantity,occurred_at,recorded_at
u1,c1,api,10,2026-03-01T10:00:00Z,2026-03-01T10:00:05Z
u2,c1,api,-3,2026-03-02T10:00:00Z,2026-03-02T10:00:05Z
";

/// A metering system with one negative record, exported.
fn events(more: &str) -> World {
    let world = World::new(&format!("as_of = \"{DAY}\"\n{EVENTS}{more}"));
    world.write("events/usage_records.csv", USAGE);
    assert_code(&world.run(&["export"]), 0);
    world
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn piped(arguments: &[&str], input: &str) -> std::process::Output {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::cargo_bin("trueup").unwrap();
    command
        .current_dir(dir.path())
        .args(arguments)
        .write_stdin(input.to_owned())
        .output()
        .unwrap()
}

#[track_caller]
fn refused(world: &World, arguments: &[&str], words: &[&str]) {
    let output = world.run(arguments);
    assert_code(&output, 2);
    let said = stderr(&output);
    for word in words {
        assert!(said.contains(word), "`{word}` not in: {said}");
    }
}

#[test]
fn mistakes_in_the_configuration_are_named_with_file_line_and_the_nearest_word() {
    let world = World::new(
        "[lake]\nurl = \"./lake\"\n\n[[sources]]\nname = \"a\"\nkind = \"files\"\npaht = \"a/\"\n",
    );
    let words = [
        "trueup.toml:7:",
        "unknown key `paht` in [[sources]]",
        "did you mean `path`?",
    ];
    refused(&world, &["export"], &words);
    world.write("trueup.toml", EVENTS);
    refused(
        &world,
        &["detect", "--as-of", "yesterday"],
        &["--as-of: `as_of` cannot be `yesterday`", "RFC 3339"],
    );
    refused(
        &world,
        &["detect", "--rule", "negative-usge"],
        &["no rule `negative-usge`; did you mean `negative-usage`?"],
    );
    refused(
        &world,
        &["detect", "--source", "event"],
        &["no source `event`; did you mean `events`?"],
    );
    refused(
        &world,
        &["rules", "show", "tier-gab"],
        &["did you mean `tier-gap`?"],
    );
    refused(
        &world,
        &["export", "--set", "engine.memroy=1GiB"],
        &["--set: unknown key `memroy`", "`memory`"],
    );
    refused(&world, &["run", "--fail-on", "grave"], &["--fail-on"]);
    let missing = trueup(world.dir.path(), &["--config", "none.toml", "export"]);
    assert_code(&missing, 2);
    assert!(
        stderr(&missing).contains("none.toml"),
        "{}",
        stderr(&missing)
    );
    world.write(
        "trueup.toml",
        &format!("{EVENTS}[rules.override.negative-usage]\nparams = {{ allow = \"true\" }}\n"),
    );
    refused(
        &world,
        &["detect"],
        &["rules.override.negative-usage.params.allow"],
    );
    world.write("trueup.toml", "");
    refused(&world, &["run"], &["no source is configured"]);
}

#[test]
fn init_writes_a_file_that_loads_and_overwrites_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trueup.toml");
    let init = |arguments: &[&str]| trueup(dir.path(), &[&["init"][..], arguments].concat());
    assert_code(&init(&["acme-billing=./billing", "product-events"]), 0);
    let written = std::fs::read_to_string(&path).unwrap();
    assert_code(&trueup(dir.path(), &["rules", "list"]), 0);
    let config =
        trueup::config::Config::load(Some(path.as_path()), &Default::default(), &|_: &str| None);
    let names: Vec<_> = config
        .unwrap()
        .sources
        .into_iter()
        .map(|source| source.name)
        .collect();
    assert_eq!(names, ["acme-billing", "product-events"]);

    let again = init(&["other"]);
    assert_code(&again, 2);
    assert!(stderr(&again).contains("--force"), "{}", stderr(&again));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written);
    assert_code(&init(&["Bad Name", "--force"]), 2);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written);
    assert_code(&init(&["other", "--force"]), 0);
    assert_ne!(std::fs::read_to_string(&path).unwrap(), written);
}

const PRICE: &str = r#"{"charge_model":"graduated","currency":"USD","tiers":[{"up_to":"100","unit_price":"0.10"},{"up_to":null,"unit_price":"0.05"}]}"#;
const RATED: &str = r#""amount":"12.50","unrounded":"12.5","currency":"USD","tiers":[{"up_to":"100","quantity":"100","unit_price":"0.10","flat_fee":"0","amount":"10"},{"up_to":null,"quantity":"50","unit_price":"0.05","flat_fee":"0","amount":"2.5"}],"error":null}"#;

#[test]
fn rate_answers_line_by_line_and_a_bad_line_does_not_stop_the_others() {
    let good = |id: &str| format!("{{\"id\":\"{id}\",\"price\":{PRICE},\"quantity\":\"150\"}}\n");
    let output = piped(&["rate", "--batch"], &good("a"));
    assert_code(&output, 0);
    assert_eq!(stdout(&output), format!("{{\"id\":\"a\",{RATED}\n"));

    let bad = "{\"id\":\"b\",\"price\":{\"charge_model\":\"odd\"},\"quantity\":\"1\"}\n";
    let output = piped(
        &["rate", "--batch"],
        &format!("{}{bad}no json\n{}", good("a"), good("c")),
    );
    assert_code(&output, 2);
    let rated = lines(&stdout(&output));
    assert_eq!(rated.len(), 4);
    assert_eq!(
        (&rated[1]["id"], &rated[1]["amount"]),
        (&json!("b"), &Value::Null)
    );
    assert!(
        rated[1]["error"].as_str().unwrap().contains("`odd`"),
        "{}",
        rated[1]
    );
    assert!(rated[2]["error"].is_string());
    assert_eq!(
        (&rated[3]["id"], &rated[3]["amount"]),
        (&json!("c"), &json!("12.50"))
    );
}

#[test]
fn rate_takes_one_price_and_many_quantities() {
    let output = piped(&["rate", "--price", PRICE, "150", "x"], "");
    assert_code(&output, 2);
    let text = stdout(&output);
    let (first, second) = text.trim_end().split_once('\n').unwrap();
    assert_eq!(first, format!("{{{RATED}"));
    assert!(
        second.contains("\"amount\":null") && second.contains("`x`"),
        "{second}"
    );
    let table = piped(&["rate", "--price", PRICE, "150", "--format", "table"], "");
    assert_code(&table, 0);
    assert!(
        stdout(&table).starts_with("150 costs 12.50 USD"),
        "{}",
        stdout(&table)
    );
    assert_code(&piped(&["rate", "--price", PRICE], ""), 2);
}

#[test]
fn sql_answers_in_every_format_and_changes_nothing() {
    let ask = |query: &str, format: &str| {
        piped(&["sql", "--lake", "lake", query, "--format", format], "")
    };
    let query = "select 1 as a, 'b' as c";
    assert_eq!(stdout(&ask(query, "json")), "{\"a\":1,\"c\":\"b\"}\n");
    assert_eq!(stdout(&ask(query, "csv")), "a,c\n1,b\n");
    let table = stdout(&ask(query, "table"));
    assert_eq!(table.lines().nth(1), Some("| a | c |"), "{table}");
    assert_eq!(
        stdout(&ask("select count(*) as n from signals", "json")),
        "{\"n\":0}\n"
    );
    for query in [
        "insert into meters (source, meter) values ('a', 'b')",
        "create table x as select 1",
        "copy (select 1) to 'x.csv'",
        "drop table signals",
        "set datafusion.execution.batch_size = 1",
        "select 1; select 2",
        "select nothing",
    ] {
        let output = ask(query, "json");
        assert_code(&output, 2);
        assert!(
            stdout(&output).is_empty() && !stderr(&output).is_empty(),
            "{query}"
        );
    }
    let piped_in = piped(
        &["sql", "--lake", "lake"],
        "select 1 as a;\nselect 2\n as a;\nselect b;\nselect 3 as a;\n",
    );
    assert_code(&piped_in, 2);
    assert_eq!(stdout(&piped_in), "{\"a\":1}\n{\"a\":2}\n");
}

#[test]
fn maintain_shows_its_plan_and_does_nothing_unasked() {
    let world = World::new(&format!(
        "as_of = \"{DAY}\"\n[[sources]]\nname = \"a\"\nkind = \"files\"\npath = \"a/\"\n"
    ));
    for (meter, as_of) in [("a", "2026-03-03T12:00:00Z"), ("b", DAY)] {
        world.write(
            &format!("a/meters/{meter}.csv"),
            &format!("meter\n{meter}\n"),
        );
        assert_code(&world.run(&["export", "--as-of", as_of]), 0);
    }
    let before = files_below(&world.path("lake"));
    let plan = world.run(&["maintain"]);
    assert_code(&plan, 0);
    assert!(
        stdout(&plan).contains("meters") && stderr(&plan).contains("--yes"),
        "{}",
        stdout(&plan)
    );
    assert_eq!(files_below(&world.path("lake")), before);
    refused(
        &world,
        &["maintain", "--retain", "1 day", "--yes"],
        &["--retain", "7 days"],
    );
    refused(&world, &["maintain", "--retain", "soon"], &["--retain"]);
    assert_eq!(files_below(&world.path("lake")), before);

    assert_code(&world.run(&["maintain", "--yes"]), 0);
    assert_ne!(files_below(&world.path("lake")), before);
    assert_eq!(world.rows("select meter from meters").len(), 2);
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
    for filter in [
        ["--severity", "high"],
        ["--rule", "tier-gap"],
        ["--source", "x"],
        ["--status", "resolved"],
    ] {
        let none = world.run(&[&["signals", "list"][..], &filter[..]].concat());
        assert_eq!(stdout(&none), "", "{filter:?}");
    }
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
