//! Models that multiply units by prices: with one price, or with tiers by quantity. Quantities are
//! at or above zero here; signs, included units, bounds and rounding are settled by `rate`.

use super::breakdown::{Breakdown, Row};
use super::error::RatingError;
use super::exact::Exact;
use super::package;
use super::price::{Price, Tier};
use super::rate::above;
use super::rounding::round;
use super::terms::{RoundingMode, TierPick};
use crate::model::Decimal;

/// One amount, whatever the quantity.
pub(super) fn flat(
    price: &Price,
    quantity: Decimal,
    parts: &mut Breakdown,
) -> Result<(), RatingError> {
    let flat_fee = price.needs("flat_fee", price.flat_fee.or(price.unit_price))?;
    let row = Row {
        up_to: None,
        quantity,
        unit_price: Decimal::ZERO,
        flat_fee,
    };
    parts.add(row, Exact::ZERO)
}

/// Quantity times price; a flat fee of the price comes on top.
pub(super) fn per_unit(
    price: &Price,
    quantity: Decimal,
    parts: &mut Breakdown,
) -> Result<(), RatingError> {
    // A price with nothing but a flat fee has a unit price of zero; one with neither says nothing.
    let unit_price = price.unit_price.or(price.flat_fee.map(|_| Decimal::ZERO));
    let unit_price = price.needs("unit_price", unit_price)?;
    single(price, quantity, unit_price, price.flat_fee, parts)
}

/// Units above the included ones, which `rate` has taken off, at the overage price.
pub(super) fn overage(
    price: &Price,
    quantity: Decimal,
    parts: &mut Breakdown,
) -> Result<(), RatingError> {
    let unit_price = price.needs("overage_price", price.overage_price.or(price.unit_price))?;
    single(price, quantity, unit_price, price.flat_fee, parts)
}

/// The quantity is an amount; a unit price, if there is one, multiplies it.
pub(super) fn prerated(
    price: &Price,
    quantity: Decimal,
    parts: &mut Breakdown,
) -> Result<(), RatingError> {
    single(
        price,
        quantity,
        price.unit_price.unwrap_or(Decimal::ONE),
        None,
        parts,
    )
}

/// One tier without bounds.
pub(super) fn single(
    price: &Price,
    quantity: Decimal,
    unit_price: Decimal,
    flat_fee: Option<Decimal>,
    parts: &mut Breakdown,
) -> Result<(), RatingError> {
    if quantity.is_zero() && !price.flat_fee_at_zero() {
        return Ok(());
    }
    let usage = priced(price, quantity, unit_price, price.package_size)?;
    let flat_fee = flat_fee.unwrap_or(Decimal::ZERO);
    parts.add(
        Row {
            up_to: None,
            quantity,
            unit_price,
            flat_fee,
        },
        usage,
    )
}

/// Every unit at the price of its tier. Units above a bounded last tier are not billed.
pub(super) fn graduated(
    price: &Price,
    quantity: Decimal,
    parts: &mut Breakdown,
) -> Result<(), RatingError> {
    let quantity = package::whole(price, quantity)?;
    fill(price, quantity, parts, |tier, units| {
        let unit_price = tier.unit_price.unwrap_or(Decimal::ZERO);
        let size = tier.package_size.or(price.package_size);
        Ok((unit_price, priced(price, units, unit_price, size)?))
    })
}

/// Graduated tiers, and the overage price for what lies above a bounded last one.
pub(super) fn tiered_overage(
    price: &Price,
    quantity: Decimal,
    parts: &mut Breakdown,
) -> Result<(), RatingError> {
    graduated(price, quantity, parts)?;
    let covered = match price.tiers.last() {
        Some(Tier {
            up_to: Some(up_to), ..
        }) => *up_to,
        _ => return Ok(()),
    };
    let rest = above(package::whole(price, quantity)?, covered)?;
    if rest.is_zero() {
        return Ok(());
    }
    let unit_price = price.needs("overage_price", price.overage_price)?;
    let usage = priced(price, rest, unit_price, price.package_size)?;
    parts.add(
        Row {
            up_to: None,
            quantity: rest,
            unit_price,
            flat_fee: Decimal::ZERO,
        },
        usage,
    )
}

