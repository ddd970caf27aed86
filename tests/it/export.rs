//! Export: every layout gives the same rows, every row is accounted for, nothing is read twice.
//!
//! What a source may look like, what is refused, what is read, which of two rows stands and what fails
//! have a file each.

mod failures;
mod formats;
mod order;
mod reading;
mod rejects;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::support::{World, assert_code, stdout};

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
