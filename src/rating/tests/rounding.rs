//! What becomes of an amount after it is priced: bounds, then the stage, mode and step of rounding.

use super::{check, d, refused, some, tier};
use crate::rating::{ChargeModel, Price, RatingError, RoundingMode, RoundingStage, rate, round};

#[test]
fn bounds_apply_after_rating_and_before_rounding() {
    let price = Price {
        unit_price: some("0.001"),
        minimum_amount: some("1.005"),
        maximum_amount: some("2"),
        currency_exponent: Some(2),
        ..Price::new(ChargeModel::PerUnit)
    };
    check(&price, "0", "1.01");
    check(&price, "1234", "1.23");
    check(&price, "9999", "2");
    assert_eq!(rate(&price, d("0")).unwrap().unrounded, d("1.005"));
    let wrong = Price {
        minimum_amount: some("3"),
        ..price
    };
    assert!(matches!(refused(&wrong, "1"), RatingError::Bounds { .. }));
}

#[test]
fn every_stage_rounds_where_it_says() {
    let tiers = vec![tier("1", "0.004", "0.004"), tier("open", "0.004", "0.004")];
    let at = |stage: RoundingStage| Price {
        tiers: tiers.clone(),
        currency_exponent: Some(2),
        rounding_stage: Some(stage),
        ..Price::new(ChargeModel::Graduated)
    };
    check(&at(RoundingStage::Line), "2", "0.02");
    check(&at(RoundingStage::Component), "2", "0");
    check(&at(RoundingStage::Record), "2", "0.02");
    check(&at(RoundingStage::Invoice), "2", "0.016");
    check(&at(RoundingStage::None), "2", "0.016");
    let rated = rate(&at(RoundingStage::Component), d("2")).unwrap();
    assert_eq!(rated.unrounded, d("0.016"));
}

#[test]
fn every_mode_rounds_its_own_way() {
    let cases = [
        (RoundingMode::HalfUp, ["0.13", "-0.13", "0.12", "0.12"]),
        (RoundingMode::HalfEven, ["0.12", "-0.12", "0.12", "0.12"]),
        (RoundingMode::Up, ["0.13", "-0.13", "0.13", "0.12"]),
        (RoundingMode::Down, ["0.12", "-0.12", "0.12", "0.12"]),
    ];
    for (mode, expected) in cases {
        for (value, expected) in ["0.125", "-0.125", "0.121", "0.12"].iter().zip(expected) {
            assert_eq!(
                round(d(value), 2, mode).unwrap(),
                d(expected),
                "{value} {mode}"
            );
        }
    }
    assert_eq!(
        round(d("0.135"), 2, RoundingMode::HalfEven).unwrap(),
        d("0.14")
    );
    assert_eq!(
        round(d("150"), -2, RoundingMode::HalfEven).unwrap(),
        d("200")
    );
    assert_eq!(
        round(d("250"), -2, RoundingMode::HalfEven).unwrap(),
        d("200")
    );
    assert_eq!(round(d("0.1"), 20, RoundingMode::HalfUp).unwrap(), d("0.1"));
    assert!(round(d("1"), -13, RoundingMode::HalfUp).is_err());
    // 26 digits before the point continue in 256 bits with the same result.
    let great = d("99999999999999999999999999.125");
    assert_eq!(
        round(great, 2, RoundingMode::HalfEven).unwrap(),
        d("99999999999999999999999999.12")
    );
    let greatest = d("99999999999999999999999999.5");
    assert_eq!(
        round(greatest, 0, RoundingMode::Up),
        Err(RatingError::Overflow)
    );
}

#[test]
fn an_increment_goes_before_the_scale() {
    let price = Price {
        unit_price: some("1"),
        currency_exponent: Some(2),
        rounding_increment: some("0.05"),
        ..Price::new(ChargeModel::PerUnit)
    };
    check(&price, "1.02", "1");
    check(&price, "1.025", "1.05");
    check(&price, "1.07", "1.05");
    for increment in ["0", "-0.05"] {
        let wrong = Price {
            rounding_increment: some(increment),
            ..price.clone()
        };
        let error = refused(&wrong, "1");
        let told = RatingError::Rounding {
            column: "rounding_increment",
            value: d(increment),
        };
        assert_eq!(error, told);
        assert!(error.is_unrateable());
    }
}
