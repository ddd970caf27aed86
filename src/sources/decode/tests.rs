use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array, LargeStringArray,
    StringArray, TimestampMillisecondArray, TimestampNanosecondArray,
};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Int32Type, Schema, TimeUnit,
    TimestampMicrosecondType,
};
use datafusion::arrow::record_batch::RecordBatch;

use super::canonicalise;
use crate::sources::error::SourceError;
use crate::sources::spec::{Decoded, TableSpec};

fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn amount() -> DataType {
    DataType::Decimal128(38, 12)
}

fn spec(name: &str, columns: &[(&str, DataType, bool)]) -> TableSpec {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, kind, null)| Field::new(*name, kind.clone(), *null))
        .collect();
    TableSpec {
        name: name.to_owned(),
        schema: Arc::new(Schema::new(fields)),
        key: vec![],
    }
}

fn usage() -> TableSpec {
    spec(
        "usage_records",
        &[
            ("source", DataType::Utf8, false),
            ("usage_id", DataType::Utf8, false),
            ("quantity", amount(), true),
            ("occurred_at", utc(), false),
            ("ended_at", utc(), true),
            ("status", DataType::Utf8, true),
            ("attributes", DataType::Utf8, true),
            ("usage_date", DataType::Date32, false),
        ],
    )
}

fn prices() -> TableSpec {
    let tier = ["up_to", "unit_price", "flat_fee"].map(|name| Field::new(name, amount(), true));
    let item = Field::new("element", DataType::Struct(tier.to_vec().into()), true);
    spec(
        "prices",
        &[
            ("source", DataType::Utf8, false),
            ("price_id", DataType::Utf8, false),
            ("currency", DataType::Utf8, true),
            ("is_active", DataType::Boolean, true),
            ("rounding_scale", DataType::Int32, true),
            ("tiers", DataType::List(Arc::new(item)), true),
            ("effective_from", utc(), true),
            ("effective_to", utc(), true),
        ],
    )
}

fn texts(columns: &[(&str, &[Option<&str>])]) -> RecordBatch {
    let columns = columns.iter().map(|(name, values)| {
        let array: ArrayRef = Arc::new(StringArray::from(values.to_vec()));
        (*name, array)
    });
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))
        .unwrap()
}

fn run(batch: &RecordBatch, spec: &TableSpec) -> Decoded {
    let decoded = canonicalise(batch, spec, "acme", &|row| format!("f.csv:{}", row + 2)).unwrap();
    assert_eq!(decoded.batch.schema(), spec.schema);
    assert_eq!(
        decoded.rows_read,
        (decoded.batch.num_rows() + decoded.rejects.len()) as u64
    );
    decoded
}

fn text(decoded: &Decoded, column: &str, row: usize) -> Option<String> {
    let array = decoded
        .batch
        .column_by_name(column)
        .unwrap()
        .as_string::<i32>();
    array.is_valid(row).then(|| array.value(row).to_owned())
}

