//! The life of a signal: what one run's observation makes of what was known before. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::cause::causes;
use super::group::{Group, Grouped};
use crate::model::identity::{FINGERPRINT_VERSION, short_id};
use crate::model::signal::{EventRow, SignalRow, status};
use crate::model::{Decimal, Severity};

/// Who and when: the run that observes.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The run.
    pub run_id: &'a str,
    /// The moment that it judges.
    pub as_of: DateTime<Utc>,
}

/// What becomes of one signal.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// The row as it should be.
    pub row: SignalRow,
    /// What happened to it.
    pub events: Vec<EventRow>,
    /// Whether this run saw it.
    pub is_seen: bool,
}

/// What becomes of every signal of the rules that ran; the others are not touched.
pub fn transitions(
    known: &BTreeMap<String, SignalRow>,
    grouped: &[Grouped<'_>],
    platforms: &BTreeMap<String, String>,
    moment: Moment<'_>,
) -> Vec<Transition> {
    let causes = causes(grouped);
    let judged: BTreeSet<&str> = grouped.iter().map(|rule| rule.rule.id.as_str()).collect();
    let mut result = Vec::new();
    let mut seen = BTreeSet::new();
    for group in grouped.iter().flat_map(|rule| &rule.groups) {
        seen.insert(group.signal_id.clone());
        let platform = platforms.get(&group.source).cloned();
        let before = known.get(&group.signal_id);
        let mut transition = observed(before, group, platform, moment);
        let cause = causes.get(&group.signal_id).cloned();
        let row = &mut transition.row;
        if !before.is_some_and(|before| is_known_later(before, moment)) {
            row.caused_by = cause.or_else(|| standing_cause(known, row, &judged));
        }
        result.push(transition);
    }
    for rule in grouped {
        let missing = known.values().filter(|row| {
            row.rule_id == rule.rule.id
                && row.status != status::RESOLVED
                && rule.judged.contains(&row.source)
                && !seen.contains(&row.signal_id)
                // What has left the window was not looked at.
                && row.window_end.is_none_or(|end| end > rule.window_start)
                // Only a later moment than the last can miss it.
                && row.last_seen_at.is_none_or(|seen| seen < moment.as_of)
                && row.last_missed_at.is_none_or(|missed| missed < moment.as_of)
        });
        result.extend(missing.map(|row| missed(row, rule.rule.resolve_after_runs, moment)));
    }
    result
}

/// The cause that was known before, as long as this run did not look for it.
fn standing_cause(
    known: &BTreeMap<String, SignalRow>,
    row: &SignalRow,
    judged: &BTreeSet<&str>,
) -> Option<String> {
    let cause = row.caused_by.clone()?;
    let upstream = known.get(&cause)?;
    (!judged.contains(upstream.rule_id.as_str())).then_some(cause)
}

/// Whether more recent things are known of a signal than the moment that is judged again: then that
/// moment changes nothing of it.
pub(super) fn is_known_later(known: &SignalRow, moment: Moment<'_>) -> bool {
    [known.last_seen_at, known.last_missed_at, known.resolved_at]
        .into_iter()
        .flatten()
        .any(|at| at > moment.as_of)
}

fn observed(
    known: Option<&SignalRow>,
    group: &Group<'_>,
    platform: Option<String>,
    moment: Moment<'_>,
) -> Transition {
    let fresh = describe(group, platform, moment);
    let Some(known) = known else {
        let events = vec![event(
            &fresh,
            "opened",
            None,
            Some(status::UNHANDLED),
            moment,
        )];
        return Transition {
            row: fresh,
            events,
            is_seen: true,
        };
    };
    if is_known_later(known, moment) {
        return Transition {
            row: known.clone(),
            events: Vec::new(),
            is_seen: true,
        };
    }
    let mut row = keep_decisions(fresh, known);
    let mut events = Vec::new();
    if known.last_seen_at == Some(moment.as_of) {
        // The same moment again: what was said is corrected, not said twice.
        row.occurrences = known.occurrences;
        row.last_run_id = known.last_run_id.clone();
        return Transition {
            row,
            events,
            is_seen: true,
        };
    }
    row.occurrences = known.occurrences + 1;
    match known.status.as_str() {
        status::RESOLVED if may_reopen(known) => {
            row.status = status::UNHANDLED.to_owned();
            row.resolution = None;
            row.resolved_at = None;
            row.is_regression = true;
            events.push(event(
                &row,
                "regressed",
                Some(status::RESOLVED),
                Some(status::UNHANDLED),
                moment,
            ));
        }
        status::SNOOZED => {
            let over = known
                .snoozed_until
                .is_some_and(|until| moment.as_of >= until);
            if has_doubled(known, &row) {
                row.is_escalating = true;
                events.push(event(
                    &row,
                    "escalated",
                    None,
                    row.impact.map(|i| i.to_string()).as_deref(),
                    moment,
                ));
            }
            if over || row.is_escalating {
                row.status = status::UNHANDLED.to_owned();
                row.snoozed_until = None;
                events.push(event(
                    &row,
                    "unsnoozed",
                    Some(status::SNOOZED),
                    Some(status::UNHANDLED),
                    moment,
                ));
            }
        }
        _ => {}
    }
    if events.is_empty() {
        let impact = |row: &SignalRow| row.impact.map(|impact| impact.to_string());
        events.push(event(
            &row,
            "seen",
            impact(known).as_deref(),
            impact(&row).as_deref(),
            moment,
        ));
    }
    Transition {
        row,
        events,
        is_seen: true,
    }
}

/// A person's word that it is no error, is planned or stays is not overruled by seeing it again.
fn may_reopen(known: &SignalRow) -> bool {
    !matches!(
        known.resolution.as_deref(),
        Some("false_positive" | "planned" | "wont_fix")
    )
}

fn has_doubled(before: &SignalRow, now: &SignalRow) -> bool {
    let twice = |amount: Decimal| amount.checked_add(amount);
    let money = match (before.impact.and_then(twice), now.impact) {
        (Some(twice), Some(impact)) => impact > twice,
        _ => false,
    };
    money || now.entity_count > 2 * before.entity_count
}

fn missed(known: &SignalRow, resolve_after_runs: u32, moment: Moment<'_>) -> Transition {
    let mut row = known.clone();
    let missed = known.missed_runs.unwrap_or(0) + 1;
    row.missed_runs = Some(missed);
    row.last_missed_run_id = Some(moment.run_id.to_owned());
    row.last_missed_at = Some(moment.as_of);
    let mut events = Vec::new();
    if u32::try_from(missed).is_ok_and(|missed| missed >= resolve_after_runs) {
        row.status = status::RESOLVED.to_owned();
        row.resolution = Some("auto".to_owned());
        row.resolved_at = Some(moment.as_of);
        row.is_escalating = false;
        events.push(event(
            &row,
            "auto_resolved",
            Some(&known.status),
            Some(status::RESOLVED),
            moment,
        ));
    }
    Transition {
        row,
        events,
        is_seen: false,
    }
}

/// The row of a signal that nobody has seen before.
fn describe(group: &Group<'_>, platform: Option<String>, moment: Moment<'_>) -> SignalRow {
    let explanation = group.prevailing("explanation");
    let root_cause = group.prevailing("root_cause").map(|(value, _)| value);
    let is_proven = explanation
        .as_ref()
        .is_some_and(|(value, _)| value != "unexplained");
    SignalRow {
        signal_id: group.signal_id.clone(),
        fingerprint_version: Some(FINGERPRINT_VERSION),
        rule_id: group.rule.id.clone(),
        rule_version: i32::try_from(group.rule.version).ok(),
        title: Some(group.fill(&group.rule.title)),
        description: Some(group.fill(&group.rule.description)),
        category: Some(group.rule.category.clone()),
        stage: Some(group.rule.stage.to_string()),
        severity: group.severity.to_string(),
        priority: Some(priority(group.severity)),
        status: status::UNHANDLED.to_owned(),
        source: group.source.clone(),
        platform,
        group_key: Some(serde_json::Value::Object(group.key.clone()).to_string()),
        customer_id: group.shared("customer_id"),
        entity_count: i64::try_from(group.findings.len()).unwrap_or(i64::MAX),
        impact: group.impact,
        overbilled: group.overbilled,
        underbilled: group.underbilled,
        currency: group.currency.clone(),
        root_cause: Some(root_cause.unwrap_or_else(|| "unknown".to_owned())),
        root_cause_confidence: group.confidence().or_else(|| {
            let (_, share) = explanation.as_ref()?;
            Some(if is_proven { *share } else { 0.0 })
        }),
        explanation: explanation.map(|(value, _)| value),
        occurrences: 1,
        first_seen_at: Some(moment.as_of),
        last_seen_at: Some(moment.as_of),
        first_run_id: Some(moment.run_id.to_owned()),
        last_run_id: Some(moment.run_id.to_owned()),
        window_start: Some(group.window.0),
        window_end: Some(group.window.1),
        evidence: Some(group.evidence().to_string()),
        is_suppressed: Some(group.suppressed.is_some()),
        suppression_reason: group.suppressed.clone(),
        missed_runs: Some(0),
        ..SignalRow::default()
    }
}

/// The new description with everything that history and people have decided.
fn keep_decisions(fresh: SignalRow, known: &SignalRow) -> SignalRow {
    // A priority that is not the one its severity implies was set by a person.
    let implied = known.severity.parse().ok().map(priority);
    let priority = if known.priority == implied {
        fresh.priority
    } else {
        known.priority
    };
    SignalRow {
        priority,
        status: known.status.clone(),
        is_regression: known.is_regression,
        is_escalating: known.is_escalating,
        resolution: known.resolution.clone(),
        assignee: known.assignee.clone(),
        snoozed_until: known.snoozed_until,
        first_seen_at: known.first_seen_at,
        first_run_id: known.first_run_id.clone(),
        resolved_at: known.resolved_at,
        caused_by: known.caused_by.clone(),
        pattern_id: known.pattern_id.clone(),
        ..fresh
    }
}

/// 1 = first.
fn priority(severity: Severity) -> i32 {
    match severity {
        Severity::Critical => 1,
        Severity::High => 2,
        Severity::Medium => 3,
        Severity::Low => 4,
        Severity::Info => 5,
    }
}

/// An event whose id does not depend on the run: a run repeated after a crash says the same.
fn event(
    row: &SignalRow,
    kind: &str,
    from: Option<&str>,
    to: Option<&str>,
    moment: Moment<'_>,
) -> EventRow {
    let occurrence = row.occurrences.to_string();
    EventRow {
        event_id: short_id("evt", [row.signal_id.as_str(), kind, &occurrence]),
        signal_id: row.signal_id.clone(),
        at: Some(moment.as_of),
        actor: Some("trueup".to_owned()),
        kind: Some(kind.to_owned()),
        from_value: from.map(str::to_owned),
        to_value: to.map(str::to_owned),
        comment: None,
        run_id: Some(moment.run_id.to_owned()),
    }
}
