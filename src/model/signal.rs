//! Rows of the result tables that describe a signal: the issue, its records, its history, its steps.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::Decimal;

/// Where a signal is in its life.
pub mod status {
    /// Nobody has looked at it.
    pub const UNHANDLED: &str = "unhandled";
    /// Somebody works on it.
    pub const IN_PROGRESS: &str = "in_progress";
    /// Put off until a time, or until it grows.
    pub const SNOOZED: &str = "snoozed";
    /// Done with.
    pub const RESOLVED: &str = "resolved";
}

/// A row of `signals`: the issue, with a life across runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "the columns are described once, in docs/data-model.md"
)]
pub struct SignalRow {
    pub signal_id: String,
    pub fingerprint_version: Option<i32>,
    pub rule_id: String,
    pub rule_version: Option<i32>,
    pub title: Option<String>,
    pub description: Option<String>,
    pub category: Option<String>,
    pub stage: Option<String>,
    pub severity: String,
    pub priority: Option<i32>,
    pub status: String,
    pub is_regression: bool,
    pub is_escalating: bool,
    pub resolution: Option<String>,
    pub source: String,
    pub platform: Option<String>,
    pub group_key: Option<String>,
    pub customer_id: Option<String>,
    pub entity_count: i64,
    pub impact: Option<Decimal>,
    pub overbilled: Option<Decimal>,
    pub underbilled: Option<Decimal>,
    pub currency: Option<String>,
    pub root_cause: Option<String>,
    pub root_cause_confidence: Option<f64>,
    pub explanation: Option<String>,
    pub caused_by: Option<String>,
    pub pattern_id: Option<String>,
    pub assignee: Option<String>,
    pub snoozed_until: Option<DateTime<Utc>>,
    pub occurrences: i64,
    pub first_seen_at: Option<DateTime<Utc>>,
    pub last_seen_at: Option<DateTime<Utc>>,
    pub first_run_id: Option<String>,
    pub last_run_id: Option<String>,
    pub resolved_at: Option<DateTime<Utc>>,
    pub window_start: Option<DateTime<Utc>>,
    pub window_end: Option<DateTime<Utc>>,
    pub evidence: Option<String>,
    pub is_suppressed: Option<bool>,
    pub suppression_reason: Option<String>,
    pub missed_runs: Option<i32>,
    pub last_missed_run_id: Option<String>,
    pub last_missed_at: Option<DateTime<Utc>>,
}

impl SignalRow {
    /// Whether it asks for attention: neither resolved nor suppressed.
    pub fn is_open(&self) -> bool {
        self.status != status::RESOLVED && self.is_suppressed != Some(true)
    }
}

/// A row of `signal_entities`: one affected record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "the columns are described once, in docs/data-model.md"
)]
pub struct EntityRow {
    pub signal_id: String,
    pub run_id: Option<String>,
    pub role: Option<String>,
    pub entity_type: String,
    pub entity_id: String,
    pub entity_number: Option<String>,
    pub source: String,
    pub platform: Option<String>,
    pub customer_id: Option<String>,
    pub subscription_id: Option<String>,
    pub item_id: Option<String>,
    pub invoice_id: Option<String>,
    pub bill_run_id: Option<String>,
    pub period_start: Option<DateTime<Utc>>,
    pub period_end: Option<DateTime<Utc>>,
    pub target_date: Option<NaiveDate>,
    pub execution_date: Option<NaiveDate>,
    pub entity_status: Option<String>,
    pub expected: Option<Decimal>,
    pub actual: Option<Decimal>,
    pub delta: Option<Decimal>,
    pub unit: Option<String>,
    pub url: Option<String>,
    pub evidence: Option<String>,
    pub first_seen_at: Option<DateTime<Utc>>,
    pub last_seen_at: Option<DateTime<Utc>>,
}

/// A row of `signal_events`: one thing that happened to a signal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "the columns are described once, in docs/data-model.md"
)]
pub struct EventRow {
    pub event_id: String,
    pub signal_id: String,
    pub at: Option<DateTime<Utc>>,
    pub actor: Option<String>,
    pub kind: Option<String>,
    pub from_value: Option<String>,
    pub to_value: Option<String>,
    pub comment: Option<String>,
    pub run_id: Option<String>,
}

/// A row of `remediations`: one step, root cause first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "the columns are described once, in docs/data-model.md"
)]
pub struct RemediationRow {
    pub signal_id: String,
    pub step: i32,
    pub depends_on: Option<i32>,
    pub root_cause: Option<String>,
    pub target_system: Option<String>,
    pub target_entity_type: Option<String>,
    pub target_entity_id: Option<String>,
    pub action: Option<String>,
    pub what_to_check: Option<String>,
    pub why: Option<String>,
    pub expected_outcome: Option<String>,
    pub amount: Option<Decimal>,
    pub currency: Option<String>,
    pub url: Option<String>,
    pub origin: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
}

/// A row of `patterns`: what several signals have in common.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "the columns are described once, in docs/data-model.md"
)]
pub struct PatternRow {
    pub pattern_id: String,
    pub kind: Option<String>,
    pub shared_value: Option<String>,
    pub signal_count: Option<i64>,
    pub entity_count: Option<i64>,
    pub impact: Option<Decimal>,
    pub currency: Option<String>,
    pub first_seen_at: Option<DateTime<Utc>>,
    pub last_seen_at: Option<DateTime<Utc>>,
    pub title: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_resolved_or_suppressed_is_not_open() {
        let signal = |status: &str, is_suppressed| SignalRow {
            status: status.to_owned(),
            is_suppressed,
            ..SignalRow::default()
        };
        for open in [status::UNHANDLED, status::IN_PROGRESS, status::SNOOZED] {
            assert!(signal(open, None).is_open(), "{open}");
            assert!(signal(open, Some(false)).is_open(), "{open}");
            assert!(!signal(open, Some(true)).is_open(), "{open}");
        }
        assert!(!signal(status::RESOLVED, None).is_open());
    }
}
