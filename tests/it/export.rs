//! Export: every layout gives the same rows, every row is accounted for, nothing is read twice.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::parquet::arrow::ArrowWriter;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use trueup::model::Decimal;

use crate::support::{World, assert_code, stderr, stdout};

const CSV: &str = r#"price_id,charge_model,currency,unit_price,tiers,is_active,effective_from
p1,per_unit,USD,0.5,,true,2026-01-01
p2,graduated,EUR,,"[{""up_to"":""100"",""unit_price"":""0.10""},{""up_to"":null,""unit_price"":""0.05""}]",false,2026-01-01T01:00:00+01:00
"#;
const JSONL: &str = r#"{"price_id":"p1","charge_model":"per_unit","currency":"USD","unit_price":0.50,"is_active":true,"effective_from":"2026-01-01"}
{"price_id":"p2","charge_model":"graduated","currency":"EUR","tiers":[{"up_to":"100","unit_price":"0.10"},{"up_to":null,"unit_price":0.05}],"is_active":false,"effective_from":"2026-01-01T00:00:00Z"}
"#;

fn config(sources: &[&str]) -> String {
    let block = |name: &&str| {
        format!("[[sources]]\nname = \"{name}\"\nkind = \"files\"\npath = \"data/{name}/\"\n")
    };
    sources.iter().map(block).collect()
}

fn put(world: &World, name: &str, bytes: &[u8]) {
    let path = world.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

fn parquet() -> Vec<u8> {
    let texts = |values: Vec<Option<&str>>| Arc::new(StringArray::from(values)) as ArrayRef;
    let tiers = r#"[{"up_to":"100","unit_price":"0.10"},{"up_to":null,"unit_price":"0.05"}]"#;
    let price = Decimal128Array::from(vec![Some(50_i128), None]);
    let price = price.with_precision_and_scale(10, 2).unwrap();
    let from = TimestampMicrosecondArray::from(vec![1_767_225_600_000_000_i64; 2]);
    let batch = RecordBatch::try_from_iter_with_nullable(vec![
        ("price_id", texts(vec![Some("p1"), Some("p2")]), true),
        (
            "charge_model",
            texts(vec![Some("per_unit"), Some("graduated")]),
            true,
        ),
        ("currency", texts(vec![Some("USD"), Some("EUR")]), true),
        ("unit_price", Arc::new(price) as ArrayRef, true),
        ("tiers", texts(vec![None, Some(tiers)]), true),
        (
            "is_active",
            Arc::new(BooleanArray::from(vec![true, false])) as ArrayRef,
            true,
        ),
        (
            "effective_from",
            Arc::new(from.with_timezone("UTC")) as ArrayRef,
            true,
        ),
    ])
    .unwrap();
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    file
}

/// The rows of `exports` that an export printed, after it ended with this code.
#[track_caller]
fn exported(world: &World, code: i32, arguments: &[&str]) -> Vec<Value> {
    let mut all = vec!["export"];
    all.extend(arguments);
    let output = world.run(&all);
    assert_code(&output, code);
    stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Rows read, written, unchanged and rejected of the table.
#[track_caller]
fn counts(rows: &[Value], table: &str) -> [i64; 4] {
    let row = rows.iter().find(|row| row["table_name"] == table).unwrap();
    [
        "rows_read",
        "rows_written",
        "rows_unchanged",
        "rows_rejected",
    ]
    .map(|c| row[c].as_i64().unwrap())
}

/// Every file below a folder: what a commit would add to.
pub(crate) fn files_below(dir: &Path) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.insert(path);
        }
    }
    files
}

