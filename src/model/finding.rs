//! What a rule found: one affected record, with everything the rule said about it.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Map, Value};

use super::Decimal;

/// The text columns that a rule's SQL may return beside `source`, `entity_type` and `entity_id`.
pub const TEXT_COLUMNS: &[&str] = &[
    "entity_number",
    "customer_id",
    "subscription_id",
    "item_id",
    "invoice_id",
    "invoice_line_id",
    "bill_run_id",
    "price_id",
    "meter",
    "entity_status",
    "currency",
    "unit",
    "severity",
    "reason",
    "explanation",
    "root_cause",
];

/// The entity types that a finding may name.
pub const ENTITY_TYPES: &[&str] = &[
    "bill_run",
    "invoice",
    "invoice_line",
    "subscription",
    "subscription_item",
    "usage_record",
    "customer",
    "price",
    "meter",
    "export",
];

/// One affected record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finding {
    /// The source it belongs to.
    pub source: String,
    /// One of [`ENTITY_TYPES`].
    pub entity_type: String,
    /// Its id, as the platform spells it.
    pub entity_id: String,
    /// Values of [`TEXT_COLUMNS`] that are there.
    pub texts: BTreeMap<&'static str, String>,
    /// The period it is about.
    pub period_start: Option<DateTime<Utc>>,
    /// The end of that period, exclusive.
    pub period_end: Option<DateTime<Utc>>,
    /// The bill run's target date.
    pub target_date: Option<NaiveDate>,
    /// When the bill run was executed.
    pub execution_date: Option<NaiveDate>,
    /// What should be.
    pub expected: Option<Decimal>,
    /// What is.
    pub actual: Option<Decimal>,
    /// Every other column.
    pub evidence: Map<String, Value>,
}

impl Finding {
    /// A known text column.
    pub fn text(&self, column: &str) -> Option<&str> {
        self.texts.get(column).map(String::as_str)
    }

    /// `actual - expected`; with a currency, money: positive is overbilled.
    pub fn delta(&self) -> Option<Decimal> {
        self.actual?.checked_sub(self.expected?)
    }

    /// A column as it reads in a sentence: a number that is not there gives way to the id, and any
    /// other missing value is said to be missing.
    pub fn spoken(&self, name: &str) -> String {
        let found = self.column(name).or_else(|| match name {
            "entity_number" => Some(self.entity_id.clone()),
            _ => None,
        });
        found.unwrap_or_else(|| format!("(no {})", name.replace('_', " ")))
    }

    /// Any column as text, evidence included: for grouping and for filling texts.
    pub fn column(&self, name: &str) -> Option<String> {
        let moment = |at: Option<DateTime<Utc>>| {
            at.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
        };
        match name {
            "source" => Some(self.source.clone()),
            "entity_type" => Some(self.entity_type.clone()),
            "entity_id" => Some(self.entity_id.clone()),
            "period_start" => moment(self.period_start),
            "period_end" => moment(self.period_end),
            "target_date" => self.target_date.map(|date| date.to_string()),
            "execution_date" => self.execution_date.map(|date| date.to_string()),
            "expected" => self.expected.map(|value| value.to_string()),
            "actual" => self.actual.map(|value| value.to_string()),
            "delta" => self.delta().map(|value| value.to_string()),
            _ => match self.text(name) {
                Some(text) => Some(text.to_owned()),
                None => match self.evidence.get(name)? {
                    Value::Null => None,
                    Value::String(text) => Some(text.clone()),
                    other => Some(other.to_string()),
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delta_is_positive_when_too_much_was_billed() {
        let finding = Finding {
            expected: "10".parse().ok(),
            actual: "12.50".parse().ok(),
            ..Finding::default()
        };
        assert_eq!(finding.column("delta").as_deref(), Some("2.5"));
        assert_eq!(Finding::default().delta(), None);
    }

    #[test]
    fn columns_are_found_wherever_they_are_kept() {
        let mut finding = Finding {
            source: "acme".into(),
            ..Finding::default()
        };
        finding.texts.insert("meter", "api".into());
        finding.evidence.insert("day_count".into(), 3.into());
        assert_eq!(finding.column("source").as_deref(), Some("acme"));
        assert_eq!(finding.column("meter").as_deref(), Some("api"));
        assert_eq!(finding.column("day_count").as_deref(), Some("3"));
        assert_eq!(finding.column("absent"), None);
        finding.entity_id = "in_1".into();
        assert_eq!(finding.spoken("entity_number"), "in_1");
        assert_eq!(finding.spoken("invoice_id"), "(no invoice id)");
    }
}
