//! What lists, `signals show` and `explain` put in the same words: money, periods, records, steps.

use chrono::{DateTime, Utc};

use crate::model::Decimal;
use crate::model::signal::{EntityRow, RemediationRow};

/// Text that may be missing.
pub(super) fn text(value: &Option<String>) -> String {
    value.clone().unwrap_or_default()
}

/// A number that may be missing.
pub(super) fn number(value: Option<Decimal>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// `12.5 USD`
pub(super) fn money(amount: Option<Decimal>, unit: Option<&str>) -> String {
    format!("{} {}", number(amount), unit.unwrap_or_default())
        .trim()
        .to_owned()
}

/// The days of a record's period, if it has one.
pub(super) fn period(row: &EntityRow) -> String {
    let day = |at: Option<DateTime<Utc>>| at.map(|at| at.date_naive().to_string());
    match (day(row.period_start), day(row.period_end)) {
        (Some(start), Some(end)) => format!("{start} – {end}"),
        _ => String::new(),
    }
}

/// What to do, step by step.
pub(super) fn steps(remediations: &[RemediationRow]) -> String {
    let steps = remediations.iter().map(|step| {
        format!(
            "  {}. [{}] {}\n     check:   {}\n     why:     {}\n     outcome: {}\n",
            step.step,
            text(&step.target_system),
            text(&step.action),
            text(&step.what_to_check),
            text(&step.why),
            text(&step.expected_outcome),
        )
    });
    format!("\nwhat to do\n{}", steps.collect::<String>())
}
