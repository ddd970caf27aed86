//! Mistakes in the quantity: other records were counted, or the same ones in another way.

use crate::explain::candidate::{Candidate, Edit};
use crate::explain::facts::{Facts, measure};
use crate::explain::mistake::Mistake;
use crate::model::Decimal;

/// The quantity, unless it is the one that is due anyway.
fn other(facts: &Facts<'_>, quantity: Option<Decimal>) -> Option<Decimal> {
    quantity.filter(|quantity| *quantity != facts.quantity)
}

/// Records that were sent again counted as new ones.
pub(super) fn duplicates_counted(facts: &Facts<'_>) -> Vec<Candidate> {
    let line = facts.line;
    let Some(quantity) = other(facts, line.counted(measure::WITH_REPEATS)) else {
        return Vec::new();
    };
    let words = "records that repeat an earlier one were new usage";
    let mut found = Candidate::new(
        Mistake::DuplicatesCounted,
        "",
        words,
        Edit::Quantity(quantity),
    );
    if let Some(more) = quantity.checked_sub(facts.quantity) {
        found = found.with("duplicate_quantity", more.to_string());
    }
    vec![found]
}

/// Only what was received before the invoice was made.
pub(super) fn late_usage_missing(facts: &Facts<'_>) -> Vec<Candidate> {
    let line = facts.line;
    if line.invoice_created_at.is_none() || line.counted(measure::OWN) != Some(facts.quantity) {
        return Vec::new();
    }
    // Where nothing had been received, nothing was counted: of sums and counts that is nought.
    let none = matches!(line.aggregation.as_str(), "sum" | "count" | "unique_count")
        .then_some(Decimal::ZERO);
    let received = line.counted(measure::RECEIVED).or(none);
    let Some(quantity) = other(facts, received) else {
        return Vec::new();
    };
    let words = "usage that was received after the invoice was made did not exist";
    let mut found = Candidate::new(
        Mistake::LateUsageMissing,
        "",
        words,
        Edit::Quantity(quantity),
    );
    if let Some(late) = facts.quantity.checked_sub(quantity) {
        found = found.with("late_quantity", late.to_string());
    }
    vec![found]
}

/// Only what reached the billing platform, where metering has more.
pub(super) fn usage_missing(facts: &Facts<'_>) -> Vec<Candidate> {
    let line = facts.line;
    let own = line.counted(measure::OWN);
    let metered = line.counted(measure::METERED);
    match (other(facts, own), metered) {
        (Some(own), Some(metered)) if metered > own => {
            let words = "only the usage that reached the billing platform existed";
            vec![
                Candidate::new(Mistake::UsageMissing, "", words, Edit::Quantity(own))
                    .with("metered_quantity", metered.to_string()),
            ]
        }
        _ => Vec::new(),
    }
}

/// Records counted that are voided or in error, or are another's: of a cancelled subscription or a
/// test customer.
pub(super) fn test_or_cancelled_included(facts: &Facts<'_>) -> Vec<Candidate> {
    let line = facts.line;
    let on_top = |name: &str| {
        let more = line.counted(name)?;
        facts.quantity.checked_add(more)
    };
    let ways = [
        (
            "voided",
            line.counted(measure::WITH_VOIDED),
            "voided and failed records counted",
        ),
        (
            "cancelled",
            on_top(measure::CANCELLED),
            "usage of the customer's cancelled subscriptions belonged to this one",
        ),
        (
            "test",
            on_top(measure::TEST),
            "usage of test customers belonged to this one",
        ),
    ];
    let mut found = Vec::new();
    for (variant, quantity, words) in ways {
        if let Some(quantity) = other(facts, quantity) {
            found.push(Candidate::new(
                Mistake::TestOrCancelledIncluded,
                variant,
                words,
                Edit::Quantity(quantity),
            ));
        }
    }
    found
}

/// The records made into one quantity in another way than the meter's.
pub(super) fn other_aggregation(facts: &Facts<'_>) -> Vec<Candidate> {
    let line = facts.line;
    let Some(own) = line.measures.get(measure::OWN) else {
        return Vec::new();
    };
    let words = ["sum", "max", "last", "count", "unique_count", "min"];
    let others = words
        .into_iter()
        .filter(|word| *word != line.aggregation.as_str());
    others
        .filter_map(|word| {
            let quantity = other(facts, own.by(word)).filter(|quantity| !quantity.is_zero())?;
            let said = format!(
                "the records were aggregated by {word}, not by {}",
                line.aggregation
            );
            let edit = Edit::Quantity(quantity);
            let found = Candidate::new(Mistake::OtherAggregation, word, said, edit);
            Some(found.weak().with("billed_aggregation", word))
        })
        .collect()
}
