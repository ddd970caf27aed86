//! Turns the usage records of a period into one quantity, the slow and plain way: what the daily
//! sums of the lake are held against, and what simulations use.
//!
//! Periods are half-open. A record that repeats an earlier one (the same source and idempotency
//! key, or the same usage id) counts once, wherever the earlier one lies; `voided` and `error`
//! records count nowhere. Nothing here reads a table or knows a time zone: days are UTC days.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use arrow_buffer::i256;
use chrono::{DateTime, NaiveDate, Utc};

use super::rounding::quotient_wide;
use super::terms::{Aggregation, RoundingMode};
use crate::model::Decimal;

/// One usage record, as far as aggregation is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// How much; `None` where the record carries no number. Only `count` counts such a record.
    pub value: Option<Decimal>,
    /// What `unique_count` counts.
    pub unique_value: Option<String>,
    /// The id of the record.
    pub usage_id: Option<String>,
    /// The connection it came from: idempotency keys are unique within it.
    pub source: Option<String>,
    /// The key that a repeated record shares with the first.
    pub idempotency_key: Option<String>,
    /// The status of the record, spelled as in the lake.
    pub status: Option<String>,
}

/// A half-open period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The first instant.
    pub start: DateTime<Utc>,
    /// The first instant after it.
    pub end: DateTime<Utc>,
}

/// Why there is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AggregateError {
    /// The quantity needs more digits than the lake can hold.
    #[error("overflow: the quantity needs more than 26 digits before the decimal point")]
    Overflow,
    /// A weighted sum needs a period that lasts.
    #[error("the period ends before it starts")]
    EmptyPeriod,
}

/// The quantity of a period. Without any record, `sum`, `count`, `unique_count` and `daily_sum_max`
/// are zero, and there is no greatest, least, last or mean value. `carried` is the level that a
/// `weighted_sum` starts from; the others do not look at it.
///
/// # Errors
/// A quantity that the lake cannot hold, and a weighted sum over a period that does not last.
pub fn aggregate(
    aggregation: Aggregation,
    events: &[Event],
    period: &Period,
    carried: Decimal,
) -> Result<Option<Decimal>, AggregateError> {
    let counted = counted(events, period);
    let values = || counted.iter().filter_map(|event| event.value);
    match aggregation {
        Aggregation::Sum => sum(values()).map(Some),
        Aggregation::Count => count(counted.len()).map(Some),
        Aggregation::UniqueCount => {
            let unique: BTreeSet<&str> = counted
                .iter()
                .filter_map(|event| event.unique_value.as_deref())
                .collect();
            count(unique.len()).map(Some)
        }
        Aggregation::Max => Ok(values().max()),
        Aggregation::Min => Ok(values().min()),
        Aggregation::Last => Ok(values().next_back()),
        Aggregation::Avg => mean(values().collect()),
        Aggregation::WeightedSum => weighted_sum(&counted, period, carried).map(Some),
        Aggregation::DailySumMax => daily_sum_max(&counted).map(Some),
    }
}

/// The records of the period that count, by time.
fn counted<'a>(events: &'a [Event], period: &Period) -> Vec<&'a Event> {
    let mut ordered: Vec<&Event> = events.iter().filter(|event| !is_void(event)).collect();
    ordered.sort_by_key(|event| event.at);
    let mut ids = HashSet::new();
    let mut keys = HashSet::new();
    ordered.retain(|event| {
        let new_id = event.usage_id.as_deref().is_none_or(|id| ids.insert(id));
        let new_key = event
            .idempotency_key
            .as_deref()
            .is_none_or(|key| keys.insert((event.source.as_deref(), key)));
        new_id && new_key
    });
    ordered.retain(|event| period.start <= event.at && event.at < period.end);
    ordered
}

fn is_void(event: &Event) -> bool {
    matches!(event.status.as_deref(), Some("voided" | "error"))
}

fn sum(mut values: impl Iterator<Item = Decimal>) -> Result<Decimal, AggregateError> {
    values
        .try_fold(Decimal::ZERO, |sum, value| sum.checked_add(value))
        .ok_or(AggregateError::Overflow)
}

fn count(records: usize) -> Result<Decimal, AggregateError> {
    i64::try_from(records)
        .map(Decimal::from_i64)
        .map_err(|_| AggregateError::Overflow)
}

fn mean(values: Vec<Decimal>) -> Result<Option<Decimal>, AggregateError> {
    let records = i128::try_from(values.len()).map_err(|_| AggregateError::Overflow)?;
    if records == 0 {
        return Ok(None);
    }
    let sum = i256::from_i128(sum(values.into_iter())?.units());
    divided(sum, i256::from_i128(records)).map(Some)
}

/// ∫ level dt over the length of the period: every value is in force from its record to the end.
fn weighted_sum(
    events: &[&Event],
    period: &Period,
    carried: Decimal,
) -> Result<Decimal, AggregateError> {
    let micros = |from: DateTime<Utc>| {
        (period.end - from)
            .num_microseconds()
            .map(|micros| i256::from_i128(micros.into()))
    };
    let length = micros(period.start).ok_or(AggregateError::Overflow)?;
    if length <= i256::ZERO {
        return Err(AggregateError::EmptyPeriod);
    }
    let mut area = i256::from_i128(carried.units()).checked_mul(length);
    for event in events {
        let Some(value) = event.value else { continue };
        area = micros(event.at)
            .and_then(|left| i256::from_i128(value.units()).checked_mul(left))
            .and_then(|part| area?.checked_add(part));
    }
    divided(area.ok_or(AggregateError::Overflow)?, length)
}

fn daily_sum_max(events: &[&Event]) -> Result<Decimal, AggregateError> {
    let mut days: BTreeMap<NaiveDate, Decimal> = BTreeMap::new();
    for event in events {
        let Some(value) = event.value else { continue };
        let day = days.entry(event.at.date_naive()).or_default();
        *day = day.checked_add(value).ok_or(AggregateError::Overflow)?;
    }
    Ok(days.into_values().max().unwrap_or(Decimal::ZERO))
}

/// A quotient at the lake's 12 decimals, halves away from zero.
fn divided(units: i256, by: i256) -> Result<Decimal, AggregateError> {
    quotient_wide(units, by, RoundingMode::HalfUp)
        .and_then(i256::to_i128)
        .and_then(|units| Decimal::from_units(units).checked_add(Decimal::ZERO))
        .ok_or(AggregateError::Overflow)
}
