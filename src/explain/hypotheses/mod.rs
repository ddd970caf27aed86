//! The hypotheses: each a function from what is known of a line to the mistakes that may have been
//! made on it. They only propose; whether a mistake gives the billed amount is tried by `search`.

mod invoice;
mod period;
mod price;
mod quantity;
mod rounding;
mod scale;
mod terms;
#[cfg(test)]
mod tests;

use super::candidate::Candidate;
use super::facts::Facts;

/// When a hypothesis is tried.
#[derive(Clone, Copy)]
enum When {
    /// Where the quantity may be wrong.
    Quantity,
    /// Where the price, or what is done with the amount, may be wrong.
    Price,
    /// Always.
    Always,
}

type Hypothesis = fn(&Facts<'_>) -> Vec<Candidate>;

const HYPOTHESES: &[(When, Hypothesis)] = &[
    (When::Quantity, quantity::duplicates_counted),
    (When::Quantity, quantity::late_usage_missing),
    (When::Quantity, quantity::usage_missing),
    (When::Quantity, quantity::test_or_cancelled_included),
    (When::Quantity, quantity::other_aggregation),
    (When::Quantity, period::shifted_period),
    (When::Price, price::tier_mode),
    (When::Price, price::other_version),
    (When::Price, price::other_plan),
    (When::Price, price::other_currency),
    (When::Price, price::other_charge_model),
    (When::Price, terms::boundary_off_by_one),
    (When::Price, terms::missing_tier),
    (When::Price, terms::included_units),
    (When::Price, terms::bounds),
    (When::Price, terms::packages),
    (When::Price, rounding::rounded_elsewhere),
    (When::Price, scale::minor_unit_slip),
    (When::Price, scale::price_factor),
    (When::Always, scale::quantity_factor),
    (When::Price, period::prorated_wrongly),
    (When::Price, invoice::billed_twice),
    (When::Price, invoice::credit_applied_twice),
    (When::Price, invoice::discount_missing),
];

/// Every mistake that may have been made on the line.
pub(super) fn candidates(facts: &Facts<'_>) -> Vec<Candidate> {
    HYPOTHESES
        .iter()
        .filter(|(when, _)| match when {
            When::Quantity => facts.tries.quantity,
            When::Price => facts.tries.price,
            When::Always => true,
        })
        .flat_map(|(_, hypothesis)| hypothesis(facts))
        .collect()
}
