//! Order: which of two rows of one key stands is the same whatever was touched last.

use serde_json::json;

use super::{config, counts, exported};
use crate::support::World;

#[track_caller]
fn assert_units(world: &World, expected: &[(&str, &str)]) {
    let held = world.rows("select meter, unit from meters order by meter");
    let row = |(meter, unit): &(&str, &str)| json!({"meter": meter, "unit": unit});
    assert_eq!(held, expected.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn the_last_file_by_path_stands_even_when_an_earlier_one_is_touched() {
    let world = World::new(&config(&["shop"]));
    let export = |day: u8| {
        let rows = exported(
            &world,
            0,
            &["--as-of", &format!("2026-03-{day:02}T12:00:00Z")],
        );
        counts(&rows, "meters")
    };
    world.write("data/shop/meters/a.csv", "meter,unit\na,old\nx,1\n");
    world.write("data/shop/meters/b.csv", "meter,unit\na,new\n");
    assert_eq!(export(4), [3, 2, 0, 1]);
    assert_units(&world, &[("a", "new"), ("x", "1")]);

    // Its other row changed, this one did not: it must not come back over that of the later file.
    world.write("data/shop/meters/a.csv", "meter,unit\na,old\nx,2\n");
    assert_eq!(export(5), [2, 1, 0, 1]);
    assert_units(&world, &[("a", "new"), ("x", "2")]);
    let lost = world.rows("select origin, reason_code, reason from rejects");
    let reason = "a file behind this one holds the same key: meters/b.csv:2";
    let origin = "meters/a.csv:2";
    assert_eq!(
        lost,
        [json!({"origin": origin, "reason_code": "superseded", "reason": reason})]
    );

    // Once the later file has no such row any more, nothing stands against it.
    world.write("data/shop/meters/b.csv", "meter,unit\nz,1\n");
    assert_eq!(export(6), [1, 1, 0, 0]);
    world.write("data/shop/meters/a.csv", "meter,unit\na,old\nx,3\n");
    assert_eq!(export(7), [2, 2, 0, 0]);
    assert_units(&world, &[("a", "old"), ("x", "3"), ("z", "1")]);
}

#[test]
fn a_row_that_says_it_is_newer_stands_wherever_it_is() {
    let world = World::new(&config(&["shop"]));
    let of = |unit: &str, day: u8| format!("meter,unit,updated_at\nz,{unit},2026-03-{day:02}\n");
    world.write("data/shop/meters/a.csv", &of("first", 1));
    world.write("data/shop/meters/b.csv", &of("second", 2));
    exported(&world, 0, &["--as-of", "2026-03-04T12:00:00Z"]);
    assert_units(&world, &[("z", "second")]);
    world.write("data/shop/meters/a.csv", &of("third", 3));
    exported(&world, 0, &["--as-of", "2026-03-05T12:00:00Z"]);
    assert_units(&world, &[("z", "third")]);
    exported(&world, 0, &["--full", "--as-of", "2026-03-06T12:00:00Z"]);
    assert_units(&world, &[("z", "third")]);
}
