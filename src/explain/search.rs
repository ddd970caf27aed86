//! Tries every mistake on every line: alone, and two together where none alone gives what was billed.
//!
//! A mistake fits when it gives the billed amount, or the billed quantity, to the last digit. Nothing
//! is ranked here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::candidate::{Amount, Candidate, Edit, Joins, Outcome, outcome, quantity};
use super::facts::{Facts, Target};
use super::hypotheses::candidates;
use super::mistake::Mistake;
use crate::model::Decimal;
use crate::rating::{RoundingMode, round};

/// A mistake, or two of them, that gives what was billed.
#[derive(Clone, Debug)]
pub(super) struct Fit {
    /// The same in the same form on every line.
    pub(super) key: String,
    pub(super) mistakes: Vec<Mistake>,
    /// "billed as if …"
    pub(super) words: String,
    pub(super) details: Map<String, Value>,
    pub(super) quantity: Decimal,
    /// The line under the mistake; nothing where only its quantity can be said.
    pub(super) outcome: Option<Outcome>,
}

/// What came of trying all mistakes on one line.
#[derive(Clone, Debug, Default)]
pub(super) struct Tried {
    pub(super) fits: Vec<Fit>,
    /// The keys of the mistakes that would have made a difference.
    pub(super) different: BTreeSet<String>,
    /// The line as it is without any mistake.
    pub(super) plain: Option<Decimal>,
}

/// Of each price, so many unexplained lines are searched for any two mistakes; the others only for
/// the pairs found there.
const SEARCHED_FOR_PAIRS: usize = 100;

/// The least amount, in minor units, that two mistakes together can prove: a smaller one is given by
/// too many pairs.
const LEAST_FOR_PAIRS: i64 = 100;

/// (source, price)
type PriceKey<'a> = (&'a str, Option<&'a str>);

/// Tries all mistakes on all lines.
pub(super) fn search(cases: &[Facts<'_>]) -> Vec<Tried> {
    let mut pairs: BTreeMap<PriceKey<'_>, (usize, BTreeSet<String>)> = BTreeMap::new();
    cases
        .iter()
        .map(|facts| {
            let proposed = candidates(facts);
            let mut tried = alone(facts, &proposed);
            if tried.fits.is_empty() && is_enough_for_pairs(facts) {
                let price = (facts.source, facts.line.price_id.as_deref());
                let (searched, known) = pairs.entry(price).or_default();
                *searched += 1;
                let only = (*searched > SEARCHED_FOR_PAIRS).then_some(&*known);
                together(facts, &proposed, only, &mut tried);
                known.extend(tried.fits.iter().map(|fit| fit.key.clone()));
            }
            tried
        })
        .collect()
}

fn alone(facts: &Facts<'_>, proposed: &[Candidate]) -> Tried {
    let mut tried = Tried {
        plain: came_to(facts, &[]),
        ..Tried::default()
    };
    for candidate in proposed {
        try_one(facts, &[candidate], &mut tried);
    }
    tried
}

fn is_enough_for_pairs(facts: &Facts<'_>) -> bool {
    match facts.target {
        Target::Amount(amount) => {
            let exponent = facts.line.price.currency_exponent.unwrap_or(2);
            let minor = 10i128.checked_pow(12u32.saturating_sub(exponent));
            let least = minor.and_then(|minor| minor.checked_mul(LEAST_FOR_PAIRS.into()));
            least.is_some_and(|least| amount.abs().units() >= least)
        }
        Target::Quantity(quantity) => !quantity.is_zero(),
    }
}

/// How a mistake takes part in a pair.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Another quantity.
    Quantity,
    /// Another price.
    Price,
    /// Something done to whichever there is.
    Act,
}

fn part(candidate: &Candidate) -> Part {
    match candidate.edit {
        Edit::Quantity(_) => Part::Quantity,
        Edit::Price(_) => Part::Price,
        Edit::QuantityTimes(_) | Edit::Terms(_) | Edit::Amount(_) => Part::Act,
    }
}

