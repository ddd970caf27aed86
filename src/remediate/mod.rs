//! Remediation: what to do about a signal, root cause first. Pure; it changes no billing system.

use chrono::{DateTime, Utc};

use crate::model::Finding;
use crate::model::signal::RemediationRow;
use crate::rules::condition::Condition;
use crate::rules::{Rule, Step, template};

/// What a signal's steps are written from.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The signal.
    pub signal_id: &'a str,
    /// Its rule.
    pub rule: &'a Rule,
    /// Its weightiest finding, after which the texts are written.
    pub leading: &'a Finding,
    /// What it is about, in money: amount and currency.
    pub amount: Option<(crate::model::Decimal, &'a str)>,
    /// The moment that the run judges.
    pub as_of: DateTime<Utc>,
}

/// The steps that apply, numbered; each depends on the one before.
pub fn steps(case: Case<'_>) -> Vec<RemediationRow> {
    let applies = |step: &&Step| match step.when.as_deref().map(Condition::parse) {
        None => true,
        Some(Ok(condition)) => condition.holds(&|name| case.leading.column(name)),
        // `rules check` refuses such a rule; a step too many is better than none.
        Some(Err(_)) => true,
    };
    (1..)
        .zip(case.rule.remediation.iter().filter(applies))
        .map(|(at, step)| row(case, at, step))
        .collect()
}

fn row(case: Case<'_>, step: i32, text: &Step) -> RemediationRow {
    let finding = case.leading;
    let fill = |text: &str| Some(template::fill(text, &|name| Some(finding.spoken(name))));
    let (entity_type, entity_id) = target_entity(&text.target, finding);
    RemediationRow {
        signal_id: case.signal_id.to_owned(),
        step,
        depends_on: (step > 1).then(|| step - 1),
        root_cause: text
            .root_cause
            .clone()
            .or_else(|| finding.column("root_cause")),
        target_system: Some(text.target.clone()),
        target_entity_type: Some(entity_type.to_owned()),
        target_entity_id: Some(entity_id.to_owned()),
        action: fill(&text.action),
        what_to_check: fill(&text.check),
        why: fill(&text.why),
        expected_outcome: fill(&text.outcome),
        amount: case.amount.map(|(amount, _)| amount),
        currency: case.amount.map(|(_, currency)| currency.to_owned()),
        url: None,
        origin: Some("rule".to_owned()),
        created_at: Some(case.as_of),
    }
}

/// The record of the target system that the step is about, as far as the finding names it.
fn target_entity<'f>(target: &str, finding: &'f Finding) -> (&'f str, &'f str) {
    let candidates: &[(&str, &str)] = match target {
        "catalogue" => &[("price", "price_id")],
        "billing" | "erp" => &[
            ("invoice", "invoice_id"),
            ("bill_run", "bill_run_id"),
            ("subscription", "subscription_id"),
        ],
        "mapping" | "crm" => &[
            ("subscription", "subscription_id"),
            ("customer", "customer_id"),
        ],
        "customer" => &[("customer", "customer_id")],
        _ => &[("subscription_item", "item_id"), ("meter", "meter")],
    };
    candidates
        .iter()
        .find_map(|(entity_type, column)| Some((*entity_type, finding.text(column)?)))
        .unwrap_or((&finding.entity_type, &finding.entity_id))
}
