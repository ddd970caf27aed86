//! Packages: units are sold in lots, and a lot that is not full counts or does not.

use super::breakdown::Breakdown;
use super::error::RatingError;
use super::price::Price;
use super::rounding::quotient;
use super::terms::{PackageRounding, RoundingMode};
use super::tiered;
use crate::model::Decimal;

/// Packages times the price of one, which is the unit price, or the flat fee where there is no
/// unit price.
pub(super) fn package(
    price: &Price,
    quantity: Decimal,
    parts: &mut Breakdown,
) -> Result<(), RatingError> {
    price.needs("package_size", price.package_size)?;
    match price.unit_price {
        Some(unit_price) => tiered::single(price, quantity, unit_price, price.flat_fee, parts),
        None => {
            let unit_price = price.needs("unit_price", price.flat_fee)?;
            tiered::single(price, quantity, unit_price, None, parts)
        }
    }
}

/// How many packages a quantity makes. Both are above zero, or the quantity is zero.
pub(super) fn count(
    quantity: Decimal,
    size: Decimal,
    rounding: PackageRounding,
) -> Result<Decimal, RatingError> {
    let mode = match rounding {
        PackageRounding::Up => RoundingMode::Up,
        PackageRounding::Down => RoundingMode::Down,
    };
    let packages = quotient(quantity.units(), size.units(), mode);
    times(Decimal::ONE, packages)
}

/// The quantity in whole packages of the price, still counted in units. Tiers are picked and filled
/// with it, so that two tiers never share one package.
pub(super) fn whole(price: &Price, quantity: Decimal) -> Result<Decimal, RatingError> {
    let Some(size) = price.package_size else {
        return Ok(quantity);
    };
    let mode = match price.package_rounding() {
        PackageRounding::Up => RoundingMode::Up,
        PackageRounding::Down => RoundingMode::Down,
    };
    times(size, quotient(quantity.units(), size.units(), mode))
}

/// A decimal times a whole number.
pub(super) fn times(value: Decimal, factor: i128) -> Result<Decimal, RatingError> {
    let product = value.units().checked_mul(factor).map(Decimal::from_units);
    // Adding zero is the range check of the lake's decimals.
    product
        .and_then(|product| product.checked_add(Decimal::ZERO))
        .ok_or(RatingError::Overflow)
}
