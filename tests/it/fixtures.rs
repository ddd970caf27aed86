//! The shipped worlds: what is known to be wrong in them is found, exactly, and nothing else.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::support::{assert_code, root, rows, stdout, trueup};

fn expected(world: &str) -> Value {
    let path = root().join("fixtures").join(world).join("expected.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn run(world: &str, lake: &Path) -> std::process::Output {
    let config = root().join("fixtures").join(world).join("trueup.toml");
    let arguments = [
        "run",
        "--config",
        config.to_str().unwrap(),
        "--lake",
        lake.to_str().unwrap(),
    ];
    trueup(root(), &arguments)
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn decimal(value: &Value) -> trueup::model::Decimal {
    serde_json::from_value(value.clone()).unwrap()
}

/// rule, source, group, primary records
type Found = BTreeSet<(String, String, String, BTreeSet<String>)>;

fn found(lake: &Path) -> Found {
    let signals = rows(
        lake,
        "select signal_id, rule_id, source, group_key from signals",
    );
    let entities = rows(
        lake,
        "select signal_id, entity_id from signal_entities where role = 'primary'",
    );
    signals
        .iter()
        .map(|signal| {
            let ids = entities
                .iter()
                .filter(|entity| entity["signal_id"] == signal["signal_id"])
                .map(|entity| text(&entity["entity_id"]))
                .collect();
            let group: Value = serde_json::from_str(signal["group_key"].as_str().unwrap()).unwrap();
            (
                text(&signal["rule_id"]),
                text(&signal["source"]),
                sorted(&group),
                ids,
            )
        })
        .collect()
}

fn sorted(object: &Value) -> String {
    let mut pairs: Vec<String> = object
        .as_object()
        .unwrap()
        .iter()
        .map(|(k, v)| format!("{k}={}", text(v)))
        .collect();
    pairs.sort();
    pairs.join(" ")
}

#[test]
fn the_demo_holds_exactly_its_known_errors_and_a_second_run_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let lake = dir.path();
    assert_code(&run("demo", lake), 0);
    let expected = expected("demo");

    let known: Found = expected["signals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|signal| {
            let ids = signal["entities"]
                .as_array()
                .unwrap()
                .iter()
                .map(text)
                .collect();
            (
                text(&signal["rule"]),
                text(&signal["source"]),
                sorted(&signal["group"]),
                ids,
            )
        })
        .collect();
    let found = found(lake);
    let missing: Vec<_> = known.difference(&found).collect();
    let surplus: Vec<_> = found.difference(&known).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "missing {missing:#?}\nsurplus {surplus:#?}"
    );

    amounts_are_exact(lake, &expected);
    rejects_are_exact(lake, &expected);
    counts_add_up(lake, &expected);
    every_rule_and_source_has_a_row(lake);
    every_signal_can_be_acted_on(lake);

    let versions = log_files(lake);
    let second = run("demo", lake);
    assert_code(&second, 0);
    assert_eq!(
        log_files(lake),
        versions,
        "the second run committed something"
    );
    assert!(
        stdout(&second).contains("signals: 0 new"),
        "{}",
        stdout(&second)
    );
}

fn amounts_are_exact(lake: &Path, expected: &Value) {
    let entities = rows(
        lake,
        "select s.rule_id, e.entity_id, e.expected, e.actual, e.delta
         from signal_entities e join signals s on s.signal_id = e.signal_id where e.role = 'primary'",
    );
    let mut checked = 0;
    for signal in expected["signals"].as_array().unwrap() {
        for line in signal["lines"].as_array().into_iter().flatten() {
            let entity = entities
                .iter()
                .find(|e| e["rule_id"] == signal["rule"] && e["entity_id"] == line["id"])
                .unwrap();
            for column in ["expected", "actual", "delta"] {
                assert_eq!(
                    decimal(&entity[column]),
                    decimal(&line[column]),
                    "{column} of {line}"
                );
            }
            checked += 1;
        }
    }
    assert!(checked >= 24, "only {checked} amounts are known");
}

