//! Capacity: what was used has to fit in a tier, and the tier has a price. With several unit types
//! all of them have to fit.

use std::collections::BTreeMap;

use super::breakdown::{Breakdown, Row};
use super::error::RatingError;
use super::exact::Exact;
use super::price::{Price, Tier};
use super::terms::{ChargeModel, NegativePolicy};
use super::tiered;
use crate::model::Decimal;

/// One unit type: the tier by `up_to`. Nothing used costs nothing, whatever the first tier costs.
pub(super) fn of_quantity(
    price: &Price,
    quantity: Decimal,
    parts: &mut Breakdown,
) -> Result<(), RatingError> {
    if price.tiers.iter().any(|tier| !tier.limits.is_empty()) {
        return Err(RatingError::WrongUsage {
            model: price.charge_model,
            form: "one quantity",
        });
    }
    if quantity.is_zero() {
        Ok(())
    } else {
        tiered::stairstep(price, quantity, parts)
    }
}

/// Several unit types: the first tier that holds every one of them.
pub(super) fn of_units(
    price: &Price,
    units: &BTreeMap<String, Decimal>,
    parts: &mut Breakdown,
) -> Result<(), RatingError> {
    if price.charge_model != ChargeModel::Capacity {
        return Err(RatingError::WrongUsage {
            model: price.charge_model,
            form: "units",
        });
    }
    if price.tiers.is_empty() {
        return price.needs("tiers", None);
    }
    for (unit, quantity) in units {
        if !price
            .tiers
            .iter()
            .any(|tier| tier.limits.contains_key(unit))
        {
            return Err(RatingError::UnknownUnit { unit: unit.clone() });
        }
        if quantity.is_negative() && price.negative_policy() == NegativePolicy::Error {
            return Err(RatingError::Negative {
                quantity: *quantity,
            });
        }
    }
    if units.values().all(|quantity| *quantity <= Decimal::ZERO) {
        return Ok(());
    }
    let tier = price
        .tiers
        .iter()
        .find(|tier| {
            units
                .iter()
                .all(|(unit, quantity)| holds(tier, unit, *quantity))
        })
        .ok_or(RatingError::BeyondCapacity)?;
    let flat_fee = tier.flat_fee.or(tier.unit_price).unwrap_or(Decimal::ZERO);
    let row = Row {
        up_to: tier.up_to,
        quantity: Decimal::ZERO,
        unit_price: Decimal::ZERO,
        flat_fee,
    };
    parts.add(row, Exact::ZERO)
}

fn holds(tier: &Tier, unit: &str, quantity: Decimal) -> bool {
    match tier.limits.get(unit) {
        Some(Some(most)) => quantity <= *most,
        Some(None) | None => true,
    }
}
