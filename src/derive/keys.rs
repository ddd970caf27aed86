//! 64-bit hashes of idempotency keys: the cheap way to see which keys may occur twice.
//!
//! A hash met twice is a suspicion; `repeats` settles it on the exact keys.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, Date32Array, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt, stream};

use super::days::Day;
use super::{DeriveError, replace};
use crate::lake::{Lake, TableDef, Writer};
use crate::session::{Pinned, Sessions};

/// The sorted hashes of each day.
pub(super) type DayKeys = BTreeMap<Day, Vec<i64>>;
/// Hashes under suspicion.
pub(super) type KeySet = HashSet<i64>;

/// Rows of `usage_keys` to write in one commit.
const ROWS_PER_COMMIT: usize = 8_000_000;

/// The hash of a key within its source.
pub(super) fn hash(source: &str, key: &str) -> i64 {
    // The source seeds the hash of the key, so that two sources may use the same keys.
    let seed = twox_hash::XxHash64::oneshot(0, source.as_bytes());
    twox_hash::XxHash64::oneshot(seed, key.as_bytes()).cast_signed()
}

/// Hashes the keys of these days, a day a task.
pub(super) async fn of_days(
    sessions: &Sessions,
    pinned: &Pinned,
    days: &BTreeSet<Day>,
) -> Result<DayKeys, DeriveError> {
    stream::iter(days.iter().copied())
        .map(|day| {
            let (sessions, pinned) = (sessions.clone(), pinned.clone());
            async move { Ok((day, of_day(&sessions, &pinned, day).await?)) }
        })
        .buffer_unordered(sessions.threads())
        .try_collect()
        .await
}

async fn of_day(sessions: &Sessions, pinned: &Pinned, day: Day) -> Result<Vec<i64>, DeriveError> {
    let failed = || DeriveError::query(format!("read the idempotency keys of {day}"));
    let ctx = sessions.single();
    pinned.register(&ctx).map_err(failed())?;
    let query = "select source, idempotency_key from usage_records
        where usage_date = $day and idempotency_key is not null
          and coalesce(status, 'pending') not in ('voided', 'error')";
    let rows = ctx
        .sql(query)
        .await
        .and_then(|df| df.with_param_values(vec![("day", day.scalar())]))
        .map_err(failed())?;
    let task = tokio::spawn(async move {
        let mut hashes = Vec::new();
        let mut batches = rows.execute_stream().await?;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let (sources, keys) = (
                batch.column(0).as_string::<i32>(),
                batch.column(1).as_string::<i32>(),
            );
            hashes
                .extend((0..batch.num_rows()).map(|row| hash(sources.value(row), keys.value(row))));
        }
        hashes.sort_unstable();
        Ok(hashes)
    });
    match task.await {
        Ok(hashes) => hashes.map_err(failed()),
        Err(error) => Err(failed()(datafusion::error::DataFusionError::External(
            Box::new(error),
        ))),
    }
}

/// Hashes that these days hold more than once.
pub(super) fn met_twice(keys: &DayKeys) -> KeySet {
    let mut all: Vec<i64> = keys.values().flatten().copied().collect();
    all.sort_unstable();
    all.windows(2)
        .filter(|pair| pair[0] == pair[1])
        .map(|pair| pair[0])
        .collect()
}

/// Hashes of these days that other days hold too.
pub(super) async fn met_elsewhere(
    ctx: &SessionContext,
    changed: &BTreeSet<Day>,
    keys: &DayKeys,
) -> Result<KeySet, DeriveError> {
    let mut sorted: Vec<i64> = keys.values().flatten().copied().collect();
    sorted.sort_unstable();
    let filter = Filter::new(&sorted);
    let mut met = KeySet::new();
    scan(ctx, changed, |_, hash| {
        if filter.may_hold(hash) && sorted.binary_search(&hash).is_ok() {
            met.insert(hash);
        }
    })
    .await?;
    Ok(met)
}

/// Days, other than the changed ones, that hold any of the hashes.
pub(super) async fn days_holding(
    ctx: &SessionContext,
    changed: &BTreeSet<Day>,
    suspects: &KeySet,
) -> Result<BTreeSet<Day>, DeriveError> {
    let mut days = BTreeSet::new();
    if suspects.is_empty() {
        return Ok(days);
    }
    let sorted: Vec<i64> = suspects.iter().copied().collect();
    let filter = Filter::new(&sorted);
    scan(ctx, changed, |day, hash| {
        if filter.may_hold(hash) && suspects.contains(&hash) {
            days.insert(day);
        }
    })
    .await?;
    Ok(days)
}

