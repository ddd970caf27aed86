//! The simulation's own reckoning of a charge, by the published formulas of each charge model.
//!
//! It shares no line with the crate's `rating`, which is held against it: what both say alike is
//! unlikely to be wrong. Amounts are exact until the one rounding at the end.

use super::catalogue::{Model, Terms, Tier};
use super::money::{ONE, Rounding, decimals, divide, product, round_wide, widen};

/// What one tier, or the whole price, makes of its units. The amount is in units of 10⁻²⁴.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) up_to: Option<i128>,
    pub(super) quantity: i128,
    pub(super) unit_price: i128,
    pub(super) flat_fee: i128,
    pub(super) amount: i128,
}

impl Part {
    fn new(tier: &Tier, quantity: i128, amount: i128) -> Self {
        let flat_fee = tier.flat_fee.unwrap_or(0);
        Self {
            up_to: tier.up_to,
            quantity,
            unit_price: tier.unit_price.unwrap_or(0),
            flat_fee,
            amount: amount + widen(flat_fee),
        }
    }

    fn whole(quantity: i128, unit_price: i128, amount: i128) -> Self {
        Self {
            up_to: None,
            quantity,
            unit_price,
            flat_fee: 0,
            amount,
        }
    }
}

/// The amount due, rounded as the price says, in the currency's decimals.
pub(super) fn charge(terms: &Terms, currency: &str, quantity: i128) -> i128 {
    round(terms, currency, bounded(terms, exact(terms, quantity)))
}

/// The amount due before a minimum is looked at.
pub(super) fn charge_without_minimum(terms: &Terms, currency: &str, quantity: i128) -> i128 {
    let open = Terms {
        minimum: None,
        ..terms.clone()
    };
    charge(&open, currency, quantity)
}

/// The amount before bounds and rounding, in units of 10⁻²⁴.
pub(super) fn exact(terms: &Terms, quantity: i128) -> i128 {
    parts(terms, quantity).iter().map(|part| part.amount).sum()
}

fn bounded(terms: &Terms, amount: i128) -> i128 {
    let capped = terms.maximum.map_or(amount, |most| amount.min(widen(most)));
    terms
        .minimum
        .map_or(capped, |least| capped.max(widen(least)))
}

/// To the currency's decimals, in the price's mode.
pub(super) fn round(terms: &Terms, currency: &str, amount: i128) -> i128 {
    let mode = if terms.rounds_down {
        Rounding::Down
    } else {
        Rounding::HalfUp
    };
    round_wide(amount, decimals(currency), mode)
}

/// The parts of a charge. Nothing used costs nothing, except where the price is flat.
pub(super) fn parts(terms: &Terms, quantity: i128) -> Vec<Part> {
    if terms.model == Model::Flat {
        let fee = terms.flat_fee.unwrap_or(0);
        return vec![Part::whole(ONE, fee, widen(fee))];
    }
    let counted = if terms.whole_units {
        divide(quantity, ONE, Rounding::Up) * ONE
    } else {
        quantity
    };
    let billable = (counted - terms.included.unwrap_or(0)).max(0);
    if billable == 0 {
        return Vec::new();
    }
    match terms.model {
        Model::Flat => Vec::new(),
        Model::PerUnit => single(billable, terms.unit_price),
        Model::Overage => single(billable, terms.overage_price),
        Model::Package => packages(terms, billable),
        Model::Percentage => single(billable, terms.percentage_rate.map(|rate| rate / 100)),
        Model::Prerated => single(billable, Some(terms.unit_price.unwrap_or(ONE))),
        Model::Custom => custom(billable),
        Model::Graduated => graduated(terms, billable),
        Model::GraduatedPercentage => graduated_percentage(terms, billable),
        Model::TieredOverage => tiered_overage(terms, billable),
        Model::Volume => volume(terms, billable),
        Model::Stairstep | Model::Capacity => stairstep(terms, billable),
        Model::GraduatedBlock => graduated_block(terms, billable),
        Model::VolumeBlock => volume_block(terms, billable),
    }
}

fn single(quantity: i128, unit_price: Option<i128>) -> Vec<Part> {
    let price = unit_price.unwrap_or(0);
    vec![Part::whole(quantity, price, product(quantity, price))]
}

