//! What cannot be rolled up: a sum too large fails its own source, is never forgotten, and is told.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::records::{Usage, date};
use super::{Place, refreshed};
use crate::support::{World, assert_code, stderr, stdout};

/// Two of them are more than a quantity can be.
const HUGE: &str = "90000000000000000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn a_sum_too_large_fails_its_source_until_it_is_mended_and_no_other() {
    let place = Place::new().await;
    let east = |id, day| Usage::new(id, day, None);
    let west = |id, day| {
        let mut row = Usage::new(id, day, None);
        row.source = "west".to_owned();
        row
    };
    let mut rows = vec![east("e1", 1), west("w1", 1), east("e2", 2), west("w2", 2)];
    rows.push(east("e3", 2).measuring(HUGE));
    rows.push(east("e4", 2).measuring(HUGE));
    place.put(&rows).await;
    let query = "select source, cast(usage_date as date) as day from usage_daily order by 1, 2";
    let held = |pairs: &[(&str, u64)]| -> Vec<Value> {
        let row = |(source, day): &(&str, u64)| json!({"source": source, "day": date(*day)});
        pairs.iter().map(row).collect()
    };
    let others = held(&[("east", 1), ("west", 1), ("west", 2)]);
    // Nothing new is no reason to forget it, nor to do again what was done.
    for (attempt, days) in [(1, 2), (2, 1), (3, 1)] {
        let found = place.refresh().await;
        assert_eq!(
            (found.days_changed, found.days_rebuilt),
            (days, days),
            "{attempt}"
        );
        let failed: Vec<&String> = found.failed.keys().collect();
        assert_eq!(failed, ["east"], "{attempt}");
        let reason = &found.failed["east"];
        assert!(
            reason.starts_with("the usage of 2026-03-02 cannot be rolled up: Arrow error"),
            "{reason}"
        );
        assert_eq!(place.rows(query).await, others, "{attempt}");
    }
    // Days that change meanwhile are rolled up all the same.
    place.put(&[west("w3", 3)]).await;
    let before = place.version("usage_daily").await.unwrap();
    let found = place.refresh().await;
    assert_eq!((found.days_changed, found.failed.len()), (2, 1));
    let rebuilt = place.rebuilt(before).await;
    assert_eq!(rebuilt, BTreeSet::from([date(2), date(3)]));
    let others = held(&[("east", 1), ("west", 1), ("west", 2), ("west", 3)]);
    assert_eq!(place.rows(query).await, others);

    place.put(&[east("e4", 2).measuring("1")]).await;
    assert_eq!(place.refresh().await, refreshed(1, 1, 0));
    place.assert_as_defined("mended").await;
    assert_eq!(place.refresh().await, refreshed(0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_fails_because_another_changed_is_tried_again_too() {
    let place = Place::new().await;
    let original = Usage::new("o", 1, Some("k")).measuring(HUGE);
    let rows = [
        original.clone(),
        Usage::new("r", 5, Some("k")).measuring(HUGE),
        Usage::new("x", 5, None).measuring(HUGE),
        // Nothing of this day counts, and that is no failure.
        Usage::new("s", 7, Some("k")),
    ];
    place.put(&rows).await;
    assert_eq!(place.refresh().await, refreshed(3, 3, 2));

    // The repeat becomes the original: its day has both huge records now, and the seventh none still.
    place.put(&[original.voided()]).await;
    for days in [(1, 3), (1, 2), (1, 2)] {
        let found = place.refresh().await;
        assert_eq!((found.days_changed, found.days_rebuilt), days);
        let reason = &found.failed["east"];
        assert!(reason.starts_with("the usage of 2026-03-05 "), "{reason}");
    }
    let mended = Usage::new("x", 5, None).measuring("1");
    place.put(&[mended]).await;
    assert_eq!(place.refresh().await, refreshed(1, 2, 1));
    place.assert_as_defined("mended").await;
    assert_eq!(place.refresh().await, refreshed(0, 0, 0));
}

fn source(name: &str) -> String {
    crate::support::EVENTS.replace("events", name)
}

#[test]
fn usage_that_cannot_be_rolled_up_is_told_and_never_judged_to_be_clean() {
    let world = World::new(&format!("{}{}", source("east"), source("west")));
    let header = "usage_id,customer_id,meter,quantity,occurred_at";
    let usage = |quantity: &str| {
        let row = |id: &str| format!("{id},c1,api,{quantity},2026-03-02T10:00:00Z");
        format!("{header}\n{}\n{}\n", row("u1"), row("u2"))
    };
    world.write("east/usage_records.csv", &usage(HUGE));
    world.write("west/usage_records.csv", &usage("1"));
    let as_of = |day: u8| format!("2026-03-{day:02}T12:00:00Z");
    let judged = |day: u8| {
        world.run(&["detect", "--rule", "negative-usage", "--as-of", &as_of(day)]);
        let query = "select source, status from rule_runs
            qualify row_number() over (partition by source order by started_at desc) = 1
            order by source";
        let rows = world.rows(query);
        let status = |row: &Value| row["status"].as_str().unwrap().to_owned();
        rows.iter().map(status).collect::<Vec<String>>()
    };
    let recorded =
        "select source, status, rows_read, error from exports order by finished_at, source";
    // The second night finds no new file: what failed has failed still.
    for day in [4, 5] {
        let output = world.run(&["export", "--as-of", &as_of(day)]);
        assert_code(&output, 40);
        // What was exported is told before the rollup fails.
        let told: Vec<Value> = stdout(&output)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let statuses: Vec<_> = told.iter().map(|row| &row["status"]).collect();
        assert_eq!(statuses, ["ok", "ok"]);
        let said = stderr(&output);
        assert!(
            said.contains("source east failed: the usage of 2026-03-02 cannot be rolled up"),
            "{said}"
        );
        assert!(!said.contains("west failed"), "{said}");
        assert_eq!(judged(day), ["inconclusive", "clean"], "{day}");
    }
    let first: Vec<Value> = world.rows(recorded).into_iter().take(2).collect();
    let counts = |row: &Value| json!([row["source"], row["status"], row["rows_read"]]);
    let counts: Vec<Value> = first.iter().map(counts).collect();
    // The count of what was read stands beside the failure.
    assert!(counts.contains(&json!(["east", "failed", 2])), "{counts:?}");
    assert!(counts.contains(&json!(["west", "ok", 2])), "{counts:?}");

    world.write("east/usage_records.csv", &usage("1"));
    assert_code(&world.run(&["export", "--as-of", &as_of(6)]), 0);
    assert_eq!(judged(6), ["clean", "clean"]);
}
