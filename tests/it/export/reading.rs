//! What an export reads: what is new to it, of the tables and sources that it was asked for.

use serde_json::json;

use super::{config, counts, exported};
use crate::support::{World, assert_code, files_below, stderr, stdout};

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

#[test]
fn how_new_the_data_is_does_not_change_with_a_look_at_it() {
    let world = World::new(&config(&["shop"]));
    let header = "usage_id,meter,quantity,occurred_at";
    let row = |id: &str, at: &str| format!("{id},api,1,{at}");
    // A record of the future says nothing of how far the source has come.
    let rows = [
        row("u1", "2026-03-01"),
        row("u2", "2026-03-02T10:00:00Z"),
        row("u3", "2027-01-01"),
    ];
    let first = format!("{header}\n{}\n", rows.join("\n"));
    world.write("data/shop/usage_records/a.csv", &first);
    world.write("data/shop/meters.csv", "meter\napi\n");
    let newest = |day: u8| {
        let as_of = format!("2026-03-{day:02}T12:00:00Z");
        let rows = exported(&world, 0, &["--as-of", &as_of]);
        let row = |table: &str| {
            rows.iter()
                .find(|row| row["table_name"] == table)
                .unwrap()
                .clone()
        };
        // Nothing of a meter says when.
        assert_eq!(row("meters")["high_watermark"], json!(null));
        let usage = row("usage_records");
        (usage["rows_read"].clone(), usage["high_watermark"].clone())
    };
    assert_eq!(newest(4), (json!(3), json!("2026-03-02T10:00:00Z")));
    assert_eq!(newest(5), (json!(0), json!("2026-03-02T10:00:00Z")));
    let late = format!("{header}\n{}\n", row("u4", "2026-02-20"));
    world.write("data/shop/usage_records/b.csv", &late);
    assert_eq!(newest(6), (json!(1), json!("2026-03-02T10:00:00Z")));
    let new = format!("{header}\n{}\n", row("u5", "2026-03-06T20:00:00Z"));
    world.write("data/shop/usage_records/c.csv", &new);
    assert_eq!(newest(7), (json!(1), json!("2026-03-06T20:00:00Z")));

    let printed = world.run(&[
        "export",
        "--format",
        "csv",
        "--as-of",
        "2026-03-08T12:00:00Z",
    ]);
    assert_code(&printed, 0);
    let printed = stdout(&printed);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(
        lines[0],
        "source,table,status,read,written,unchanged,rejected,newest"
    );
    assert!(
        lines.contains(&"shop,usage_records,ok,0,0,0,0,2026-03-06T20:00:00Z"),
        "{printed}"
    );
}

#[test]
fn an_export_commits_its_bookkeeping_once_for_each_source() {
    let world = World::new(&config(&["shop", "till"]));
    for source in ["shop", "till"] {
        world.write(&format!("data/{source}/meters.csv"), "meter\na\n");
        world.write(&format!("data/{source}/customers.csv"), "customer_id\nc\n");
    }
    let commits = || {
        let log = files_below(&world.path("lake/results/exports/_delta_log"));
        log.iter()
            .filter(|file| file.extension().is_some_and(|kind| kind == "json"))
            .count()
    };
    assert_eq!(
        exported(&world, 0, &["--as-of", "2026-03-04T12:00:00Z"]).len(),
        4
    );
    // The table is made, and then a commit a source.
    assert_eq!(commits(), 3);
    assert_eq!(world.rows("select * from exports").len(), 4);
    assert_eq!(
        exported(&world, 0, &["--as-of", "2026-03-05T12:00:00Z"]).len(),
        4
    );
    assert_eq!(commits(), 5);
}