/// All units at the price of one tier.
pub(super) fn volume(
    price: &Price,
    quantity: Decimal,
    parts: &mut Breakdown,
) -> Result<(), RatingError> {
    let quantity = package::whole(price, quantity)?;
    let Some(tier) = pick(price, quantity)? else {
        return Ok(());
    };
    let unit_price = tier.unit_price.unwrap_or(Decimal::ZERO);
    let usage = priced(
        price,
        quantity,
        unit_price,
        tier.package_size.or(price.package_size),
    )?;
    let flat_fee = tier.flat_fee.unwrap_or(Decimal::ZERO);
    parts.add(
        Row {
            up_to: tier.up_to,
            quantity,
            unit_price,
            flat_fee,
        },
        usage,
    )
}

/// The fee of one tier. A tier that has no flat fee is taken to hold it as its unit price.
pub(super) fn stairstep(
    price: &Price,
    quantity: Decimal,
    parts: &mut Breakdown,
) -> Result<(), RatingError> {
    let quantity = package::whole(price, quantity)?;
    let Some(tier) = pick(price, quantity)? else {
        return Ok(());
    };
    let flat_fee = tier.flat_fee.or(tier.unit_price).unwrap_or(Decimal::ZERO);
    let row = Row {
        up_to: tier.up_to,
        quantity,
        unit_price: Decimal::ZERO,
        flat_fee,
    };
    parts.add(row, Exact::ZERO)
}

/// Walks the tiers that the quantity reaches: the first one with any usage (or at zero, if its fee
/// is due then), a later one as soon as the quantity exceeds the bound before it.
pub(super) fn fill(
    price: &Price,
    quantity: Decimal,
    parts: &mut Breakdown,
    of_tier: impl Fn(&Tier, Decimal) -> Result<(Decimal, Exact), RatingError>,
) -> Result<(), RatingError> {
    if price.tiers.is_empty() {
        return price.needs("tiers", None);
    }
    if quantity.is_zero() && !price.flat_fee_at_zero() {
        return Ok(());
    }
    let mut below = Decimal::ZERO;
    for (index, tier) in price.tiers.iter().enumerate() {
        if index > 0 && quantity <= below {
            break;
        }
        let top = tier.up_to.map_or(quantity, |up_to| up_to.min(quantity));
        let units = above(top, below)?;
        let (unit_price, usage) = of_tier(tier, units)?;
        let flat_fee = tier.flat_fee.unwrap_or(Decimal::ZERO);
        parts.add(
            Row {
                up_to: tier.up_to,
                quantity: units,
                unit_price,
                flat_fee,
            },
            usage,
        )?;
        below = top;
    }
    Ok(())
}

/// The tier that holds the quantity; `None` where nothing is due because nothing was used.
pub(super) fn pick(price: &Price, quantity: Decimal) -> Result<Option<&Tier>, RatingError> {
    if price.tiers.is_empty() {
        return price.needs("tiers", None);
    }
    if quantity.is_zero() && !price.flat_fee_at_zero() {
        return Ok(None);
    }
    let picker = match price.tier_pick() {
        TierPick::Exact => quantity,
        TierPick::Ceil => round(quantity, 0, RoundingMode::Up)?,
    };
    let found = price
        .tiers
        .iter()
        .find(|tier| tier.up_to.is_none_or(|up_to| picker <= up_to));
    found.map(Some).ok_or(RatingError::BeyondTiers { quantity })
}

/// Units at a price; packages of them where there is a package size.
fn priced(
    price: &Price,
    quantity: Decimal,
    unit_price: Decimal,
    package_size: Option<Decimal>,
) -> Result<Exact, RatingError> {
    let count = match package_size {
        Some(size) => package::count(quantity, size, price.package_rounding())?,
        None => quantity,
    };
    Exact::product(count, unit_price)
}
