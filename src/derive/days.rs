//! Calendar days as the partitions of usage tables.

use std::collections::BTreeSet;

use chrono::{Days, NaiveDate};
use datafusion::arrow::array::{Array, Date32Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;

use super::DeriveError;

/// A UTC day, counted from 1970-01-01 as Arrow's `Date32` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

impl Day {
    /// Reads `2026-03-01`.
    pub fn parse(text: &str) -> Option<Self> {
        let date: NaiveDate = text.parse().ok()?;
        i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days())
            .ok()
            .map(Self)
    }

    /// The value to bind in a query.
    pub fn scalar(self) -> ScalarValue {
        ScalarValue::Date32(Some(self.0))
    }

    /// A condition that holds for rows of these days.
    pub fn predicate(days: &BTreeSet<Self>) -> String {
        let days: Vec<String> = days.iter().map(|day| format!("DATE '{day}'")).collect();
        format!("usage_date in ({})", days.join(", "))
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let epoch = NaiveDate::default();
        let size = Days::new(u64::from(self.0.unsigned_abs()));
        let date = if self.0 < 0 {
            epoch.checked_sub_days(size)
        } else {
            epoch.checked_add_days(size)
        };
        write!(f, "{}", date.unwrap_or(epoch))
    }
}

/// Every day the table has rows of.
pub(super) async fn all(ctx: &SessionContext, table: &str) -> Result<BTreeSet<Day>, DeriveError> {
    let sql = format!("select distinct cast(usage_date as date) as day from {table}");
    listed(ctx, &sql, &format!("list the days of {table}")).await
}

/// Every day on which a source has records that count and no row in the rollup: what cannot be rolled
/// up leaves none, and what can leaves one at least. Records that repeat another do not count.
pub(super) async fn lacking(ctx: &SessionContext) -> Result<BTreeSet<Day>, DeriveError> {
    let sql = "
        with held as (
          select source, cast(usage_date as date) as day, count(1) as records
          from usage_records
          where coalesce(status, 'pending') not in ('voided', 'error')
          group by source, cast(usage_date as date)
        ),
        repeated as (
          select source as repeat_source, cast(usage_date as date) as repeat_day, count(1) as repeats
          from usage_duplicates
          group by source, cast(usage_date as date)
        ),
        rolled as (
          select distinct source as rolled_source, cast(usage_date as date) as rolled_day
          from usage_daily
        ),
        counted as (
          select h.source, h.day
          from held h
          left join repeated r on r.repeat_source = h.source and r.repeat_day = h.day
          where h.records > coalesce(r.repeats, 0)
        )
        select distinct c.day
        from counted c
        left anti join rolled d on d.rolled_source = c.source and d.rolled_day = c.day";
    listed(ctx, sql, "list the days that the rollup lacks").await
}

/// The days in the first column.
async fn listed(ctx: &SessionContext, sql: &str, what: &str) -> Result<BTreeSet<Day>, DeriveError> {
    let failed = || DeriveError::query(what);
    let batches = ctx
        .sql(sql)
        .await
        .map_err(failed())?
        .collect()
        .await
        .map_err(failed())?;
    let mut days = BTreeSet::new();
    for batch in &batches {
        let column =
            cast(batch.column(0), &DataType::Date32).map_err(|error| failed()(error.into()))?;
        if let Some(values) = column.as_any().downcast_ref::<Date32Array>() {
            days.extend(values.iter().flatten().map(Day));
        }
    }
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_read_and_print_as_dates() {
        assert_eq!(Day::parse("1970-01-02"), Some(Day(1)));
        assert_eq!(Day(20_513).to_string(), "2026-03-01");
        assert_eq!(
            Day::parse("1969-12-31").map(|day| day.to_string()).unwrap(),
            "1969-12-31"
        );
        assert_eq!(Day::parse("soon"), None);
    }

    #[test]
    fn a_predicate_names_every_day() {
        let days = BTreeSet::from([Day(0), Day(1)]);
        assert_eq!(
            Day::predicate(&days),
            "usage_date in (DATE '1970-01-01', DATE '1970-01-02')"
        );
    }
}
