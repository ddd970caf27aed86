//! The lake on real Delta tables: what a write changes and what it leaves alone.
//!
//! `opening` is about tables as they are found, `committing` about writers and the log.

mod committing;
mod opening;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::prelude::SessionContext;
use deltalake::DeltaTable;
use deltalake::kernel::StructType;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;
use trueup::lake::{
    Lake, Outcome, Rejected, TableDef, Tally, Upsert, Writer, changed_partitions, from_batches,
    table, to_batch, upsert,
};
use trueup::model::Decimal;
use url::Url;

use crate::support::{query_batches, sessions, url};

struct Place {
    dir: TempDir,
    lake: Lake,
    ctx: SessionContext,
}

impl Place {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(&url(dir.path())).await.unwrap();
        Self {
            dir,
            lake,
            ctx: sessions().session(),
        }
    }

    async fn in_memory() -> Self {
        let lake = Lake::open(&Url::parse("memory:///").unwrap())
            .await
            .unwrap();
        Self {
            lake,
            ..Self::new().await
        }
    }

    async fn put(&self, name: &str, rows: &[Value]) -> (Tally, Outcome) {
        self.put_by(&Writer::new("test", "run_1"), name, rows, &[])
            .await
    }

    async fn put_by(
        &self,
        writer: &Writer<'_>,
        name: &str,
        rows: &[Value],
        volatile: &[&str],
    ) -> (Tally, Outcome) {
        let rows = to_batch(def(name), rows).unwrap();
        let rows = Upsert {
            rows,
            volatile,
            new_since: None,
        };
        upsert(&self.lake, &self.ctx, def(name), writer, rows)
            .await
            .unwrap()
    }

    async fn rows(&self, query: &str) -> Vec<Value> {
        from_batches(&query_batches(&self.lake, query).await).unwrap()
    }

    async fn open(&self, name: &str) -> DeltaTable {
        self.lake.existing(def(name)).await.unwrap().unwrap()
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.dir.path().join(def(name).zone.folder()).join(name)
    }

    fn log(&self, name: &str, version: u64) -> PathBuf {
        self.folder(name)
            .join("_delta_log")
            .join(format!("{version:020}.json"))
    }

    /// A table that another version of trueup, or another program, has made.
    async fn make(&self, name: &str, fields: Vec<Field>) -> DeltaTable {
        std::fs::create_dir_all(self.folder(name)).unwrap();
        let schema = Arc::new(Schema::new(fields));
        let schema: StructType = schema.as_ref().try_into_kernel().unwrap();
        let table = DeltaTable::try_from_url(url(&self.folder(name)))
            .await
            .unwrap();
        table
            .create()
            .with_columns(schema.fields().cloned())
            .await
            .unwrap()
    }
}

fn def(name: &str) -> &'static TableDef {
    table(name).unwrap()
}

fn fields_of(name: &str) -> Vec<Field> {
    def(name)
        .schema()
        .fields()
        .iter()
        .map(|field| field.as_ref().clone())
        .collect()
}

fn customer(id: &str, name: &str, updated_at: Option<&str>) -> Value {
    json!({"source": "acme", "customer_id": id, "name": name, "updated_at": updated_at})
}

fn usage(id: &str, day: u32) -> Value {
    json!({
        "source": "acme", "usage_id": id, "quantity": "5.5",
        "occurred_at": format!("2026-03-{day:02}T10:00:00Z"), "usage_date": date(day),
    })
}

fn date(day: u32) -> String {
    format!("2026-03-{day:02}")
}

fn written(rows: u64) -> Tally {
    Tally {
        written: rows,
        ..Tally::default()
    }
}

fn unchanged(rows: u64) -> Tally {
    Tally {
        unchanged: rows,
        ..Tally::default()
    }
}

