//! Days, months and instants in UTC, as counts: no clock is read and no zone is looked up.

/// Microseconds since 1970-01-01T00:00:00Z.
pub(super) type Micros = i64;

pub(super) const SECOND: Micros = 1_000_000;
pub(super) const MINUTE: Micros = 60 * SECOND;
pub(super) const HOUR: Micros = 60 * MINUTE;
pub(super) const DAY: Micros = 24 * HOUR;

/// Days since 1970-01-01 of a date of the Gregorian calendar.
pub(super) const fn day_number(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, so that the leap day is the last of its year.
    let shifted = if month > 2 { year } else { year - 1 };
    let month = if month > 2 { month - 3 } else { month + 9 };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of a day number.
pub(super) const fn date_of(number: i64) -> (i64, i64, i64) {
    let shifted = number + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400;
    (if month > 2 { year } else { year + 1 }, month, day)
}

/// Days of a month.
pub(super) const fn month_length(year: i64, month: i64) -> i64 {
    let (next_year, next) = if month == 12 {
        (year + 1, 1)
    } else {
        (year, month + 1)
    };
    day_number(next_year, next, 1) - day_number(year, month, 1)
}

/// The day on which an instant lies.
pub(super) const fn day_of(at: Micros) -> i64 {
    at.div_euclid(DAY)
}

/// Months since the year 0 of an instant.
pub(super) const fn month_of(at: Micros) -> i64 {
    let (year, month, _) = date_of(day_of(at));
    year * 12 + month - 1
}

/// The same day and time some months later; on the last day of a month that has no such day.
pub(super) const fn add_months(anchor: Micros, months: i64) -> Micros {
    let (_, _, day) = date_of(day_of(anchor));
    let target = month_of(anchor) + months;
    let (year, month) = (target.div_euclid(12), target.rem_euclid(12) + 1);
    let length = month_length(year, month);
    let day = if day < length { day } else { length };
    day_number(year, month, day) * DAY + anchor.rem_euclid(DAY)
}

/// 0 for Monday.
pub(super) const fn weekday(day: i64) -> i64 {
    (day + 3).rem_euclid(7)
}

/// `2026-06`
pub(super) fn month_name(number: i64) -> String {
    format!(
        "{:04}-{:02}",
        number.div_euclid(12),
        number.rem_euclid(12) + 1
    )
}

/// `2026-06-01`
pub(super) fn date_name(day: i64) -> String {
    let (year, month, day) = date_of(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// RFC 3339
pub(super) fn stamp(at: Micros) -> String {
    let date = date_name(day_of(at));
    let of_day = at.rem_euclid(DAY);
    let (hour, minute) = (of_day / HOUR, of_day / MINUTE % 60);
    let (second, micros) = (of_day / SECOND % 60, of_day % SECOND);
    if micros == 0 {
        format!("{date}T{hour:02}:{minute:02}:{second:02}Z")
    } else {
        format!("{date}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_agree() {
        assert_eq!(day_number(1970, 1, 1), 0);
        assert_eq!(day_number(2026, 1, 1), 20_454);
        assert_eq!(date_of(20_454), (2026, 1, 1));
        for day in -800..40_000 {
            let (year, month, date) = date_of(day);
            assert_eq!(day_number(year, month, date), day);
        }
        assert_eq!(month_length(2024, 2), 29);
        assert_eq!(month_length(2026, 2), 28);
        assert_eq!(month_length(2026, 12), 31);
    }

    #[test]
    fn months_are_clamped_to_their_length_and_come_back() {
        let anchor = day_number(2026, 1, 31) * DAY + 10 * HOUR + 30 * MINUTE + 17 * SECOND;
        let names: Vec<String> = (0..5)
            .map(|month| stamp(add_months(anchor, month)))
            .collect();
        let expected = [
            "2026-01-31T10:30:17Z",
            "2026-02-28T10:30:17Z",
            "2026-03-31T10:30:17Z",
            "2026-04-30T10:30:17Z",
            "2026-05-31T10:30:17Z",
        ];
        assert_eq!(names, expected);
        let leap = day_number(2023, 12, 29) * DAY;
        assert_eq!(stamp(add_months(leap, 2)), "2024-02-29T00:00:00Z");
        assert_eq!(stamp(add_months(leap, 14)), "2025-02-28T00:00:00Z");
        assert_eq!(stamp(add_months(leap, -2)), "2023-10-29T00:00:00Z");
    }

    #[test]
    fn instants_have_names() {
        let day = day_number(2026, 6, 3);
        assert_eq!(weekday(day), 2);
        assert_eq!(stamp(day * DAY + 1), "2026-06-03T00:00:00.000001Z");
        assert_eq!(month_name(month_of(day * DAY)), "2026-06");
    }
}
