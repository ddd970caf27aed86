//! The exact number of the lake: an integer count of 10⁻¹² units, `Decimal128(38, 12)` on disk.
//!
//! It parses and prints without a float anywhere and refuses what it cannot hold exactly; rounding
//! is never done here, that is `rating`'s decision.

use std::fmt;
use std::str::FromStr;

use arrow_buffer::i256;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

/// An exact decimal of up to 26 integer digits and 12 decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal(i128);

/// Why a text is not a [`Decimal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// The text is not a decimal number at all.
    #[error("not a decimal number")]
    NotANumber,
    /// The text has non-zero digits beyond the twelfth decimal.
    #[error("more than 12 decimals")]
    TooPrecise,
    /// The number needs more than 38 digits.
    #[error("too large: more than 26 digits before the decimal point")]
    TooLarge,
}

const UNITS_PER_ONE: i128 = 1_000_000_000_000;
/// 10³⁸: the first count of units that `Decimal128(38, 12)` cannot hold.
const LIMIT: i128 = 100_000_000_000_000_000_000_000_000_000_000_000_000;

impl Decimal {
    /// Decimals after the point.
    pub const SCALE: u32 = 12;
    /// Nought.
    pub const ZERO: Self = Self(0);
    /// One.
    pub const ONE: Self = Self(UNITS_PER_ONE);

    /// The decimal that is `units` times 10⁻¹².
    pub const fn from_units(units: i128) -> Self {
        Self(units)
    }

    /// The count of 10⁻¹² units: the raw value of the Arrow column.
    pub const fn units(self) -> i128 {
        self.0
    }

    /// The decimal of a whole number.
    pub fn from_i64(whole: i64) -> Self {
        // i64::MAX times 10¹² is below 10³¹: it always fits.
        Self(i128::from(whole) * UNITS_PER_ONE)
    }

    /// Whether the number is below zero.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Whether the number is zero.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, or `None` where it does not fit.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Self::within(self.0.checked_add(other.0)?)
    }

    /// The difference, or `None` where it does not fit.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        Self::within(self.0.checked_sub(other.0)?)
    }

    /// The negative, or `None` where it does not fit.
    pub fn checked_neg(self) -> Option<Self> {
        self.0.checked_neg().map(Self)
    }

    /// The product, rounded half away from zero to the twelfth decimal, or `None` where it does not
    /// fit. For converting money between currencies; what a charge costs is `rating`'s to say.
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        let product = i256::from_i128(self.0).checked_mul(i256::from_i128(other.0))?;
        let one = i256::from_i128(UNITS_PER_ONE);
        let half = i256::from_i128(UNITS_PER_ONE / 2);
        let nudge = if product.is_negative() {
            half.checked_neg()?
        } else {
            half
        };
        Self::within(product.checked_add(nudge)?.checked_div(one)?.to_i128()?)
    }

    /// The distance from zero.
    pub fn abs(self) -> Self {
        // Every value is below 10³⁸ in size, so the most negative i128 cannot occur.
        Self(self.0.saturating_abs())
    }

    fn within(units: i128) -> Option<Self> {
        (units < LIMIT && units > -LIMIT).then_some(Self(units))
    }

    /// Reads ASCII digits with an optional sign, point and exponent.
    pub fn parse_bytes(text: &[u8]) -> Result<Self, DecimalError> {
        let (negative, body) = match text.split_first() {
            Some((b'-', rest)) => (true, rest),
            Some((b'+', rest)) => (false, rest),
            _ => (false, text),
        };
        let (mantissa, exponent) = split_exponent(body)?;
        let mut units: i128 = 0;
        let mut digits = 0u32;
        let mut decimals: i64 = 0;
        let mut seen_point = false;
        let mut pending_zeros: u32 = 0;
        for &byte in mantissa {
            match byte {
                b'.' if !seen_point => seen_point = true,
                b'0'..=b'9' => {
                    digits += 1;
                    if seen_point {
                        decimals += 1;
                    }
                    // Zeros are held back so that trailing ones never overflow or count as precision.
                    if byte == b'0' {
                        pending_zeros += 1;
                    } else {
                        units = shift(units, pending_zeros + 1)?;
                        units = units
                            .checked_add(i128::from(byte - b'0'))
                            .ok_or(DecimalError::TooLarge)?;
                        pending_zeros = 0;
                    }
                }
                _ => return Err(DecimalError::NotANumber),
            }
        }
        if digits == 0 {
            return Err(DecimalError::NotANumber);
        }
        if units == 0 {
            return Ok(Self::ZERO);
        }
        // value = units · 10^(pending_zeros − decimals + exponent); the lake wants it times 10¹².
        let power = i64::from(pending_zeros) - decimals + exponent + i64::from(Self::SCALE);
        if power < 0 {
            return Err(DecimalError::TooPrecise);
        }
        let power = u32::try_from(power).map_err(|_| DecimalError::TooLarge)?;
        let units = shift(units, power)?;
        Self::within(if negative { -units } else { units }).ok_or(DecimalError::TooLarge)
    }
}

