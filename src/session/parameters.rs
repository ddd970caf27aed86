//! Typed values for the `$name` placeholders of a query: bound, never spliced into its text.

use std::time::Duration;

use chrono::{DateTime, Utc};
use datafusion::arrow::array::types::IntervalMonthDayNano;
use datafusion::scalar::ScalarValue;

use crate::model::Decimal;

/// Names and values of a query's parameters.
#[derive(Clone, Debug, Default)]
pub struct Parameters(Vec<(String, ScalarValue)>);

impl Parameters {
    /// The parameters every rule has: the moment it judges and the window it looks at.
    pub fn of_window(as_of: DateTime<Utc>, start: DateTime<Utc>, end: DateTime<Utc>) -> Self {
        let mut parameters = Self::default();
        parameters.set("as_of", micros(as_of));
        parameters.set("window_start", micros(start));
        parameters.set("window_end", micros(end));
        parameters
    }

    /// Binds a name.
    pub fn set(&mut self, name: &str, value: ScalarValue) {
        self.0.push((name.to_owned(), value));
    }

    /// Binds a decimal.
    pub fn set_decimal(&mut self, name: &str, value: Decimal) {
        self.set(name, ScalarValue::Decimal128(Some(value.units()), 38, 12));
    }

    /// The names that are bound.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Name and value pairs, as the engine takes them.
    pub fn values(&self) -> Vec<(String, ScalarValue)> {
        self.0.clone()
    }
}

/// A point in time as the lake holds it.
pub fn micros(at: DateTime<Utc>) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(at.timestamp_micros()), Some("UTC".into()))
}

/// A span of time to add to or take from a timestamp.
pub fn interval(span: Duration) -> ScalarValue {
    let nanos = i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
    ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(0, 0, nanos)))
}
