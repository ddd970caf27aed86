//! Mistakes in time: another period was counted, or another part of it charged.

use chrono::{DateTime, Months, Utc};

use crate::explain::candidate::{Amount, Candidate, Edit};
use crate::explain::facts::Facts;
use crate::explain::mistake::Mistake;
use crate::explain::ratio::Ratio;
use crate::explain::shift::Shift;

/// The usage of a neighbouring period, or of the same one by another clock.
pub(super) fn shifted_period(facts: &Facts<'_>) -> Vec<Candidate> {
    let line = facts.line;
    let shifts = line
        .measures
        .keys()
        .filter_map(|name| Some((name, Shift::named(name)?)));
    let mut found = Vec::new();
    for (name, shift) in shifts {
        let quantity = line
            .counted(name)
            // A period without usage is like any other without.
            .filter(|quantity| *quantity != facts.quantity && !quantity.is_zero());
        let Some(quantity) = quantity else { continue };
        let words = format!("the period were {}", shift.words());
        let edit = Edit::Quantity(quantity);
        let candidate = Candidate::new(Mistake::ShiftedPeriod, name.as_str(), words, edit)
            .with("billed_period", shift.words());
        found.push(if shift.is_one_of_many() {
            candidate.alone()
        } else {
            candidate.weak()
        });
    }
    found
}

const DAY: i64 = 86_400;

/// The whole charged where a part was due, a part where the whole was, or days counted otherwise.
pub(super) fn prorated_wrongly(facts: &Facts<'_>) -> Vec<Candidate> {
    let Some((start, end)) = facts.line.period else {
        return Vec::new();
    };
    let line = seconds(start, end);
    let cycle = facts
        .line
        .cycle
        .as_ref()
        .and_then(|(unit, count)| next(start, unit, *count))
        .map_or(line, |next| seconds(start, next));
    let from = facts.line.active.0.map_or(start, |from| from.max(start));
    let to = facts.line.active.1.map_or(end, |to| to.min(end));
    let active = seconds(from, to);
    let is_month = (28 * DAY..=31 * DAY).contains(&cycle);
    let mut found = Vec::new();
    let mut propose = |variant: String, words: String, over: i64, under: i64| {
        if over != under
            && let Some(ratio) = Ratio::new(over, under)
        {
            let edit = Edit::Amount(Amount::UnroundedTimes(ratio));
            let candidate = Candidate::new(Mistake::ProratedWrongly, variant, words, edit);
            found.push(candidate.alone());
        }
    };
    for (what, part) in [
        ("the item was active for", active),
        ("the line is for", line),
    ] {
        if part <= 0 || part >= cycle {
            continue;
        }
        let days = days(part);
        let wholes = [("actual", cycle), ("30", 30 * DAY), ("365", month_of_365())];
        // Only a month is counted as if it had other days.
        for (name, whole) in wholes.into_iter().take(if is_month { 3 } else { 1 }) {
            let counted = format!("{days} days that {what}, of {} ({name})", self::days(whole));
            propose(
                format!("part, {name}"),
                format!("only the {counted}, were charged"),
                part,
                whole,
            );
            propose(
                format!("whole, {name}"),
                format!("the whole were charged where the {counted}, are due"),
                whole,
                part,
            );
        }
    }
    // A whole month by another count of its days.
    if is_month {
        let days = days(cycle);
        let counts = [
            ("30", 30 * DAY, "30"),
            ("365", month_of_365(), "a twelfth of 365"),
        ];
        for (name, whole, said) in counts {
            propose(
                format!("days over {name}"),
                format!("{days} days were charged by the price of {said}"),
                cycle,
                whole,
            );
            propose(
                format!("{name} over days"),
                format!("{said} days were charged by the price of {days}"),
                whole,
                cycle,
            );
        }
    }
    found
}

/// A twelfth of 365 days, in seconds.
const fn month_of_365() -> i64 {
    365 * DAY / 12
}

fn seconds(from: DateTime<Utc>, to: DateTime<Utc>) -> i64 {
    (to - from).num_seconds()
}

/// Days for people, to a tenth.
fn days(seconds: i64) -> String {
    let tenths = seconds * 10 / DAY;
    match tenths % 10 {
        0 => (tenths / 10).to_string(),
        tenth => format!("{}.{tenth}", tenths / 10),
    }
}

/// One cycle later.
fn next(start: DateTime<Utc>, unit: &str, count: u32) -> Option<DateTime<Utc>> {
    let days = |days: i64| {
        let span = chrono::TimeDelta::try_days(days.checked_mul(count.into())?)?;
        start.checked_add_signed(span)
    };
    let months = |months: u32| start.checked_add_months(Months::new(months.checked_mul(count)?));
    match unit {
        "day" => days(1),
        "week" => days(7),
        "month" => months(1),
        "quarter" => months(3),
        "year" => months(12),
        _ => None,
    }
}
