//! Findings of one rule made into issues: one wrong price is one signal, not five hundred.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Map, Value, json};

use super::money::{Exchange, Impact};
use crate::config::Suppression;
use crate::model::identity::{FINGERPRINT_VERSION, fingerprint};
use crate::model::{Decimal, Finding, Severity};
use crate::rules::{Rule, template};

/// What a rule found in a run, and where it could judge.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// What it found.
    pub findings: Vec<Finding>,
    /// The sources it was judged for on complete data.
    pub judged: BTreeSet<String>,
    /// The window it looked at.
    pub window: (DateTime<Utc>, DateTime<Utc>),
}

/// One issue of one run.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// `sig_` and the first 16 hex digits of the fingerprint.
    pub signal_id: String,
    /// The values that the findings share.
    pub key: Map<String, Value>,
    /// The source.
    pub source: String,
    /// The findings, the weightiest first.
    pub findings: Vec<Finding>,
    /// How grave it is.
    pub severity: Severity,
    /// Overbilled and underbilled together.
    pub impact: Option<Decimal>,
    /// What customers were charged too much.
    pub overbilled: Option<Decimal>,
    /// What was not charged.
    pub underbilled: Option<Decimal>,
    /// The currency of the three.
    pub currency: Option<String>,
    /// Amounts that no rate converts.
    pub unconverted: BTreeMap<String, Decimal>,
    /// Why it is suppressed, if it is.
    pub suppressed: Option<String>,
    /// From the earliest to the latest moment the findings are about, else the rule's window.
    pub window: (DateTime<Utc>, DateTime<Utc>),
}

/// The issues of one rule in one run.
#[derive(Clone, Debug)]
pub struct Grouped<'a> {
    /// What was observed.
    pub rule: &'a Rule,
    /// Sources judged on complete data.
    pub judged: BTreeSet<String>,
    /// Where the rule's window begins.
    pub window_start: DateTime<Utc>,
    /// The issues that reach the rule's thresholds.
    pub groups: Vec<Group<'a>>,
    /// Issues below the thresholds.
    pub below_trigger: usize,
}

/// A sum of money that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the money that rule {rule} found is too much to add up")]
pub struct Overflow {
    /// The rule.
    pub rule: String,
}

/// Groups a rule's findings.
pub fn group<'a>(
    observed: Observed<'a>,
    exchange: &Exchange<'_>,
    suppressions: &[Suppression],
    today: NaiveDate,
) -> Result<Grouped<'a>, Overflow> {
    let rule = observed.rule;
    let mut by_key: BTreeMap<Vec<(String, Option<String>)>, Vec<Finding>> = BTreeMap::new();
    for finding in observed.findings {
        // Whatever the rule groups by, a signal never spans sources.
        let mut key = vec![("source".to_owned(), Some(finding.source.clone()))];
        let others = rule.group_by.iter().filter(|name| *name != "source");
        key.extend(others.map(|name| (name.clone(), finding.column(name))));
        by_key.entry(key).or_default().push(finding);
    }
    let mut grouped = Grouped {
        rule,
        judged: observed.judged,
        window_start: observed.window.0,
        groups: Vec::new(),
        below_trigger: 0,
    };
    for (key, findings) in by_key {
        let group =
            form(rule, key, findings, observed.window, exchange).ok_or_else(|| Overflow {
                rule: rule.id.clone(),
            })?;
        let enough = group.findings.len() as u64 >= rule.trigger.min_entities
            && (rule.trigger.min_impact.is_zero()
                // Money that cannot be weighed is not taken for little.
                || !group.unconverted.is_empty()
                || group
                    .impact
                    .is_some_and(|impact| impact >= rule.trigger.min_impact));
        if enough {
            let suppressed = suppression(&group, suppressions, today);
            grouped.groups.push(Group {
                suppressed,
                ..group
            });
        } else {
            grouped.below_trigger += 1;
        }
    }
    Ok(grouped)
}

fn form<'a>(
    rule: &'a Rule,
    key: Vec<(String, Option<String>)>,
    mut findings: Vec<Finding>,
    window: (DateTime<Utc>, DateTime<Utc>),
    exchange: &Exchange<'_>,
) -> Option<Group<'a>> {
    let weight = |finding: &Finding| finding.delta().unwrap_or_default().abs();
    findings.sort_by(|a, b| {
        weight(b)
            .cmp(&weight(a))
            .then_with(|| (&a.entity_type, &a.entity_id).cmp(&(&b.entity_type, &b.entity_id)))
    });
    let impact = exchange.impact(
        findings
            .iter()
            .filter_map(|finding| Some((finding.delta()?, finding.text("currency")?))),
    )?;
    let start = findings
        .iter()
        .filter_map(|finding| finding.period_start)
        .min();
    let end = findings
        .iter()
        .filter_map(|finding| finding.period_end)
        .max();
    let source = findings.first()?.source.clone();
    let money = impact.currency.is_some();
    Some(Group {
        rule,
        signal_id: signal_id(rule, &key),
        key: key
            .into_iter()
            .map(|(name, value)| (name, value.map_or(Value::Null, Value::String)))
            .collect(),
        source,
        severity: severity(rule, &findings, &impact),
        impact: if money { Some(impact.total()?) } else { None },
        overbilled: money.then_some(impact.overbilled),
        underbilled: money.then_some(impact.underbilled),
        currency: impact.currency,
        unconverted: impact.unconverted,
        suppressed: None,
        window: (start.unwrap_or(window.0), end.unwrap_or(window.1)),
        findings,
    })
}

