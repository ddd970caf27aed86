//! Boundaries, policies and rounding, figure by figure. Whole catalogues of figures and the
//! properties against brute force are in `tests/it/rating.rs`.

mod calculator;
mod limits;
mod quantities;
mod rounding;
mod tiers;

use super::{ChargeModel, Price, RatingError, Tier, rate};
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