async fn scan(
    ctx: &SessionContext,
    but: &BTreeSet<Day>,
    mut visit: impl FnMut(Day, i64),
) -> Result<(), DeriveError> {
    let failed = || DeriveError::query("read the hashes of earlier days");
    let query = format!(
        "select cast(usage_date as date) as day, key_hash from usage_keys where not ({})",
        Day::predicate(but)
    );
    let rows = ctx.sql(&query).await.map_err(failed())?;
    let mut batches = rows.execute_stream().await.map_err(failed())?;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(failed())?;
        let Some(days) = batch.column(0).as_any().downcast_ref::<Date32Array>() else {
            continue;
        };
        let hashes = batch.column(1).as_primitive::<Int64Type>();
        for (day, hash) in days.values().iter().zip(hashes.values()) {
            visit(Day(*day), *hash);
        }
    }
    Ok(())
}

/// A bit for each of many slots: most hashes that are not in the set are told apart by one look.
struct Filter {
    bits: Vec<u64>,
    mask: u64,
}

impl Filter {
    fn new(hashes: &[i64]) -> Self {
        let slots = (hashes.len().max(64) * 16).next_power_of_two();
        let mask = (slots as u64) - 1;
        let mut bits = vec![0; slots / 64];
        for hash in hashes {
            let slot = hash.cast_unsigned() & mask;
            bits[(slot / 64) as usize] |= 1 << (slot % 64);
        }
        Self { bits, mask }
    }

    fn may_hold(&self, hash: i64) -> bool {
        let slot = hash.cast_unsigned() & self.mask;
        self.bits[(slot / 64) as usize] & (1 << (slot % 64)) != 0
    }
}

/// Writes the hashes of these days, in commits of bounded size; the last one carries the number.
pub(super) async fn write(
    lake: &Lake,
    ctx: &SessionContext,
    def: &'static TableDef,
    keys: &DayKeys,
    part: &Writer<'_>,
    last: &Writer<'_>,
) -> Result<(), DeriveError> {
    let mut days = BTreeSet::new();
    let mut rows = Vec::new();
    let mut pending = 0;
    for (at, (day, hashes)) in keys.iter().enumerate() {
        days.insert(*day);
        pending += hashes.len();
        rows.push(batch(def, *day, hashes)?);
        let is_last = at + 1 == keys.len();
        if is_last || pending >= ROWS_PER_COMMIT {
            let writer = if is_last { last } else { part };
            replace(lake, ctx, def, writer, &days, std::mem::take(&mut rows)).await?;
            days.clear();
            pending = 0;
        }
    }
    Ok(())
}

fn batch(def: &'static TableDef, day: Day, hashes: &[i64]) -> Result<RecordBatch, DeriveError> {
    let columns: Vec<Arc<dyn Array>> = vec![
        Arc::new(Int64Array::from(hashes.to_vec())),
        Arc::new(Date32Array::from(vec![day.0; hashes.len()])),
    ];
    RecordBatch::try_new(def.schema(), columns)
        .map_err(|error| DeriveError::query("build key hashes")(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_do_not_share_keys_and_hashes_are_stable() {
        assert_ne!(hash("a", "k1"), hash("b", "k1"));
        assert_eq!(hash("acme", "evt-1"), hash("acme", "evt-1"));
    }

    #[test]
    fn a_hash_is_met_twice_within_a_day_or_across_days() {
        let keys = DayKeys::from([
            (Day(1), vec![1, 2, 2]),
            (Day(2), vec![3, 4]),
            (Day(3), vec![4]),
        ]);
        assert_eq!(met_twice(&keys), KeySet::from([2, 4]));
    }

    #[test]
    fn the_filter_never_denies_a_member() {
        let hashes: Vec<i64> = (0..1_000).map(|n| hash("s", &n.to_string())).collect();
        let filter = Filter::new(&hashes);
        assert!(hashes.iter().all(|hash| filter.may_hold(*hash)));
    }
}
