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
    let mistakes = mistakes(case.leading);
    let applies = |step: &&Step| match step.when.as_deref().map(Condition::parse) {
        None => true,
        Some(Ok(condition)) => mistakes.iter().any(|mistake| {
            condition.holds(&|name| match (name, mistake) {
                ("explanation", Some(mistake)) => Some((*mistake).to_owned()),
                _ => case.leading.column(name),
            })
        }),
        // `rules check` refuses such a rule; a step too many is better than none.
        Some(Err(_)) => true,
    };
    (1..)
        .zip(case.rule.remediation.iter().filter(applies))
        .map(|(at, step)| row(case, at, step))
        .collect()
}

/// The steps of a signal that follows from another one: the first step of that one comes before.
pub fn after(upstream: &RemediationRow, steps: Vec<RemediationRow>) -> Vec<RemediationRow> {
    let Some(own) = steps.first() else {
        return steps;
    };
    let cause = &upstream.signal_id;
    let action = upstream.action.as_deref().unwrap_or_default();
    let first = RemediationRow {
        signal_id: own.signal_id.clone(),
        step: 1,
        depends_on: None,
        action: Some(format!("First the cause, signal {cause}: {action}")),
        amount: own.amount,
        currency: own.currency.clone(),
        ..upstream.clone()
    };
    let moved = steps.into_iter().map(|step| RemediationRow {
        step: step.step + 1,
        depends_on: Some(step.step),
        ..step
    });
    std::iter::once(first).chain(moved).collect()
}

/// The mistakes that explain the finding together: each has its own steps. Nothing stands for the
/// finding's own word.
fn mistakes(finding: &Finding) -> Vec<Option<&str>> {
    let named = finding.evidence.get("mistakes").and_then(|m| m.as_array());
    let named: Vec<Option<&str>> = named
        .into_iter()
        .flatten()
        .map(|mistake| mistake.as_str())
        .collect();
    if named.is_empty() { vec![None] } else { named }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(signal_id: &str, step: i32, action: &str) -> RemediationRow {
        RemediationRow {
            signal_id: signal_id.to_owned(),
            step,
            depends_on: (step > 1).then(|| step - 1),
            action: Some(action.to_owned()),
            ..RemediationRow::default()
        }
    }

    #[test]
    fn the_first_step_of_the_cause_comes_before_the_own_ones() {
        let own = vec![row("b", 1, "rate again"), row("b", 2, "credit")];
        let found = after(&row("a", 1, "void the repeats"), own);
        let said: Vec<_> = found
            .iter()
            .map(|row| {
                let action = row.action.as_deref().unwrap();
                (row.signal_id.as_str(), row.step, row.depends_on, action)
            })
            .collect();
        assert_eq!(
            said,
            [
                ("b", 1, None, "First the cause, signal a: void the repeats"),
                ("b", 2, Some(1), "rate again"),
                ("b", 3, Some(2), "credit"),
            ]
        );
        assert!(after(&row("a", 1, "x"), Vec::new()).is_empty());
    }

    #[test]
    fn each_of_two_mistakes_has_its_steps() {
        let mut finding = Finding::default();
        assert_eq!(mistakes(&finding), [None]);
        let named = json!(["duplicates_counted", "unit_factor"]);
        finding.evidence.insert("mistakes".to_owned(), named);
        assert_eq!(
            mistakes(&finding),
            [Some("duplicates_counted"), Some("unit_factor")]
        );
    }
}
