//! Slips of a fixed factor: minor for major units of money, one unit of measure for another.

use crate::explain::candidate::{Amount, Candidate, Edit, Terms};
use crate::explain::facts::Facts;
use crate::explain::mistake::Mistake;
use crate::explain::ratio::Ratio;

/// Between units of measure: tens, minutes and hours, thousands, bytes, "per 10,000".
const FACTORS: &[i64] = &[
    10,
    60,
    100,
    1000,
    1024,
    3600,
    10_000,
    1_000_000,
    1_048_576,
    1_000_000_000,
    1_073_741_824,
];

/// Both ways of each factor.
fn both_ways(factors: &[i64]) -> impl Iterator<Item = (i64, Ratio)> {
    factors.iter().flat_map(|factor| {
        [
            (*factor, Ratio::times(*factor)),
            (*factor, Ratio::divided(*factor)),
        ]
    })
}

/// The amount in the minor unit, or converted to the major one once too often, by the exponent of
/// this currency or of another.
pub(super) fn minor_unit_slip(facts: &Facts<'_>) -> Vec<Candidate> {
    if facts.is_nothing_billed() {
        return Vec::new();
    }
    // Two decimals taken for three, or three for two, are a slip of ten.
    let factors: &[i64] = if facts.line.price.currency_exponent == Some(3) {
        &[100, 1000, 10]
    } else {
        &[100, 1000]
    };
    let mut found = Vec::new();
    for (factor, ratio) in both_ways(factors) {
        let words = format!("the amount were {ratio}: minor units taken for major ones, or back");
        for change in [Amount::Times(ratio), Amount::UnroundedTimes(ratio)] {
            let edit = Edit::Amount(change);
            found.push(
                Candidate::new(
                    Mistake::MinorUnitSlip,
                    ratio.to_string(),
                    words.clone(),
                    edit,
                )
                .with("slip_factor", factor),
            );
        }
    }
    found
}

/// The quantity in another unit.
pub(super) fn quantity_factor(facts: &Facts<'_>) -> Vec<Candidate> {
    if facts.is_nothing_billed() {
        return Vec::new();
    }
    both_ways(FACTORS)
        .map(|(factor, ratio)| {
            let words = format!("the quantity were {ratio}");
            let variant = format!("quantity {ratio}");
            let edit = Edit::QuantityTimes(ratio);
            Candidate::new(Mistake::UnitFactor, variant, words, edit)
                .weak()
                .with("unit_factor", factor)
        })
        .collect()
}

/// The price per another unit: one "per 10,000" taken as per unit.
pub(super) fn price_factor(facts: &Facts<'_>) -> Vec<Candidate> {
    if facts.is_nothing_billed() {
        return Vec::new();
    }
    both_ways(FACTORS)
        .map(|(factor, ratio)| {
            let words = format!("the price of a unit were {ratio}");
            let variant = format!("price {ratio}");
            let edit = Edit::Terms(Terms::PricesTimes(ratio));
            Candidate::new(Mistake::UnitFactor, variant, words, edit)
                .weak()
                .with("unit_factor", factor)
        })
        .collect()
}
