//! Failures: what cannot be read or is not there is told, and stops nothing else.

use serde_json::json;

use super::{config, counts, exported, gzip, put};
use crate::support::{EVENTS, World, assert_code, stderr};

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

#[test]
fn a_run_that_is_tried_again_counts_what_all_of_its_tries_did() {
    let world = World::new(&config(&["shop"]));
    world.write(
        "data/shop/customers/a.csv",
        "customer_id,name\nc1,Acme\nc2,Bolt\n",
    );
    let whole = gzip("customer_id,name\nc3,Core\nc4,Dune\nc5,Echo\n");
    let name = "data/shop/customers/b.csv.gz";
    put(&world, name, &whole[..whole.len() - 12]);
    let as_of = ["--as-of", "2026-03-04T12:00:00Z"];
    let failed = counts(&exported(&world, 40, &as_of), "customers");
    assert!(failed[1] >= 2, "{failed:?}");
    let again = exported(&world, 40, &as_of);
    assert_eq!(counts(&again, "customers"), failed);

    put(&world, name, &whole);
    let mended = exported(&world, 0, &as_of);
    assert_eq!(counts(&mended, "customers"), [5, 5, 0, 0]);
    let kept = world.rows("select * from exports");
    assert_eq!(counts(&kept, "customers"), [5, 5, 0, 0]);
    assert_eq!(
        (kept.len(), &kept[0]["status"], &kept[0]["error"]),
        (1, &json!("ok"), &json!(null))
    );

    // More files under the same moment: the row is that of the whole run, not of its last try.
    world.write("data/shop/customers/c.csv", "customer_id,name\nc6,Fern\n");
    let more = exported(&world, 0, &as_of);
    assert_eq!(counts(&more, "customers"), [6, 6, 0, 0]);
}

#[test]
fn files_that_fail_are_named_as_far_as_can_be_read() {
    let world = World::new(&config(&["shop"]));
    world.write("data/shop/meters/good.csv", "meter\na\n");
    let named = |count: usize| {
        for file in ["a", "b", "c", "d", "e"].iter().take(count) {
            let path = format!("data/shop/meters/{file}.csv");
            world.write(&path, "meter,unit,unit\n");
        }
        let as_of = format!("2026-03-{count:02}T12:00:00Z");
        let rows = exported(&world, 40, &["--as-of", &as_of]);
        rows[0]["error"].as_str().unwrap().to_owned()
    };
    let of = |file: &str| format!("cannot read meters/{file}.csv: the header names `unit` twice");
    let three = [of("a"), of("b"), of("c")].join("; ");
    assert_eq!(named(1), of("a"));
    assert_eq!(named(3), three);
    assert_eq!(named(4), format!("{three}; and 1 more file"));
    assert_eq!(named(5), format!("{three}; and 2 more files"));
}

#[test]
fn a_table_of_which_no_row_can_be_taken_has_failed() {
    let world = World::new(EVENTS);
    let header = "usage_id,customer_id,meter,quantity,occurred_at";
    let row = |id: &str, quantity: &str| format!("{id},c1,api,{quantity},2026-03-02T10:00:00Z");
    let path = "events/usage_records.csv";
    world.write(
        path,
        &format!("{header}\n{}\n{}\n", row("u1", "many"), row("u2", "few")),
    );
    // It is read again, and has failed, as long as it is like that.
    for day in [4, 5] {
        let as_of = format!("2026-03-{day:02}T12:00:00Z");
        let rows = exported(&world, 40, &["--as-of", &as_of]);
        assert_eq!(counts(&rows, "usage_records"), [2, 0, 0, 2]);
        let error = rows[0]["error"].as_str().unwrap();
        let expected = "all 2 rows are rejected, the first at usage_records.csv:2: ";
        assert!(error.starts_with(expected), "{error}");
        let detected = world.run(&["detect", "--rule", "negative-usage", "--as-of", &as_of]);
        assert_code(&detected, 30);
    }
    // One row that can be taken is enough: the others are told as rejects.
    world.write(
        path,
        &format!("{header}\n{}\n{}\n", row("u1", "many"), row("u2", "2")),
    );
    let rows = exported(&world, 0, &["--as-of", "2026-03-06T12:00:00Z"]);
    assert_eq!(counts(&rows, "usage_records"), [2, 1, 0, 1]);
}

#[test]
fn a_column_that_seems_to_be_misspelt_is_told() {
    let world = World::new(&config(&["shop"]));
    let usage = "usage_id,meter,quantity,occurred_at,recordedat,region
u1,api,1,2026-03-02T10:00:00Z,2026-03-02T10:00:05Z,eu
";
    world.write("data/shop/usage_records/a.csv", usage);
    world.write("data/shop/usage_records/b.csv", &usage.replace("u1", "u2"));
    world.write(
        "data/shop/customers.jsonl",
        "{\"customer_id\":\"c1\",\"nmae\":\"Acme\",\"note\":\"large\",\"stauts\":null}\n",
    );
    world.write(
        "data/shop/entity_links.csv",
        "entity_type,entity_id,other_source,other_entityid\ncustomer,c1,till,x\n",
    );
    let output = world.run(&["export", "--as-of", "2026-03-04T12:00:00Z"]);
    assert_code(&output, 0);
    let said = stderr(&output);
    for (column, of, meant, kept) in [
        (
            "recordedat",
            "usage_records/a.csv and 1 more file",
            "recorded_at",
            "kept in attributes",
        ),
        ("nmae", "customers.jsonl", "name", "kept in attributes"),
        (
            "other_entityid",
            "entity_links.csv",
            "other_entity_id",
            "not kept",
        ),
    ] {
        let warning = format!(
            "shop: column `{column}` of {of} is not known; did you mean `{meant}`? its values are {kept}"
        );
        assert!(said.contains(&warning), "{warning} not in {said}");
    }
    assert_eq!(said.matches("did you mean").count(), 3, "{said}");
    let kept =
        world.rows("select attributes, recorded_at from usage_records where usage_id = 'u1'");
    let attributes = r#"{"recordedat":"2026-03-02T10:00:05Z","region":"eu"}"#;
    assert_eq!(
        kept,
        [json!({"attributes": attributes, "recorded_at": null})]
    );
}
