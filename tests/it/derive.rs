//! Derived usage: the tables hold what their SQL definitions say, whichever way they came about.
//!
//! `records` makes usage up, `building` is about tables made in one go, `refreshing` about changes,
//! `failing` about days that cannot be rolled up.

mod building;
mod failing;
mod records;
mod refreshing;

use std::collections::BTreeSet;

use datafusion::arrow::array::RecordBatch;
use serde_json::Value;
use tempfile::TempDir;
use trueup::derive::{Refreshed, refresh};
use trueup::lake::{
    Lake, TableDef, Tally, Upsert, Writer, changed_partitions, from_batches, table, to_batch,
    upsert,
};
use trueup::session::{Pinned, Sessions};

use self::records::Usage;
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
        ..Refreshed::default()
    }
}
