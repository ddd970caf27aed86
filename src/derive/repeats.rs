//! Records that really repeat another's idempotency key: suspicions settled on the exact keys.
//!
//! The definition is the SQL of `queries/derived/usage_duplicates.sql`; hashing only spares it the
//! millions of records whose key occurs once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, BooleanArray, Date32Array, RecordBatch};
use datafusion::arrow::compute::{cast, filter_record_batch};
use datafusion::arrow::datatypes::DataType;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use futures::StreamExt;

use super::DeriveError;
use super::days::Day;
use super::keys::{DayKeys, KeySet, days_holding, hash};

const DEFINITION: &str = include_str!("../../queries/derived/usage_duplicates.sql");

/// The repeats of some days.
pub(super) struct Repeats {
    /// Days, beyond the changed ones, whose repeats may have changed.
    pub(super) affected: BTreeSet<Day>,
    /// Rows of `usage_duplicates` for the changed and affected days.
    pub(super) rows: Vec<RecordBatch>,
    /// The same by day.
    pub(super) by_day: BTreeMap<Day, Vec<RecordBatch>>,
}

impl Repeats {
    pub(super) fn count(&self) -> usize {
        self.rows.iter().map(RecordBatch::num_rows).sum()
    }
}

/// Settles the suspicions.
pub(super) async fn find(
    ctx: &SessionContext,
    changed: &BTreeSet<Day>,
    full: bool,
    new_keys: &DayKeys,
    mut suspects: KeySet,
) -> Result<Repeats, DeriveError> {
    let mut affected = BTreeSet::new();
    let mut holding = BTreeSet::new();
    if !full {
        affected = days_holding(ctx, changed, &suspects).await?;
        let known = known_repeats(ctx, changed, &affected).await?;
        affected.extend(known.days);
        suspects.extend(known.keys);
        holding = days_holding(ctx, changed, &suspects).await?;
    }
    holding.extend(
        new_keys
            .iter()
            .filter(|(_, hashes)| hashes.iter().any(|hash| suspects.contains(hash)))
            .map(|(day, _)| *day),
    );
    let candidates = candidates(ctx, &holding, &suspects).await?;
    let wanted: BTreeSet<Day> = changed.union(&affected).copied().collect();
    let by_day = settle(ctx, candidates, &wanted).await?;
    let rows = by_day.values().flatten().cloned().collect();
    Ok(Repeats {
        affected,
        rows,
        by_day,
    })
}

struct Known {
    days: BTreeSet<Day>,
    keys: KeySet,
}

/// Repeats found earlier that these days take part in: their days and keys are looked at again.
async fn known_repeats(
    ctx: &SessionContext,
    changed: &BTreeSet<Day>,
    affected: &BTreeSet<Day>,
) -> Result<Known, DeriveError> {
    let failed = || DeriveError::query("read known repeats");
    let touched: BTreeSet<Day> = changed.union(affected).copied().collect();
    let days = Day::predicate(&touched);
    let query = format!(
        "select cast(usage_date as date) as usage_date, original_usage_date, source, idempotency_key
         from usage_duplicates where {days} or {}",
        days.replace("usage_date", "original_usage_date")
    );
    let batches = ctx
        .sql(&query)
        .await
        .map_err(failed())?
        .collect()
        .await
        .map_err(failed())?;
    let mut known = Known {
        days: BTreeSet::new(),
        keys: KeySet::new(),
    };
    for batch in &batches {
        let dates = |at: usize| {
            batch
                .column(at)
                .as_any()
                .downcast_ref::<Date32Array>()
                .cloned()
        };
        let (Some(own), Some(original)) = (dates(0), dates(1)) else {
            continue;
        };
        let (source, key) = (
            batch.column(2).as_string::<i32>(),
            batch.column(3).as_string::<i32>(),
        );
        for row in 0..batch.num_rows() {
            if changed.contains(&Day(original.value(row))) {
                known.days.insert(Day(own.value(row)));
            }
            known.keys.insert(hash(source.value(row), key.value(row)));
        }
    }
    // A day added here has repeats of its own: they have to be found again as well.
    let added: BTreeSet<Day> = known.days.difference(&touched).copied().collect();
    if !added.is_empty() {
        let more = Box::pin(known_repeats(ctx, &BTreeSet::new(), &added)).await?;
        known.keys.extend(more.keys);
    }
    Ok(known)
}