#[test]
fn every_format_gives_the_same_rows() {
    let names = ["csv", "gz", "jsonl", "parquet", "zst"];
    let world = World::new(&config(&names));
    world.write("data/csv/prices.csv", CSV);
    world.write("data/jsonl/prices.jsonl", JSONL);
    put(&world, "data/gz/prices/2026/list.csv.gz", &gzip(CSV));
    put(
        &world,
        "data/zst/prices.jsonl.zst",
        &zstd::encode_all(JSONL.as_bytes(), 3).unwrap(),
    );
    put(&world, "data/parquet/prices.parquet", &parquet());
    exported(&world, 0, &["--as-of", "2026-03-04T12:00:00Z"]);

    let mut prices = world.rows("select * from prices order by source, price_id");
    assert_eq!(prices.len(), 2 * names.len());
    let sources: Vec<Value> = prices
        .iter_mut()
        .map(|row| row.as_object_mut().unwrap().remove("source").unwrap())
        .collect();
    for (at, row) in prices.iter().enumerate() {
        assert_eq!(sources[at], names[at / 2], "{row}");
        assert_eq!(*row, prices[at % 2], "{} differs from csv", sources[at]);
    }
    let decimal = |value: &Value| {
        serde_json::from_value::<Decimal>(value.clone())
            .unwrap()
            .to_string()
    };
    assert_eq!(decimal(&prices[0]["unit_price"]), "0.5");
    assert_eq!(prices[0]["effective_from"], "2026-01-01T00:00:00Z");
    assert_eq!(
        (&prices[0]["is_active"], &prices[1]["is_active"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(prices[0]["attributes"], Value::Null);
    let tiers = prices[1]["tiers"].as_array().unwrap();
    assert_eq!(
        (
            decimal(&tiers[0]["up_to"]),
            decimal(&tiers[0]["unit_price"])
        ),
        ("100".into(), "0.1".into())
    );
    assert_eq!(
        (&tiers[1]["up_to"], decimal(&tiers[1]["unit_price"])),
        (&Value::Null, "0.05".into())
    );
}

#[test]
fn any_other_layout_is_mapped_by_sql() {
    let config = |currency: &str| {
        format!(
            r#"{}[sources.tables.prices]
files = "lists/*.csv"
sql = """select sku as price_id, 'per_unit' as charge_model, '{currency}' as currency, list as unit_price,
    '2026-01-01' as effective_from, note from raw where list <> ''"""
"#,
            config(&["shop"])
        )
    };
    let world = World::new(&config("USD"));
    world.write(
        "data/shop/lists/2026.csv",
        "sku,list,note\na,0.25,best\nb,,\nc,cheap,\n",
    );
    let first = exported(&world, 0, &["--as-of", "2026-03-04T12:00:00Z"]);
    assert_eq!(counts(&first, "prices"), [2, 1, 0, 1]);
    let query = "select price_id, currency, attributes, unit_price = 0.25 as is_exact from prices";
    let row = |currency: &str| json!({"price_id": "a", "currency": currency, "attributes": "{\"note\":\"best\"}", "is_exact": true});
    assert_eq!(world.rows(query), [row("USD")]);
    let rejects = world.rows("select origin, reason_code from rejects");
    assert_eq!(
        rejects,
        [json!({"origin": "lists/2026.csv: mapped row 2", "reason_code": "bad_number"})]
    );

    // Another mapping makes other rows of the same file.
    world.write("trueup.toml", &config("EUR"));
    let second = exported(&world, 0, &["--as-of", "2026-03-05T12:00:00Z"]);
    assert_eq!(counts(&second, "prices"), [2, 1, 0, 1]);
    assert_eq!(world.rows(query), [row("EUR")]);
}

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
    let lost: Vec<String> = lost.map(|row| text(row, "origin")).collect();
    assert!(
        lost.len() == 1 && lost[0].starts_with("prices.csv"),
        "{lost:?}"
    );
    let prices = world.rows("select price_id, unit_price = 0.6 as is_last from prices");
    assert_eq!(prices, [json!({"price_id": "good", "is_last": true})]);

    let kept = world.rows("select * from exports");
    assert_eq!(counts(&kept, "prices"), [9, 1, 0, 8]);
    assert_eq!(counts(&kept, "bill_runs"), [3, 1, 0, 2]);
    assert_eq!(counts(&kept, "customers"), [2, 1, 0, 1]);
    assert_eq!(kept.len(), 3);
}

#[test]
fn files_are_read_again_only_when_they_change() {
    let world = World::new(&config(&["shop"]));
    world.write("data/shop/meters/a.csv", "meter,unit\na,x\nb,x\n");
    world.write("data/shop/meters/b.csv", "meter,unit\nc,x\nd,x\ne,x\n");
    let canonical = || files_below(&world.path("lake/canonical"));
    let first = exported(&world, 0, &["--as-of", "2026-03-04T12:00:00Z"]);
    assert_eq!(counts(&first, "meters"), [5, 5, 0, 0]);

    let (before, tables) = (files_below(&world.path("lake")), canonical());
    assert!(exported(&world, 0, &["--as-of", "2026-03-04T12:00:00Z"]).is_empty());
    assert_eq!(
        files_below(&world.path("lake")),
        before,
        "the same run again committed something"
    );

    let next = exported(&world, 0, &["--as-of", "2026-03-05T12:00:00Z"]);
    assert_eq!(
        (counts(&next, "meters"), &next[0]["requests"]),
        ([0, 0, 0, 0], &json!(0))
    );
    let full = exported(&world, 0, &["--full", "--as-of", "2026-03-06T12:00:00Z"]);
    assert_eq!(
        (counts(&full, "meters"), &full[0]["requests"]),
        ([5, 0, 5, 0], &json!(2))
    );
    assert_eq!(
        canonical(),
        tables,
        "rows that are there already were written again"
    );

    world.write("data/shop/meters/b.csv", "meter,unit\nc,x\nd,other\ne,x\n");
    let changed = exported(&world, 0, &["--as-of", "2026-03-07T12:00:00Z"]);
    assert_eq!(
        (counts(&changed, "meters"), &changed[0]["requests"]),
        ([3, 1, 2, 0], &json!(1))
    );
    let units = world.rows("select meter from meters where unit = 'other'");
    assert_eq!(units, [json!({"meter": "d"})]);
}

#[test]
fn a_file_that_breaks_off_fails_its_table_and_nothing_else() {
    let world = World::new(&config(&["shop"]));
    put(
        &world,
        "data/shop/customers.csv.gz",
        &gzip("customer_id,name\nc1,Acme\nc2,Bolt\n"),
    );
    world.write("data/shop/meters.csv", "meter\na\n");
    exported(&world, 0, &["--as-of", "2026-03-04T12:00:00Z"]);

    let broken = gzip("customer_id,name\nc1,Acme\nc2,Bolt\nc3,Core\nc4,Dune\n");
    put(
        &world,
        "data/shop/customers.csv.gz",
        &broken[..broken.len() - 12],
    );
    world.write("data/shop/meters.csv", "meter\na\nb\n");
    let failed = exported(&world, 40, &["--as-of", "2026-03-05T12:00:00Z"]);
    let customers = failed
        .iter()
        .find(|row| row["table_name"] == "customers")
        .unwrap();
    assert_eq!(
        (&customers["status"], &customers["cursor_after"]),
        // What could not be read is not held to have been read.
        (&json!("failed"), &json!(r#"{"mapping":null,"files":{}}"#))
    );
    assert!(
        customers["error"]
            .as_str()
            .unwrap()
            .contains("customers.csv.gz"),
        "{customers}"
    );
    assert_eq!(counts(&failed, "meters"), [2, 1, 1, 0]);
    let names = |query: &str| world.rows(query).len();
    assert_eq!(
        names("select * from customers where customer_id in ('c1', 'c2')"),
        2
    );
    assert_eq!(names("select * from exports where status = 'failed'"), 1);

    put(
        &world,
        "data/shop/customers.csv.gz",
        &gzip("customer_id,name\nc1,Acme\nc2,Bolt\nc3,Core\n"),
    );
    let mended = exported(&world, 0, &["--as-of", "2026-03-06T12:00:00Z"]);
    assert_eq!(counts(&mended, "customers"), [3, 1, 2, 0]);
}

#[test]
fn nothing_found_is_never_silence() {
    let world = World::new(&config(&["gone", "shop"]));
    world.write("data/shop/meters.csv", "meter\na\n");
    world.write("data/shop/notes.txt", "not a table");
    let output = world.run(&["export", "--as-of", "2026-03-04T12:00:00Z"]);
    assert_code(&output, 40);
    let said = stderr(&output);
    for part in [
        "source gone failed",
        "the folder is missing or empty",
        "shop: `notes.txt` is no file of any table",
        "shop: no file of customers; if this source has none, say so with without = [\"customers\"]",
    ] {
        assert!(said.contains(part), "{part} not in {said}");
    }
    // One source's failure does not stop the others.
    assert_eq!(
        world.rows("select source, meter from meters"),
        [json!({"source": "shop", "meter": "a"})]
    );
}

#[test]
fn one_table_or_one_source_can_be_exported_alone() {
    let world = World::new(&config(&["shop", "till"]));
    for source in ["shop", "till"] {
        world.write(&format!("data/{source}/meters.csv"), "meter\na\n");
        world.write(&format!("data/{source}/customers.csv"), "customer_id\nc\n");
    }
    let as_of = ["--as-of", "2026-03-04T12:00:00Z"];
    let arguments = [&["--source", "till", "--table", "meters"][..], &as_of].concat();
    let rows = exported(&world, 0, &arguments);
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (&rows[0]["source"], &rows[0]["table_name"]),
        (&json!("till"), &json!("meters"))
    );
    for (option, word, hint) in [
        ("--table", "meterz", "`meters`"),
        ("--source", "shpo", "`shop`"),
    ] {
        let output = world.run(&["export", option, word]);
        assert_code(&output, 2);
        assert!(
            stderr(&output).contains(&format!("did you mean {hint}")),
            "{}",
            stderr(&output)
        );
    }
}
