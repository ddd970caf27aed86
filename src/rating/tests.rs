//! Boundaries, policies and rounding, figure by figure. Whole catalogues of figures and the
//! properties against brute force are in `tests/it/rating.rs`.

use super::{
    ChargeModel, NegativePolicy, PackageRounding, Price, QuantityRounding, RatingError,
    RoundingMode, RoundingStage, Tier, rate, rate_line, rate_value, round,
};
use crate::model::Decimal;

fn d(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn some(text: &str) -> Option<Decimal> {
    Some(d(text))
}

fn tier(up_to: &str, unit_price: &str, flat_fee: &str) -> Tier {
    let up_to = if up_to == "open" { None } else { some(up_to) };
    Tier {
        up_to,
        unit_price: some(unit_price),
        flat_fee: some(flat_fee),
        ..Tier::default()
    }
}

fn tiered(charge_model: ChargeModel) -> Price {
    let tiers = vec![
        tier("100", "0.10", "1"),
        tier("200", "0.05", "2"),
        tier("open", "0.01", "3"),
    ];
    Price {
        tiers,
        ..Price::new(charge_model)
    }
}

fn check(price: &Price, quantity: &str, amount: &str) {
    let rated = rate(price, d(quantity)).unwrap();
    assert_eq!(
        rated.amount,
        d(amount),
        "{} of {quantity}",
        price.charge_model
    );
    let mut sum = Decimal::ZERO;
    for tier in &rated.tiers {
        sum = sum.checked_add(tier.amount).unwrap();
    }
    assert_eq!(
        sum, rated.amount,
        "the breakdown of {quantity} does not add up"
    );
}

fn refused(price: &Price, quantity: &str) -> RatingError {
    rate(price, d(quantity)).unwrap_err()
}

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
    let wrong = Price {
        rounding_increment: some("0"),
        ..price
    };
    assert!(matches!(refused(&wrong, "1"), RatingError::Range { .. }));
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

#[test]
fn twelve_decimals_times_ten_to_the_eighteenth_are_exact() {
    let price = Price {
        unit_price: some("0.123456789012"),
        ..Price::new(ChargeModel::PerUnit)
    };
    check(&price, "1000000000000000000", "123456789012000000");
    check(
        &price,
        "1000000000000000000.000000000001",
        "123456789012000000",
    );
    let share = Price {
        percentage_rate: some("2.9"),
        ..Price::new(ChargeModel::Percentage)
    };
    check(&share, "1000000000000000000", "29000000000000000");
}

#[test]
fn what_does_not_fit_is_an_error() {
    let price = Price {
        unit_price: some("99999999999999"),
        ..Price::new(ChargeModel::PerUnit)
    };
    assert_eq!(refused(&price, "99999999999999"), RatingError::Overflow);
    let most = "99999999999999999999999999";
    let price = Price {
        unit_price: some(most),
        ..Price::new(ChargeModel::PerUnit)
    };
    assert_eq!(refused(&price, most), RatingError::Overflow);
}

#[test]
fn percentages_keep_their_two_extra_decimals() {
    let price = Price {
        percentage_rate: some("1.3"),
        ..Price::new(ChargeModel::Percentage)
    };
    check(&price, "550", "7.15");
    let fee = Price {
        flat_fee: some("2"),
        ..price
    };
    assert_eq!(
        refused(&fee, "550"),
        RatingError::NeedsEvents { column: "flat_fee" }
    );
}

#[test]
fn a_price_that_says_nothing_is_unrateable_and_not_wrong() {
    assert!(refused(&Price::new(ChargeModel::PerUnit), "1").is_unrateable());
    assert!(refused(&Price::new(ChargeModel::Graduated), "1").is_unrateable());
    assert!(refused(&Price::new(ChargeModel::Custom), "1").is_unrateable());
    assert!(!RatingError::Overflow.is_unrateable());
}

#[test]
fn the_calculator_answers_a_line() {
    let line = concat!(
        r#"{"id":"a","price":{"charge_model":"graduated","currency":"USD","tiers":["#,
        r#"{"up_to":"100","unit_price":"0.10"},{"up_to":null,"unit_price":"0.05"}]},"#,
        r#""quantity":"150"}"#,
    );
    let expected = concat!(
        r#"{"id":"a","amount":"12.50","unrounded":"12.5","currency":"USD","tiers":["#,
        r#"{"up_to":"100","quantity":"100","unit_price":"0.10","flat_fee":"0","amount":"10"},"#,
        r#"{"up_to":null,"quantity":"50","unit_price":"0.05","flat_fee":"0","amount":"2.5"}],"#,
        r#""error":null}"#,
    );
    assert_eq!(serde_json::to_string(&rate_line(line)).unwrap(), expected);
}

#[test]
fn the_calculator_subtracts_what_was_billed_before() {
    let price = r#"{"charge_model":"per_unit","unit_price":0.001,"currency":"USD"}"#;
    let line = format!(
        r#"{{"price":{price},"quantity":333,"previously":{{"quantity":"333","amount":"0.33"}}}}"#
    );
    let answer = rate_line(&line);
    assert_eq!(answer.amount.as_deref(), Some("0.34"));
    assert_eq!(answer.tiers.len(), 2);
    assert_eq!(rate_value(price, "333").amount.as_deref(), Some("0.33"));
}

#[test]
fn the_calculator_says_what_is_wrong() {
    let cases = [
        ("{", "not JSON"),
        ("[]", "the line is not an object"),
        (
            r#"{"price":{"charge_model":"flat"},"quantiti":1}"#,
            "unknown key `quantiti`",
        ),
        (r#"{"quantity":1}"#, "price is missing"),
        (
            r#"{"price":{"charge_model":"flat","flat_fee":"1"}}"#,
            "give one of quantity",
        ),
        (
            r#"{"price":{"charge_model":"tiered"},"quantity":1}"#,
            "unknown charge_model `tiered`",
        ),
        (
            r#"{"price":{"charge_model":"flat","fee":"1"},"quantity":1}"#,
            "unknown key `fee` in price",
        ),
        (
            r#"{"price":{"charge_model":"flat","flat_fee":"x"},"quantity":1}"#,
            "price.flat_fee: `x`",
        ),
        (
            r#"{"price":{"charge_model":"flat","flat_fee":"1","currency":"XYZ"},"quantity":1}"#,
            "unknown currency `XYZ`",
        ),
        (
            concat!(
                r#"{"price":{"charge_model":"volume","tiers":[{"up_to":5,"unit_price":1},"#,
                r#"{"up_to":5,"unit_price":1}]},"quantity":1}"#
            ),
            "tiers out of order: tier 2",
        ),
        (
            concat!(
                r#"{"price":{"charge_model":"per_unit","unit_price":1,"#,
                r#""negative_policy":"error"},"quantity":-1}"#
            ),
            "negative quantity -1",
        ),
    ];
    for (line, expected) in cases {
        let answer = rate_line(line);
        let error = answer.error.unwrap();
        assert!(error.contains(expected), "{line}: {error}");
        assert_eq!(answer.amount, None);
    }
}

#[test]
fn capacity_takes_the_first_tier_that_holds_every_unit() {
    let line = |units: &str| {
        format!(
            concat!(
                r#"{{"price":{{"charge_model":"capacity","tiers":["#,
                r#"{{"flat_fee":"10","limits":{{"u":"5","v":null}}}},"#,
                r#"{{"flat_fee":"20","limits":{{"u":"50","v":"9"}}}}]}},"units":{}}}"#
            ),
            units
        )
    };
    let amount = |units: &str| rate_line(&line(units)).amount;
    assert_eq!(amount(r#"{"u":"5"}"#).as_deref(), Some("10"));
    assert_eq!(amount(r#"{"u":"5","v":"1000"}"#).as_deref(), Some("10"));
    assert_eq!(amount(r#"{"u":"5.1","v":"9"}"#).as_deref(), Some("20"));
    assert_eq!(amount(r#"{"u":"0"}"#).as_deref(), Some("0"));
    assert_eq!(amount(r#"{"u":"51"}"#), None);
    assert_eq!(amount(r#"{"w":"1"}"#), None);
}
