//! Tiers and blocks: which one a quantity falls into, and what is beyond the last.

use super::{check, d, refused, some, tiered};
use crate::rating::{ChargeModel, Price, RatingError, Tier, rate};

#[test]
fn graduated_bounds_are_inclusive() {
    let price = tiered(ChargeModel::Graduated);
    check(&price, "0", "0");
    check(&price, "0.01", "1.001");
    check(&price, "100", "11");
    check(&price, "101", "13.05");
    check(&price, "200", "18");
    check(&price, "201", "21.01");
    let zero = Price {
        flat_fee_at_zero: Some(true),
        ..price
    };
    check(&zero, "0", "1");
}

#[test]
fn the_smallest_step_over_a_bound_reaches_the_next_tier() {
    let price = tiered(ChargeModel::Graduated);
    let rated = rate(&price, d("100.000000000001")).unwrap();
    assert_eq!(rated.tiers.len(), 2);
    assert_eq!(rated.amount, d("13"));
    check(&tiered(ChargeModel::Volume), "100", "11");
    check(&tiered(ChargeModel::Volume), "100.000000000001", "7");
    check(&tiered(ChargeModel::Stairstep), "100", "1");
    check(&tiered(ChargeModel::Stairstep), "100.000000000001", "2");
}

#[test]
fn volume_above_a_bounded_last_tier_has_no_amount() {
    let mut price = tiered(ChargeModel::Volume);
    price.tiers.truncate(2);
    assert_eq!(
        refused(&price, "201"),
        RatingError::BeyondTiers { quantity: d("201") }
    );
    price.charge_model = ChargeModel::Graduated;
    check(&price, "1000", "18");
    price.charge_model = ChargeModel::TieredOverage;
    assert!(matches!(
        refused(&price, "201"),
        RatingError::Missing {
            column: "overage_price",
            ..
        }
    ));
    price.overage_price = some("0.5");
    check(&price, "202", "19");
    check(&price, "200", "18");
}

#[test]
fn tiers_out_of_order_are_refused() {
    let mut price = tiered(ChargeModel::Graduated);
    price.tiers.swap(0, 1);
    assert_eq!(refused(&price, "1"), RatingError::TierOrder { tier: 2 });
    price.tiers.swap(1, 2);
    assert_eq!(refused(&price, "1"), RatingError::TierAfterOpen { tier: 3 });
    let mut price = tiered(ChargeModel::Volume);
    price.tiers[1].package_size = some("0");
    assert!(matches!(
        refused(&price, "1"),
        RatingError::TierRange { tier: 2, .. }
    ));
}

#[test]
fn blocks_fill_tier_after_tier_and_the_rest_is_not_billed() {
    let block = |size: &str, most: &str, price: &str| Tier {
        package_size: some(size),
        max_blocks: some(most),
        unit_price: some(price),
        ..Tier::default()
    };
    let mut price = Price {
        tiers: vec![block("100", "10", "1"), block("1000", "2", "0.5")],
        ..Price::new(ChargeModel::GraduatedBlock)
    };
    check(&price, "0", "0");
    check(&price, "1000", "10");
    check(&price, "1000.5", "10.5");
    check(&price, "99999", "11");
    price.charge_model = ChargeModel::VolumeBlock;
    check(&price, "1000", "10");
    check(&price, "1001", "1");
    check(&price, "99999", "50");
    price.tiers[0].max_blocks = some("-1");
    assert_eq!(refused(&price, "1"), RatingError::TierAfterOpen { tier: 2 });
}
