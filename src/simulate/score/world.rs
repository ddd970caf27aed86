//! What is compared: the labels of a world and the signals of a run over it. Plain data.

use serde::Deserialize;

use crate::model::{Decimal, Severity};

/// A record that shows a fault.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Record {
    /// As in the data model.
    pub entity_type: String,
    /// Its id.
    pub entity_id: String,
}

/// One injected instance, as the file of labels has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Label {
    /// Its own name.
    pub label_id: String,
    /// The class of the catalogue of errors.
    pub class: String,
    /// The fault.
    pub fault: String,
    /// Where it is.
    pub source: String,
    /// The records that show it.
    pub records: Vec<Record>,
    /// What would be right.
    pub expected: Option<Decimal>,
    /// What is there.
    pub actual: Option<Decimal>,
    /// The currency of the two; none where they are no money.
    pub currency: Option<String>,
    /// What is at its root.
    pub root_cause: String,
    /// Rules that own it.
    pub rules: Vec<String>,
    /// Rules that see its consequences.
    #[serde(default)]
    pub effects: Vec<String>,
    /// Explanations that are right; empty where any is.
    pub explanations: Vec<String>,
}

/// A record that a signal names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entity {
    /// Whether the rule returned it, or only a finding mentions it.
    pub is_primary: bool,
    /// As in the data model.
    pub entity_type: String,
    /// Its id.
    pub entity_id: String,
    /// The subscription it belongs to.
    pub subscription_id: Option<String>,
    /// The item it belongs to.
    pub item_id: Option<String>,
    /// The invoice it belongs to.
    pub invoice_id: Option<String>,
    /// How far what is there is from what is right.
    pub delta: Option<Decimal>,
    /// A currency, or a unit of measure.
    pub unit: Option<String>,
}

/// An open signal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signal {
    /// Its id.
    pub signal_id: String,
    /// The rule.
    pub rule_id: String,
    /// Where it is.
    pub source: String,
    /// How grave it is.
    pub severity: Option<Severity>,
    /// What it says is at its root.
    pub root_cause: Option<String>,
    /// How it says it came about.
    pub explanation: Option<String>,
    /// Its records.
    pub entities: Vec<Entity>,
}

/// A world and what a run said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World {
    /// What to call it.
    pub name: String,
    /// What is known to be wrong.
    pub labels: Vec<Label>,
    /// What was found.
    pub signals: Vec<Signal>,
    /// How many periods of subscriptions were billed.
    pub subscription_months: u64,
}

impl Label {
    /// How far what is there is from what is right; money where there is a currency.
    pub(super) fn delta(&self) -> Option<Decimal> {
        self.actual?.checked_sub(self.expected?)
    }
}
