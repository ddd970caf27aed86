//! Formats and layouts: whichever a source has, the same rows come of it.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use trueup::model::Decimal;

use super::{config, counts, exported, gzip, put};
use crate::support::World;

const CSV: &str = r#"price_id,charge_model,currency,unit_price,tiers,is_active,effective_from
p1,per_unit,USD,0.5,,true,2026-01-01
p2,graduated,EUR,,"[{""up_to"":""100"",""unit_price"":""0.10""},{""up_to"":null,""unit_price"":""0.05""}]",false,2026-01-01T01:00:00+01:00
"#;
const JSONL: &str = r#"{"price_id":"p1","charge_model":"per_unit","currency":"USD","unit_price":0.50,"is_active":true,"effective_from":"2026-01-01"}
{"price_id":"p2","charge_model":"graduated","currency":"EUR","tiers":[{"up_to":"100","unit_price":"0.10"},{"up_to":null,"unit_price":0.05}],"is_active":false,"effective_from":"2026-01-01T00:00:00Z"}
"#;

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
