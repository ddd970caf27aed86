//! Commits: what is refused, who excludes whom, and what the log remembers.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, new_null_array};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use futures::TryStreamExt;
use futures::future::join_all;
use serde_json::{Value, json};
use trueup::lake::{
    Change, LakeError, Outcome, Tally, Writer, commit, last_number, rows_committed, to_batch,
};

use super::{Place, customer, def, fields_of, usage};

#[tokio::test(flavor = "multi_thread")]
async fn a_row_without_a_partition_is_never_committed() {
    let place = Place::new().await;
    let rows = to_batch(def("usage_records"), &[usage("u1", 1)]).unwrap();
    let mut columns = rows.columns().to_vec();
    *columns.last_mut().unwrap() = new_null_array(&DataType::Date32, 1);
    let fields: Vec<Field> = fields_of("usage_records")
        .into_iter()
        .map(|field| field.with_nullable(true))
        .collect();
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    let changes: [fn(RecordBatch) -> Change; 3] = [
        |rows| Change::Append(vec![rows]),
        Change::Merge,
        |rows| Change::Replace {
            predicate: "usage_date is null".to_owned(),
            rows: vec![rows],
        },
    ];
    let writer = Writer::new("test", "run_1");
    for change in changes {
        let result = commit(
            &place.lake,
            &place.ctx,
            def("usage_records"),
            &writer,
            async |_| Ok(Some(change(rows.clone()))),
        )
        .await;
        let refused = matches!(
            result,
            Err(LakeError::EmptyPartition {
                table: "usage_records",
                column: "usage_date",
                rows: 1
            })
        );
        assert!(refused, "{result:?}");
        assert_eq!(place.open("usage_records").await.version(), Some(0));
    }
}

async fn put_three(place: &Place, name: &str) -> Tally {
    let rows = ["a", "b", "c"].map(|id| customer(id, name, None));
    place.put("customers", &rows).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_that_race_for_the_same_keys_leave_each_once() {
    for place in [Place::new().await, Place::in_memory().await] {
        // Made before: of two writers that make it at once, both may leave a first commit.
        place.lake.table(def("customers")).await.unwrap();
        let tallies = join_all(["same"; 4].map(|name| put_three(&place, name))).await;
        let sum = |count: fn(&Tally) -> u64, of: &[Tally]| of.iter().map(count).sum::<u64>();
        assert_eq!(sum(|tally| tally.written, &tallies), 3);
        assert_eq!(sum(|tally| tally.unchanged, &tallies), 9);
        assert_eq!(place.open("customers").await.version(), Some(1));

        let tallies = join_all(["w", "x", "y", "z"].map(|name| put_three(&place, name))).await;
        assert_eq!(sum(|tally| tally.written, &tallies), 12);
        assert_eq!(place.open("customers").await.version(), Some(5));
        let query = "select count(*) as held, count(distinct customer_id) as ids,
            count(distinct name) as names from customers";
        assert_eq!(
            place.rows(query).await,
            [json!({"held": 3, "ids": 3, "names": 1})]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_committed_once_by_each_writer() {
    let place = Place::new().await;
    let put = async |name: &str, number: i64, id: &str| {
        let writer = Writer {
            name: name.to_owned(),
            run_id: "run_1",
            number: Some(number),
        };
        place
            .put_by(&writer, "customers", &[customer(id, "Ann", None)], &[])
            .await
            .1
    };
    assert_eq!(put("build", 7, "a").await, Outcome::Committed(1));
    assert_eq!(put("build", 7, "b").await, Outcome::Unchanged);
    assert_eq!(put("build", 6, "b").await, Outcome::Unchanged);
    assert_eq!(put("build", 8, "b").await, Outcome::Committed(2));
    assert_eq!(put("other", 1, "c").await, Outcome::Committed(3));
    let held = place
        .rows("select customer_id as id from customers order by id")
        .await;
    assert_eq!(held, ["a", "b", "c"].map(|id| json!({"id": id})));
    let table = place.open("customers").await;
    let number = async |name| last_number(def("customers"), &table, name).await.unwrap();
    assert_eq!(
        (number("build").await, number("other").await),
        (Some(8), Some(1))
    );
    assert_eq!(number("nobody").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_which_run_and_writer_brought_how_many_rows() {
    let place = Place::new().await;
    let put = async |name: &str, run: &str, rows: &[Value]| {
        place
            .put_by(&Writer::new(name, run), "usage_records", rows, &[])
            .await
    };
    put("a", "run_1", &[usage("u1", 1), usage("u2", 1)]).await;
    // One row in and, because it changes its day, one out: only the first counts.
    put("a", "run_1", &[usage("u1", 2)]).await;
    put("b", "run_1", &[usage("u3", 1)]).await;
    put("a", "run_2", &[usage("u4", 1)]).await;

    let table = place.open("usage_records").await;
    let rows = async |name: &str, run: &str| {
        rows_committed(def("usage_records"), &table, &Writer::new(name, run))
            .await
            .unwrap()
    };
    assert_eq!((rows("a", "run_1").await, rows("b", "run_1").await), (3, 1));
    assert_eq!((rows("a", "run_2").await, rows("b", "run_2").await), (1, 0));

    let history: Vec<_> = table.history(None).try_collect().await.unwrap();
    let text = |at: usize, key: &str| history[at].info.get(key).and_then(Value::as_str);
    assert_eq!(history.len(), 5, "four commits and the making of the table");
    assert_eq!(
        (text(0, "trueup.run_id"), text(0, "trueup.writer")),
        (Some("run_2"), Some("a"))
    );
    assert_eq!(
        (text(1, "trueup.run_id"), text(1, "trueup.writer")),
        (Some("run_1"), Some("b"))
    );
    let marks: BTreeSet<&str> = (0..4).filter_map(|at| text(at, "trueup.mark")).collect();
    assert_eq!(marks.len(), 4);
    assert!(marks.iter().all(|mark| mark.len() == 16), "{marks:?}");
}
