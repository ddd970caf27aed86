//! The command line: exit codes that orchestrators obey, and messages that name the place.
//!
//! Each group of commands has a file of its own; what several of them need is here.

mod configuration;
mod detect;
mod failed;
mod maintain;
mod options;
mod rate;
mod rules;
mod sql;

use assert_cmd::Command;
use serde_json::Value;

use crate::support::{World, assert_code, stderr};

const DAY: &str = "2026-03-04T12:00:00Z";
const USAGE: &str = "usage_id,customer_id,meter,quantity,occurred_at,recorded_at
u1,c1,api,10,2026-03-01T10:00:00Z,2026-03-01T10:00:05Z
u2,c1,api,-3,2026-03-02T10:00:00Z,2026-03-02T10:00:05Z
";

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn piped(arguments: &[&str], input: &str) -> std::process::Output {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::cargo_bin("trueup").unwrap();
    command
        .current_dir(dir.path())
        .args(arguments)
        .write_stdin(input.to_owned())
        .output()
        .unwrap()
}

#[track_caller]
fn refused(world: &World, arguments: &[&str], words: &[&str]) {
    let output = world.run(arguments);
    assert_code(&output, 2);
    let said = stderr(&output);
    for word in words {
        assert!(said.contains(word), "`{word}` not in: {said}");
    }
}