fn split_exponent(body: &[u8]) -> Result<(&[u8], i64), DecimalError> {
    let Some(at) = body.iter().position(|b| matches!(b, b'e' | b'E')) else {
        return Ok((body, 0));
    };
    let digits = std::str::from_utf8(&body[at + 1..]).map_err(|_| DecimalError::NotANumber)?;
    let exponent: i64 = digits.parse().map_err(|_| DecimalError::NotANumber)?;
    // Far beyond what fits either way; the bound keeps the sums below from overflowing.
    Ok((&body[..at], exponent.clamp(-1_000_000, 1_000_000)))
}

fn shift(units: i128, power: u32) -> Result<i128, DecimalError> {
    if units == 0 {
        return Ok(0);
    }
    10i128
        .checked_pow(power)
        .and_then(|factor| units.checked_mul(factor))
        .ok_or(DecimalError::TooLarge)
}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse_bytes(text.as_bytes())
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.unsigned_abs();
        let whole = size / UNITS_PER_ONE.unsigned_abs();
        let rest = size % UNITS_PER_ONE.unsigned_abs();
        let fraction = format!("{rest:012}");
        let fraction = fraction.trim_end_matches('0');
        let text = if fraction.is_empty() {
            whole.to_string()
        } else {
            format!("{whole}.{fraction}")
        };
        f.pad_integral(self.0 >= 0, "", &text)
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde_json keeps a number's own digits (`arbitrary_precision`), so no float comes between.
        let value = serde_json::Value::deserialize(deserializer)?;
        let text = match &value {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Number(number) => number.to_string(),
            other => {
                return Err(D::Error::custom(format!(
                    "expected a decimal, found {other}"
                )));
            }
        };
        text.parse()
            .map_err(|error| D::Error::custom(format!("`{text}`: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str) -> Result<i128, DecimalError> {
        text.parse::<Decimal>().map(Decimal::units)
    }

    #[test]
    fn parses_exactly() {
        assert_eq!(units("12.5"), Ok(12_500_000_000_000));
        assert_eq!(units("-0.000000000001"), Ok(-1));
        assert_eq!(units("+3"), Ok(3_000_000_000_000));
        assert_eq!(units(".5"), Ok(500_000_000_000));
        assert_eq!(units("1e-7"), Ok(100_000));
        assert_eq!(units("1.50E3"), Ok(1_500_000_000_000_000));
        assert_eq!(units("0.1000000000000000"), Ok(100_000_000_000));
        assert_eq!(units("100e-2"), Ok(1_000_000_000_000));
        assert_eq!(units("0e999999999"), Ok(0));
    }

    #[test]
    fn refuses_what_it_cannot_hold() {
        assert_eq!(units(""), Err(DecimalError::NotANumber));
        assert_eq!(units("-"), Err(DecimalError::NotANumber));
        assert_eq!(units("1.2.3"), Err(DecimalError::NotANumber));
        assert_eq!(units("1,5"), Err(DecimalError::NotANumber));
        assert_eq!(units("NaN"), Err(DecimalError::NotANumber));
        assert_eq!(units("1e"), Err(DecimalError::NotANumber));
        assert_eq!(units("0.0000000000001"), Err(DecimalError::TooPrecise));
        assert_eq!(
            units("99999999999999999999999999"),
            Ok(LIMIT - UNITS_PER_ONE)
        );
        assert_eq!(
            units("100000000000000000000000000"),
            Err(DecimalError::TooLarge)
        );
        assert_eq!(units("1e400"), Err(DecimalError::TooLarge));
    }

    #[test]
    fn prints_the_shortest_exact_text() {
        for text in [
            "0",
            "12.5",
            "-0.001",
            "10",
            "-10",
            "0.000000000001",
            "99999999999999999999999999",
        ] {
            assert_eq!(text.parse::<Decimal>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn json_numbers_keep_their_digits() {
        let read = |json: &str| serde_json::from_str::<Decimal>(json).unwrap().to_string();
        assert_eq!(read("0.100000000001"), "0.100000000001");
        assert_eq!(read("\"7.25\""), "7.25");
        assert_eq!(serde_json::to_string(&Decimal::ONE).unwrap(), "\"1\"");
    }

    #[test]
    fn products_round_half_away_from_zero() {
        let product = |a: &str, b: &str| {
            let product = a
                .parse::<Decimal>()
                .unwrap()
                .checked_mul(b.parse().unwrap());
            product.map(|value| value.to_string())
        };
        assert_eq!(product("12.5", "1.08").as_deref(), Some("13.5"));
        assert_eq!(
            product("0.000000000001", "0.5").as_deref(),
            Some("0.000000000001")
        );
        assert_eq!(
            product("-0.000000000001", "0.5").as_deref(),
            Some("-0.000000000001")
        );
        assert_eq!(product("10000000000000", "10000000000000"), None);
    }

    #[test]
    fn sums_that_do_not_fit_are_refused() {
        let top = Decimal::from_units(LIMIT - 1);
        assert_eq!(top.checked_add(Decimal::from_units(1)), None);
        assert_eq!(top.checked_sub(Decimal::from_units(-1)), None);
        assert_eq!(top.checked_sub(top), Some(Decimal::ZERO));
    }
}
