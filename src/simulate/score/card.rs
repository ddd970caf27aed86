//! The scorecard: what came of it by fault, by world and by rule. Plain data and sums.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::model::Decimal;

/// How one fault came out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FaultScore {
    /// The class of the catalogue of errors.
    pub class: String,
    /// The fault.
    pub fault: String,
    /// Instances.
    pub injected: u64,
    /// Instances that a rule which owns the fault found. Of what is no error: those left in peace.
    pub caught: u64,
    /// Of these, with the right root cause.
    pub root_cause_right: u64,
    /// Of these, those of which it is known how they came about.
    pub explained: u64,
    /// And with the right explanation.
    pub explanation_right: u64,
    /// Records that the catching signals are about.
    pub records_named: u64,
    /// Of these, records that the fault has touched.
    pub records_right: u64,
    /// Signals on its records of rules that have no business there.
    pub false_alarms: u64,
    /// Instances of which it is known how much money is at stake.
    pub with_money: u64,
    /// Of these, found with the very amount.
    pub money_exact: u64,
    /// The money at stake, in dollars.
    pub money_injected: Decimal,
    /// The money that the catching signals told of, in dollars.
    pub money_signalled: Decimal,
    /// The rules that caught it.
    pub caught_by: BTreeSet<String>,
}

/// False alarms of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RuleScore {
    /// The rule.
    pub rule: String,
    /// Its signals.
    pub signals: u64,
    /// On records of a fault that is not its business.
    pub beside: u64,
    /// On records that no fault has touched.
    pub elsewhere: u64,
}

/// How one world came out.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WorldScore {
    /// What it is called.
    pub world: String,
    /// Instances of errors; a world without any is clean.
    pub injected: u64,
    /// Of these, caught.
    pub caught: u64,
    /// Open signals.
    pub signals: u64,
    /// Signals that are false alarms.
    pub false_alarms: u64,
    /// How many periods of subscriptions were billed.
    pub subscription_months: u64,
    /// False alarms on a thousand of these.
    pub false_alarms_per_1000: f64,
}

/// Everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Scorecard {
    /// By class and fault.
    pub faults: Vec<FaultScore>,
    /// The sum of those that are errors.
    pub total: FaultScore,
    /// In the order given.
    pub worlds: Vec<WorldScore>,
    /// By rule.
    pub rules: Vec<RuleScore>,
}

/// Whether a class of the catalogue is real behaviour and no error.
pub(super) fn is_legitimate(class: &str) -> bool {
    class.starts_with('G')
}

impl FaultScore {
    /// Adds another one up.
    pub(super) fn add(&mut self, other: &Self) {
        self.injected += other.injected;
        self.caught += other.caught;
        self.root_cause_right += other.root_cause_right;
        self.explained += other.explained;
        self.explanation_right += other.explanation_right;
        self.records_named += other.records_named;
        self.records_right += other.records_right;
        self.false_alarms += other.false_alarms;
        self.with_money += other.with_money;
        self.money_exact += other.money_exact;
        self.money_injected = sum(self.money_injected, other.money_injected);
        self.money_signalled = sum(self.money_signalled, other.money_signalled);
    }
}

/// A sum that stays where it is when it does not fit.
pub(super) fn sum(a: Decimal, b: Decimal) -> Decimal {
    a.checked_add(b).unwrap_or(a)
}
