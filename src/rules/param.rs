//! Typed parameters of a rule: declared with a default, overridden as text, never spliced into SQL.

use std::fmt;
use std::time::Duration;

use super::error::hint;
use super::rule::{Rule, words};
use crate::model::Decimal;
use crate::model::span::{format_span, parse_span};
use crate::model::text::nearest;

words! {
    /// What kind of value a parameter holds.
    ParamKind {
        /// An amount in the finding's currency.
        Money = "money",
        /// Any exact decimal: a ratio, a quantity.
        Decimal = "decimal",
        /// A whole number.
        Integer = "integer",
        /// A span of time.
        Duration = "duration",
        /// A text.
        Text = "text",
        /// True or false.
        Boolean = "boolean",
    }
}

/// A parameter of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// What kind of value it holds.
    pub kind: ParamKind,
    /// The value in the rule's own file.
    pub default: ParamValue,
    /// The value in force: the default unless the configuration says otherwise.
    pub value: ParamValue,
    /// What it does, for people.
    pub help: String,
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamValue {
    /// Of money and decimal parameters.
    Decimal(Decimal),
    /// Of integer parameters.
    Integer(i64),
    /// Of duration parameters.
    Duration(Duration),
    /// Of text parameters.
    Text(String),
    /// Of boolean parameters.
    Boolean(bool),
}

/// Why a parameter of a rule did not get the value that was written for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssignError {
    /// The rule has no such parameter.
    #[error("rule `{rule}` has no parameter `{parameter}`{}", hint(.nearest))]
    Unknown {
        /// The rule.
        rule: String,
        /// The parameter as written.
        parameter: String,
        /// The rule's own that is nearest.
        nearest: Option<String>,
    },
    /// The text is no value of the parameter's type.
    #[error("parameter `{parameter}`: `{text}` is not {expected}")]
    Value {
        /// The parameter.
        parameter: String,
        /// The text as written.
        text: String,
        /// What it should have been.
        expected: &'static str,
    },
}

impl Rule {
    /// Gives a parameter another value, written as people write it and without quotes.
    ///
    /// # Errors
    /// The rule has no such parameter, or the text is no value of its type; nothing is changed then.
    pub fn assign(&mut self, parameter: &str, text: &str) -> Result<(), AssignError> {
        let Some(param) = self.params.get_mut(parameter) else {
            let nearest = nearest(parameter, self.params.keys().map(String::as_str));
            return Err(AssignError::Unknown {
                rule: self.id.clone(),
                parameter: parameter.to_owned(),
                nearest: nearest.map(str::to_owned),
            });
        };
        let refused = |expected| AssignError::Value {
            parameter: parameter.to_owned(),
            text: text.to_owned(),
            expected,
        };
        let value = param.kind.parse(text);
        let value = value.ok_or_else(|| refused(param.kind.expected()))?;
        // A tolerance below zero would make right records wrong.
        if value.is_negative() && !param.default.is_negative() {
            return Err(refused("zero or more"));
        }
        param.value = value;
        Ok(())
    }
}

impl ParamValue {
    fn is_negative(&self) -> bool {
        match self {
            Self::Decimal(value) => value.is_negative(),
            Self::Integer(value) => *value < 0,
            Self::Duration(_) | Self::Text(_) | Self::Boolean(_) => false,
        }
    }
}

impl ParamKind {
    /// Reads a value of this kind as people write it; `None` where the text is no such value.
    pub fn parse(self, text: &str) -> Option<ParamValue> {
        match self {
            Self::Money | Self::Decimal => text.parse().ok().map(ParamValue::Decimal),
            Self::Integer => text.parse().ok().map(ParamValue::Integer),
            Self::Duration => parse_span(text).ok().map(ParamValue::Duration),
            Self::Text => Some(ParamValue::Text(text.to_owned())),
            Self::Boolean => text.parse().ok().map(ParamValue::Boolean),
        }
    }

    /// Reads a TOML value of this kind. A TOML float is refused: it has lost its digits already.
    pub(super) fn of_toml(self, value: &toml::Value) -> Option<ParamValue> {
        match (self, value) {
            (_, toml::Value::String(text)) => self.parse(text),
            (Self::Integer, toml::Value::Integer(whole)) => Some(ParamValue::Integer(*whole)),
            (Self::Money | Self::Decimal, toml::Value::Integer(whole)) => {
                Some(ParamValue::Decimal(Decimal::from_i64(*whole)))
            }
            (Self::Boolean, toml::Value::Boolean(truth)) => Some(ParamValue::Boolean(*truth)),
            _ => None,
        }
    }

    /// What a value of this kind looks like, for error messages.
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Money | Self::Decimal => "a decimal in quotes such as \"0.01\"",
            Self::Integer => "a whole number",
            Self::Duration => "a span of time such as \"6 hours\"",
            Self::Text => "a text in quotes",
            Self::Boolean => "true or false",
        }
    }
}

impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decimal(number) => write!(f, "{number}"),
            Self::Integer(whole) => write!(f, "{whole}"),
            Self::Duration(span) => f.write_str(&format_span(*span)),
            Self::Text(text) => f.write_str(text),
            Self::Boolean(truth) => write!(f, "{truth}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_text_by_kind() {
        let cent = ParamKind::Money.parse("0.01").unwrap();
        assert_eq!(cent, ParamValue::Decimal("0.01".parse().unwrap()));
        assert_eq!(ParamKind::Integer.parse("7"), Some(ParamValue::Integer(7)));
        assert_eq!(ParamKind::Integer.parse("7.5"), None);
        assert_eq!(ParamKind::Boolean.parse("yes"), None);
        let hours = ParamKind::Duration.parse("6h").unwrap();
        assert_eq!(hours, ParamValue::Duration(Duration::from_secs(21_600)));
    }

    #[test]
    fn a_parameter_takes_only_values_of_its_type() {
        let mut rule = crate::rules::metadata::tests::sample();
        rule.assign("tolerance", "0.05").unwrap();
        assert_eq!(rule.params["tolerance"].value.to_string(), "0.05");
        let refused = |error: Result<(), AssignError>| error.unwrap_err().to_string();
        assert_eq!(
            refused(rule.assign("tolerance", "much")),
            "parameter `tolerance`: `much` is not a decimal in quotes such as \"0.01\""
        );
        assert_eq!(
            refused(rule.assign("tolerance", "-1")),
            "parameter `tolerance`: `-1` is not zero or more"
        );
        assert_eq!(
            refused(rule.assign("tolerence", "0.05")),
            "rule `odd-price` has no parameter `tolerence`; did you mean `tolerance`?"
        );
        assert_eq!(rule.params["tolerance"].value.to_string(), "0.05");
    }

    #[test]
    fn toml_takes_native_numbers_but_no_float() {
        let whole = toml::Value::Integer(3);
        assert_eq!(ParamKind::Decimal.of_toml(&whole).unwrap().to_string(), "3");
        assert_eq!(ParamKind::Decimal.of_toml(&toml::Value::Float(0.1)), None);
        assert_eq!(ParamKind::Text.of_toml(&whole), None);
        let truth = toml::Value::Boolean(true);
        assert_eq!(
            ParamKind::Boolean.of_toml(&truth),
            Some(ParamValue::Boolean(true))
        );
    }
}
