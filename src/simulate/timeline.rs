//! When the world begins and at which moment it is looked at.
//!
//! The last month closes with the invoices of 1 June 2026; the world is judged two days later, when
//! these are drafts. Longer worlds begin earlier, so that the days that are judged stay the same.

use super::time::{DAY, HOUR, Micros, add_months, day_number, day_of};

/// The first of the month after the last whole one.
const LAST_CLOSE: Micros = day_number(2026, 6, 1) * DAY;

/// The span of the world.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeline {
    /// Midnight of the first day.
    pub(super) first: Micros,
    /// The moment to judge at.
    pub(super) as_of: Micros,
    /// Whole months.
    pub(super) months: i64,
}

impl Timeline {
    pub(super) fn new(months: u32) -> Self {
        let months = i64::from(months.max(1));
        Self {
            first: add_months(LAST_CLOSE, -months),
            as_of: LAST_CLOSE + 2 * DAY + 6 * HOUR,
            months,
        }
    }

    /// When many prices rise: two months before the last close.
    pub(super) const fn rise(&self) -> Micros {
        add_months(LAST_CLOSE, -2)
    }

    /// When the newest versions begin.
    pub(super) const fn newest(&self) -> Micros {
        LAST_CLOSE
    }

    /// The first day.
    pub(super) const fn first_day(&self) -> i64 {
        day_of(self.first)
    }

    /// The last day that is over.
    pub(super) const fn last_day(&self) -> i64 {
        day_of(self.as_of) - 1
    }

    /// Invoices that were made after this moment are not final yet.
    pub(super) const fn draft_since(&self) -> Micros {
        self.as_of - 72 * HOUR
    }
}
