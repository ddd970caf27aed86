//! What tests share: a lake in a temporary folder, the binary, and tables read back.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use datafusion::arrow::array::RecordBatch;
use serde_json::Value;
use tempfile::TempDir;
use trueup::lake::{Lake, TABLES, from_batches};
use trueup::session::{Pinned, Resources, Sessions};
use url::Url;

/// A metering system that has usage records and nothing else.
pub(crate) const EVENTS: &str = r#"
[[sources]]
name = "events"
kind = "files"
role = "metering"
path = "events/"
without = ["customers", "subscriptions", "subscription_items", "meters", "prices", "bill_runs", "invoices",
    "invoice_lines", "adjustments", "entity_links"]
"#;

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn sessions() -> Sessions {
    Sessions::new(Resources {
        memory: 1 << 30,
        threads: 2,
    })
    .unwrap()
}

pub(crate) fn url(dir: &Path) -> Url {
    Url::from_directory_path(dir).unwrap()
}

/// A world of files with a configuration, in a folder of its own.
pub(crate) struct World {
    pub(crate) dir: TempDir,
}

impl World {
    pub(crate) fn new(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("trueup.toml"), config).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut all = vec!["--config", "trueup.toml"];
        all.extend(arguments);
        trueup(self.dir.path(), &all)
    }

    pub(crate) fn rows(&self, query: &str) -> Vec<Value> {
        rows(&self.path("lake"), query)
    }
}

/// Runs the binary in a folder.
pub(crate) fn trueup(dir: &Path, arguments: &[&str]) -> Output {
    Command::cargo_bin("trueup")
        .unwrap()
        .current_dir(dir)
        .args(arguments)
        .output()
        .unwrap()
}

#[track_caller]
pub(crate) fn assert_code(output: &Output, code: i32) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(
        output.status.code(),
        Some(code),
        "stdout: {}\nstderr: {}",
        text(&output.stdout),
        text(&output.stderr)
    );
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a query over a lake's tables gives.
pub(crate) fn rows(lake: &Path, query: &str) -> Vec<Value> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let lake = Lake::open(&url(lake)).await.unwrap();
        from_batches(&query_batches(&lake, query).await).unwrap()
    })
}

pub(crate) async fn query_batches(lake: &Lake, query: &str) -> Vec<RecordBatch> {
    let ctx = sessions().session();
    Pinned::new(lake, &ctx, TABLES.iter())
        .await
        .unwrap()
        .register(&ctx)
        .unwrap();
    ctx.sql(query).await.unwrap().collect().await.unwrap()
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
