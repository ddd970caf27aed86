//! Reads a price and its tiers from JSON. Every key is known or refused by name, every number is
//! read from its own digits, and an error says where it is. Nothing is rated here.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::defaults::for_platform;
use super::error::RatingError;
use super::price::{Price, Tier};
use super::terms::{ChargeModel, RoundingStage, UnknownTerm};
use crate::model::currency::minor_exponent;
use crate::model::{Decimal, DecimalError};

/// Why a text is not a price, a tier list or a line of the calculator.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputError {
    #[error("not JSON: {reason}")]
    NotJson { reason: serde_json::Error },
    #[error("unknown key `{key}` in {at}")]
    UnknownKey { at: String, key: String },
    #[error("{at} is missing")]
    MissingKey { at: &'static str },
    #[error("{at} is not {wanted}")]
    WrongType { at: String, wanted: &'static str },
    #[error("{at}: `{text}`: {reason}")]
    NotANumber {
        at: String,
        text: String,
        reason: DecimalError,
    },
    #[error("{at}: {reason}")]
    Term { at: String, reason: UnknownTerm },
    #[error("unknown currency `{code}`")]
    UnknownCurrency { code: String },
    #[error("give one of quantity, events and units")]
    Usage,
    #[error(transparent)]
    Rating(#[from] RatingError),
}

/// A price and what of it is shown again: the currency, and how its numbers were spelled.
pub(super) struct ReadPrice {
    pub(super) price: Price,
    pub(super) currency: Option<String>,
    pub(super) spellings: Spellings,
}

/// How a price spelled its numbers, so that `0.10` is answered as `0.10`.
#[derive(Default)]
pub(super) struct Spellings(Vec<(Decimal, String)>);

impl Spellings {
    pub(super) fn of(&self, value: Decimal) -> String {
        let found = self.0.iter().find(|(known, _)| *known == value);
        found.map_or_else(|| value.to_string(), |(_, text)| text.clone())
    }

    fn keep(&mut self, value: Option<Decimal>, json: &Value) {
        let text = match json {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return,
        };
        // Anything but plain digits is answered in the plain form.
        let is_plain = text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'-')
            && text.bytes().next().is_some_and(|byte| byte != b'.')
            && text.bytes().last().is_some_and(|byte| byte != b'.');
        if let (Some(value), true) = (value, is_plain) {
            self.0.push((value, text));
        }
    }
}

/// Columns of `prices` that do not change an amount.
const NOT_RATED: &[&str] = &[
    "source",
    "price_id",
    "product_id",
    "product_name",
    "charge_type",
    "meter",
    "unit",
    "aggregation",
    "billing_period",
    "billing_period_count",
    "effective_from",
    "effective_to",
    "is_active",
    "updated_at",
    "attributes",
];

/// A price from an object of the columns of `prices`, for those who have one as JSON.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read_price(json: &Value) -> Result<Price, String> {
    match price(json) {
        Ok(read) => Ok(read.price),
        Err(error) => Err(error.to_string()),
    }
}

/// A price from an object of the columns of `prices`.
pub(super) fn price(json: &Value) -> Result<ReadPrice, InputError> {
    let columns = object("price", json)?;
    let model = match columns.get("charge_model") {
        Some(json) => term::<ChargeModel>("price.charge_model", json)?,
        None => None,
    };
    let model = model.ok_or(InputError::MissingKey {
        at: "price.charge_model",
    })?;
    let mut price = Price::new(model);
    let mut currency = None;
    let mut spellings = Spellings::default();
    for (key, json) in columns {
        let at = format!("price.{key}");
        let mut number = || {
            let value = decimal(&at, json)?;
            spellings.keep(value, json);
            Ok::<_, InputError>(value)
        };
        match key.as_str() {
            "charge_model" => {}
            "currency" => currency = text(&at, json)?,
            "platform" => {
                if let Some(platform) = text(&at, json)? {
                    price.defaults = for_platform(&platform);
                }
            }
            "unit_price" => price.unit_price = number()?,
            "flat_fee" => price.flat_fee = number()?,
            "package_size" => price.package_size = number()?,
            "package_rounding" => price.package_rounding = term(&at, json)?,
            "included_quantity" => price.included_quantity = number()?,
            "overage_price" => price.overage_price = number()?,
            "percentage_rate" => price.percentage_rate = number()?,
            "free_events" => price.free_events = number()?,
            "free_amount" => price.free_amount = number()?,
            "event_minimum" => price.event_minimum = number()?,
            "event_maximum" => price.event_maximum = number()?,
            "minimum_amount" => price.minimum_amount = number()?,
            "maximum_amount" => price.maximum_amount = number()?,
            "tiers" => price.tiers = tiers(&at, json, &mut spellings)?,
            "rounding_stage" => price.rounding_stage = term(&at, json)?,
            "rounding_mode" => price.rounding_mode = term(&at, json)?,
            "rounding_scale" => price.rounding_scale = scale(&at, json)?,
            "rounding_increment" => price.rounding_increment = number()?,
            "quantity_rounding" => price.quantity_rounding = term(&at, json)?,
            "quantity_scale" => price.quantity_scale = scale(&at, json)?,
            "tier_pick" => price.tier_pick = term(&at, json)?,
            "flat_fee_at_zero" => price.flat_fee_at_zero = flag(&at, json)?,
            "negative_policy" => price.negative_policy = term(&at, json)?,
            key if NOT_RATED.contains(&key) => {}
            key => {
                return Err(InputError::UnknownKey {
                    at: "price".to_owned(),
                    key: key.to_owned(),
                });
            }
        }
    }
    price.currency_exponent = currency.as_deref().and_then(minor_exponent);
    if let (Some(code), None) = (&currency, price.currency_exponent)
        && price.rounding_scale.is_none()
        && price.rounding_increment.is_none()
        && price.rounding_stage != Some(RoundingStage::None)
    {
        return Err(InputError::UnknownCurrency { code: code.clone() });
    }
    Ok(ReadPrice {
        price,
        currency,
        spellings,
    })
}

