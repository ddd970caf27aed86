//! Rejects: every row that is not taken is held with its place and its reason.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{config, counts, exported};
use crate::support::World;

#[test]
fn what_cannot_become_a_row_is_rejected_with_its_place_and_reason() {
    let world = World::new(&config(&["bad"]));
    let prices = r#"price_id,charge_model,currency,unit_price,tiers,effective_from,effective_to
good,per_unit,USD,0.5,,2026-01-01,
,per_unit,USD,0.5,,2026-01-01,
number,per_unit,USD,a lot,,2026-01-01,
tiers,graduated,USD,,"[{""up_to"":""10"",""unit_price"":""1""},{""up_to"":""5"",""unit_price"":""1""}]",2026-01-01,
word,gradated,USD,,,2026-01-01,
period,per_unit,USD,0.5,,2026-02-01,2026-01-01
moment,per_unit,USD,0.5,,31/12/2025,
ragged,per_unit,USD
good,per_unit,USD,0.6,,2026-01-01,
"#;
    world.write("data/bad/prices.csv", prices);
    let bill_runs = r#"{"bill_run_id":"b1","status":"completed","target_date":"2026-03-01"}
{"bill_run_id":"b2","status":"completed",
{"bill_run_id":"b3","status":"completed","target_date":"soon"}
"#;
    world.write("data/bad/bill_runs.jsonl", bill_runs);
    world.write(
        "data/bad/customers.csv",
        "customer_id,is_test\nc1,perhaps\nc2,true\n",
    );
    exported(&world, 0, &["--as-of", "2026-03-04T12:00:00Z"]);

    let rejects = world.rows("select table_name, origin, reason_code, reason, raw from rejects");
    let text = |row: &Value, column: &str| row[column].as_str().unwrap().to_owned();
    let found: BTreeSet<(String, String)> = rejects
        .iter()
        .filter(|row| row["reason_code"] != "superseded")
        .map(|row| (text(row, "origin"), text(row, "reason_code")))
        .collect();
    let known = [
        ("bill_runs.jsonl:2", "bad_json"),
        ("bill_runs.jsonl:3", "bad_date"),
        ("customers.csv:2", "bad_boolean"),
        ("prices.csv:3", "missing_key"),
        ("prices.csv:4", "bad_number"),
        ("prices.csv:5", "bad_tiers"),
        ("prices.csv:6", "unknown_value"),
        ("prices.csv:7", "bad_period"),
        ("prices.csv:8", "bad_timestamp"),
        ("prices.csv:9", "bad_row"),
    ];
    let known = known.map(|(origin, code)| (origin.to_owned(), code.to_owned()));
    assert_eq!(found, BTreeSet::from(known));
    let word = rejects
        .iter()
        .find(|row| row["reason_code"] == "unknown_value")
        .unwrap();
    assert_eq!(text(word, "raw"), "word,gradated,USD,,,2026-01-01,");
    assert!(
        text(word, "reason").contains("did you mean `graduated`?"),
        "{word}"
    );
    let lost = rejects
        .iter()
        .filter(|row| row["reason_code"] == "superseded");
    let lost: Vec<_> = lost
        .map(|row| ["origin", "reason", "raw"].map(|column| text(row, column)))
        .collect();
    let raw = r#"{"charge_model":"per_unit","currency":"USD","effective_from":"2026-01-01T00:00:00Z","price_id":"good","unit_price":"0.5"}"#;
    let reason = "another row of the same key is newer: prices.csv:10";
    assert_eq!(lost, [["prices.csv:2", reason, raw]]);
    let prices = world.rows("select price_id, unit_price = 0.6 as is_last from prices");
    assert_eq!(prices, [json!({"price_id": "good", "is_last": true})]);

    let kept = world.rows("select * from exports");
    assert_eq!(counts(&kept, "prices"), [9, 1, 0, 8]);
    assert_eq!(counts(&kept, "bill_runs"), [3, 1, 0, 2]);
    assert_eq!(counts(&kept, "customers"), [2, 1, 0, 1]);
    assert_eq!(kept.len(), 3);
}
