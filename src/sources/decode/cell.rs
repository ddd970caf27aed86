//! One cell's text to one value: by hand, byte by byte, because every row of every file comes here.
//!
//! Nothing is guessed and nothing passes through a float; what is not exact is an error in words
//! that read after "`column` is \"text\": ".

use crate::model::Decimal;

const MICROS_PER_SECOND: i64 = 1_000_000;
/// Microseconds of a UTC day.
pub(super) const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
const NOT_A_TIMESTAMP: &str = "not an RFC 3339 timestamp";
const NOT_A_DATE: &str = "not a date";

/// Units of 10⁻¹² of an exact decimal.
pub(super) fn decimal(text: &str) -> Result<i128, String> {
    if let Some(units) = short_decimal(text.as_bytes()) {
        return Ok(units);
    }
    text.parse::<Decimal>()
        .map(Decimal::units)
        .map_err(|error| error.to_string())
}

/// The common case: at most 18 digits, at most 12 of them after the point, no exponent.
fn short_decimal(text: &[u8]) -> Option<i128> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    let mut value = 0u64;
    let mut count = 0;
    let mut decimals = None;
    for byte in digits {
        match byte {
            b'0'..=b'9' => {
                value = value * 10 + u64::from(byte - b'0');
                count += 1;
                decimals = decimals.map(|n| n + 1);
            }
            b'.' if decimals.is_none() => decimals = Some(0u32),
            _ => return None,
        }
    }
    let decimals = decimals.unwrap_or(0);
    if count == 0 || count > 18 || decimals > Decimal::SCALE {
        return None;
    }
    let units = i128::from(value) * 10i128.pow(Decimal::SCALE - decimals);
    Some(if negative { -units } else { units })
}

/// A whole number.
pub(super) fn integer(text: &str) -> Result<i64, String> {
    text.parse()
        .map_err(|_| "not a whole number of 64 bits".to_owned())
}

/// `true`, `false`, `1` or `0`, in any case.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Days since 1970-01-01 of a date, or of a timestamp's UTC date.
pub(super) fn date(text: &str) -> Result<i32, String> {
    let micros = timestamp(text).map_err(|error| {
        if error == NOT_A_TIMESTAMP {
            NOT_A_DATE.to_owned()
        } else {
            error
        }
    })?;
    day_of(micros).ok_or_else(|| NOT_A_DATE.to_owned())
}

/// The UTC day of a timestamp.
pub(super) fn day_of(micros: i64) -> Option<i32> {
    i32::try_from(micros.div_euclid(MICROS_PER_DAY)).ok()
}

/// UTC microseconds of an RFC 3339 timestamp; without an offset it is UTC, a bare date is midnight.
pub(super) fn timestamp(text: &str) -> Result<i64, String> {
    let bytes = text.as_bytes();
    let bad = || NOT_A_TIMESTAMP.to_owned();
    let midnight = bytes.get(..10).and_then(day).ok_or_else(bad)? * MICROS_PER_DAY;
    let rest = &bytes[10..];
    if rest.is_empty() {
        return Ok(midnight);
    }
    if !matches!(rest[0], b'T' | b't' | b' ') {
        return Err(bad());
    }
    let seconds = rest.get(1..9).and_then(clock).ok_or_else(bad)?;
    let (fraction, zone) = fraction(&rest[9..]).ok_or_else(bad)?;
    let fraction = fraction.ok_or_else(|| "more precise than a microsecond".to_owned())?;
    let offset = offset_seconds(zone).ok_or_else(bad)?;
    Ok(midnight + (seconds - offset) * MICROS_PER_SECOND + fraction)
}

/// `YYYY-MM-DD` as days since 1970-01-01.
fn day(text: &[u8]) -> Option<i64> {
    if text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    let (year, month, day) = (
        number(&text[..4])?,
        number(&text[5..7])?,
        number(&text[8..])?,
    );
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if year == 0 || day == 0 || day > length {
        return None;
    }
    // Years start in March here, so that the leap day is the last of its year.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days_before_year = year * 365 + year / 4 - year / 100 + year / 400;
    let days_before_month = (153 * month + 2) / 5;
    // 719 468 days lie between 0000-03-01 and 1970-01-01.
    Some(days_before_year + days_before_month + day - 1 - 719_468)
}

/// `HH:MM:SS` as seconds of the day.
fn clock(text: &[u8]) -> Option<i64> {
    if text[2] != b':' || text[5] != b':' {
        return None;
    }
    let (hour, minute, second) = (
        number(&text[..2])?,
        number(&text[3..5])?,
        number(&text[6..])?,
    );
    (hour < 24 && minute < 60 && second < 60).then_some(hour * 3600 + minute * 60 + second)
}

