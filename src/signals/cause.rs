//! Which signal of an earlier stage another one follows from: one cause, one first action. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::group::{Group, Grouped};
use crate::model::Finding;
use crate::rules::{Explain, Stage};

/// Root causes that lie in the price or the engine: usage that is wrong too did not bring them about,
/// unless it is the quantity that is explained and the usage is wrong for the same cause.
const NOT_OF_USAGE: &[&str] = &["configuration", "engine_defect"];

type Span = (DateTime<Utc>, DateTime<Utc>);

/// One finding of a signal that may be a cause.
struct Upstream<'a> {
    stage: Stage,
    signal_id: &'a str,
    span: Span,
}

/// Signal → the signal it follows from: of an earlier stage, about the same items and overlapping
/// periods in more than half of its findings; the earliest stage first, then the most findings.
pub fn causes(grouped: &[Grouped<'_>]) -> BTreeMap<String, String> {
    let groups = || grouped.iter().flat_map(|rule| &rule.groups);
    let mut by_item: BTreeMap<(&str, &str), Vec<Upstream<'_>>> = BTreeMap::new();
    let mut root_causes: BTreeMap<&str, String> = BTreeMap::new();
    for group in groups() {
        if let Some((root_cause, _)) = group.prevailing("root_cause") {
            root_causes.insert(&group.signal_id, root_cause);
        }
        for finding in &group.findings {
            if let Some((item, span)) = item(finding).zip(span(finding)) {
                by_item
                    .entry((group.source.as_str(), item))
                    .or_default()
                    .push(Upstream {
                        stage: group.rule.stage,
                        signal_id: &group.signal_id,
                        span,
                    });
            }
        }
    }
    let found = groups().filter_map(|group| {
        let cause = cause(group, &by_item, &root_causes)?;
        Some((group.signal_id.clone(), cause.to_owned()))
    });
    found.collect()
}

fn cause<'a>(
    group: &Group<'_>,
    by_item: &BTreeMap<(&str, &str), Vec<Upstream<'a>>>,
    root_causes: &BTreeMap<&str, String>,
) -> Option<&'a str> {
    let own = group.rule.stage;
    let proven = proven_otherwise(group);
    // A quantity that is proven wrong by another aggregation is what the usage rule for that says.
    let is_quantity = group.rule.explain == Some(Explain::Quantity);
    let can_follow = |upstream: &Upstream<'_>| {
        proven.is_none()
            || upstream.stage != Stage::Usage
            || (is_quantity && root_causes.get(upstream.signal_id) == proven.as_ref())
    };
    let mut counts: BTreeMap<(Stage, &str), usize> = BTreeMap::new();
    for finding in &group.findings {
        let Some((item, span)) = item(finding).zip(span(finding)) else {
            continue;
        };
        let upstream = by_item.get(&(group.source.as_str(), item));
        let earlier: BTreeSet<(Stage, &str)> = upstream
            .into_iter()
            .flatten()
            .filter(|upstream| upstream.stage < own && overlap(upstream.span, span))
            .filter(|upstream| can_follow(upstream))
            .map(|upstream| (upstream.stage, upstream.signal_id))
            .collect();
        for one in earlier {
            *counts.entry(one).or_default() += 1;
        }
    }
    counts
        .into_iter()
        .filter(|(_, count)| 2 * count > group.findings.len())
        // Of equals the first: the map is in the order of stages and ids.
        .min_by(|((a, _), m), ((b, _), n)| a.cmp(b).then_with(|| n.cmp(m)))
        .map(|((_, signal_id), _)| signal_id)
}

/// The root cause, where a mistake in the price or the engine is known to give what was billed.
fn proven_otherwise(group: &Group<'_>) -> Option<String> {
    let is_proven = group
        .confidence()
        .is_some_and(|confidence| confidence > 0.0);
    let (cause, _) = group.prevailing("root_cause")?;
    (is_proven && NOT_OF_USAGE.contains(&cause.as_str())).then_some(cause)
}

fn item(finding: &Finding) -> Option<&str> {
    if finding.entity_type == "subscription_item" {
        return Some(&finding.entity_id);
    }
    finding.text("item_id")
}

/// The period of a finding; of a single record, the moment it occurred.
fn span(finding: &Finding) -> Option<Span> {
    if let Some(period) = finding.period_start.zip(finding.period_end) {
        return Some(period);
    }
    let at = finding.column("occurred_at")?;
    let at = DateTime::parse_from_rfc3339(&at).ok()?.to_utc();
    Some((at, at.checked_add_signed(TimeDelta::microseconds(1))?))
}

