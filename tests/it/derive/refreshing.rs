//! What is refreshed: as if built anew, of the days that a change reaches, and else nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use trueup::derive::Refreshed;

use super::records::{Usage, date, generate};
use super::{DERIVED, Place, refreshed};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refreshed_after_every_change_is_what_is_built_in_one_go() {
    let place = Place::new().await;
    // `o1` will be voided and `m1` will move behind its repeat: `r1` and `r2` become originals.
    let mut base = vec![
        Usage::new("o1", 2, Some("x1")),
        Usage::new("r1", 9, Some("x1")),
        Usage::new("m1", 5, Some("x2")),
        Usage::new("r2", 6, Some("x2")),
    ];
    base.extend(generate(160, 60));
    let mut records = BTreeMap::new();
    let mut keep = |rows: &[Usage]| {
        let rows = rows.iter().cloned();
        records.extend(rows.map(|row| ((row.source.clone(), row.usage_id.clone()), row)));
        records.values().cloned().collect::<Vec<Usage>>()
    };
    let all = keep(&base);
    place.put(&base).await;
    assert_eq!(place.refresh().await, refreshed(12, 12, 34));

    let late = generate(200, 60)
        .split_off(160)
        .into_iter()
        .zip([3, 7].into_iter().cycle());
    let late: Vec<Usage> = late.map(|(row, day)| row.on(day)).collect();
    let second = all
        .into_iter()
        .filter(|row| row.usage_date == date(2))
        .enumerate();
    let correct = |(at, row): (usize, Usage)| {
        if at % 2 == 0 {
            row.voided()
        } else {
            row.measuring("1.5")
        }
    };
    let corrected: Vec<Usage> = second.map(correct).collect();
    keep(&late);
    let all = keep(&corrected);
    let fifth = all.into_iter().filter(|row| row.usage_date == date(5));
    let moved: Vec<Usage> = fifth.take(3).map(|row| row.on(8)).collect();
    let all = keep(&moved);

    let rounds = [
        ("new", late, 2, 43),
        ("corrected", corrected, 1, 38),
        ("moved", moved, 2, 38),
    ];
    for (what, rows, days, repeats) in rounds {
        place.put(&rows).await;
        assert_eq!(place.refresh().await.days_changed, days, "{what}");
        assert_eq!(
            place.held("usage_duplicates").await.len(),
            repeats,
            "{what}"
        );
        place.assert_as_defined(what).await;
    }
    let query = "select usage_id, original_usage_id as original from usage_duplicates
        where idempotency_key in ('x1', 'x2')";
    assert_eq!(
        place.rows(query).await,
        [json!({"usage_id": "m1", "original": "r2"})]
    );

    let fresh = Place::new().await;
    assert_eq!(all.len(), 204);
    fresh.put(&all).await;
    assert_eq!(fresh.refresh().await, refreshed(12, 12, 38));
    for name in DERIVED {
        assert_eq!(place.held(name).await, fresh.held(name).await, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_days_a_change_can_reach_are_rebuilt() {
    let place = Place::new().await;
    let original = Usage::new("a", 1, Some("k1"));
    let other = Usage::new("f", 5, Some("k3"));
    let base = [
        original.clone(),
        Usage::new("b", 1, Some("k2")),
        Usage::new("c", 2, None),
        Usage::new("d", 3, Some("k1")),
        Usage::new("h", 3, None),
        Usage::new("e", 4, None),
        other.clone(),
    ];
    place.put(&base).await;
    assert_eq!(place.refresh().await, refreshed(5, 5, 1));
    let steps: [(&str, Usage, Refreshed, &[u64]); 5] = [
        (
            "a record nobody repeats",
            Usage::new("e2", 4, None),
            refreshed(1, 1, 0),
            &[4],
        ),
        (
            "an original",
            original.clone().measuring("9"),
            refreshed(1, 2, 1),
            &[1, 3],
        ),
        (
            "no original any more",
            original.voided(),
            refreshed(1, 2, 0),
            &[1, 3],
        ),
        (
            "a new repeat",
            Usage::new("g", 5, Some("k1")),
            refreshed(1, 2, 1),
            &[3, 5],
        ),
        (
            "a record that moves",
            other.on(2),
            refreshed(2, 3, 1),
            &[2, 3, 5],
        ),
    ];
    for (what, row, expected, days) in steps {
        let before = place.version("usage_daily").await.unwrap();
        assert_eq!(place.put(&[row]).await.written, 1, "{what}");
        assert_eq!(place.refresh().await, expected, "{what}");
        let days: BTreeSet<String> = days.iter().map(|day| date(*day)).collect();
        assert_eq!(place.rebuilt(before).await, days, "{what}");
        place.assert_as_defined(what).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_without_a_change_commits_nothing() {
    let place = Place::new().await;
    assert_eq!(place.refresh().await, Refreshed::default());
    for name in DERIVED {
        assert_eq!(
            place.version(name).await,
            None,
            "{name} of a lake without usage"
        );
    }
    let rows = [
        Usage::new("a", 1, Some("k1")),
        Usage::new("b", 2, Some("k1")),
    ];
    place.put(&rows).await;
    assert_eq!(place.refresh().await, refreshed(2, 2, 1));
    assert_eq!(place.put(&rows).await.unchanged, 2);
    assert_eq!(place.refresh().await, Refreshed::default());
    for name in DERIVED {
        assert_eq!(place.version(name).await, Some(1), "{name}");
    }
}
