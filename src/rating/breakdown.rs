//! Adds up the parts of an amount, twice: as they are, and rounded where the price rounds its
//! parts. Keeps the tier breakdown when somebody wants to see it.

use super::error::RatingError;
use super::exact::Exact;
use super::rounding::Rounding;
use crate::model::Decimal;

/// What one tier contributes to an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TierCharge {
    /// The tier's upper bound; `None` = open, or no tier at all.
    pub up_to: Option<Decimal>,
    /// The units of the tier.
    pub quantity: Decimal,
    /// The price of a unit or package; for percentages, the rate in percent.
    pub unit_price: Decimal,
    /// The fixed part.
    pub flat_fee: Decimal,
    /// The amount of the tier.
    pub amount: Decimal,
}

impl TierCharge {
    /// The row that makes a breakdown add up: what rounding, the minimum, the maximum or an earlier
    /// invoice adds to the tiers. It has no bound, no quantity and no price.
    pub(super) const fn adjustment(amount: Decimal) -> Self {
        Self {
            up_to: None,
            quantity: Decimal::ZERO,
            unit_price: Decimal::ZERO,
            flat_fee: Decimal::ZERO,
            amount,
        }
    }
}

/// One tier before its amount is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) up_to: Option<Decimal>,
    pub(super) quantity: Decimal,
    pub(super) unit_price: Decimal,
    pub(super) flat_fee: Decimal,
}

#[derive(Debug)]
pub(super) struct Breakdown {
    pub(super) unrounded: Exact,
    pub(super) total: Exact,
    pub(super) tiers: Option<Vec<TierCharge>>,
    component: Option<Rounding>,
}

impl Breakdown {
    pub(super) fn new(component: Option<Rounding>, tiers: Option<Vec<TierCharge>>) -> Self {
        Self {
            unrounded: Exact::ZERO,
            total: Exact::ZERO,
            tiers,
            component,
        }
    }

    /// Adds the usage part and the flat fee of a tier.
    pub(super) fn add(&mut self, row: Row, usage: Exact) -> Result<(), RatingError> {
        let fee = Exact::money(row.flat_fee);
        let unrounded = usage.add(fee)?;
        let amount = match self.component {
            Some(rounding) => usage.rounded(rounding)?.add(fee.rounded(rounding)?)?,
            None => unrounded,
        };
        self.add_amounts(row, unrounded, amount)
    }

    /// Adds a part whose two amounts the caller knows.
    pub(super) fn add_amounts(
        &mut self,
        row: Row,
        unrounded: Exact,
        amount: Exact,
    ) -> Result<(), RatingError> {
        self.unrounded = self.unrounded.add(unrounded)?;
        self.total = self.total.add(amount)?;
        if let Some(tiers) = &mut self.tiers {
            tiers.push(TierCharge {
                up_to: row.up_to,
                quantity: row.quantity,
                unit_price: row.unit_price,
                flat_fee: row.flat_fee,
                amount: amount.to_decimal()?,
            });
        }
        Ok(())
    }
}
