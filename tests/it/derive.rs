//! Derived usage: the tables hold what their SQL definitions say, whichever way they came about.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::arrow::array::RecordBatch;
use serde::Serialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use trueup::derive::{Refreshed, refresh};
use trueup::lake::{
    Lake, TableDef, Tally, Upsert, Writer, changed_partitions, from_batches, table, to_batch,
    upsert,
};
use trueup::model::Decimal;
use trueup::session::{Pinned, Sessions};

use crate::support::{query_batches, sessions, url};

/// What the derived tables are, in the order in which one builds on another.
const DEFINITIONS: [(&str, &str); 4] = [
    (
        "usage_duplicates",
        include_str!("../../queries/derived/usage_duplicates.sql"),
    ),
    ("records", include_str!("../../queries/derived/records.sql")),
    ("repeats", "select * from usage_duplicates"),
    (
        "usage_daily",
        include_str!("../../queries/derived/usage_daily.sql"),
    ),
];
const DERIVED: [&str; 3] = ["usage_keys", "usage_duplicates", "usage_daily"];

#[derive(Clone, Serialize)]
struct Usage {
    source: String,
    usage_id: String,
    item_id: Option<String>,
    customer_id: Option<String>,
    meter: Option<String>,
    quantity: Option<String>,
    occurred_at: String,
    recorded_at: Option<String>,
    idempotency_key: Option<String>,
    status: Option<String>,
    usage_date: String,
}

impl Usage {
    fn new(id: &str, day: u64, key: Option<&str>) -> Self {
        Self {
            source: "east".to_owned(),
            usage_id: id.to_owned(),
            item_id: Some("i1".to_owned()),
            customer_id: None,
            meter: Some("calls".to_owned()),
            quantity: Some("2.5".to_owned()),
            occurred_at: time(day, 10),
            recorded_at: None,
            idempotency_key: key.map(str::to_owned),
            status: None,
            usage_date: date(day),
        }
    }

    fn on(mut self, day: u64) -> Self {
        self.usage_date = date(day);
        self.occurred_at.replace_range(..10, &self.usage_date);
        self
    }

    fn voided(mut self) -> Self {
        self.status = Some("voided".to_owned());
        self
    }

    fn measuring(mut self, quantity: &str) -> Self {
        self.quantity = Some(quantity.to_owned());
        self
    }
}

fn date(day: u64) -> String {
    format!("2026-03-{day:02}")
}

fn time(day: u64, hour: u64) -> String {
    format!("2026-03-{day:02}T{hour:02}:00:00Z")
}

/// Twelve days of three sources: the same on every machine, and the fewer keys, the more repeats.
fn generate(count: usize, keys: u64) -> Vec<Usage> {
    let mut state = 42u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005);
        state = state.wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let record = |n: usize| {
        let d: [u64; 10] = std::array::from_fn(|_| next());
        let (day, hour) = (1 + d[2] % 12, d[2] / 12 % 6);
        let (sign, tenths) = (if d[5].is_multiple_of(13) { "-" } else { "" }, d[5] % 1000);
        let has_item = !d[3].is_multiple_of(4);
        Usage {
            source: ["east", "west", "north"][usize::try_from(d[1] % 3).unwrap()].to_owned(),
            usage_id: format!("u{n:04}"),
            item_id: has_item.then(|| format!("i{}", d[3] % 2)),
            customer_id: (!has_item && !d[4].is_multiple_of(3)).then(|| format!("c{}", d[4] % 2)),
            meter: (!d[0].is_multiple_of(10)).then(|| "calls".to_owned()),
            quantity: (!d[5].is_multiple_of(9))
                .then(|| format!("{sign}{}.{}", tenths / 10, tenths % 10)),
            occurred_at: time(day, hour),
            // A day later to the second is not late yet.
            recorded_at: match d[9] % 6 {
                0 => None,
                1 => Some(time(day + 2, hour)),
                2 => Some(time(day + 1, hour)),
                _ => Some(time(day, hour + 1)),
            },
            idempotency_key: match d[6] % 10 {
                0 | 1 => None,
                9 => Some(format!("day{day}-{}", d[7] % 4)),
                _ => Some(format!("k{}", d[7] % keys)),
            },
            status: match d[8] % 20 {
                0 => Some("voided".to_owned()),
                1 => Some("error".to_owned()),
                2 => Some("billed".to_owned()),
                3..=10 => Some("processed".to_owned()),
                _ => None,
            },
            usage_date: date(day),
        }
    };
    (0..count).map(record).collect()
}

struct Place {
    _dir: TempDir,
    lake: Lake,
    sessions: Sessions,
}