/// Microseconds after the second (`None` inside: digits that do not fit), and what follows them.
fn fraction(text: &[u8]) -> Option<(Option<i64>, &[u8])> {
    let Some(digits) = text.strip_prefix(b".") else {
        return Some((Some(0), text));
    };
    let count = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let (digits, rest) = digits.split_at(count);
    if digits.is_empty() {
        return None;
    }
    let (kept, beyond) = digits.split_at(count.min(6));
    let mut micros = number(kept)?;
    for _ in kept.len()..6 {
        micros *= 10;
    }
    Some((
        beyond.iter().all(|byte| *byte == b'0').then_some(micros),
        rest,
    ))
}

/// Seconds east of UTC of `Z`, `+HH:MM`, `+HHMM`, `+HH`, ` UTC` or nothing.
fn offset_seconds(zone: &[u8]) -> Option<i64> {
    let sign = match zone {
        b"" | b"Z" | b"z" | b" UTC" => return Some(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let digits = &zone[1..];
    let (hours, minutes) = match digits.len() {
        2 => (number(digits)?, 0),
        4 => (number(&digits[..2])?, number(&digits[2..])?),
        5 if digits[2] == b':' => (number(&digits[..2])?, number(&digits[3..])?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0i64, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + i64::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        assert_eq!(decimal("12.5"), Ok(12_500_000_000_000));
        assert_eq!(decimal("-0.000000000001"), Ok(-1));
        assert_eq!(decimal("0"), Ok(0));
        assert_eq!(
            decimal("123456789012345678"),
            Ok(123_456_789_012_345_678_000_000_000_000)
        );
        assert_eq!(
            decimal("1234567890123456789"),
            Ok(1_234_567_890_123_456_789_000_000_000_000)
        );
        assert_eq!(decimal("1e-7"), Ok(100_000));
        assert_eq!(decimal(".5"), Ok(500_000_000_000));
        for bad in [
            "",
            "-",
            ".",
            "1,5",
            "abc",
            "1.2.3",
            "NaN",
            "0.0000000000001",
        ] {
            assert!(decimal(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn timestamps_become_utc_microseconds() {
        assert_eq!(timestamp("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(timestamp("2026-01-01"), Ok(1_767_225_600_000_000));
        assert_eq!(timestamp("2026-01-01 00:00:00"), Ok(1_767_225_600_000_000));
        assert_eq!(
            timestamp("2026-01-01T00:00:00.5Z"),
            Ok(1_767_225_600_500_000)
        );
        assert_eq!(
            timestamp("2026-01-01T00:00:00.000001000Z"),
            Ok(1_767_225_600_000_001)
        );
        assert_eq!(
            timestamp("2026-01-01T05:30:00+05:30"),
            Ok(1_767_225_600_000_000)
        );
        assert_eq!(
            timestamp("2025-12-31T16:00:00-0800"),
            Ok(1_767_225_600_000_000)
        );
        assert_eq!(timestamp("2024-02-29T23:59:59Z"), Ok(1_709_251_199_000_000));
        assert_eq!(timestamp("1969-12-31T23:59:59Z"), Ok(-1_000_000));
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        let bad = [
            "",
            "2026",
            "2026-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-01-32",
            "2026-01-01T",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+25:00",
            "2026-01-01T00:00:00X",
            "01/02/2026",
            "1767225600",
            "2026-01-01T00:00:0é",
            "２０２６-01-01",
        ];
        for text in bad {
            assert_eq!(timestamp(text), Err(NOT_A_TIMESTAMP.to_owned()), "{text}");
        }
        let precise = timestamp("2026-01-01T00:00:00.0000001Z").unwrap_err();
        assert_eq!(precise, "more precise than a microsecond");
    }

    #[test]
    fn dates_are_utc_days() {
        assert_eq!(date("1970-01-02"), Ok(1));
        assert_eq!(date("2026-01-01T01:00:00+02:00"), Ok(20_453));
        assert_eq!(date("2026-01-01"), Ok(20_454));
        assert_eq!(date("1969-12-31T23:00:00Z"), Ok(-1));
        assert_eq!(date("soon"), Err(NOT_A_DATE.to_owned()));
    }

    #[test]
    fn booleans_in_any_case() {
        assert_eq!(boolean("TRUE"), Some(true));
        assert_eq!(boolean("0"), Some(false));
        assert_eq!(boolean("yes"), None);
    }
}
