//! Rounding to a scale or to an increment, in a named mode. This is the only place of the program
//! that decides which way a half goes; who rounds, and when, is decided by `rate`.

use std::cmp::Ordering;

use arrow_buffer::i256;

use super::error::RatingError;
use super::exact::{Exact, SCALE};
use super::terms::RoundingMode;
use crate::model::Decimal;

/// A step and the way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rounding {
    step: i128,
    mode: RoundingMode,
}

/// Scales finer than what the lake can hold mean "as fine as the lake can hold".
const FINEST_SCALE: i32 = 12;
/// Steps of more than 10¹² have no use, and 10³⁸ is what 128 bits can hold.
const COARSEST_SCALE: i32 = -12;

const POWERS: [i128; 39] = powers();

const fn powers() -> [i128; 39] {
    let mut powers = [1i128; 39];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
}

impl Rounding {
    /// Rounding to a number of decimals; a negative one rounds to tens, hundreds and so on.
    pub(super) fn to_scale(
        column: &'static str,
        scale: i32,
        mode: RoundingMode,
    ) -> Result<Self, RatingError> {
        let out_of_range = || RatingError::Rounding {
            column,
            value: Decimal::from_i64(scale.into()),
        };
        if scale < COARSEST_SCALE {
            return Err(out_of_range());
        }
        let step = usize::try_from(SCALE - scale.min(FINEST_SCALE))
            .ok()
            .and_then(|power| POWERS.get(power))
            .ok_or_else(out_of_range)?;
        Ok(Self { step: *step, mode })
    }

    /// Rounding to multiples of an increment, such as 0.05.
    pub(super) fn to_increment(
        increment: Decimal,
        mode: RoundingMode,
    ) -> Result<Self, RatingError> {
        match Exact::money(increment) {
            Exact::Narrow(step) if step > 0 => Ok(Self { step, mode }),
            _ => Err(RatingError::Rounding {
                column: "rounding_increment",
                value: increment,
            }),
        }
    }

    pub(super) const fn step(self) -> i128 {
        self.step
    }

    pub(super) const fn mode(self) -> RoundingMode {
        self.mode
    }
}

/// An amount or a quantity rounded to `scale` decimals.
///
/// # Errors
/// A scale below −12, and a result that the lake cannot hold.
pub fn round(value: Decimal, scale: i32, mode: RoundingMode) -> Result<Decimal, RatingError> {
    Exact::money(value)
        .rounded(Rounding::to_scale("scale", scale, mode)?)?
        .to_decimal()
}

/// An amount rounded to the minor unit of a currency, halves away from zero.
///
/// # Errors
/// A result that the lake cannot hold.
pub fn money_round(amount: Decimal, exponent: u32) -> Result<Decimal, RatingError> {
    let scale = i32::try_from(exponent).unwrap_or(FINEST_SCALE);
    round(amount, scale, RoundingMode::HalfUp)
}

/// `value / step`, the rest rounded in `mode`. `step` is above zero.
pub(super) fn quotient(value: i128, step: i128, mode: RoundingMode) -> i128 {
    let (whole, rest) = (value / step, value % step);
    if rest == 0 {
        return whole;
    }
    let size = rest.unsigned_abs();
    let to_half = size.cmp(&(step.unsigned_abs() - size));
    // The quotient of a value that leaves a rest is at most half of the range: this cannot overflow.
    if goes_away(mode, to_half, whole % 2 != 0) {
        whole + value.signum()
    } else {
        whole
    }
}

/// The same in 256 bits; `None` where it does not fit.
pub(super) fn quotient_wide(value: i256, step: i256, mode: RoundingMode) -> Option<i256> {
    let whole = value.checked_div(step)?;
    let rest = value.checked_rem(step)?;
    if rest == i256::ZERO {
        return Some(whole);
    }
    let size = rest.checked_abs()?;
    let to_half = size.cmp(&step.checked_sub(size)?);
    let odd = whole.checked_rem(i256::from_i128(2))? != i256::ZERO;
    if !goes_away(mode, to_half, odd) {
        return Some(whole);
    }
    let one = i256::from_i128(1);
    if value.is_negative() {
        whole.checked_sub(one)
    } else {
        whole.checked_add(one)
    }
}

fn goes_away(mode: RoundingMode, to_half: Ordering, odd: bool) -> bool {
    match mode {
        RoundingMode::Up => true,
        RoundingMode::Down => false,
        RoundingMode::HalfUp => to_half != Ordering::Less,
        RoundingMode::HalfEven => {
            to_half == Ordering::Greater || (to_half == Ordering::Equal && odd)
        }
    }
}