/// A tier list from a JSON array.
pub(super) fn tiers(
    at: &str,
    json: &Value,
    spellings: &mut Spellings,
) -> Result<Vec<Tier>, InputError> {
    let list = match json {
        Value::Null => return Ok(Vec::new()),
        Value::Array(list) => list,
        _ => {
            return Err(InputError::WrongType {
                at: at.to_owned(),
                wanted: "an array",
            });
        }
    };
    let mut tiers = Vec::with_capacity(list.len());
    for (index, json) in list.iter().enumerate() {
        tiers.push(tier(&format!("{at}[{index}]"), json, spellings)?);
    }
    Ok(tiers)
}

fn tier(at: &str, json: &Value, spellings: &mut Spellings) -> Result<Tier, InputError> {
    let mut tier = Tier::default();
    for (key, json) in object(at, json)? {
        let at_key = format!("{at}.{key}");
        let mut number = || {
            let value = decimal(&at_key, json)?;
            spellings.keep(value, json);
            Ok::<_, InputError>(value)
        };
        match key.as_str() {
            "up_to" => tier.up_to = number()?,
            "unit_price" => tier.unit_price = number()?,
            "flat_fee" => tier.flat_fee = number()?,
            "package_size" => tier.package_size = number()?,
            "percentage_rate" => tier.percentage_rate = number()?,
            "max_blocks" => tier.max_blocks = number()?,
            "limits" => {
                for (unit, json) in object(&at_key, json)? {
                    let limit = decimal(&format!("{at_key}.{unit}"), json)?;
                    tier.limits.insert(unit.clone(), limit);
                }
            }
            key => {
                return Err(InputError::UnknownKey {
                    at: at.to_owned(),
                    key: key.to_owned(),
                });
            }
        }
    }
    Ok(tier)
}

pub(super) fn object<'a>(at: &str, json: &'a Value) -> Result<&'a Map<String, Value>, InputError> {
    json.as_object().ok_or_else(|| InputError::WrongType {
        at: at.to_owned(),
        wanted: "an object",
    })
}

/// A decimal from a string or a number, digit by digit; `None` for null.
pub(super) fn decimal(at: &str, json: &Value) -> Result<Option<Decimal>, InputError> {
    let text = match json {
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => {
            return Err(InputError::WrongType {
                at: at.to_owned(),
                wanted: "a number",
            });
        }
    };
    match text.parse() {
        Ok(value) => Ok(Some(value)),
        Err(reason) => Err(InputError::NotANumber {
            at: at.to_owned(),
            text,
            reason,
        }),
    }
}

/// A decimal for each of the keys of an object.
pub(super) fn decimals_by_key(
    at: &str,
    json: &Value,
) -> Result<BTreeMap<String, Decimal>, InputError> {
    let mut values = BTreeMap::new();
    for (key, json) in object(at, json)? {
        let at_key = format!("{at}.{key}");
        let value = decimal(&at_key, json)?.ok_or(InputError::WrongType {
            at: at_key,
            wanted: "a number",
        })?;
        values.insert(key.clone(), value);
    }
    Ok(values)
}

pub(super) fn text(at: &str, json: &Value) -> Result<Option<String>, InputError> {
    match json {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        _ => Err(InputError::WrongType {
            at: at.to_owned(),
            wanted: "a string",
        }),
    }
}

fn term<T>(at: &str, json: &Value) -> Result<Option<T>, InputError>
where
    T: std::str::FromStr<Err = UnknownTerm>,
{
    let Some(word) = text(at, json)? else {
        return Ok(None);
    };
    match word.parse() {
        Ok(term) => Ok(Some(term)),
        Err(reason) => Err(InputError::Term {
            at: at.to_owned(),
            reason,
        }),
    }
}

fn flag(at: &str, json: &Value) -> Result<Option<bool>, InputError> {
    match json {
        Value::Null => Ok(None),
        Value::Bool(flag) => Ok(Some(*flag)),
        _ => Err(InputError::WrongType {
            at: at.to_owned(),
            wanted: "true or false",
        }),
    }
}

fn scale(at: &str, json: &Value) -> Result<Option<i32>, InputError> {
    let wrong = || InputError::WrongType {
        at: at.to_owned(),
        wanted: "a whole number",
    };
    let text = match json {
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(wrong()),
    };
    text.parse().map(Some).map_err(|_| wrong())
}
