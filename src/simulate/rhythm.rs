//! The rhythm of usage: weekdays, holidays, month ends and the habit of an item.
//!
//! It knows days and parts of a usual day, never quantities.

use super::profile::Habit;
use super::random::Dice;
use super::time::{date_of, month_length, weekday};

/// Each weekday from Monday, in per cent of a usual day.
pub(super) const WEEK: [i64; 7] = [100, 102, 103, 101, 98, 74, 70];

/// For each day from the first: a part of the usual level in per cent, 0 for none.
pub(super) fn days_of_use(habit: Habit, first: i64, last: i64, dice: &mut Dice) -> Vec<i64> {
    let count = (last - first + 1).max(0) as usize;
    let mut parts = vec![100; count];
    match habit {
        Habit::Sparse => {
            parts.fill(0);
            // From the end backwards, so that no world ends in an unusual pause.
            let mut day = count as i64 - 1 - dice.between(0, 1);
            while day >= 0 {
                parts[day as usize] = dice.between(75, 130);
                day -= dice.between(2, 5);
            }
        }
        Habit::Office => {
            for (day, part) in (first..).zip(&mut parts) {
                *part = if weekday(day) >= 5 { 0 } else { 100 };
            }
        }
        Habit::Paused(from, to) => {
            for (day, part) in (first..).zip(&mut parts) {
                *part = if (from..to).contains(&day) { 0 } else { 100 };
            }
        }
        Habit::Batch => {
            for (day, part) in (first..).zip(&mut parts) {
                let (year, month, date) = date_of(day);
                let is_edge = date == 1 || date == month_length(year, month);
                *part = if is_edge { 400 } else { 100 };
            }
        }
        Habit::Ramp(since) => {
            for (day, part) in (first..).zip(&mut parts) {
                *part = 100 + 2 * (day - since).max(0);
            }
        }
        Habit::Daily => {}
    }
    parts
}

/// Holidays, and the busy end of a month, in per cent of a usual day.
pub(super) fn season(day: i64) -> i64 {
    let (year, month, date) = date_of(day);
    match (month, date) {
        (12, 24..=26) | (1, 1) | (5, 1) | (5, 25) => 45,
        _ if date >= month_length(year, month) - 1 => 112,
        _ => 100,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::random::Purpose;
    use crate::simulate::time::day_number;

    #[test]
    fn sparse_usage_never_pauses_longer_than_before() {
        let mut dice = Dice::of(3, 9, Purpose::Usage(1));
        let days = days_of_use(Habit::Sparse, 0, 199, &mut dice);
        let used: Vec<usize> = (0..days.len()).filter(|day| days[*day] > 0).collect();
        assert!(used.windows(2).all(|pair| pair[1] - pair[0] <= 5));
        assert!(used.last().is_some_and(|last| *last >= 198));
    }

    #[test]
    fn office_days_and_holidays() {
        let monday = day_number(2026, 6, 1);
        let mut dice = Dice::of(3, 9, Purpose::Usage(1));
        let week = days_of_use(Habit::Office, monday, monday + 6, &mut dice);
        assert_eq!(week, [100, 100, 100, 100, 100, 0, 0]);
        assert_eq!(season(day_number(2025, 12, 25)), 45);
        assert_eq!(season(day_number(2026, 5, 31)), 112);
        assert_eq!(season(day_number(2026, 5, 12)), 100);
    }
}
