//! A factor between two numbers: exact until the one division, which rounds at the twelfth decimal.

use std::fmt;

use crate::model::Decimal;

/// `over / under`, both above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ratio {
    over: i128,
    under: i128,
}

impl Ratio {
    /// Nothing where either number is not above zero.
    pub(super) fn new(over: i64, under: i64) -> Option<Self> {
        (over > 0 && under > 0).then(|| Self {
            over: over.into(),
            under: under.into(),
        })
    }

    /// That many times as much; a factor below one counts as one.
    pub(super) fn times(factor: i64) -> Self {
        Self {
            over: factor.max(1).into(),
            under: 1,
        }
    }

    /// Divided by that; a divisor below one counts as one.
    pub(super) fn divided(divisor: i64) -> Self {
        Self {
            over: 1,
            under: divisor.max(1).into(),
        }
    }

    /// Whether a value is multiplied without any division.
    pub(super) fn is_whole(self) -> bool {
        self.under == 1
    }

    /// The value times this; nothing where it does not fit.
    pub(super) fn of(self, value: Decimal) -> Option<Decimal> {
        let product = value.units().checked_mul(self.over)?;
        quotient(product, self.under)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.over, self.under) {
            (over, 1) => write!(f, "× {over}"),
            (1, under) => write!(f, "÷ {under}"),
            (over, under) => write!(f, "× {over}/{under}"),
        }
    }
}

/// One decimal divided by another, the last digit rounded half away from zero.
pub(super) fn divide(value: Decimal, by: Decimal) -> Option<Decimal> {
    let product = value.units().checked_mul(Decimal::ONE.units())?;
    if by.units() <= 0 {
        return None;
    }
    quotient(product, by.units())
}

/// `under` is above zero.
fn quotient(product: i128, under: i128) -> Option<Decimal> {
    let (whole, rest) = (product / under, product % under);
    let size = rest.unsigned_abs();
    let goes_up = size >= under.unsigned_abs() - size;
    let units = if rest != 0 && goes_up {
        whole.checked_add(product.signum())?
    } else {
        whole
    };
    // Adding nought is the range check of the lake's numbers.
    Decimal::from_units(units).checked_add(Decimal::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn factors_are_exact_and_divisions_round_once() {
        assert_eq!(Ratio::times(1024).of(decimal("1.5")), Some(decimal("1536")));
        assert_eq!(
            Ratio::divided(3600).of(decimal("5400")),
            Some(decimal("1.5"))
        );
        assert_eq!(
            Ratio::divided(3).of(decimal("-2")),
            Some(decimal("-0.666666666667"))
        );
        let days = Ratio::new(10, 31).unwrap();
        assert_eq!(days.of(decimal("310")), Some(decimal("100")));
        assert_eq!(days.to_string(), "× 10/31");
        assert_eq!(Ratio::new(0, 31), None);
        let most = "99999999999999999999999999";
        assert_eq!(Ratio::times(1000).of(decimal(most)), None);
        assert_eq!(
            divide(decimal("1"), decimal("1000")),
            Some(decimal("0.001"))
        );
        assert_eq!(divide(decimal("1"), Decimal::ZERO), None);
    }
}
