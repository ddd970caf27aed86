//! What lies between detecting and writing: findings are explained before they are grouped, and
//! signals get their steps after.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{Exit, Failure};
use crate::detect::{RuleOutcome, World};
use crate::explain::{Found, explain};
use crate::model::signal::RemediationRow;
use crate::remediate::{Case, after, steps};
use crate::rules::RuleSet;
use crate::signals::{Grouped, causes};

/// The steps of every signal; of one that follows from another, that one's first step before.
pub(super) fn remediations(grouped: &[Grouped<'_>], as_of: DateTime<Utc>) -> Vec<RemediationRow> {
    let groups = grouped.iter().flat_map(|rule| &rule.groups);
    let own: BTreeMap<&str, Vec<RemediationRow>> = groups
        .filter_map(|group| {
            let leading = group.leading()?;
            let amount = group.impact.zip(group.currency.as_deref());
            let (signal_id, rule) = (group.signal_id.as_str(), group.rule);
            let steps = steps(Case {
                signal_id,
                rule,
                leading,
                amount,
                as_of,
            });
            Some((signal_id, steps))
        })
        .collect();
    let causes = causes(grouped);
    let upstream = |signal_id: &str| own.get(causes.get(signal_id)?.as_str())?.first();
    let complete = own
        .iter()
        .map(|(signal_id, steps)| match upstream(signal_id) {
            Some(first) => after(first, steps.clone()),
            None => steps.clone(),
        });
    complete.flatten().collect()
}

/// Has the findings of the rules that ask for it explained, before they are grouped by explanation,
/// on the tables that they were found in.
pub(super) async fn explained(
    world: &World,
    set: &RuleSet,
    as_of: DateTime<Utc>,
    outcomes: &mut [RuleOutcome<'_>],
) -> Result<(), Failure> {
    let mut found: Vec<Found<'_>> = outcomes
        .iter_mut()
        .map(|outcome| Found {
            rule: outcome.rule,
            findings: &mut outcome.findings,
        })
        .collect();
    let result = explain(world.ctx(), set, as_of, &mut found).await;
    result.map_err(|error| Failure::of(Exit::Failed, &error))
}
