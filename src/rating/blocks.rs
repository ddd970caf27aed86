//! Block models: tiers count blocks of `package_size` units and hold `max_blocks` of them. A tier
//! without `max_blocks` holds as many blocks as it takes to reach its `up_to`; without either, or
//! with a negative `max_blocks`, it holds any number.

use super::breakdown::{Breakdown, Row};
use super::error::RatingError;
use super::exact::Exact;
use super::package;
use super::price::{Price, Tier};
use super::rate::above;
use super::terms::PackageRounding;
use crate::model::Decimal;

/// Blocks fill tier after tier. What lies beyond the last bounded tier is not billed.
pub(super) fn graduated(
    price: &Price,
    quantity: Decimal,
    parts: &mut Breakdown,
) -> Result<(), RatingError> {
    if price.tiers.is_empty() {
        return price.needs("tiers", None);
    }
    let mut left = quantity;
    let mut below = Decimal::ZERO;
    for tier in &price.tiers {
        if left.is_zero() {
            break;
        }
        let size = size_of(price, tier)?;
        let wanted = package::count(left, size, price.package_rounding())?;
        let blocks = match capacity_of(tier, size, below)? {
            Some(most) => wanted.min(most),
            None => wanted,
        };
        if blocks.is_zero() {
            continue;
        }
        let filled = units_of(blocks, size)?;
        let units = if price.package_rounding() == PackageRounding::Up {
            filled.min(left)
        } else {
            filled
        };
        charge(tier, units, blocks, parts)?;
        left = above(left, filled)?;
        below = below.checked_add(filled).ok_or(RatingError::Overflow)?;
    }
    Ok(())
}

/// All blocks at the price of the tier that the quantity reaches; of the last one beyond it.
pub(super) fn volume(
    price: &Price,
    quantity: Decimal,
    parts: &mut Breakdown,
) -> Result<(), RatingError> {
    if quantity.is_zero() {
        return Ok(());
    }
    let mut reached = price.needs("tiers", price.tiers.last())?;
    let mut below = Decimal::ZERO;
    for tier in &price.tiers {
        let size = size_of(price, tier)?;
        let Some(most) = capacity_of(tier, size, below)? else {
            reached = tier;
            break;
        };
        below = below
            .checked_add(units_of(most, size)?)
            .ok_or(RatingError::Overflow)?;
        if quantity <= below {
            reached = tier;
            break;
        }
    }
    let size = size_of(price, reached)?;
    let blocks = package::count(quantity, size, price.package_rounding())?;
    charge(reached, quantity, blocks, parts)
}

fn charge(
    tier: &Tier,
    units: Decimal,
    blocks: Decimal,
    parts: &mut Breakdown,
) -> Result<(), RatingError> {
    let unit_price = tier.unit_price.unwrap_or(Decimal::ZERO);
    let flat_fee = tier.flat_fee.unwrap_or(Decimal::ZERO);
    let row = Row {
        up_to: tier.up_to,
        quantity: units,
        unit_price,
        flat_fee,
    };
    parts.add(row, Exact::product(blocks, unit_price)?)
}

fn size_of(price: &Price, tier: &Tier) -> Result<Decimal, RatingError> {
    price.needs("package_size", tier.package_size.or(price.package_size))
}

/// The blocks a tier holds; `None` = any number.
fn capacity_of(tier: &Tier, size: Decimal, below: Decimal) -> Result<Option<Decimal>, RatingError> {
    match (tier.max_blocks, tier.up_to) {
        (Some(most), _) => Ok((!most.is_negative()).then_some(most)),
        (None, Some(up_to)) => {
            package::count(above(up_to, below)?, size, PackageRounding::Up).map(Some)
        }
        (None, None) => Ok(None),
    }
}

/// The units that a number of blocks holds.
fn units_of(blocks: Decimal, size: Decimal) -> Result<Decimal, RatingError> {
    Exact::product(blocks, size)?.to_decimal()
}