impl Place {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(&url(dir.path())).await.unwrap();
        Self {
            _dir: dir,
            lake,
            sessions: sessions(),
        }
    }

    async fn put(&self, rows: &[Usage]) -> Tally {
        let def = def("usage_records");
        let rows = to_batch(def, rows).unwrap();
        let rows = Upsert {
            rows,
            volatile: &[],
            new_since: None,
        };
        let (ctx, writer) = (self.sessions.session(), Writer::new("test", "run_1"));
        upsert(&self.lake, &ctx, def, &writer, rows)
            .await
            .unwrap()
            .0
    }

    async fn refresh(&self) -> Refreshed {
        refresh(&self.lake, &self.sessions, "run_1").await.unwrap()
    }

    async fn version(&self, name: &str) -> Option<u64> {
        self.lake
            .existing(def(name))
            .await
            .unwrap()
            .and_then(|table| table.version())
    }

    /// Days of the rollup that were written after a version of it.
    async fn rebuilt(&self, since: u64) -> BTreeSet<String> {
        let table = self
            .lake
            .existing(def("usage_daily"))
            .await
            .unwrap()
            .unwrap();
        changed_partitions(def("usage_daily"), &table, since)
            .await
            .unwrap()
            .unwrap()
    }

    async fn rows(&self, query: &str) -> Vec<Value> {
        from_batches(&query_batches(&self.lake, query).await).unwrap()
    }

    async fn held(&self, name: &str) -> Vec<String> {
        lines(&query_batches(&self.lake, &all_of(name)).await)
    }

    /// Repeats and rollup are what their definitions make of the records in the lake.
    async fn assert_as_defined(&self, what: &str) {
        let ctx = sessions().session();
        let pinned = Pinned::new(&self.lake, &ctx, [def("usage_records")])
            .await
            .unwrap();
        pinned.register(&ctx).unwrap();
        for (name, query) in DEFINITIONS {
            let rows = ctx.sql(query).await.unwrap().cache().await.unwrap();
            ctx.register_table(name, rows.into_view()).unwrap();
        }
        for name in ["usage_duplicates", "usage_daily"] {
            let defined = ctx
                .sql(&all_of(name))
                .await
                .unwrap()
                .collect()
                .await
                .unwrap();
            assert_eq!(self.held(name).await, lines(&defined), "{what}: {name}");
        }
    }
}

fn def(name: &str) -> &'static TableDef {
    table(name).unwrap()
}

fn all_of(name: &str) -> String {
    let schema = def(name).schema();
    let columns: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    format!("select {} from {name}", columns.join(", "))
}

/// Every row as text, in an order of its own.
fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let rows: Vec<Value> = from_batches(batches).unwrap();
    let mut lines: Vec<String> = rows.iter().map(ToString::to_string).collect();
    lines.sort();
    lines
}