/// The records of these days whose key has a suspect hash.
async fn candidates(
    ctx: &SessionContext,
    days: &BTreeSet<Day>,
    suspects: &KeySet,
) -> Result<Vec<RecordBatch>, DeriveError> {
    let failed = || DeriveError::query("read records under suspicion");
    if days.is_empty() || suspects.is_empty() {
        return Ok(Vec::new());
    }
    let query = format!(
        "select source, idempotency_key, usage_id, cast(usage_date as date) as usage_date, item_id,
                customer_id, subscription_id, meter, quantity, occurred_at, recorded_at, status
         from usage_records where idempotency_key is not null and {}",
        Day::predicate(days)
    );
    let rows = ctx.sql(&query).await.map_err(failed())?;
    let mut batches = rows.execute_stream().await.map_err(failed())?;
    let mut kept = Vec::new();
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(failed())?;
        let (source, key) = (
            batch.column(0).as_string::<i32>(),
            batch.column(1).as_string::<i32>(),
        );
        let suspect: BooleanArray = (0..batch.num_rows())
            .map(|row| Some(suspects.contains(&hash(source.value(row), key.value(row)))))
            .collect();
        if suspect.true_count() > 0 {
            kept.push(filter_record_batch(&batch, &suspect).map_err(|e| failed()(e.into()))?);
        }
    }
    Ok(kept)
}

async fn settle(
    ctx: &SessionContext,
    candidates: Vec<RecordBatch>,
    wanted: &BTreeSet<Day>,
) -> Result<BTreeMap<Day, Vec<RecordBatch>>, DeriveError> {
    let failed = || DeriveError::query("settle repeats");
    let mut by_day = BTreeMap::new();
    let Some(first) = candidates.first() else {
        return Ok(by_day);
    };
    let table = MemTable::try_new(first.schema(), vec![candidates]).map_err(failed())?;
    // The definition says `usage_records`; here that is only the candidates.
    let all = ctx.deregister_table("usage_records").map_err(failed())?;
    ctx.register_table("usage_records", Arc::new(table))
        .map_err(failed())?;
    let found = match ctx.sql(DEFINITION).await {
        Ok(found) => found.collect().await,
        Err(error) => Err(error),
    };
    ctx.deregister_table("usage_records").map_err(failed())?;
    if let Some(all) = all {
        ctx.register_table("usage_records", all).map_err(failed())?;
    }
    for batch in found.map_err(failed())? {
        split_by_day(&batch, wanted, &mut by_day).map_err(|error| failed()(error.into()))?;
    }
    Ok(by_day)
}

fn split_by_day(
    batch: &RecordBatch,
    wanted: &BTreeSet<Day>,
    by_day: &mut BTreeMap<Day, Vec<RecordBatch>>,
) -> Result<(), datafusion::arrow::error::ArrowError> {
    let Some(column) = batch.column_by_name("usage_date") else {
        return Ok(());
    };
    let column = cast(column, &DataType::Date32)?;
    let Some(dates) = column.as_any().downcast_ref::<Date32Array>() else {
        return Ok(());
    };
    let days: BTreeSet<i32> = dates.iter().flatten().collect();
    for day in days.into_iter().map(Day).filter(|day| wanted.contains(day)) {
        let here: BooleanArray = dates.iter().map(|date| Some(date == Some(day.0))).collect();
        by_day
            .entry(day)
            .or_default()
            .push(filter_record_batch(batch, &here)?);
    }
    Ok(())
}
