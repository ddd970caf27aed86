//! What a row must satisfy as a whole: its key is there, its periods do not run backwards.
//!
//! Only facts that no platform may break are checked here; everything that could be a billing error
//! is a rule's business, not a reject.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Date32Array};
use datafusion::arrow::datatypes::TimestampMicrosecondType;

use super::cell;
use super::marks::Marks;
use crate::sources::spec::TableSpec;

/// Start, end, and whether both may be the same instant.
const PERIODS: &[(&str, &str, bool)] = &[
    ("period_start", "period_end", false),
    ("effective_from", "effective_to", false),
    ("occurred_at", "ended_at", true),
];

/// Sets `usage_date` to the UTC date of `occurred_at`, in tables that have both.
pub(super) fn fill_usage_date(spec: &TableSpec, columns: &mut [ArrayRef]) {
    let (Ok(date), Ok(occurred)) = (
        spec.schema.index_of("usage_date"),
        spec.schema.index_of("occurred_at"),
    ) else {
        return;
    };
    if let Some(micros) = columns[occurred].as_primitive_opt::<TimestampMicrosecondType>() {
        let days: Date32Array = micros
            .iter()
            .map(|micros| micros.and_then(cell::day_of))
            .collect();
        columns[date] = Arc::new(days);
    }
}

/// Marks rows without a key column or another column that must be there.
pub(super) fn required(spec: &TableSpec, columns: &[ArrayRef], marks: &mut Marks) {
    for (field, column) in spec.schema.fields().iter().zip(columns) {
        let name = field.name();
        if !spec.requires(name, field.is_nullable()) {
            continue;
        }
        let texts = column.as_string_opt::<i32>();
        if column.null_count() == 0 && texts.is_none() {
            continue;
        }
        for row in 0..column.len() {
            if column.is_null(row) || texts.is_some_and(|texts| texts.value_length(row) == 0) {
                marks.add(row, "missing_key", || {
                    format!("`{name}` is missing or empty")
                });
            }
        }
    }
}

/// Marks rows whose periods are empty or end before they start.
pub(super) fn periods(spec: &TableSpec, columns: &[ArrayRef], marks: &mut Marks) {
    for (start_name, end_name, instant_allowed) in PERIODS {
        let at = |name: &str| {
            let index = spec.schema.index_of(name).ok()?;
            columns[index].as_primitive_opt::<TimestampMicrosecondType>()
        };
        let (Some(starts), Some(ends)) = (at(start_name), at(end_name)) else {
            continue;
        };
        if ends.null_count() == ends.len() {
            continue;
        }
        for (row, pair) in starts.iter().zip(ends).enumerate() {
            let (Some(start), Some(end)) = pair else {
                continue;
            };
            if end < start || (end == start && !instant_allowed) {
                let relation = if end < start { "before" } else { "at" };
                marks.add(row, "bad_period", || {
                    format!("`{end_name}` is {relation} `{start_name}`")
                });
            }
        }
    }
}