fn refreshed(days_changed: usize, days_rebuilt: usize, duplicates: usize) -> Refreshed {
    Refreshed {
        days_changed,
        days_rebuilt,
        duplicates,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_build_is_what_the_definitions_say() {
    let place = Place::new().await;
    assert_eq!(place.put(&generate(600, 400)).await.written, 600);
    assert_eq!(place.refresh().await, refreshed(12, 12, 59));
    place.assert_as_defined("full build").await;
    // The numbers below were counted outside the engine, from the same generator.
    let repeats = "select count(*) as found,
        count(*) filter (where cast(usage_date as date) <> original_usage_date) as across_days
        from usage_duplicates";
    assert_eq!(
        place.rows(repeats).await,
        [json!({"found": 59, "across_days": 45})]
    );
    let counts = "select count(*) as held, sum(record_count) as counted, sum(late_count) as late,
        sum(duplicate_count) as repeated from usage_daily";
    let expected = json!({"held": 175, "counted": 478, "late": 87, "repeated": 55});
    assert_eq!(place.rows(counts).await, [expected]);
    let sums = place
        .rows("select sum(quantity_sum) as total from usage_daily")
        .await;
    let total: Decimal = serde_json::from_value(sums[0]["total"].clone()).unwrap();
    assert_eq!(total, "17443.9".parse::<Decimal>().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refreshed_after_every_change_is_what_is_built_in_one_go() {
    let place = Place::new().await;
    // `o1` will be voided and `m1` will move behind its repeat: `r1` and `r2` become originals.
    let mut base = vec![
        Usage::new("o1", 2, Some("x1")),
        Usage::new("r1", 9, Some("x1")),
        Usage::new("m1", 5, Some("x2")),
        Usage::new("r2", 6, Some("x2")),
    ];
    base.extend(generate(160, 60));
    let mut records = BTreeMap::new();
    let mut keep = |rows: &[Usage]| {
        let rows = rows.iter().cloned();
        records.extend(rows.map(|row| ((row.source.clone(), row.usage_id.clone()), row)));
        records.values().cloned().collect::<Vec<Usage>>()
    };
    let all = keep(&base);
    place.put(&base).await;
    assert_eq!(place.refresh().await, refreshed(12, 12, 34));

    let late = generate(200, 60)
        .split_off(160)
        .into_iter()
        .zip([3, 7].into_iter().cycle());
    let late: Vec<Usage> = late.map(|(row, day)| row.on(day)).collect();
    let second = all
        .into_iter()
        .filter(|row| row.usage_date == date(2))
        .enumerate();
    let correct = |(at, row): (usize, Usage)| {
        if at % 2 == 0 {
            row.voided()
        } else {
            row.measuring("1.5")
        }
    };
    let corrected: Vec<Usage> = second.map(correct).collect();
    keep(&late);
    let all = keep(&corrected);
    let fifth = all.into_iter().filter(|row| row.usage_date == date(5));
    let moved: Vec<Usage> = fifth.take(3).map(|row| row.on(8)).collect();
    let all = keep(&moved);

    let rounds = [
        ("new", late, 2, 43),
        ("corrected", corrected, 1, 38),
        ("moved", moved, 2, 38),
    ];
    for (what, rows, days, repeats) in rounds {
        place.put(&rows).await;
        assert_eq!(place.refresh().await.days_changed, days, "{what}");
        assert_eq!(
            place.held("usage_duplicates").await.len(),
            repeats,
            "{what}"
        );
        place.assert_as_defined(what).await;
    }
    let query = "select usage_id, original_usage_id as original from usage_duplicates
        where idempotency_key in ('x1', 'x2')";
    assert_eq!(
        place.rows(query).await,
        [json!({"usage_id": "m1", "original": "r2"})]
    );

    let fresh = Place::new().await;
    assert_eq!(all.len(), 204);
    fresh.put(&all).await;
    assert_eq!(fresh.refresh().await, refreshed(12, 12, 38));
    for name in DERIVED {
        assert_eq!(place.held(name).await, fresh.held(name).await, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_days_a_change_can_reach_are_rebuilt() {
    let place = Place::new().await;
    let original = Usage::new("a", 1, Some("k1"));
    let other = Usage::new("f", 5, Some("k3"));
    let base = [
        original.clone(),
        Usage::new("b", 1, Some("k2")),
        Usage::new("c", 2, None),
        Usage::new("d", 3, Some("k1")),
        Usage::new("h", 3, None),
        Usage::new("e", 4, None),
        other.clone(),
    ];
    place.put(&base).await;
    assert_eq!(place.refresh().await, refreshed(5, 5, 1));
    let steps: [(&str, Usage, Refreshed, &[u64]); 5] = [
        (
            "a record nobody repeats",
            Usage::new("e2", 4, None),
            refreshed(1, 1, 0),
            &[4],
        ),
        (
            "an original",
            original.clone().measuring("9"),
            refreshed(1, 2, 1),
            &[1, 3],
        ),
        (
            "no original any more",
            original.voided(),
            refreshed(1, 2, 0),
            &[1, 3],
        ),
        (
            "a new repeat",
            Usage::new("g", 5, Some("k1")),
            refreshed(1, 2, 1),
            &[3, 5],
        ),
        (
            "a record that moves",
            other.on(2),
            refreshed(2, 3, 1),
            &[2, 3, 5],
        ),
    ];
    for (what, row, expected, days) in steps {
        let before = place.version("usage_daily").await.unwrap();
        assert_eq!(place.put(&[row]).await.written, 1, "{what}");
        assert_eq!(place.refresh().await, expected, "{what}");
        let days: BTreeSet<String> = days.iter().map(|day| date(*day)).collect();
        assert_eq!(place.rebuilt(before).await, days, "{what}");
        place.assert_as_defined(what).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_without_a_change_commits_nothing() {
    let place = Place::new().await;
    assert_eq!(place.refresh().await, Refreshed::default());
    for name in DERIVED {
        assert_eq!(
            place.version(name).await,
            None,
            "{name} of a lake without usage"
        );
    }
    let rows = [
        Usage::new("a", 1, Some("k1")),
        Usage::new("b", 2, Some("k1")),
    ];
    place.put(&rows).await;
    assert_eq!(place.refresh().await, refreshed(2, 2, 1));
    assert_eq!(place.put(&rows).await.unchanged, 2);
    assert_eq!(place.refresh().await, Refreshed::default());
    for name in DERIVED {
        assert_eq!(place.version(name).await, Some(1), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn days_without_keys_repeats_or_any_record_are_empty_and_no_failure() {
    let place = Place::new().await;
    place
        .put(&[Usage::new("a", 1, None), Usage::new("b", 2, None)])
        .await;
    assert_eq!(place.refresh().await, refreshed(2, 2, 0));
    place.put(&[Usage::new("b", 1, None)]).await;
    assert_eq!(place.refresh().await, refreshed(2, 2, 0));
    let query = "select cast(usage_date as date) as day, record_count from usage_daily";
    assert_eq!(
        place.rows(query).await,
        [json!({"day": date(1), "record_count": 2})]
    );
    place
        .put(&[
            Usage::new("a", 1, None).voided(),
            Usage::new("b", 1, None).voided(),
        ])
        .await;
    assert_eq!(place.refresh().await, refreshed(1, 1, 0));
    for name in DERIVED {
        assert!(place.held(name).await.is_empty(), "{name}");
    }
}