fn overlap(a: Span, b: Span) -> bool {
    a.0 < b.1 && b.0 < a.1
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Suppression;
    use crate::rules::{Rule, embedded};
    use crate::signals::{Exchange, Observed, group};

    fn rule(id: &str) -> Rule {
        embedded().unwrap().rule(id).unwrap().clone()
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn line(item: &str, start: &str, end: &str) -> Finding {
        let mut finding = Finding {
            source: "billing".to_owned(),
            entity_type: "invoice_line".to_owned(),
            entity_id: format!("line of {item}"),
            period_start: Some(at(start)),
            period_end: Some(at(end)),
            ..Finding::default()
        };
        finding.texts.insert("item_id", item.to_owned());
        finding.texts.insert("meter", "api".to_owned());
        finding
    }

    fn record(item: &str, occurred_at: &str) -> Finding {
        let mut finding = line(item, occurred_at, occurred_at);
        finding.entity_type = "usage_record".to_owned();
        finding.period_start = None;
        finding.period_end = None;
        finding
            .evidence
            .insert("occurred_at".to_owned(), json!(occurred_at));
        finding
    }

    fn grouped<'a>(rule: &'a Rule, findings: Vec<Finding>) -> Grouped<'a> {
        let rates = BTreeMap::new();
        let exchange = Exchange {
            currency: "USD",
            rates: &rates,
        };
        let window = (at("2026-01-01T00:00:00Z"), at("2026-03-04T00:00:00Z"));
        let observed = Observed {
            rule,
            findings,
            judged: BTreeSet::new(),
            window,
        };
        let none: &[Suppression] = &[];
        group(observed, &exchange, none, window.1.date_naive()).unwrap()
    }

    const FEBRUARY: (&str, &str) = ("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z");

    #[test]
    fn usage_is_the_cause_of_what_was_billed_for_it() {
        let (usage, rating) = (rule("duplicate-usage"), rule("quantity-mismatch"));
        let upstream = grouped(&usage, vec![record("i1", "2026-02-10T10:00:00Z")]);
        let later = grouped(&rating, vec![line("i1", FEBRUARY.0, FEBRUARY.1)]);
        let (cause, effect) = (
            upstream.groups[0].signal_id.clone(),
            later.groups[0].signal_id.clone(),
        );
        let found = causes(&[later, upstream]);
        assert_eq!(found, BTreeMap::from([(effect, cause)]));
    }

    #[test]
    fn another_item_or_period_or_a_minority_is_no_cause() {
        let (usage, rating) = (rule("duplicate-usage"), rule("quantity-mismatch"));
        let none = |records: Vec<Finding>, lines: Vec<Finding>| {
            causes(&[grouped(&usage, records), grouped(&rating, lines)]).is_empty()
        };
        let line = |item: &str| line(item, FEBRUARY.0, FEBRUARY.1);
        assert!(none(
            vec![record("i2", "2026-02-10T10:00:00Z")],
            vec![line("i1")]
        ));
        assert!(none(
            vec![record("i1", "2026-03-01T00:00:00Z")],
            vec![line("i1")]
        ));
        let two = vec![line("i1"), line("i2")];
        assert!(none(vec![record("i1", "2026-02-10T10:00:00Z")], two));
    }

    #[test]
    fn a_proven_mistake_of_the_price_is_not_the_usages() {
        let (usage, rating) = (rule("duplicate-usage"), rule("tier-miscalculation"));
        let mut wrong = line("i1", FEBRUARY.0, FEBRUARY.1);
        wrong.texts.insert("root_cause", "configuration".to_owned());
        wrong
            .evidence
            .insert("explanation_confidence".to_owned(), json!(1.0));
        let upstream = vec![record("i1", "2026-02-10T10:00:00Z")];
        let found = causes(&[grouped(&usage, upstream), grouped(&rating, vec![wrong])]);
        assert!(found.is_empty(), "{found:?}");
    }

    fn proven(item: &str, root_cause: &str) -> Finding {
        let mut wrong = line(item, FEBRUARY.0, FEBRUARY.1);
        wrong.texts.insert("root_cause", root_cause.to_owned());
        wrong
            .evidence
            .insert("explanation_confidence".to_owned(), json!(1.0));
        wrong
    }

    #[test]
    fn a_quantity_proven_wrong_follows_the_usage_that_is_wrong_for_the_same_cause() {
        let (usage, rating) = (rule("wrong-aggregation"), rule("quantity-mismatch"));
        let upstream = |root_cause: &str| {
            let mut one = line("i1", FEBRUARY.0, FEBRUARY.1);
            one.texts.insert("root_cause", root_cause.to_owned());
            grouped(&usage, vec![one])
        };
        let later = || grouped(&rating, vec![proven("i1", "configuration")]);
        let same = upstream("configuration");
        let (cause, effect) = (
            same.groups[0].signal_id.clone(),
            later().groups[0].signal_id.clone(),
        );
        let found = causes(&[later(), same]);
        assert_eq!(found, BTreeMap::from([(effect, cause)]));
        let found = causes(&[later(), upstream("data_quality")]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_price_proven_wrong_follows_no_usage_even_of_the_same_cause() {
        let (usage, rating) = (rule("wrong-aggregation"), rule("tier-miscalculation"));
        let mut one = line("i1", FEBRUARY.0, FEBRUARY.1);
        one.texts.insert("root_cause", "configuration".to_owned());
        let later = grouped(&rating, vec![proven("i1", "configuration")]);
        let found = causes(&[grouped(&usage, vec![one]), later]);
        assert!(found.is_empty(), "{found:?}");
    }
}