#[test]
fn text_cells_become_exact_values() {
    let decoded = run(
        &texts(&[
            ("usage_id", &[Some("u1"), Some("007")]),
            ("quantity", &[Some("12.5"), None]),
            (
                "occurred_at",
                &[Some("2026-01-01T00:30:00+01:00"), Some("2026-01-01")],
            ),
            ("status", &[Some("Billed"), None]),
            ("region", &[Some("e\"u"), None]),
            ("usage_date", &[Some("1999-01-01"), Some("nonsense")]),
        ]),
        &usage(),
    );
    assert!(decoded.rejects.is_empty());
    assert_eq!(text(&decoded, "source", 0).as_deref(), Some("acme"));
    assert_eq!(text(&decoded, "usage_id", 1).as_deref(), Some("007"));
    assert_eq!(text(&decoded, "status", 0).as_deref(), Some("billed"));
    assert_eq!(
        text(&decoded, "attributes", 0).as_deref(),
        Some(r#"{"region":"e\"u"}"#)
    );
    assert_eq!(text(&decoded, "attributes", 1), None);
    let quantity = decoded.batch.column(2).as_primitive::<Decimal128Type>();
    assert_eq!(quantity.value(0), 12_500_000_000_000);
    assert!(quantity.is_null(1));
    let at = decoded
        .batch
        .column(3)
        .as_primitive::<TimestampMicrosecondType>();
    assert_eq!(at.value(0), 1_767_223_800_000_000);
    let date = decoded.batch.column(7).as_primitive::<Date32Type>();
    assert_eq!((date.value(0), date.value(1)), (20_453, 20_454));
}

#[test]
fn each_bad_row_is_refused_with_its_first_problem() {
    let good = Some("2026-01-02T00:00:00Z");
    let decoded = run(
        &texts(&[
            (
                "usage_id",
                &[None, Some("b"), Some("c"), Some("d"), Some("e"), Some("f")],
            ),
            (
                "quantity",
                &[
                    Some("1"),
                    Some("1,5"),
                    Some("1"),
                    Some("1"),
                    Some("1"),
                    Some("1"),
                ],
            ),
            (
                "occurred_at",
                &[good, good, Some("yesterday"), good, good, good],
            ),
            (
                "ended_at",
                &[None, None, None, Some("2026-01-01"), good, None],
            ),
            ("status", &[None, None, None, None, None, Some("biled")]),
        ]),
        &usage(),
    );
    let codes: Vec<(&str, &str)> = decoded
        .rejects
        .iter()
        .map(|r| (r.origin.as_str(), r.reason_code.as_str()))
        .collect();
    assert_eq!(
        codes,
        [
            ("f.csv:2", "missing_key"),
            ("f.csv:3", "bad_number"),
            ("f.csv:4", "bad_timestamp"),
            ("f.csv:5", "bad_period"),
            ("f.csv:7", "unknown_value"),
        ]
    );
    assert_eq!(decoded.rejects[0].reason, "`usage_id` is missing or empty");
    assert!(
        decoded.rejects[1]
            .reason
            .starts_with("`quantity` is \"1,5\"")
    );
    assert!(decoded.rejects[1].raw.contains(r#""usage_id":"b""#));
    assert!(decoded.rejects[4].reason.contains("`billed`"));
    assert_eq!(text(&decoded, "usage_id", 0).as_deref(), Some("e"));
}

#[test]
fn prices_with_tiers() {
    let batch = texts(&[
        (
            "price_id",
            &[
                Some("p1"),
                Some("p2"),
                Some("p3"),
                Some("p4"),
                Some("p5"),
                Some("p6"),
            ],
        ),
        (
            "currency",
            &[Some("usd"), Some("EUR"), None, None, Some("XQQ"), None],
        ),
        (
            "is_active",
            &[Some("TRUE"), Some("0"), None, None, None, Some("maybe")],
        ),
        ("rounding_scale", &[Some("2"), None, None, None, None, None]),
        (
            "tiers",
            &[
                Some(r#"[{"up_to":"1000","unit_price":0.10},{"up_to":null,"unit_price":"1e-3"}]"#),
                Some("[]"),
                Some(r#"[{"up_to":"5"},{"up_to":"5"}]"#),
                Some(r#"[{"up_to":"5","price":"1"}]"#),
                None,
                None,
            ],
        ),
    ]);
    let decoded = run(&batch, &prices());
    let codes: Vec<&str> = decoded
        .rejects
        .iter()
        .map(|r| r.reason_code.as_str())
        .collect();
    assert_eq!(
        codes,
        ["bad_tiers", "bad_tiers", "unknown_value", "bad_boolean"]
    );
    assert_eq!(
        decoded.rejects[0].reason,
        "`tiers`: tier 2 does not end above tier 1"
    );
    assert_eq!(
        decoded.rejects[1].reason,
        "`tiers`: tier 1: a tier has no `price`"
    );
    assert_eq!(text(&decoded, "currency", 0).as_deref(), Some("USD"));
    assert_eq!(
        decoded.batch.column(4).as_primitive::<Int32Type>().value(0),
        2
    );
    let lists = decoded.batch.column(5).as_list::<i32>();
    assert_eq!((lists.value_length(0), lists.value_length(1)), (2, 0));
    assert!(lists.is_valid(1));
    let first = lists.value(0);
    let unit_prices = first.as_struct().column(1).as_primitive::<Decimal128Type>();
    assert_eq!(
        (unit_prices.value(0), unit_prices.value(1)),
        (100_000_000_000, 1_000_000_000)
    );
    assert!(first.as_struct().column(0).is_null(1));

    // The same column as a typed list goes through the same checks.
    let typed = RecordBatch::try_from_iter([
        ("price_id", Arc::clone(decoded.batch.column(1))),
        ("tiers", Arc::clone(decoded.batch.column(5))),
    ]);
    let again = run(&typed.unwrap(), &prices());
    assert_eq!(again.batch.column(5), decoded.batch.column(5));
}

#[test]
fn typed_columns_are_converted_exactly_or_refused() {
    let rows = 3;
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let decimals: ArrayRef = Arc::new(
        Decimal128Array::from(vec![1_500, 15_000_000_000_000, 1])
            .with_precision_and_scale(38, 14)
            .unwrap(),
    );
    let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![
        1_767_225_600_001;
        rows
    ]));
    let ends: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![
        Some(1_767_225_600_002_000_000),
        Some(1_767_225_600_002_000_001),
        None,
    ]));
    let files: ArrayRef = Arc::new(LargeStringArray::from(vec!["a.parquet"; rows]));
    let lines: ArrayRef = Arc::new(Int64Array::from(vec![11, 12, 13]));
    let batch = RecordBatch::try_from_iter([
        ("usage_id", ids),
        ("quantity", decimals),
        ("occurred_at", times),
        ("ended_at", ends),
        ("_file", files),
        ("_line", lines),
    ])
    .unwrap();
    let decoded = run(&batch, &usage());
    assert_eq!(text(&decoded, "usage_id", 0).as_deref(), Some("1"));
    assert_eq!(
        decoded
            .batch
            .column(2)
            .as_primitive::<Decimal128Type>()
            .value(0),
        15
    );
    assert_eq!(text(&decoded, "attributes", 0), None);
    let refused: Vec<(&str, &str)> = decoded
        .rejects
        .iter()
        .map(|r| (r.origin.as_str(), r.reason_code.as_str()))
        .collect();
    assert_eq!(
        refused,
        [
            ("a.parquet:12", "bad_timestamp"),
            ("a.parquet:13", "bad_number")
        ]
    );
}

#[test]
fn a_float_never_becomes_an_amount() {
    let quantity: ArrayRef = Arc::new(Float64Array::from(vec![0.1]));
    let batch = RecordBatch::try_from_iter([("quantity", quantity)]).unwrap();
    let error = canonicalise(&batch, &usage(), "acme", &|_| "a.parquet:1".to_owned()).unwrap_err();
    assert!(matches!(&error, SourceError::Float { column, .. } if column == "quantity"));
    let message = error.to_string();
    assert!(
        message.contains("a.parquet:1") && message.contains("CAST(quantity AS"),
        "{message}"
    );
}

#[test]
fn given_attributes_stand_and_must_be_objects() {
    let at = Some("2026-01-01");
    let decoded = run(
        &texts(&[
            ("usage_id", &[Some("a"), Some("b"), Some("c")]),
            ("occurred_at", &[at, at, at]),
            (
                "attributes",
                &[Some(r#"{"region":1.50}"#), Some("[1]"), None],
            ),
            ("region", &[Some("eu"), None, None]),
            ("zone", &[Some("z"), None, None]),
        ]),
        &usage(),
    );
    assert_eq!(
        text(&decoded, "attributes", 0).as_deref(),
        Some(r#"{"region":1.50,"zone":"z"}"#)
    );
    assert_eq!(decoded.rejects.len(), 1);
    assert_eq!(decoded.rejects[0].reason_code, "bad_json");
}

#[test]
fn a_batch_without_rows_is_canonical_too() {
    let decoded = run(&texts(&[("usage_id", &[])]), &usage());
    assert_eq!((decoded.batch.num_rows(), decoded.rows_read), (0, 0));
}
