//! What is built: as defined, in figures counted elsewhere, and empty where there is nothing.

use serde_json::json;
use trueup::model::Decimal;

use super::records::{Usage, date, generate};
use super::{DERIVED, Place, refreshed};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_build_is_what_the_definitions_say() {
    let place = Place::new().await;
    assert_eq!(place.put(&generate(600, 400)).await.written, 600);
    assert_eq!(place.refresh().await, refreshed(12, 12, 59));
    place.assert_as_defined("full build").await;
    // The numbers below were counted outside the engine, from the same generator.
    let repeats = "select count(*) as found,
        count(*) filter (where cast(usage_date as date) <> original_usage_date) as across_days
        from usage_duplicates";
    assert_eq!(
        place.rows(repeats).await,
        [json!({"found": 59, "across_days": 45})]
    );
    let counts = "select count(*) as held, sum(record_count) as counted, sum(late_count) as late,
        sum(duplicate_count) as repeated from usage_daily";
    let expected = json!({"held": 175, "counted": 478, "late": 87, "repeated": 55});
    assert_eq!(place.rows(counts).await, [expected]);
    let sums = place
        .rows("select sum(quantity_sum) as total from usage_daily")
        .await;
    let total: Decimal = serde_json::from_value(sums[0]["total"].clone()).unwrap();
    assert_eq!(total, "17443.9".parse::<Decimal>().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn days_without_keys_repeats_or_any_record_are_empty_and_no_failure() {
    let place = Place::new().await;
    place
        .put(&[Usage::new("a", 1, None), Usage::new("b", 2, None)])
        .await;
    assert_eq!(place.refresh().await, refreshed(2, 2, 0));
    place.put(&[Usage::new("b", 1, None)]).await;
    assert_eq!(place.refresh().await, refreshed(2, 2, 0));
    let query = "select cast(usage_date as date) as day, record_count from usage_daily";
    assert_eq!(
        place.rows(query).await,
        [json!({"day": date(1), "record_count": 2})]
    );
    place
        .put(&[
            Usage::new("a", 1, None).voided(),
            Usage::new("b", 1, None).voided(),
        ])
        .await;
    assert_eq!(place.refresh().await, refreshed(1, 1, 0));
    for name in DERIVED {
        assert!(place.held(name).await.is_empty(), "{name}");
    }
}
