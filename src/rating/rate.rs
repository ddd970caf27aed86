//! The order of operations, the same for every model:
//!
//! 1. the quantity is rounded (`quantity_rounding`, `quantity_scale`);
//! 2. a negative quantity meets the negative policy: zero, mirrored (the whole rating of its size,
//!    negated), or refused;
//! 3. included units are taken off;
//! 4. the model turns what is left into parts, tier by tier, exactly;
//! 5. parts are rounded where the stage is `component` (or `record`, for events);
//! 6. the maximum, then the minimum, bounds the sum;
//! 7. the line is rounded, once. Stages `invoice` and `none` leave it as it is.
//!
//! The tier breakdown adds up to the amount to the last digit: where rounding, bounds or an earlier
//! invoice make a difference, one last row carries it.

use std::collections::BTreeMap;

use super::breakdown::{Breakdown, TierCharge};
use super::error::RatingError;
use super::exact::Exact;
use super::price::Price;
use super::terms::{ChargeModel, NegativePolicy, QuantityRounding, RoundingMode, RoundingStage};
use super::{blocks, capacity, package, percentage, rounding, tiered};
use crate::model::Decimal;

/// What was used.
#[derive(Debug, Clone, Copy)]
pub enum Usage<'a> {
    /// One quantity.
    Quantity(Decimal),
    /// The amounts of single events, in order.
    Events(&'a [Decimal]),
    /// A quantity of each unit type.
    Units(&'a BTreeMap<String, Decimal>),
}

/// What it costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rated {
    /// The amount, bounded and rounded as the price says.
    pub amount: Decimal,
    /// The bounded amount before any rounding, to the lake's 12 decimals.
    pub unrounded: Decimal,
    /// The tier breakdown: Σ amount = the amount.
    pub tiers: Vec<TierCharge>,
}

/// What a quantity costs.
///
/// # Errors
/// A price that is wrong or lacks what its model needs, a refused quantity, an overflow.
pub fn rate(price: &Price, quantity: Decimal) -> Result<Rated, RatingError> {
    rate_usage(price, Usage::Quantity(quantity))
}

/// What usage of any form costs.
///
/// # Errors
/// As for [`rate`], and usage of a form the model does not take.
pub fn rate_usage(price: &Price, usage: Usage<'_>) -> Result<Rated, RatingError> {
    let outcome = run(
        price,
        usage,
        Some(Vec::with_capacity(price.tiers.len() + 1)),
    )?;
    let amount = outcome.amount()?;
    let unrounded = outcome.unrounded()?;
    let mut tiers = outcome.tiers.unwrap_or_default();
    if outcome.mirrored {
        for tier in &mut tiers {
            tier.quantity = negated(tier.quantity)?;
            tier.amount = negated(tier.amount)?;
        }
    }
    let mut rated = Rated {
        amount,
        unrounded,
        tiers,
    };
    rated.settle()?;
    Ok(rated)
}

/// The amount alone: what the SQL function needs of every line, without a breakdown.
pub(super) fn rate_amount(price: &Price, quantity: Decimal) -> Result<Decimal, RatingError> {
    run(price, Usage::Quantity(quantity), None)?.amount()
}

/// The unrounded amount alone.
pub(super) fn rate_unrounded(price: &Price, quantity: Decimal) -> Result<Decimal, RatingError> {
    run(price, Usage::Quantity(quantity), None)?.unrounded()
}

impl Rated {
    /// What is left to bill once `billed` has been billed for the same usage.
    ///
    /// # Errors
    /// A difference that the lake cannot hold.
    pub fn less(mut self, billed: Decimal) -> Result<Self, RatingError> {
        self.amount = self
            .amount
            .checked_sub(billed)
            .ok_or(RatingError::Overflow)?;
        self.unrounded = self
            .unrounded
            .checked_sub(billed)
            .ok_or(RatingError::Overflow)?;
        self.settle()?;
        Ok(self)
    }

    /// Makes the breakdown add up, with one row for whatever is not a tier's.
    fn settle(&mut self) -> Result<(), RatingError> {
        self.tiers
            .pop_if(|tier| *tier == TierCharge::adjustment(tier.amount));
        let mut left = self.amount;
        for tier in &self.tiers {
            left = left.checked_sub(tier.amount).ok_or(RatingError::Overflow)?;
        }
        if !left.is_zero() {
            self.tiers.push(TierCharge::adjustment(left));
        }
        Ok(())
    }
}

struct Outcome {
    total: Exact,
    unrounded: Exact,
    tiers: Option<Vec<TierCharge>>,
    mirrored: bool,
}

impl Outcome {
    fn amount(&self) -> Result<Decimal, RatingError> {
        self.signed(self.total)?.to_decimal()
    }

    fn unrounded(&self) -> Result<Decimal, RatingError> {
        self.signed(self.unrounded)?.to_decimal()
    }