fn signal_id(rule: &Rule, key: &[(String, Option<String>)]) -> String {
    let version = FINGERPRINT_VERSION.to_string();
    let mut parts = vec![version.as_str(), rule.id.as_str()];
    for (name, value) in key {
        parts.push(name);
        // A missing value is not the empty text.
        parts.push(if value.is_some() { "=" } else { "null" });
        parts.push(value.as_deref().unwrap_or_default());
    }
    format!("sig_{}", &fingerprint(parts)[..16])
}

/// The rule's floor, raised by what a row says and by money.
fn severity(rule: &Rule, findings: &[Finding], impact: &Impact) -> Severity {
    let rows = findings
        .iter()
        .filter_map(|finding| finding.text("severity")?.parse().ok());
    let mut severity = rows.fold(rule.severity, Severity::max);
    if !impact.is_reported {
        return severity;
    }
    let total = impact.total().unwrap_or_default();
    let reaches =
        |threshold: Option<Decimal>| threshold.is_some_and(|threshold| total >= threshold);
    if reaches(rule.escalate.high_impact) {
        severity = severity.max(Severity::High);
    }
    if reaches(rule.escalate.critical_impact) {
        severity = severity.max(Severity::Critical);
    }
    severity
}

fn suppression(
    group: &Group<'_>,
    suppressions: &[Suppression],
    today: NaiveDate,
) -> Option<String> {
    let holds = |suppression: &&Suppression| {
        suppression.rule == group.rule.id
            && today < suppression.expires
            && group.findings.iter().all(|finding| {
                suppression
                    .matches
                    .iter()
                    .all(|(name, value)| finding.column(name).as_ref() == Some(value))
            })
    };
    suppressions.iter().find(holds).map(|suppression| {
        format!(
            "{} ({}, until {})",
            suppression.reason, suppression.owner, suppression.expires
        )
    })
}

impl Group<'_> {
    /// The weightiest finding, after which the texts are written.
    pub fn leading(&self) -> Option<&Finding> {
        self.findings.first()
    }

    /// A text of the rule with this group's values in it.
    pub fn fill(&self, text: &str) -> String {
        template::fill(text, &|name| Some(self.leading()?.spoken(name)))
    }

    /// The value that all findings share.
    pub fn shared(&self, column: &str) -> Option<String> {
        let first = self.leading()?.column(column)?;
        self.findings
            .iter()
            .all(|finding| finding.column(column).as_ref() == Some(&first))
            .then_some(first)
    }

    /// The most frequent value of a text column, and its share of the findings.
    pub fn prevailing(&self, column: &str) -> Option<(String, f64)> {
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for value in self
            .findings
            .iter()
            .filter_map(|finding| finding.column(column))
        {
            *counts.entry(value).or_default() += 1;
        }
        // Of equals, the first in the alphabet.
        let (value, count) = counts.into_iter().rev().max_by_key(|(_, count)| *count)?;
        let total = u32::try_from(self.findings.len()).ok()?;
        Some((value, f64::from(count) / f64::from(total)))
    }

    /// How sure the explanations of the findings are, on average; nothing where none was looked for.
    pub fn confidence(&self) -> Option<f64> {
        let confidences: Vec<f64> = self
            .findings
            .iter()
            .filter_map(|finding| finding.evidence.get("explanation_confidence")?.as_f64())
            .collect();
        let count = u32::try_from(confidences.len()).ok()?;
        (count > 0).then(|| confidences.iter().sum::<f64>() / f64::from(count))
    }

    /// What the signal's `evidence` holds.
    pub fn evidence(&self) -> Value {
        let mut evidence = Map::new();
        if let Some(leading) = self.leading() {
            evidence.insert(
                "leading".to_owned(),
                json!({
                    "entity_type": leading.entity_type,
                    "entity_id": leading.entity_id,
                    "expected": leading.expected,
                    "actual": leading.actual,
                    "evidence": leading.evidence,
                }),
            );
        }
        if !self.unconverted.is_empty() {
            evidence.insert("unconverted".to_owned(), json!(self.unconverted));
        }
        Value::Object(evidence)
    }
}
