//! Mistakes in putting the invoice together: charges and reductions that came twice or not at all.

use crate::explain::candidate::{Amount, Candidate, Edit};
use crate::explain::facts::{Beside, Facts, Other};
use crate::explain::mistake::Mistake;
use crate::explain::ratio::Ratio;
use crate::rating::rate;

fn others<'a>(facts: &'a Facts<'_>, beside: Beside) -> impl Iterator<Item = &'a Other> {
    facts
        .line
        .others
        .iter()
        .filter(move |other| other.beside == beside)
}

/// The sum of two charges for one item and period.
pub(super) fn billed_twice(facts: &Facts<'_>) -> Vec<Candidate> {
    if facts.is_nothing_billed() {
        return Vec::new();
    }
    let twice = Candidate::new(
        Mistake::BilledTwice,
        "twice",
        "the charge came twice",
        Edit::Amount(Amount::Times(Ratio::times(2))),
    );
    let mut found = vec![twice.alone()];
    for other in others(facts, Beside::Charge) {
        let words = format!(
            "the {} of line {} for the same item and period came on top",
            other.amount, other.id
        );
        let edit = Edit::Amount(Amount::Plus(other.amount));
        let candidate = Candidate::new(Mistake::BilledTwice, "sum", words, edit);
        found.push(candidate.alone().with("other_charge", other.id.as_str()));
    }
    found
}

/// A reduction taken off the line although it stands on the invoice by itself.
pub(super) fn credit_applied_twice(facts: &Facts<'_>) -> Vec<Candidate> {
    let mut found = Vec::new();
    for other in others(facts, Beside::Reduction) {
        let Some(less) = other.amount.abs().checked_neg() else {
            continue;
        };
        let words = format!(
            "the reduction {} of {} were taken off the line too",
            other.id,
            other.amount.abs()
        );
        let edit = Edit::Amount(Amount::Plus(less));
        let candidate = Candidate::new(Mistake::CreditAppliedTwice, "", words, edit);
        found.push(candidate.alone().with("reduction", other.id.as_str()));
    }
    found
}

/// A discount that is due and was not given.
pub(super) fn discount_missing(facts: &Facts<'_>) -> Vec<Candidate> {
    let Some(expected) = facts.expected else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let full = rate(&facts.line.price, facts.quantity).map(|rated| rated.amount);
    if let Ok(full) = full
        && expected < full
    {
        let words = "the full price were due, without the discount".to_owned();
        let edit = Edit::Amount(Amount::Instead(full));
        found.push(Candidate::new(Mistake::DiscountMissing, "", words, edit).alone());
    }
    for other in others(facts, Beside::DiscountElsewhere) {
        let Some(amount) = expected.checked_add(other.amount.abs()) else {
            continue;
        };
        let words = format!(
            "there were no discount of {}, as on {}",
            other.amount.abs(),
            other.id
        );
        let edit = Edit::Amount(Amount::Instead(amount));
        let candidate = Candidate::new(Mistake::DiscountMissing, "elsewhere", words, edit);
        found.push(candidate.alone().with("discount", other.id.as_str()));
    }
    found
}