/// ⌈q / size⌉ · price
fn packages(terms: &Terms, quantity: i128) -> Vec<Part> {
    let count = blocks(quantity, terms.package_size);
    let price = terms.unit_price.unwrap_or(0);
    vec![Part::whole(quantity, price, product(count * ONE, price))]
}

/// A formula that no column of the price tells.
fn custom(quantity: i128) -> Vec<Part> {
    let (rate, base) = (ONE / 100, 5 * ONE);
    let amount = product(quantity, rate) + widen(base);
    vec![Part::whole(quantity, rate, amount)]
}

/// Each tier with the units that fall into it; only tiers that are reached.
fn slices(tiers: &[Tier], quantity: i128) -> Vec<(&Tier, i128)> {
    let mut slices = Vec::new();
    let mut floor = 0;
    for tier in tiers {
        if quantity <= floor {
            break;
        }
        let ceiling = tier.up_to.map_or(quantity, |up_to| up_to.min(quantity));
        slices.push((tier, ceiling - floor));
        floor = ceiling;
    }
    slices
}

fn graduated(terms: &Terms, quantity: i128) -> Vec<Part> {
    slices(&terms.tiers, quantity)
        .into_iter()
        .map(|(tier, units)| {
            let amount = product(units, tier.unit_price.unwrap_or(0));
            Part::new(tier, units, amount)
        })
        .collect()
}

fn graduated_percentage(terms: &Terms, quantity: i128) -> Vec<Part> {
    slices(&terms.tiers, quantity)
        .into_iter()
        .map(|(tier, units)| {
            let amount = product(units, tier.percentage_rate.unwrap_or(0) / 100);
            Part::new(tier, units, amount)
        })
        .collect()
}

fn tiered_overage(terms: &Terms, quantity: i128) -> Vec<Part> {
    let mut parts = graduated(terms, quantity);
    let covered: i128 = parts.iter().map(|part| part.quantity).sum();
    if quantity > covered {
        parts.extend(single(quantity - covered, terms.overage_price));
    }
    parts
}

/// The tier that holds the quantity; the last where none does.
fn holding(tiers: &[Tier], quantity: i128) -> Option<&Tier> {
    tiers
        .iter()
        .find(|tier| tier.up_to.is_none_or(|up_to| quantity <= up_to))
        .or_else(|| tiers.last())
}

fn volume(terms: &Terms, quantity: i128) -> Vec<Part> {
    holding(&terms.tiers, quantity)
        .map(|tier| {
            let amount = product(quantity, tier.unit_price.unwrap_or(0));
            Part::new(tier, quantity, amount)
        })
        .into_iter()
        .collect()
}

fn stairstep(terms: &Terms, quantity: i128) -> Vec<Part> {
    holding(&terms.tiers, quantity)
        .map(|tier| Part::new(tier, quantity, 0))
        .into_iter()
        .collect()
}

/// Started blocks.
fn blocks(quantity: i128, size: Option<i128>) -> i128 {
    divide(quantity, size.unwrap_or(ONE).max(1), Rounding::Up)
}

/// Blocks fill tier after tier.
fn graduated_block(terms: &Terms, quantity: i128) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut floor, mut left) = (0, quantity);
    for tier in &terms.tiers {
        if left <= 0 {
            break;
        }
        let size = tier.package_size.or(terms.package_size).unwrap_or(ONE);
        let wanted = blocks(left, Some(size));
        let count = match tier.up_to {
            Some(up_to) => wanted.min(blocks(up_to - floor, Some(size))),
            None => wanted,
        };
        let units = (count * size).min(left);
        let amount = product(count * ONE, tier.unit_price.unwrap_or(0));
        parts.push(Part::new(tier, units, amount));
        floor += count * size;
        left -= count * size;
    }
    parts
}

/// All blocks at the price of the tier that the quantity reaches.
fn volume_block(terms: &Terms, quantity: i128) -> Vec<Part> {
    holding(&terms.tiers, quantity)
        .map(|tier| {
            let size = tier.package_size.or(terms.package_size);
            let count = blocks(quantity, size);
            let amount = product(count * ONE, tier.unit_price.unwrap_or(0));
            Part::new(tier, quantity, amount)
        })
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests;
