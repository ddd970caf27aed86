//! The calculator behind `trueup rate`: one JSON line in, one answer out. It never panics and never
//! stops: what is wrong with a line is the `error` of its answer.
//!
//! It reads no file and prints nothing.

use serde::Serialize;
use serde_json::{Map, Value};

use super::breakdown::TierCharge;
use super::json::{self, InputError, ReadPrice};
use super::price::Price;
use super::rate::{Rated, Usage, rate_usage};
use crate::model::Decimal;

/// The answer to one line, in the order its keys are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RateOutput {
    /// The id of the line, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Value>,
    /// The amount, with the decimals it was rounded to; null where there is an error.
    pub amount: Option<String>,
    /// The amount before any rounding.
    pub unrounded: Option<String>,
    /// The currency of the price.
    pub currency: Option<String>,
    /// The tier breakdown: Σ amount = the amount.
    pub tiers: Vec<TierOutput>,
    /// What is wrong with the line.
    pub error: Option<String>,
}

/// One tier of an answer; numbers of the price are spelled as the price spells them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TierOutput {
    /// The upper bound; null = none.
    pub up_to: Option<String>,
    /// The units of the tier.
    pub quantity: String,
    /// The price of a unit or package, or the rate in percent.
    pub unit_price: String,
    /// The fixed part.
    pub flat_fee: String,
    /// The amount of the tier.
    pub amount: String,
}

impl RateOutput {
    fn failed(id: Option<Value>, error: &InputError) -> Self {
        Self {
            id,
            amount: None,
            unrounded: None,
            currency: None,
            tiers: Vec::new(),
            error: Some(error.to_string()),
        }
    }
}

/// Answers one line: `{"id", "price", "quantity" | "events" | "units", "previously"}`.
pub fn rate_line(line: &str) -> RateOutput {
    let json: Value = match serde_json::from_str(line) {
        Ok(json) => json,
        Err(reason) => return RateOutput::failed(None, &InputError::NotJson { reason }),
    };
    match json::object("the line", &json) {
        Ok(keys) => answered(keys),
        Err(error) => RateOutput::failed(None, &error),
    }
}

/// Answers one price and one quantity.
pub fn rate_value(price_json: &str, quantity: &str) -> RateOutput {
    let price: Value = match serde_json::from_str(price_json) {
        Ok(json) => json,
        Err(reason) => return RateOutput::failed(None, &InputError::NotJson { reason }),
    };
    let mut keys = Map::new();
    keys.insert("price".to_owned(), price);
    keys.insert("quantity".to_owned(), Value::String(quantity.to_owned()));
    answered(&keys)
}

fn answered(keys: &Map<String, Value>) -> RateOutput {
    let id = keys.get("id").cloned();
    match answer(keys) {
        Ok((read, rated)) => shown(id, &read, &rated),
        Err(error) => RateOutput::failed(id, &error),
    }
}

fn answer(keys: &Map<String, Value>) -> Result<(ReadPrice, Rated), InputError> {
    let known = ["id", "price", "quantity", "events", "units", "previously"];
    if let Some(key) = keys.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(InputError::UnknownKey {
            at: "the line".to_owned(),
            key: key.clone(),
        });
    }
    let given = |key: &str| keys.get(key).filter(|json| !json.is_null());
    let read = json::price(given("price").ok_or(InputError::MissingKey { at: "price" })?)?;
    let (earlier, billed) = match given("previously") {
        Some(json) => previously(json)?,
        None => (Decimal::ZERO, None),
    };
    let rated = match (given("quantity"), given("events"), given("units")) {
        (Some(json), None, None) => {
            let quantity = number("quantity", json)?
                .checked_add(earlier)
                .ok_or(super::RatingError::Overflow)?;
            rate_usage(&read.price, Usage::Quantity(quantity))?
        }
        (None, Some(Value::Array(list)), None) => {
            let events = list
                .iter()
                .enumerate()
                .map(|(index, json)| number(&format!("events[{index}]"), json))
                .collect::<Result<Vec<Decimal>, InputError>>()?;
            rate_usage(&read.price, Usage::Events(&events))?
        }
        (None, Some(_), None) => {
            return Err(InputError::WrongType {
                at: "events".to_owned(),
                wanted: "an array",
            });
        }
        (None, None, Some(json)) => {
            let units = json::decimals_by_key("units", json)?;
            rate_usage(&read.price, Usage::Units(&units))?
        }
        _ => return Err(InputError::Usage),
    };
    let rated = match billed {
        Some(billed) => rated.less(billed)?,
        None => rated,
    };
    Ok((read, rated))
}

/// What was used and billed before: the quantity is added to the line's own, the amount subtracted.
fn previously(json: &Value) -> Result<(Decimal, Option<Decimal>), InputError> {
    let (mut quantity, mut amount) = (None, None);
    for (key, json) in json::object("previously", json)? {
        match key.as_str() {
            "quantity" => quantity = json::decimal("previously.quantity", json)?,
            "amount" => amount = json::decimal("previously.amount", json)?,
            key => {
                let at = "previously".to_owned();
                return Err(InputError::UnknownKey {
                    at,
                    key: key.to_owned(),
                });
            }
        }
    }
    Ok((quantity.unwrap_or(Decimal::ZERO), amount))
}

fn number(at: &str, json: &Value) -> Result<Decimal, InputError> {
    json::decimal(at, json)?.ok_or_else(|| InputError::WrongType {
        at: at.to_owned(),
        wanted: "a number",
    })
}

fn shown(id: Option<Value>, read: &ReadPrice, rated: &Rated) -> RateOutput {
    let tier = |tier: &TierCharge| TierOutput {
        up_to: tier.up_to.map(|up_to| read.spellings.of(up_to)),
        quantity: tier.quantity.to_string(),
        unit_price: read.spellings.of(tier.unit_price),
        flat_fee: read.spellings.of(tier.flat_fee),
        amount: tier.amount.to_string(),
    };
    RateOutput {
        id,
        amount: Some(padded(&read.price, rated.amount)),
        unrounded: Some(rated.unrounded.to_string()),
        currency: read.currency.clone(),
        tiers: rated.tiers.iter().map(tier).collect(),
        error: None,
    }
}

/// A rounded amount with all the decimals it was rounded to: 12.50, not 12.5.
fn padded(price: &Price, amount: Decimal) -> String {
    let mut text = amount.to_string();
    let decimals = match price.rounding() {
        Ok(Some(_)) => price
            .scale()
            .and_then(|scale| usize::try_from(scale).ok())
            .unwrap_or(0),
        _ => 0,
    };
    // The lake has no more than 12 decimals, whatever the price asks for.
    let decimals = decimals.min(12);
    let shown = text
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.len());
    if shown < decimals {
        if shown == 0 {
            text.push('.');
        }
        text.extend(std::iter::repeat_n('0', decimals - shown));
    }
    text
}
