//! Tables as they are found: older, foreign, corrupt, or due for maintenance.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::Duration;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use deltalake::protocol::SaveMode;
use serde_json::json;
use trueup::lake::{Lake, LakeError, MaintenancePlan, Outcome, to_batch};
use url::Url;

use super::{Place, customer, def, fields_of, usage};
use crate::support::{files_below, url};

#[tokio::test(flavor = "multi_thread")]
async fn an_older_table_gains_the_columns_it_lacks_and_keeps_its_rows() {
    let place = Place::new().await;
    let lacking = ["timezone", "is_test", "attributes"];
    let mut fields = fields_of("customers");
    fields.retain(|field| !lacking.contains(&field.name().as_str()));
    let older = place.make("customers", fields.clone()).await;
    let row = to_batch(def("customers"), &[customer("a", "Ann", None)]).unwrap();
    let column = |field: &Field| Arc::clone(row.column_by_name(field.name()).unwrap());
    let columns: Vec<_> = fields.iter().map(column).collect();
    let row = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    older
        .write(vec![row])
        .with_save_mode(SaveMode::Append)
        .await
        .unwrap();

    let names = |fields: &[Field]| {
        fields
            .iter()
            .map(|f| f.name().clone())
            .collect::<BTreeSet<_>>()
    };
    for _ in 0..2 {
        let opened = place.lake.table(def("customers")).await.unwrap();
        let schema = opened.snapshot().unwrap().snapshot().arrow_schema();
        let found: Vec<Field> = schema.fields().iter().map(|f| f.as_ref().clone()).collect();
        assert_eq!(names(&found), names(&fields_of("customers")));
        assert_eq!(opened.version(), Some(2), "columns are added once");
    }
    let paris = json!({"source": "acme", "customer_id": "b", "timezone": "Europe/Paris"});
    let (tally, outcome) = place
        .put("customers", &[customer("a", "Ann", None), paris])
        .await;
    assert_eq!(
        (tally.written, tally.unchanged, outcome),
        (1, 1, Outcome::Committed(3))
    );
    let held = place
        .rows("select customer_id, name, timezone from customers order by 1")
        .await;
    let expected = [
        json!({"customer_id": "a", "name": "Ann", "timezone": null}),
        json!({"customer_id": "b", "name": null, "timezone": "Europe/Paris"}),
    ];
    assert_eq!(held, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_not_ours_is_refused_by_the_name_of_its_column() {
    type Alter = fn(&mut Vec<Field>);
    let retype: Alter = |fields| {
        for field in fields.iter_mut().filter(|field| field.name() == "status") {
            *field = Field::new("status", DataType::Int64, true);
        }
    };
    let add: Alter = |fields| fields.push(Field::new("colour", DataType::Utf8, true));
    let omit: Alter = |fields| fields.retain(|field| field.name() != "customer_id");
    let cases = [
        (retype, "column `status` is Int64, not Utf8"),
        (add, "it has a column `colour` that is not known here"),
        (omit, "the required column `customer_id` is missing"),
    ];
    for (alter, expected) in cases {
        let place = Place::new().await;
        let mut fields = fields_of("customers");
        alter(&mut fields);
        place.make("customers", fields).await;
        match place.lake.table(def("customers")).await {
            Err(LakeError::Schema {
                table: "customers",
                difference,
            }) => {
                assert_eq!(difference, expected);
            }
            other => panic!("{expected}: {other:?}"),
        }
        assert_eq!(place.open("customers").await.version(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_log_is_an_error_and_never_an_empty_table() {
    let place = Place::new().await;
    place.put("customers", &[customer("a", "Ann", None)]).await;
    std::fs::write(place.log("customers", 0), "not a log").unwrap();
    let before = files_below(place.dir.path());
    let lake = Lake::open(&url(place.dir.path())).await.unwrap();
    let existing = lake.existing(def("customers")).await.map(|_| ());
    let opened = lake.table(def("customers")).await.map(|_| ());
    for result in [existing, opened] {
        let refused = matches!(
            result,
            Err(LakeError::Open {
                table: "customers",
                ..
            })
        );
        assert!(refused, "{result:?}");
    }
    assert_eq!(files_below(place.dir.path()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_scheme_is_refused_with_the_known_ones() {
    let error = Lake::open(&Url::parse("ftp://host/lake").unwrap())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot open `ftp://host/lake/`: `ftp://` is not an object store trueup knows; \
         use a path, s3://, gs:// or az://"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_maintenance_plan_names_the_tables_and_changes_nothing() {
    let place = Place::new().await;
    place
        .put(
            "usage_records",
            &[usage("u1", 1), usage("u2", 2), usage("u3", 3)],
        )
        .await;
    place.put("customers", &[customer("a", "Ann", None)]).await;
    place.put("customers", &[customer("b", "Bob", None)]).await;
    let before = files_below(place.dir.path());
    let plan = place
        .lake
        .maintenance_plan(Duration::days(30))
        .await
        .unwrap();
    let expected = [
        MaintenancePlan {
            table: "customers",
            version: 2,
            files: 2,
            expired: 0,
        },
        MaintenancePlan {
            table: "usage_records",
            version: 1,
            files: 3,
            expired: 0,
        },
    ];
    assert_eq!(plan, expected);
    assert_eq!(files_below(place.dir.path()), before);
}
