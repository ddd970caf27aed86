//! Periods that may have been counted in place of a line's own: neighbours, and other clocks.

use chrono::offset::LocalResult;
use chrono::{DateTime, Datelike, Months, TimeDelta, TimeZone, Timelike, Utc};
use datafusion::arrow::array::timezone::Tz;

/// Which other period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shift {
    /// The one before.
    Previous,
    /// The one after.
    Next,
    /// The same days by the customer's clock.
    Customer,
    /// The same days by a clock that many hours ahead of UTC, which may be the seller's.
    Offset(i32),
}

/// The clocks there are, in whole hours ahead of UTC.
const OFFSETS: std::ops::RangeInclusive<i32> = -12..=14;

impl Shift {
    /// Its name as a measure.
    pub(super) fn name(self) -> String {
        match self {
            Self::Previous => "previous".to_owned(),
            Self::Next => "next".to_owned(),
            Self::Customer => "customer".to_owned(),
            Self::Offset(hours) => format!("{hours:+}h"),
        }
    }

    /// The shift of that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "previous" => Some(Self::Previous),
            "next" => Some(Self::Next),
            "customer" => Some(Self::Customer),
            _ => {
                let hours = name.strip_suffix('h')?.parse().ok()?;
                Some(Self::Offset(hours))
            }
        }
    }

    /// The period in words: "the period were …".
    pub(super) fn words(self) -> String {
        match self {
            Self::Previous => "the one before".to_owned(),
            Self::Next => "the one after".to_owned(),
            Self::Customer => "that of the customer's time zone".to_owned(),
            Self::Offset(hours) => format!("that of a clock at UTC{hours:+}"),
        }
    }

    /// Whether one of its kind is likely to fit by chance.
    pub(super) fn is_one_of_many(self) -> bool {
        matches!(self, Self::Offset(_))
    }
}

/// A period: `[start, end)`.
pub(super) type Period = (DateTime<Utc>, DateTime<Utc>);

/// The periods to count for a line.
pub(super) fn shifts(period: Period, timezone: Option<&str>) -> Vec<(Shift, Period)> {
    let (start, end) = period;
    let length = end - start;
    let mut found = Vec::new();
    let mut propose = |shift: Shift, start: Option<DateTime<Utc>>, end: Option<DateTime<Utc>>| {
        if let (Some(start), Some(end)) = (start, end)
            && (start, end) != period
            && start < end
        {
            found.push((shift, (start, end)));
        }
    };
    // Whole months have months beside them, whatever their days.
    let (before, after) = if is_month_start(start) && is_month_start(end) {
        let months = Months::new(months(start, end));
        (
            start.checked_sub_months(months),
            end.checked_add_months(months),
        )
    } else {
        (
            start.checked_sub_signed(length),
            end.checked_add_signed(length),
        )
    };
    propose(Shift::Previous, before, Some(start));
    propose(Shift::Next, Some(end), after);
    if let Some(zone) = timezone.and_then(|name| name.parse::<Tz>().ok()) {
        propose(Shift::Customer, by_clock(zone, start), by_clock(zone, end));
    }
    for hours in OFFSETS {
        let earlier = TimeDelta::try_hours(hours.into());
        let moved = |at: DateTime<Utc>| at.checked_sub_signed(earlier?);
        propose(Shift::Offset(hours), moved(start), moved(end));
    }
    found
}

/// When a clock of that zone shows what the clock of UTC shows at this moment.
fn by_clock(zone: Tz, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match zone.from_local_datetime(&at.naive_utc()) {
        LocalResult::Single(local) => Some(local.to_utc()),
        LocalResult::Ambiguous(first, _) => Some(first.to_utc()),
        // An hour that the clock leaves out: what would be half past two is half past three.
        LocalResult::None => {
            let later = at.checked_add_signed(TimeDelta::try_hours(1)?)?;
            let local = zone.from_local_datetime(&later.naive_utc()).earliest()?;
            Some(local.to_utc())
        }
    }
}

fn is_month_start(at: DateTime<Utc>) -> bool {
    at.day() == 1 && at.num_seconds_from_midnight() == 0
}

/// Whole months between two starts of months.
fn months(start: DateTime<Utc>, end: DateTime<Utc>) -> u32 {
    let count = |at: DateTime<Utc>| i64::from(at.year()) * 12 + i64::from(at.month());
    u32::try_from(count(end) - count(start)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn of(shift: Shift, period: (&str, &str), zone: Option<&str>) -> Option<(String, String)> {
        let all = shifts((at(period.0), at(period.1)), zone);
        let (_, (start, end)) = all.into_iter().find(|(found, _)| *found == shift)?;
        let text = |at: DateTime<Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        Some((text(start), text(end)))
    }

    const MARCH: (&str, &str) = ("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z");

    fn texts(start: &str, end: &str) -> Option<(String, String)> {
        Some((start.to_owned(), end.to_owned()))
    }

    #[test]
    fn months_have_months_beside_them_and_other_periods_their_like() {
        assert_eq!(
            of(Shift::Previous, MARCH, None),
            texts("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z")
        );
        assert_eq!(
            of(Shift::Next, MARCH, None),
            texts("2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z")
        );
        let week = ("2026-03-04T12:00:00Z", "2026-03-11T12:00:00Z");
        assert_eq!(
            of(Shift::Previous, week, None),
            texts("2026-02-25T12:00:00Z", "2026-03-04T12:00:00Z")
        );
    }

    #[test]
    fn a_zone_has_its_own_summer() {
        assert_eq!(
            of(Shift::Customer, MARCH, Some("Europe/Berlin")),
            texts("2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z")
        );
        assert_eq!(
            of(Shift::Customer, MARCH, Some("America/New_York")),
            texts("2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z")
        );
        assert_eq!(of(Shift::Customer, MARCH, Some("UTC")), None);
        assert_eq!(of(Shift::Customer, MARCH, Some("Nowhere")), None);
        assert_eq!(
            of(Shift::Offset(9), MARCH, None),
            texts("2026-02-28T15:00:00Z", "2026-03-31T15:00:00Z")
        );
        assert_eq!(of(Shift::Offset(0), MARCH, None), None);
    }

    #[test]
    fn names_come_back() {
        for (shift, _) in shifts((at(MARCH.0), at(MARCH.1)), Some("Asia/Tokyo")) {
            assert_eq!(Shift::named(&shift.name()), Some(shift));
        }
        assert_eq!(Shift::named("own"), None);
        assert_eq!(Shift::named("with_repeats"), None);
    }
}
