//! What an export reads: what is new to it, of the tables and sources that it was asked for.

use serde_json::json;

use super::{config, counts, exported};
use crate::support::{World, assert_code, files_below, stderr};

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
