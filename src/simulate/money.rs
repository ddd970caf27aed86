//! Exact numbers of the simulated world: whole counts of 10⁻¹², and of 10⁻²⁴ for products.
//!
//! It is written apart from `model` and `rating` on purpose: a mistake there must not be repeated
//! here. A product that does not fit stays at the largest number; the world holds none so large.

/// One, in units of 10⁻¹².
pub(super) const ONE: i128 = 1_000_000_000_000;

/// What becomes of the rest of a division.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounding {
    /// To the nearest; a half goes away from zero.
    HalfUp,
    /// Towards zero.
    Down,
    /// Away from zero.
    Up,
}

/// A whole number in units.
pub(super) const fn whole(count: i64) -> i128 {
    count as i128 * ONE
}

/// The units of a decimal in text; only for the literals of the catalogue.
pub(super) fn units(text: &str) -> i128 {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (before, after) = digits.split_once('.').unwrap_or((digits, ""));
    let mut value: i128 = 0;
    for byte in before.bytes().chain(after.bytes().take(12)) {
        value = value * 10 + i128::from(byte.saturating_sub(b'0'));
    }
    let decimals = after.len().min(12) as u32;
    let value = value * 10i128.pow(12 - decimals);
    if negative { -value } else { value }
}

/// The product of two numbers of 10⁻¹², in units of 10⁻²⁴: nothing is rounded.
pub(super) const fn product(a: i128, b: i128) -> i128 {
    a.saturating_mul(b)
}

/// The same number in units of 10⁻²⁴.
pub(super) const fn widen(a: i128) -> i128 {
    a.saturating_mul(ONE)
}

/// A whole quotient; `divisor` is above zero.
pub(super) const fn divide(number: i128, divisor: i128, rounding: Rounding) -> i128 {
    let (quotient, rest) = (number / divisor, number % divisor);
    let away = match rounding {
        Rounding::Down => false,
        Rounding::Up => rest != 0,
        Rounding::HalfUp => rest.unsigned_abs() * 2 >= divisor.unsigned_abs(),
    };
    if away {
        quotient + number.signum()
    } else {
        quotient
    }
}

/// An amount of 10⁻²⁴ brought to so many decimals, in units of 10⁻¹².
pub(super) const fn round_wide(amount: i128, decimals: u32, rounding: Rounding) -> i128 {
    divide(amount, 10i128.pow(24 - decimals), rounding) * 10i128.pow(12 - decimals)
}

/// `amount` times `part` over `all`, brought to so many decimals, half up.
pub(super) const fn share(amount: i128, part: i64, all: i64, decimals: u32) -> i128 {
    let divisor = all as i128 * 10i128.pow(12 - decimals);
    let number = amount.saturating_mul(part as i128);
    divide(number, divisor, Rounding::HalfUp) * 10i128.pow(12 - decimals)
}

/// Decimals of a currency's minor unit, for the currencies of this world.
pub(super) fn decimals(currency: &str) -> u32 {
    match currency {
        "JPY" => 0,
        "KWD" => 3,
        _ => 2,
    }
}

/// The shortest exact text.
pub(super) fn plain(units: i128) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let magnitude = units.unsigned_abs();
    let (before, after) = (
        magnitude / ONE.unsigned_abs(),
        magnitude % ONE.unsigned_abs(),
    );
    if after == 0 {
        return format!("{sign}{before}");
    }
    let after = format!("{after:012}");
    format!("{sign}{before}.{}", after.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_written_exactly() {
        for text in ["0", "12.5", "-0.001", "0.000000000001", "123456789"] {
            assert_eq!(plain(units(text)), text);
        }
        assert_eq!(units("0.0020"), 2_000_000_000);
        assert_eq!(whole(3), units("3"));
    }

    #[test]
    fn halves_go_away_from_zero() {
        let round = |text: &str, decimals| {
            plain(round_wide(widen(units(text)), decimals, Rounding::HalfUp))
        };
        assert_eq!(round("10.125", 2), "10.13");
        assert_eq!(round("-10.125", 2), "-10.13");
        assert_eq!(round("2.5", 0), "3");
        assert_eq!(round("1.0005", 3), "1.001");
        let down = round_wide(widen(units("1.999")), 2, Rounding::Down);
        assert_eq!(plain(down), "1.99");
        let up = round_wide(widen(units("1.991")), 2, Rounding::Up);
        assert_eq!(plain(up), "2");
    }

    #[test]
    fn parts_are_shared_by_time() {
        // 17 of 31 days of 199.00, and 22 of 29 of 100.00.
        assert_eq!(plain(share(units("199"), 17, 31, 2)), "109.13");
        assert_eq!(plain(share(units("100"), 22, 29, 2)), "75.86");
        assert_eq!(plain(share(units("24000"), 1, 7, 0)), "3429");
    }
}
