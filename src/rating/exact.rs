//! Exact amounts at 26 decimals: what a product of two lake decimals (24 decimals) and a percentage
//! of one (two more) need. Nothing is rounded here unless a caller hands over a [`Rounding`].
//!
//! An amount below 1.7 · 10¹² fits in 128 bits, and nearly all do; a greater one continues in 256
//! bits with the same result, and one that does not fit there is an error.

use std::cmp::Ordering;

use arrow_buffer::i256;

use super::error::RatingError;
use super::rounding::{Rounding, quotient, quotient_wide};
use super::terms::RoundingMode;
use crate::model::Decimal;

/// Decimals of an exact amount.
pub(super) const SCALE: i32 = 26;

/// Units of an exact amount in one unit of a lake decimal: 10^(26 − 12).
const PER_UNIT: i128 = 100_000_000_000_000;

/// The first count of units that a lake decimal cannot hold.
const LIMIT: i128 = 10i128.pow(38);

/// An exact amount in units of 10⁻²⁶.
#[derive(Debug, Clone, Copy)]
pub(super) enum Exact {
    Narrow(i128),
    Wide(i256),
}

impl Exact {
    pub(super) const ZERO: Self = Self::Narrow(0);

    /// An amount of the lake, as it is.
    pub(super) fn money(amount: Decimal) -> Self {
        match amount.units().checked_mul(PER_UNIT) {
            Some(units) => Self::Narrow(units),
            // 128 bits times 47 bits: it always fits in 256.
            None => {
                Self::Wide(i256::from_i128(amount.units()).wrapping_mul(i256::from_i128(PER_UNIT)))
            }
        }
    }

    /// Quantity times price.
    pub(super) fn product(quantity: Decimal, price: Decimal) -> Result<Self, RatingError> {
        multiplied(quantity, price, 100)
    }

    /// The given percentage of an amount. Its two extra decimals are why amounts have 26.
    pub(super) fn percent(amount: Decimal, rate: Decimal) -> Result<Self, RatingError> {
        multiplied(amount, rate, 1)
    }

    pub(super) fn add(self, other: Self) -> Result<Self, RatingError> {
        if let (Self::Narrow(a), Self::Narrow(b)) = (self, other)
            && let Some(sum) = a.checked_add(b)
        {
            return Ok(Self::Narrow(sum));
        }
        self.wide()
            .checked_add(other.wide())
            .map(Self::Wide)
            .ok_or(RatingError::Overflow)
    }

    pub(super) fn negated(self) -> Result<Self, RatingError> {
        if let Self::Narrow(units) = self
            && let Some(negative) = units.checked_neg()
        {
            return Ok(Self::Narrow(negative));
        }
        self.wide()
            .checked_neg()
            .map(Self::Wide)
            .ok_or(RatingError::Overflow)
    }

    pub(super) fn at_least(self, floor: Self) -> Self {
        if self.compare(floor) == Ordering::Less {
            floor
        } else {
            self
        }
    }

    pub(super) fn at_most(self, ceiling: Self) -> Self {
        if self.compare(ceiling) == Ordering::Greater {
            ceiling
        } else {
            self
        }
    }

    pub(super) fn rounded(self, rounding: Rounding) -> Result<Self, RatingError> {
        let step = rounding.step();
        if let Self::Narrow(units) = self
            && let Some(rounded) = quotient(units, step, rounding.mode()).checked_mul(step)
        {
            return Ok(Self::Narrow(rounded));
        }
        let step = i256::from_i128(step);
        quotient_wide(self.wide(), step, rounding.mode())
            .and_then(|steps| steps.checked_mul(step))
            .map(Self::Wide)
            .ok_or(RatingError::Overflow)
    }

    /// The amount as the lake holds it. Digits beyond the twelfth decimal, which only an unrounded
    /// amount has, are rounded half away from zero.
    pub(super) fn to_decimal(self) -> Result<Decimal, RatingError> {
        let units = match self {
            Self::Narrow(units) => Some(quotient(units, PER_UNIT, RoundingMode::HalfUp)),
            Self::Wide(units) => {
                quotient_wide(units, i256::from_i128(PER_UNIT), RoundingMode::HalfUp)
                    .and_then(i256::to_i128)
            }
        };
        units
            .filter(|units| *units < LIMIT && *units > -LIMIT)
            .map(Decimal::from_units)
            .ok_or(RatingError::Overflow)
    }

    fn wide(self) -> i256 {
        match self {
            Self::Narrow(units) => i256::from_i128(units),
            Self::Wide(units) => units,
        }
    }

    fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Narrow(a), Self::Narrow(b)) => a.cmp(&b),
            _ => self.wide().cmp(&other.wide()),
        }
    }
}

fn multiplied(a: Decimal, b: Decimal, factor: i128) -> Result<Exact, RatingError> {
    let narrow = a
        .units()
        .checked_mul(b.units())
        .and_then(|units| units.checked_mul(factor));
    if let Some(units) = narrow {
        return Ok(Exact::Narrow(units));
    }
    i256::from_i128(a.units())
        .checked_mul(i256::from_i128(b.units()))
        .and_then(|units| units.checked_mul(i256::from_i128(factor)))
        .map(Exact::Wide)
        .ok_or(RatingError::Overflow)
}
