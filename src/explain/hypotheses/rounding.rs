//! The right amount, rounded at another place or in another mode.

use crate::explain::candidate::{Candidate, Edit, Terms};
use crate::explain::facts::Facts;
use crate::explain::mistake::Mistake;
use crate::rating::{RoundingMode, RoundingStage};

/// Per unit, per tier, cut off, or in any other mode than the price's own.
pub(super) fn rounded_elsewhere(facts: &Facts<'_>) -> Vec<Candidate> {
    let price = &facts.line.price;
    let stage = price
        .rounding_stage
        .unwrap_or(price.defaults.rounding_stage);
    let mode = price.rounding_mode.unwrap_or(price.defaults.rounding_mode);
    let mut found = Vec::new();
    let mut propose = |mistake: Mistake, variant: &str, words: &str, terms: Terms| {
        let candidate = Candidate::new(mistake, variant, words, Edit::Terms(terms));
        found.push(if mistake == Mistake::RoundedOtherwise {
            candidate.weak()
        } else {
            candidate
        });
    };
    propose(
        Mistake::RoundedPerUnit,
        "",
        "the price of a unit were rounded before it is multiplied",
        Terms::RoundedPrices,
    );
    if stage == RoundingStage::Line {
        propose(
            Mistake::RoundedPerTier,
            "",
            "each tier were rounded by itself",
            Terms::Stage(RoundingStage::Component),
        );
    } else {
        propose(
            Mistake::RoundedOtherwise,
            "once",
            "the line were rounded once, as a whole",
            Terms::Stage(RoundingStage::Line),
        );
    }
    if stage != RoundingStage::None {
        propose(
            Mistake::RoundedOtherwise,
            "not at all",
            "the line were not rounded at all",
            Terms::Stage(RoundingStage::None),
        );
    }
    let modes = [
        (
            RoundingMode::Down,
            Mistake::Truncated,
            "what lies beyond the minor unit were cut off",
        ),
        (
            RoundingMode::Up,
            Mistake::RoundedOtherwise,
            "whatever lies beyond the minor unit were rounded up",
        ),
        (
            RoundingMode::HalfEven,
            Mistake::RoundedOtherwise,
            "halves were rounded to the even neighbour",
        ),
        (
            RoundingMode::HalfUp,
            Mistake::RoundedOtherwise,
            "halves were rounded away from zero",
        ),
    ];
    for (other, mistake, words) in modes {
        if other != mode {
            let variant = if mistake == Mistake::Truncated {
                ""
            } else {
                other.as_str()
            };
            propose(mistake, variant, words, Terms::Mode(other));
        }
    }
    found
}
