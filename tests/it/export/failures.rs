//! Failures: what cannot be read or is not there is told, and stops nothing else.

use serde_json::json;

use super::{config, counts, exported, gzip, put};
use crate::support::{World, assert_code, stderr};

#[test]
fn a_file_that_breaks_off_fails_its_table_and_nothing_else() {
    let world = World::new(&config(&["shop"]));
    put(
        &world,
        "data/shop/customers.csv.gz",
        &gzip("customer_id,name\nc1,Acme\nc2,Bolt\n"),
    );
    world.write("data/shop/meters.csv", "meter\na\n");
    exported(&world, 0, &["--as-of", "2026-03-04T12:00:00Z"]);

    let broken = gzip("customer_id,name\nc1,Acme\nc2,Bolt\nc3,Core\nc4,Dune\n");
    put(
        &world,
        "data/shop/customers.csv.gz",
        &broken[..broken.len() - 12],
    );
    world.write("data/shop/meters.csv", "meter\na\nb\n");
    let failed = exported(&world, 40, &["--as-of", "2026-03-05T12:00:00Z"]);
    let customers = failed
        .iter()
        .find(|row| row["table_name"] == "customers")
        .unwrap();
    assert_eq!(
        (&customers["status"], &customers["cursor_after"]),
        // What could not be read is not held to have been read.
        (&json!("failed"), &json!(r#"{"mapping":null,"files":{}}"#))
    );
    assert!(
        customers["error"]
            .as_str()
            .unwrap()
            .contains("customers.csv.gz"),
        "{customers}"
    );
    assert_eq!(counts(&failed, "meters"), [2, 1, 1, 0]);
    let names = |query: &str| world.rows(query).len();
    assert_eq!(
        names("select * from customers where customer_id in ('c1', 'c2')"),
        2
    );
    assert_eq!(names("select * from exports where status = 'failed'"), 1);

    put(
        &world,
        "data/shop/customers.csv.gz",
        &gzip("customer_id,name\nc1,Acme\nc2,Bolt\nc3,Core\n"),
    );
    let mended = exported(&world, 0, &["--as-of", "2026-03-06T12:00:00Z"]);
    assert_eq!(counts(&mended, "customers"), [3, 1, 2, 0]);
}

#[test]
fn nothing_found_is_never_silence() {
    let world = World::new(&config(&["gone", "shop"]));
    world.write("data/shop/meters.csv", "meter\na\n");
    world.write("data/shop/notes.txt", "not a table");
    let output = world.run(&["export", "--as-of", "2026-03-04T12:00:00Z"]);
    assert_code(&output, 40);
    let said = stderr(&output);
    for part in [
        "source gone failed",
        "the folder is missing or empty",
        "shop: `notes.txt` is no file of any table",
        "shop: no file of customers; if this source has none, say so with without = [\"customers\"]",
    ] {
        assert!(said.contains(part), "{part} not in {said}");
    }
    // One source's failure does not stop the others.
    assert_eq!(
        world.rows("select source, meter from meters"),
        [json!({"source": "shop", "meter": "a"})]
    );
}