/// Quantity with price, and either with something done to it.
fn together(
    facts: &Facts<'_>,
    proposed: &[Candidate],
    only: Option<&BTreeSet<String>>,
    tried: &mut Tried,
) {
    let joining: Vec<(Part, &Candidate)> = proposed
        .iter()
        // What makes no difference alone is not needed for a pair.
        .filter(|candidate| {
            candidate.joins != Joins::None && tried.different.contains(&candidate.key())
        })
        .map(|candidate| (part(candidate), candidate))
        .collect();
    for &(one, first) in &joining {
        for &(two, second) in &joining {
            let is_pair = matches!(
                (one, two),
                (Part::Quantity, Part::Price | Part::Act) | (Part::Price, Part::Act)
            ) && first.joins.with(second.joins);
            if !is_pair || only.is_some_and(|only| !only.contains(&key(&[first, second]))) {
                continue;
            }
            try_one(facts, &[first, second], tried);
        }
    }
}

fn key(mistakes: &[&Candidate]) -> String {
    let keys: Vec<String> = mistakes.iter().map(|mistake| mistake.key()).collect();
    keys.join(" and ")
}

/// Tries the mistakes together on the line and keeps them if they give what was billed.
fn try_one(facts: &Facts<'_>, mistakes: &[&Candidate], tried: &mut Tried) {
    let edits: Vec<&Edit> = mistakes.iter().map(|mistake| &mistake.edit).collect();
    let Some(found) = came_to(facts, &edits) else {
        return;
    };
    let is_due = matches!(facts.target, Target::Amount(_)) && facts.expected == Some(found);
    if is_due || (tried.plain == Some(found) && !edits.iter().any(is_other_amount)) {
        return;
    }
    let key = key(mistakes);
    let fits = match facts.target {
        Target::Amount(billed) => found == billed,
        Target::Quantity(billed) => found == billed || is_printed(found, billed, &edits),
    };
    if fits && !tried.fits.iter().any(|fit| fit.key == key) {
        tried.fits.push(Fit {
            key: key.clone(),
            mistakes: mistakes.iter().map(|mistake| mistake.mistake).collect(),
            words: words(mistakes),
            details: details(mistakes),
            quantity: quantity(facts, &edits).unwrap_or(found),
            outcome: outcome(facts, &edits),
        });
    }
    tried.different.insert(key);
}

/// What is compared with what was billed.
fn came_to(facts: &Facts<'_>, edits: &[&Edit]) -> Option<Decimal> {
    match facts.target {
        Target::Quantity(_) => quantity(facts, edits),
        Target::Amount(_) => outcome(facts, edits).map(|outcome| outcome.amount),
    }
}

/// An amount of its own is a mistake even where it is that of the plain rating: the rule may know of
/// a discount.
fn is_other_amount(edit: &&Edit) -> bool {
    matches!(edit, Edit::Amount(Amount::Instead(_)))
}

/// Whether a quotient that does not end was billed as it is printed, with four digits or more.
fn is_printed(found: Decimal, billed: Decimal, edits: &[&Edit]) -> bool {
    let divides = |edit: &&Edit| match edit {
        Edit::QuantityTimes(ratio) => !ratio.is_whole(),
        _ => false,
    };
    if !edits.iter().any(divides) {
        return false;
    }
    let text = billed.abs().to_string();
    let decimals = text
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len());
    let digits = text
        .bytes()
        .filter(u8::is_ascii_digit)
        .skip_while(|digit| *digit == b'0')
        .count();
    let rounded = i32::try_from(decimals)
        .ok()
        .and_then(|decimals| round(found, decimals, RoundingMode::HalfUp).ok());
    digits >= 4 && rounded == Some(billed)
}

fn words(mistakes: &[&Candidate]) -> String {
    let words: Vec<&str> = mistakes
        .iter()
        .map(|mistake| mistake.words.as_str())
        .collect();
    words.join(", and ")
}

fn details(mistakes: &[&Candidate]) -> Map<String, Value> {
    let mut details = Map::new();
    for mistake in mistakes {
        details.extend(mistake.details.clone());
    }
    details
}
