//! Writes: which rows of one are new, changed, superseded or there already, and on which days.

use std::collections::BTreeSet;

use serde_json::json;
use trueup::lake::{
    Outcome, Rejected, Tally, Upsert, Writer, changed_partitions, to_batch, upsert,
};

use super::{Place, customer, date, def, unchanged, usage, written};

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_a_write_is_counted_once_and_writing_it_again_makes_no_version() {
    let place = Place::new().await;
    let first = [customer("a", "Ann", None), customer("b", "Bob", None)];
    assert_eq!(
        place.put("customers", &first).await,
        (written(2), Outcome::Committed(1))
    );
    let rows = [
        customer("a", "Ann", None),
        customer("b", "Rob", None),
        customer("c", "Cy", None),
        customer("c", "Cy", None),
        customer("d", "newer", Some("2026-03-02T00:00:00Z")),
        customer("d", "older", Some("2026-03-01T00:00:00Z")),
        customer("e", "first", None),
        customer("e", "second", None),
    ];
    let lost = vec![
        Rejected {
            row: 5,
            kept: Some(4),
        },
        Rejected {
            row: 6,
            kept: Some(7),
        },
    ];
    let tally = Tally {
        written: 4,
        unchanged: 2,
        superseded: lost.clone(),
    };
    assert_eq!(
        place.put("customers", &rows).await,
        (tally, Outcome::Committed(2))
    );
    let held = place
        .rows("select customer_id as id, name from customers order by id")
        .await;
    let expected = [
        ("a", "Ann"),
        ("b", "Rob"),
        ("c", "Cy"),
        ("d", "newer"),
        ("e", "second"),
    ];
    assert_eq!(
        held,
        expected.map(|(id, name)| json!({"id": id, "name": name}))
    );

    let tally = Tally {
        written: 0,
        unchanged: 6,
        superseded: lost,
    };
    assert_eq!(
        place.put("customers", &rows).await,
        (tally, Outcome::Unchanged)
    );
    assert_eq!(place.open("customers").await.version(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_changes_its_day_leaves_the_old_one_and_no_other_day_is_touched() {
    let place = Place::new().await;
    place
        .put(
            "usage_records",
            &[usage("u1", 1), usage("u2", 1), usage("u3", 9)],
        )
        .await;
    let moved = place.put("usage_records", &[usage("u1", 2)]).await;
    assert_eq!(moved, (written(1), Outcome::Committed(2)));
    let query = "select usage_id, cast(usage_date as date) as day from usage_records order by 1, 2";
    let expected = [("u1", 2), ("u2", 1), ("u3", 9)];
    let expected = expected.map(|(id, day)| json!({"usage_id": id, "day": date(day)}));
    assert_eq!(place.rows(query).await, expected);

    let usage = def("usage_records");
    let table = place.open("usage_records").await;
    let days = |days: &[u32]| Some(days.iter().map(|day| date(*day)).collect::<BTreeSet<_>>());
    assert_eq!(
        changed_partitions(usage, &table, 0).await.unwrap(),
        days(&[1, 2, 9])
    );
    assert_eq!(
        changed_partitions(usage, &table, 1).await.unwrap(),
        days(&[1, 2])
    );
    assert_eq!(
        changed_partitions(usage, &table, 2).await.unwrap(),
        days(&[])
    );
    // Where the log has been cleaned up, nobody can say.
    std::fs::remove_file(place.log("usage_records", 1)).unwrap();
    assert_eq!(changed_partitions(usage, &table, 0).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn volatile_columns_alone_are_no_change_but_come_along_with_one() {
    let place = Place::new().await;
    let writer = Writer::new("test", "run_1");
    let at = |day: usize| Some(["2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"][day]);
    place.put("customers", &[customer("a", "Ann", at(0))]).await;
    let same = [customer("a", "Ann", at(1))];
    let outcome = place
        .put_by(&writer, "customers", &same, &["updated_at"])
        .await;
    assert_eq!(outcome, (unchanged(1), Outcome::Unchanged));
    let renamed = [customer("a", "Anna", at(1))];
    let outcome = place
        .put_by(&writer, "customers", &renamed, &["updated_at"])
        .await;
    assert_eq!(outcome, (written(1), Outcome::Committed(2)));
    let held = place.rows("select name, updated_at from customers").await;
    assert_eq!(held, [json!({"name": "Anna", "updated_at": at(1)})]);
    // An older row does not come back, whatever it says.
    let earlier = [customer("a", "Ann", at(0))];
    let lost = vec![Rejected { row: 0, kept: None }];
    let tally = Tally {
        superseded: lost,
        ..Tally::default()
    };
    assert_eq!(
        place.put("customers", &earlier).await,
        (tally, Outcome::Unchanged)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_without_a_moment_is_neither_older_nor_newer_in_one_write_or_in_two() {
    let dated = || customer("a", "dated", Some("2026-03-01T00:00:00Z"));
    let undated = || customer("a", "undated", None);
    for (first, last, stands) in [
        (dated(), undated(), "undated"),
        (undated(), dated(), "dated"),
    ] {
        let (one, two) = (Place::new().await, Place::new().await);
        one.put("customers", &[first.clone(), last.clone()]).await;
        two.put("customers", &[first]).await;
        two.put("customers", &[last]).await;
        for place in [one, two] {
            let held = place.rows("select name from customers").await;
            assert_eq!(held, [json!({"name": stands})]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_were_new_are_looked_up_once_another_has_committed() {
    let place = Place::new().await;
    let empty = place.lake.table(def("customers")).await.unwrap().version();
    place.put("customers", &[customer("a", "Ann", None)]).await;
    let writer = Writer::new("other", "run_2");
    let rows = to_batch(def("customers"), &[customer("a", "Ann", None)]).unwrap();
    let change = Upsert {
        rows,
        volatile: &[],
        new_since: empty,
    };
    let (tally, outcome) = upsert(&place.lake, &place.ctx, def("customers"), &writer, change)
        .await
        .unwrap();
    assert_eq!((tally, outcome), (unchanged(1), Outcome::Unchanged));
}
