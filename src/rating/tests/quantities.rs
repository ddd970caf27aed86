//! What becomes of a quantity before it is priced: policy, included units, packages, rounding.

use super::{check, d, refused, some, tier, tiered};
use crate::rating::{
    ChargeModel, NegativePolicy, PackageRounding, Price, QuantityRounding, RatingError,
};

#[test]
fn negative_quantities_follow_the_policy() {
    let price = tiered(ChargeModel::Graduated);
    check(&price, "-150", "0");
    let mirror = Price {
        negative_policy: Some(NegativePolicy::Mirror),
        ..price.clone()
    };
    check(&mirror, "-150", "-15.5");
    check(&mirror, "150", "15.5");
    let error = Price {
        negative_policy: Some(NegativePolicy::Error),
        ..price
    };
    assert_eq!(
        refused(&error, "-1"),
        RatingError::Negative { quantity: d("-1") }
    );
}

#[test]
fn included_units_come_off_before_the_tier_is_picked() {
    let price = Price {
        included_quantity: some("50"),
        ..tiered(ChargeModel::Volume)
    };
    check(&price, "50", "0");
    check(&price, "150", "11");
    check(&price, "151", "7.05");
    let overage = Price {
        included_quantity: some("10"),
        overage_price: some("2"),
        ..Price::new(ChargeModel::Overage)
    };
    check(&overage, "9.5", "0");
    check(&overage, "12.5", "5");
}

#[test]
fn packages_round_up_or_down() {
    let up = Price {
        unit_price: some("5"),
        package_size: some("10"),
        ..Price::new(ChargeModel::Package)
    };
    check(&up, "0", "0");
    check(&up, "10", "5");
    check(&up, "10.000000000001", "10");
    let down = Price {
        package_rounding: Some(PackageRounding::Down),
        ..up
    };
    check(&down, "9.999999999999", "0");
    check(&down, "19", "5");
}

#[test]
fn packages_of_a_tiered_price_are_filled_before_the_tiers() {
    let tiers = vec![tier("500", "10", "0"), tier("open", "5", "0")];
    let price = Price {
        tiers,
        package_size: some("100"),
        ..Price::new(ChargeModel::Graduated)
    };
    check(&price, "450", "50");
    check(&price, "501", "55");
    check(&price, "700", "60");
}

#[test]
fn the_quantity_is_rounded_first() {
    let price = Price {
        quantity_rounding: Some(QuantityRounding::Up),
        quantity_scale: Some(0),
        ..tiered(ChargeModel::Volume)
    };
    check(&price, "99.1", "11");
    check(&price, "100.1", "7.05");
}
