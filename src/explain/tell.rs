//! What a finding says once its explanation is known.

use serde_json::{Map, Value, json};

use super::candidate::outcome;
use super::facts::{Facts, Target};
use super::mistake::{UNEXPLAINED, UNKNOWN};
use super::rank::Ranked;
use super::search::Fit;
use crate::model::Finding;
use crate::rating::TierCharge;

/// So many of the explanations that fit are kept with their tiers.
const KEPT: usize = 5;

/// Writes the explanations into the finding, the first of them as its own.
pub(super) fn tell(finding: &mut Finding, facts: &Facts<'_>, ranked: &[Ranked]) {
    let Some(first) = ranked.first() else {
        tell_nothing(finding, facts);
        return;
    };
    set(finding, &word(&first.fit), root_cause(&first.fit));
    let details = first.fit.details.clone();
    let evidence = &mut finding.evidence;
    evidence.extend(details);
    if let Some(number) = serde_json::Number::from_f64(first.confidence) {
        evidence.insert("explanation_confidence".to_owned(), Value::Number(number));
    }
    evidence.insert("change".to_owned(), change(&first.fit, facts).into());
    let mistakes: Vec<&str> = first.fit.mistakes.iter().map(|m| m.word()).collect();
    evidence.insert("mistakes".to_owned(), json!(mistakes));
    if let Some(due) = outcome(facts, &[]) {
        evidence.insert("expected_tiers".to_owned(), tiers(&due.tiers));
    }
    if let Some(billed) = &first.fit.outcome {
        evidence.insert("billed_as_tiers".to_owned(), tiers(&billed.tiers));
    }
    let kept = ranked.iter().take(KEPT);
    let kept: Vec<Value> = kept.map(|ranked| entry(ranked, facts)).collect();
    evidence.insert("explanations".to_owned(), Value::Array(kept));
}

/// No mistake fits: that is said, and no cause is made up.
fn tell_nothing(finding: &mut Finding, facts: &Facts<'_>) {
    set(finding, UNEXPLAINED, UNKNOWN);
    let evidence = &mut finding.evidence;
    evidence.insert("explanation_confidence".to_owned(), json!(0));
    evidence.insert("explanations".to_owned(), Value::Array(Vec::new()));
    if let Some(due) = outcome(facts, &[]) {
        evidence.insert("expected_tiers".to_owned(), tiers(&due.tiers));
    }
}

/// A line of which not even the price is known cannot be tried.
pub(super) fn tell_untried(finding: &mut Finding) {
    set(finding, UNEXPLAINED, UNKNOWN);
    finding
        .evidence
        .insert("explanation_confidence".to_owned(), json!(0));
}

fn set(finding: &mut Finding, explanation: &str, root_cause: &str) {
    finding.texts.insert("explanation", explanation.to_owned());
    finding.texts.insert("root_cause", root_cause.to_owned());
}

/// The mistake's word; of two, both.
fn word(fit: &Fit) -> String {
    let words: Vec<&str> = fit.mistakes.iter().map(|mistake| mistake.word()).collect();
    words.join("_and_")
}

/// Where the first of the mistakes comes from.
fn root_cause(fit: &Fit) -> &'static str {
    fit.mistakes
        .first()
        .map_or(UNKNOWN, |mistake| mistake.root_cause())
}

/// The one change that turns what is due into what was billed, in one sentence.
fn change(fit: &Fit, facts: &Facts<'_>) -> String {
    let words = &fit.words;
    match facts.target {
        Target::Amount(billed) => {
            let currency = facts.currency;
            let due = facts.expected.map(|due| format!(" instead of {due}"));
            let due = due.unwrap_or_default();
            format!("billed as if {words}: {billed} {currency}{due}")
        }
        Target::Quantity(billed) => {
            let used = facts.quantity;
            format!("billed as if {words}: a quantity of {billed} instead of {used}")
        }
    }
}

fn entry(ranked: &Ranked, facts: &Facts<'_>) -> Value {
    let fit = &ranked.fit;
    let mut entry = Map::new();
    entry.insert("explanation".to_owned(), word(fit).into());
    entry.insert("root_cause".to_owned(), root_cause(fit).into());
    entry.insert("confidence".to_owned(), json!(ranked.confidence));
    entry.insert("change".to_owned(), change(fit, facts).into());
    entry.insert("quantity".to_owned(), json!(fit.quantity));
    if let Some(outcome) = &fit.outcome {
        entry.insert("amount".to_owned(), json!(outcome.amount));
        entry.insert("billed_as_tiers".to_owned(), tiers(&outcome.tiers));
    }
    Value::Object(entry)
}

fn tiers(tiers: &[TierCharge]) -> Value {
    let tier = |tier: &TierCharge| {
        json!({
            "up_to": tier.up_to,
            "quantity": tier.quantity,
            "unit_price": tier.unit_price,
            "flat_fee": tier.flat_fee,
            "amount": tier.amount,
        })
    };
    Value::Array(tiers.iter().map(tier).collect())
}