/// Every file below a folder.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path);
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_a_write_is_counted_once_and_writing_it_again_makes_no_version() {
    let place = Place::new().await;
    let first = [customer("a", "Ann", None), customer("b", "Bob", None)];
    assert_eq!(
        place.put("customers", &first).await,
        (written(2), Outcome::Committed(1))
    );
    let rows = [
        customer("a", "Ann", None),
        customer("b", "Rob", None),
        customer("c", "Cy", None),
        customer("c", "Cy", None),
        customer("d", "newer", Some("2026-03-02T00:00:00Z")),
        customer("d", "older", Some("2026-03-01T00:00:00Z")),
        customer("e", "first", None),
        customer("e", "second", None),
    ];
    let lost = vec![
        Rejected {
            row: 5,
            kept: Some(4),
        },
        Rejected {
            row: 6,
            kept: Some(7),
        },
    ];
    let tally = Tally {
        written: 4,
        unchanged: 2,
        superseded: lost.clone(),
    };
    assert_eq!(
        place.put("customers", &rows).await,
        (tally, Outcome::Committed(2))
    );
    let held = place
        .rows("select customer_id as id, name from customers order by id")
        .await;
    let expected = [
        ("a", "Ann"),
        ("b", "Rob"),
        ("c", "Cy"),
        ("d", "newer"),
        ("e", "second"),
    ];
    assert_eq!(
        held,
        expected.map(|(id, name)| json!({"id": id, "name": name}))
    );

    let tally = Tally {
        written: 0,
        unchanged: 6,
        superseded: lost,
    };
    assert_eq!(
        place.put("customers", &rows).await,
        (tally, Outcome::Unchanged)
    );
    assert_eq!(place.open("customers").await.version(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_changes_its_day_leaves_the_old_one_and_no_other_day_is_touched() {
    let place = Place::new().await;
    place
        .put(
            "usage_records",
            &[usage("u1", 1), usage("u2", 1), usage("u3", 9)],
        )
        .await;
    let moved = place.put("usage_records", &[usage("u1", 2)]).await;
    assert_eq!(moved, (written(1), Outcome::Committed(2)));
    let query = "select usage_id, cast(usage_date as date) as day from usage_records order by 1, 2";
    let expected = [("u1", 2), ("u2", 1), ("u3", 9)];
    let expected = expected.map(|(id, day)| json!({"usage_id": id, "day": date(day)}));
    assert_eq!(place.rows(query).await, expected);

    let usage = def("usage_records");
    let table = place.open("usage_records").await;
    let days = |days: &[u32]| Some(days.iter().map(|day| date(*day)).collect::<BTreeSet<_>>());
    assert_eq!(
        changed_partitions(usage, &table, 0).await.unwrap(),
        days(&[1, 2, 9])
    );
    assert_eq!(
        changed_partitions(usage, &table, 1).await.unwrap(),
        days(&[1, 2])
    );
    assert_eq!(
        changed_partitions(usage, &table, 2).await.unwrap(),
        days(&[])
    );
    // Where the log has been cleaned up, nobody can say.
    std::fs::remove_file(place.log("usage_records", 1)).unwrap();
    assert_eq!(changed_partitions(usage, &table, 0).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn volatile_columns_alone_are_no_change_but_come_along_with_one() {
    let place = Place::new().await;
    let writer = Writer::new("test", "run_1");
    let at = |day: usize| Some(["2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"][day]);
    place.put("customers", &[customer("a", "Ann", at(0))]).await;
    let same = [customer("a", "Ann", at(1))];
    let outcome = place
        .put_by(&writer, "customers", &same, &["updated_at"])
        .await;
    assert_eq!(outcome, (unchanged(1), Outcome::Unchanged));
    let renamed = [customer("a", "Anna", at(1))];
    let outcome = place
        .put_by(&writer, "customers", &renamed, &["updated_at"])
        .await;
    assert_eq!(outcome, (written(1), Outcome::Committed(2)));
    let held = place.rows("select name, updated_at from customers").await;
    assert_eq!(held, [json!({"name": "Anna", "updated_at": at(1)})]);
    // An older row does not come back, whatever it says.
    let earlier = [customer("a", "Ann", at(0))];
    let lost = vec![Rejected { row: 0, kept: None }];
    let tally = Tally {
        superseded: lost,
        ..Tally::default()
    };
    assert_eq!(
        place.put("customers", &earlier).await,
        (tally, Outcome::Unchanged)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_were_new_are_looked_up_once_another_has_committed() {
    let place = Place::new().await;
    let empty = place.lake.table(def("customers")).await.unwrap().version();
    place.put("customers", &[customer("a", "Ann", None)]).await;
    let writer = Writer::new("other", "run_2");
    let rows = to_batch(def("customers"), &[customer("a", "Ann", None)]).unwrap();
    let change = Upsert {
        rows,
        volatile: &[],
        new_since: empty,
    };
    let (tally, outcome) = upsert(&place.lake, &place.ctx, def("customers"), &writer, change)
        .await
        .unwrap();
    assert_eq!((tally, outcome), (unchanged(1), Outcome::Unchanged));
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Tier {
    up_to: Option<Decimal>,
    unit_price: Option<Decimal>,
    flat_fee: Option<Decimal>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Price {
    source: String,
    price_id: String,
    charge_model: String,
    unit_price: Option<Decimal>,
    rounding_scale: Option<i32>,
    tiers: Option<Vec<Tier>>,
    is_active: Option<bool>,
    effective_from: DateTime<Utc>,
    effective_to: Option<DateTime<Utc>>,
}

#[tokio::test(flavor = "multi_thread")]
async fn values_come_back_exactly_as_they_were_written() {
    let decimal = |text: &str| Some(text.parse::<Decimal>().unwrap());
    let price = |id: &str, unit_price, tiers| Price {
        source: "acme".to_owned(),
        price_id: id.to_owned(),
        charge_model: "graduated".to_owned(),
        unit_price,
        rounding_scale: Some(-2),
        tiers,
        is_active: Some(false),
        effective_from: "2026-03-01T10:00:00.000001Z".parse().unwrap(),
        effective_to: "1969-12-31T23:59:59.999999Z".parse().ok(),
    };
    let tiers = vec![
        Tier {
            up_to: decimal("100"),
            unit_price: decimal("0.000000000001"),
            flat_fee: None,
        },
        Tier {
            up_to: None,
            unit_price: decimal("-0.25"),
            flat_fee: decimal("7.5"),
        },
    ];
    let prices = [
        price(
            "p1",
            decimal("12345678901234567890.123456789012"),
            Some(tiers),
        ),
        price("p2", decimal("-0.000000000001"), Some(Vec::new())),
        Price {
            rounding_scale: None,
            is_active: None,
            ..price("p3", None, None)
        },
    ];
    let batch = to_batch(def("prices"), &prices).unwrap();
    assert_eq!(
        from_batches::<Price>(std::slice::from_ref(&batch)).unwrap(),
        prices
    );

    let place = Place::new().await;
    let writer = Writer::new("test", "run_1");
    let change = || Upsert {
        rows: batch.clone(),
        volatile: &[],
        new_since: None,
    };
    let put = async || {
        upsert(&place.lake, &place.ctx, def("prices"), &writer, change())
            .await
            .unwrap()
    };
    assert_eq!(put().await, (written(3), Outcome::Committed(1)));
    assert_eq!(put().await, (unchanged(3), Outcome::Unchanged));
    let held = query_batches(&place.lake, "select * from prices order by price_id").await;
    assert_eq!(from_batches::<Price>(&held).unwrap(), prices);
}
