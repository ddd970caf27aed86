//! How far rating goes: exact to the last decimal, and an error where it cannot be.

use super::{check, refused, some};
use crate::rating::{ChargeModel, Price, RatingError};

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
