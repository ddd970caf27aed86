//! The lake on real Delta tables: what a write changes and what it leaves alone.
//!
//! `opening` is about tables as they are found, `writing` about rows and what becomes of them,
//! `values` about their exactness, `committing` about writers and the log.

mod committing;
mod opening;
mod values;
mod writing;

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::prelude::SessionContext;
use deltalake::DeltaTable;
use deltalake::kernel::StructType;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use serde_json::{Value, json};
use tempfile::TempDir;
use trueup::lake::{
    Lake, Outcome, TableDef, Tally, Upsert, Writer, from_batches, table, to_batch, upsert,
};
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
