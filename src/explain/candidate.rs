//! One mistake that may have been made, as a change to the rating of a line; and the amount that the
//! line has under one such change, or under two of them together.
//!
//! A change either replaces the quantity or the price, or it acts on whichever there is. That is what
//! lets any two be combined: replacements first, then what acts on them.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::facts::Facts;
use super::mistake::Mistake;
use super::ratio::Ratio;
use crate::model::Decimal;
use crate::rating::{
    Price, Rated, RoundingMode, RoundingStage, TierCharge, money_round, rate, round,
};

/// One mistake as it may have been made on one line.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) mistake: Mistake,
    /// What makes it the same mistake on another line: a factor, a date, a price.
    pub(super) variant: String,
    /// "billed as if …"
    pub(super) words: String,
    pub(super) edit: Edit,
    pub(super) joins: Joins,
    /// What the steps of the rule may want to name.
    pub(super) details: Map<String, Value>,
}

/// What a mistake is tried together with. The more ways a mistake has to be made, the more amounts it
/// gives, and the less it proves that one of them was billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joins {
    /// Any that joins at all.
    Any,
    /// Those that join any.
    Strong,
    /// No other.
    None,
}

impl Joins {
    /// Whether two mistakes are tried together.
    pub(super) fn with(self, other: Self) -> bool {
        !matches!(
            (self, other),
            (Self::None, _) | (_, Self::None) | (Self::Strong, Self::Strong)
        )
    }
}

/// What the mistake changes.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    /// Another quantity is rated.
    Quantity(Decimal),
    /// A multiple of the quantity is rated.
    QuantityTimes(Ratio),
    /// Another price is applied.
    Price(Box<Price>),
    /// The price is applied in another way.
    Terms(Terms),
    /// The amount is changed after rating.
    Amount(Amount),
}

/// What may be done to any price.
#[derive(Clone, Copy, Debug)]
pub(super) enum Terms {
    /// Rounded in another mode.
    Mode(RoundingMode),
    /// Rounded at another place.
    Stage(RoundingStage),
    /// Prices of a unit rounded to the minor unit before they are multiplied.
    RoundedPrices,
    /// Prices of a unit taken in another unit.
    PricesTimes(Ratio),
}

/// What may be done to any amount.
#[derive(Clone, Copy, Debug)]
pub(super) enum Amount {
    /// A multiple of the rounded amount, rounded again.
    Times(Ratio),
    /// A multiple of the amount before its rounding, rounded then.
    UnroundedTimes(Ratio),
    /// Something added.
    Plus(Decimal),
    /// Another amount.
    Instead(Decimal),
}

impl Candidate {
    pub(super) fn new(
        mistake: Mistake,
        variant: impl Into<String>,
        words: impl Into<String>,
        edit: Edit,
    ) -> Self {
        Self {
            mistake,
            variant: variant.into(),
            words: words.into(),
            edit,
            joins: Joins::Any,
            details: Map::new(),
        }
    }

    /// One of several of its kind: with another such one it would fit by chance.
    pub(super) fn weak(mut self) -> Self {
        self.joins = Joins::Strong;
        self
    }

    /// One of many of its kind: with any other it would fit by chance.
    pub(super) fn alone(mut self) -> Self {
        self.joins = Joins::None;
        self
    }

    /// Adds what the steps of the rule may name.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// The same mistake in the same form has the same key on every line.
    pub(super) fn key(&self) -> String {
        format!("{} {}", self.mistake.word(), self.variant)
    }
}

/// What a line comes to under a change.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) amount: Decimal,
    pub(super) tiers: Vec<TierCharge>,
}

/// The quantity that is rated under these changes.
pub(super) fn quantity(facts: &Facts<'_>, edits: &[&Edit]) -> Option<Decimal> {
    let mut quantity = facts.quantity;
    for edit in edits {
        if let Edit::Quantity(other) = edit {
            quantity = *other;
        }
    }
    for edit in edits {
        if let Edit::QuantityTimes(ratio) = edit {
            quantity = ratio.of(quantity)?;
        }
    }
    Some(quantity)
}

/// What the line comes to under these changes; nothing where it cannot be rated so.
pub(super) fn outcome(facts: &Facts<'_>, edits: &[&Edit]) -> Option<Outcome> {
    let quantity = quantity(facts, edits)?;
    let mut price = Cow::Borrowed(&facts.line.price);
    for edit in edits {
        if let Edit::Price(other) = edit {
            price = Cow::Borrowed(other.as_ref());
        }
    }
    for edit in edits {
        if let Edit::Terms(terms) = edit {
            apply(*terms, price.to_mut())?;
        }
    }
    let rated = rate(&price, quantity).ok()?;
    let mut amount = rated.amount;
    for edit in edits {
        if let Edit::Amount(change) = edit {
            amount = changed(*change, amount, &rated, &price)?;
        }
    }
    let mut tiers = rated.tiers;
    let rest = amount.checked_sub(rated.amount)?;
    if !rest.is_zero() {
        tiers.push(TierCharge {
            up_to: None,
            quantity: Decimal::ZERO,
            unit_price: Decimal::ZERO,
            flat_fee: Decimal::ZERO,
            amount: rest,
        });
    }
    Some(Outcome { amount, tiers })
}

fn apply(terms: Terms, price: &mut Price) -> Option<()> {
    match terms {
        Terms::Mode(mode) => price.rounding_mode = Some(mode),
        Terms::Stage(stage) => price.rounding_stage = Some(stage),
        Terms::RoundedPrices => {
            let exponent = price.currency_exponent?;
            each_unit_price(price, |unit_price| money_round(unit_price, exponent).ok())?;
        }
        Terms::PricesTimes(ratio) => {
            each_unit_price(price, |unit_price| ratio.of(unit_price))?;
            let percent = |rate: &mut Option<Decimal>| match *rate {
                Some(value) => ratio.of(value).map(|value| *rate = Some(value)),
                None => Some(()),
            };
            percent(&mut price.percentage_rate)?;
            for tier in &mut price.tiers {
                percent(&mut tier.percentage_rate)?;
            }
        }
    }
    Some(())
}

/// Changes every price of a unit.
pub(super) fn each_unit_price(
    price: &mut Price,
    change: impl Fn(Decimal) -> Option<Decimal>,
) -> Option<()> {
    let tiers = price.tiers.iter_mut().map(|tier| &mut tier.unit_price);
    let prices = [&mut price.unit_price, &mut price.overage_price];
    for unit_price in prices.into_iter().chain(tiers) {
        if let Some(value) = *unit_price {
            *unit_price = Some(change(value)?);
        }
    }
    Some(())
}

fn changed(change: Amount, amount: Decimal, rated: &Rated, price: &Price) -> Option<Decimal> {
    match change {
        Amount::Times(ratio) => rounded(ratio.of(amount)?, price),
        Amount::UnroundedTimes(ratio) => rounded(ratio.of(rated.unrounded)?, price),
        Amount::Plus(more) => amount.checked_add(more),
        Amount::Instead(other) => Some(other),
    }
}

/// Rounded to what the price is rounded to: its own scale, else the minor unit.
fn rounded(amount: Decimal, price: &Price) -> Option<Decimal> {
    let exponent = price.currency_exponent.and_then(|e| i32::try_from(e).ok());
    match price.rounding_scale.or(exponent) {
        Some(scale) => round(amount, scale, RoundingMode::HalfUp).ok(),
        None => Some(amount),
    }
}