fn rejects_are_exact(lake: &Path, expected: &Value) {
    let name = |row: &Value, table: &str| {
        [
            text(&row["source"]),
            text(&row[table]),
            text(&row["origin"]),
            text(&row["reason_code"]),
        ]
    };
    let found: BTreeSet<_> = rows(
        lake,
        "select source, table_name, origin, reason_code from rejects",
    )
    .iter()
    .map(|row| name(row, "table_name"))
    .collect();
    let known: BTreeSet<_> = expected["rejects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| name(row, "table"))
        .collect();
    assert_eq!(found, known);
}

fn counts_add_up(lake: &Path, expected: &Value) {
    let exports = rows(lake, "select * from exports");
    for table in expected["tables"].as_array().unwrap() {
        let row = exports
            .iter()
            .find(|row| row["source"] == table["source"] && row["table_name"] == table["table"])
            .unwrap();
        for column in ["rows_read", "rows_written", "rows_rejected"] {
            assert_eq!(row[column], table[column], "{column} of {table}");
        }
    }
}

fn every_rule_and_source_has_a_row(lake: &Path) {
    let rules = trueup::rules::embedded().unwrap().rules.len();
    let rows = rows(
        lake,
        "select rule_id, source, status, reason from rule_runs",
    );
    assert_eq!(rows.len(), rules * 4);
    for row in rows {
        let status = text(&row["status"]);
        assert!(
            ["fired", "clean", "skipped"].contains(&status.as_str()),
            "{row}"
        );
        assert_eq!(status == "skipped", row["reason"].is_string(), "{row}");
    }
}

fn every_signal_can_be_acted_on(lake: &Path) {
    let without_steps = rows(
        lake,
        "select signal_id from signals where signal_id not in (select signal_id from remediations)",
    );
    assert!(without_steps.is_empty(), "{without_steps:?}");
    let unfilled = rows(
        lake,
        "select * from remediations
         where coalesce(action, '') = '' or coalesce(what_to_check, '') = '' or coalesce(why, '') = ''
            or coalesce(expected_outcome, '') = '' or coalesce(target_system, '') = ''
            or coalesce(root_cause, '') = ''",
    );
    assert!(unfilled.is_empty(), "{unfilled:?}");
    // A wrong line leads to its invoice, bill run, subscription and customer.
    let related = rows(
        lake,
        "select distinct e.entity_type from signal_entities e join signals s on s.signal_id = e.signal_id
         where s.rule_id = 'tier-miscalculation' and s.source = 'acme-zuora'",
    );
    let types: BTreeSet<String> = related
        .iter()
        .map(|row| text(&row["entity_type"]))
        .collect();
    for wanted in [
        "bill_run",
        "customer",
        "invoice",
        "invoice_line",
        "subscription",
    ] {
        assert!(types.contains(wanted), "{wanted} not in {types:?}");
    }
    let dated = rows(
        lake,
        "select * from signal_entities where entity_type = 'bill_run'
           and (target_date is null or execution_date is null or entity_status is null)",
    );
    assert!(dated.is_empty(), "{dated:?}");
}

fn log_files(lake: &Path) -> BTreeSet<String> {
    fn visit(dir: &Path, files: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, files);
            } else {
                files.insert(path.to_str().unwrap().to_owned());
            }
        }
    }
    let mut files = BTreeSet::new();
    visit(lake, &mut files);
    files
}

#[test]
fn real_bills_differ_from_their_own_list_prices_where_they_are_known_to() {
    let dir = tempfile::tempdir().unwrap();
    let lake = dir.path();
    assert_code(&run("focus", lake), 0);
    let expected = expected("focus");
    let lines = expected["lines"].as_array().unwrap();
    let found = rows(
        lake,
        "select e.entity_id, e.expected, e.actual
         from signal_entities e join signals s on s.signal_id = e.signal_id
         where s.rule_id = 'tier-miscalculation' and e.role = 'primary'",
    );
    let ids = |rows: &[Value], key: &str| {
        rows.iter()
            .map(|row| text(&row[key]))
            .collect::<BTreeSet<_>>()
    };
    let key = "line_id";
    assert_eq!(ids(&found, "entity_id"), ids(lines, key));
    for line in lines {
        let entity = found
            .iter()
            .find(|row| row["entity_id"] == line[key])
            .unwrap();
        assert_eq!(
            decimal(&entity["expected"]),
            decimal(&line["expected"]),
            "{line}"
        );
        assert_eq!(
            decimal(&entity["actual"]),
            decimal(&line["actual"]),
            "{line}"
        );
    }
    let read = rows(
        lake,
        "select rows_read, rows_rejected from exports where table_name = 'invoice_lines'",
    );
    assert_eq!(
        (&read[0]["rows_read"], &read[0]["rows_rejected"]),
        (&1000.into(), &0.into())
    );
}