    fn signed(&self, amount: Exact) -> Result<Exact, RatingError> {
        if self.mirrored {
            amount.negated()
        } else {
            Ok(amount)
        }
    }
}

fn run(
    price: &Price,
    usage: Usage<'_>,
    tiers: Option<Vec<TierCharge>>,
) -> Result<Outcome, RatingError> {
    price.check()?;
    let rounding = price.rounding()?;
    let of_stage = |wanted: RoundingStage| {
        rounding
            .filter(|(stage, _)| *stage == wanted)
            .map(|(_, rounding)| rounding)
    };
    let mut parts = Breakdown::new(of_stage(RoundingStage::Component), tiers);
    let mirrored = match usage {
        Usage::Quantity(quantity) => {
            let (billable, mirrored) = billable(price, quantity)?;
            charge(price, billable, &mut parts)?;
            mirrored
        }
        Usage::Events(events) => {
            let each = of_stage(RoundingStage::Record);
            percentage::of_events(price, events, each, &mut parts)?;
            false
        }
        Usage::Units(units) => {
            capacity::of_units(price, units, &mut parts)?;
            false
        }
    };
    let mut total = bounded(price, parts.total);
    if let Some((_, rounding)) = rounding {
        total = total.rounded(rounding)?;
    }
    Ok(Outcome {
        total,
        unrounded: bounded(price, parts.unrounded),
        tiers: parts.tiers,
        mirrored,
    })
}

/// The quantity the model sees, and whether its amount is to be negated.
fn billable(price: &Price, quantity: Decimal) -> Result<(Decimal, bool), RatingError> {
    let mode = match price.quantity_rounding {
        None | Some(QuantityRounding::None) => None,
        Some(QuantityRounding::Up) => Some(RoundingMode::Up),
        Some(QuantityRounding::Down) => Some(RoundingMode::Down),
        Some(QuantityRounding::HalfUp) => Some(RoundingMode::HalfUp),
    };
    let rounded = match mode {
        Some(mode) => rounding::round(quantity, price.quantity_scale.unwrap_or(0), mode)?,
        None => quantity,
    };
    let (size, mirrored) = if rounded.is_negative() {
        match price.negative_policy() {
            NegativePolicy::Zero => (Decimal::ZERO, false),
            NegativePolicy::Mirror => (negated(rounded)?, true),
            NegativePolicy::Error => return Err(RatingError::Negative { quantity }),
        }
    } else {
        (rounded, false)
    };
    let paid = match price.included_quantity {
        Some(included) => above(size, included)?,
        None => size,
    };
    Ok((paid, mirrored))
}

fn charge(price: &Price, quantity: Decimal, parts: &mut Breakdown) -> Result<(), RatingError> {
    match price.charge_model {
        ChargeModel::Flat => tiered::flat(price, quantity, parts),
        ChargeModel::PerUnit => tiered::per_unit(price, quantity, parts),
        ChargeModel::Overage => tiered::overage(price, quantity, parts),
        ChargeModel::Prerated => tiered::prerated(price, quantity, parts),
        ChargeModel::Graduated => tiered::graduated(price, quantity, parts),
        ChargeModel::Volume => tiered::volume(price, quantity, parts),
        ChargeModel::Stairstep => tiered::stairstep(price, quantity, parts),
        ChargeModel::TieredOverage => tiered::tiered_overage(price, quantity, parts),
        ChargeModel::Package => package::package(price, quantity, parts),
        ChargeModel::Percentage => percentage::of_quantity(price, quantity, parts),
        ChargeModel::GraduatedPercentage => percentage::graduated(price, quantity, parts),
        ChargeModel::GraduatedBlock => blocks::graduated(price, quantity, parts),
        ChargeModel::VolumeBlock => blocks::volume(price, quantity, parts),
        ChargeModel::Capacity => capacity::of_quantity(price, quantity, parts),
        ChargeModel::Custom => Err(RatingError::NotRateable {
            model: price.charge_model,
        }),
    }
}

fn bounded(price: &Price, amount: Exact) -> Exact {
    let amount = match price.maximum_amount {
        Some(maximum) => amount.at_most(Exact::money(maximum)),
        None => amount,
    };
    match price.minimum_amount {
        Some(minimum) => amount.at_least(Exact::money(minimum)),
        None => amount,
    }
}

/// What of `quantity` lies above `bound`; zero if nothing does.
pub(super) fn above(quantity: Decimal, bound: Decimal) -> Result<Decimal, RatingError> {
    let rest = quantity.checked_sub(bound).ok_or(RatingError::Overflow)?;
    Ok(rest.max(Decimal::ZERO))
}

fn negated(value: Decimal) -> Result<Decimal, RatingError> {
    value.checked_neg().ok_or(RatingError::Overflow)
}
