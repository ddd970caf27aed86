//! The scorecard from labels and signals: pure, so that every number of it can be checked by hand.
//!
//! A signal belongs to a label when it names one of the label's records. Then its rule is the one that
//! owns the fault (a catch), one that sees a consequence, or another one (a false alarm beside). A
//! signal that belongs to no label is a false alarm elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use super::card::{FaultScore, RuleScore, Scorecard, WorldScore, is_legitimate, sum};
use super::index::Index;
use super::world::{Label, Signal, World};
use crate::model::{Decimal, Severity};
use crate::simulate::settings::RATES;

/// What the worlds call behaviour that is no error.
const LEGITIMATE: &str = "legitimate";

/// Scores runs over worlds.
pub fn score(worlds: &[World]) -> Scorecard {
    let mut faults: BTreeMap<(String, String), FaultScore> = BTreeMap::new();
    let mut rules: BTreeMap<String, RuleScore> = BTreeMap::new();
    let worlds: Vec<WorldScore> = worlds
        .iter()
        .map(|world| score_world(world, &mut faults, &mut rules))
        .collect();
    let faults: Vec<FaultScore> = faults.into_values().collect();
    let mut total = FaultScore {
        class: "all".to_owned(),
        ..FaultScore::default()
    };
    for fault in faults.iter().filter(|fault| !is_legitimate(&fault.class)) {
        total.add(fault);
    }
    Scorecard {
        faults,
        total,
        worlds,
        rules: rules.into_values().collect(),
    }
}

/// What the signals of a world say of one label.
#[derive(Clone, Debug, Default)]
struct Found {
    rules: BTreeSet<String>,
    root_cause: bool,
    explanation: bool,
    /// The change that comes nearest to the label's, in its currency.
    delta: Option<Decimal>,
}

fn score_world(
    world: &World,
    faults: &mut BTreeMap<(String, String), FaultScore>,
    rules: &mut BTreeMap<String, RuleScore>,
) -> WorldScore {
    let index = Index::new(&world.labels);
    let mut found = vec![Found::default(); world.labels.len()];
    let mut alarms_of = vec![0u64; world.labels.len()];
    let mut false_alarms = 0;
    let mut named: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for signal in &world.signals {
        let rule = rules
            .entry(signal.rule_id.clone())
            .or_insert_with(|| RuleScore {
                rule: signal.rule_id.clone(),
                ..RuleScore::default()
            });
        rule.signals += 1;
        let met = index.met(signal);
        let owned: Vec<usize> = of_rule(&met, &world.labels, &signal.rule_id, |label| &label.rules);
        let felt: Vec<usize> =
            of_rule(&met, &world.labels, &signal.rule_id, |label| &label.effects);
        for &place in &owned {
            let label = &world.labels[place];
            found[place].take(label, signal, index.delta(signal, place, label));
        }
        count_records(&index, signal, &owned, &felt, &world.labels, &mut named);
        if !owned.is_empty() || !felt.is_empty() || says_nothing_wrong(signal) {
            continue;
        }
        let Some(&place) = met.first() else {
            rule.elsewhere += 1;
            false_alarms += 1;
            continue;
        };
        // Something small said of real behaviour does no harm.
        if world.labels[place].root_cause != LEGITIMATE || is_grave(signal) {
            rule.beside += 1;
            alarms_of[place] += 1;
            false_alarms += 1;
        }
    }
    let (mut injected, mut caught) = (0, 0);
    for ((label, found), alarms) in world.labels.iter().zip(&found).zip(alarms_of) {
        let key = (label.class.clone(), label.fault.clone());
        let fault = faults.entry(key).or_insert_with(|| FaultScore {
            class: label.class.clone(),
            fault: label.fault.clone(),
            ..FaultScore::default()
        });
        fault.count(label, found, alarms);
        if label.root_cause != LEGITIMATE {
            injected += 1;
            caught += u64::from(!found.rules.is_empty());
        }
    }
    for ((_, id), fault) in faults.iter_mut() {
        let (all, right) = named.get(id.as_str()).copied().unwrap_or_default();
        fault.records_named += all;
        fault.records_right += right;
    }
    WorldScore {
        world: world.name.clone(),
        injected,
        caught,
        signals: world.signals.len() as u64,
        false_alarms,
        subscription_months: world.subscription_months,
        false_alarms_per_1000: per_1000(false_alarms, world.subscription_months),
    }
}

/// Those of the labels that list the rule.
fn of_rule(
    met: &BTreeSet<usize>,
    labels: &[Label],
    rule: &str,
    listed: impl Fn(&Label) -> &Vec<String>,
) -> Vec<usize> {
    met.iter()
        .copied()
        .filter(|place| listed(&labels[*place]).iter().any(|listed| listed == rule))
        .collect()
}

/// Counts the records that a catching signal is about, for each fault that it caught: all of them,
/// and those that a label explains. Records of the other faults that it caught are left out.
fn count_records<'a>(
    index: &Index<'_>,
    signal: &Signal,
    owned: &[usize],
    felt: &[usize],
    labels: &'a [Label],
    named: &mut BTreeMap<&'a str, (u64, u64)>,
) {
    let caught: BTreeSet<&str> = owned
        .iter()
        .map(|place| labels[*place].fault.as_str())
        .collect();
    for entity in signal.entities.iter().filter(|entity| entity.is_primary) {
        let met = index.of_entity(&signal.source, entity);
        let own: BTreeSet<&str> = owned
            .iter()
            .filter(|place| met.contains(*place))
            .map(|place| labels[*place].fault.as_str())
            .collect();
        let is_wrong = own.is_empty() && !felt.iter().any(|place| met.contains(place));
        for &fault in &caught {
            let (all, right) = named.entry(fault).or_default();
            if own.contains(fault) {
                (*all, *right) = (*all + 1, *right + 1);
            } else if is_wrong {
                *all += 1;
            }
        }
    }
}

/// Whether the signal itself says that nothing is wrong.
fn says_nothing_wrong(signal: &Signal) -> bool {
    signal.severity == Some(Severity::Info) || signal.root_cause.as_deref() == Some(LEGITIMATE)
}

fn is_grave(signal: &Signal) -> bool {
    signal
        .severity
        .is_none_or(|severity| severity >= Severity::Medium)
}

/// False alarms on a thousand periods, to two decimals.
fn per_1000(alarms: u64, months: u64) -> f64 {
    if months == 0 {
        return 0.0;
    }
    (alarms as f64 * 100_000.0 / months as f64).round() / 100.0
}

impl Found {
    fn take(&mut self, label: &Label, signal: &Signal, delta: Option<Decimal>) {
        self.rules.insert(signal.rule_id.clone());
        self.root_cause |= signal.root_cause.as_deref() == Some(label.root_cause.as_str());
        self.explanation |= signal
            .explanation
            .as_ref()
            .is_some_and(|explanation| label.explanations.contains(explanation));
        // Two rules may tell of the same money: the one that is right counts, else the larger.
        let is_better = |new: Decimal, old: Decimal| {
            let right = label.delta();
            right != Some(old) && (right == Some(new) || new.abs() > old.abs())
        };
        if let Some(new) = delta
            && self.delta.is_none_or(|old| is_better(new, old))
        {
            self.delta = Some(new);
        }
    }
}

impl FaultScore {
    fn count(&mut self, label: &Label, found: &Found, alarms: u64) {
        self.injected += 1;
        self.false_alarms += alarms;
        if label.root_cause == LEGITIMATE {
            self.caught += u64::from(alarms == 0);
            return;
        }
        let is_caught = !found.rules.is_empty();
        self.caught += u64::from(is_caught);
        self.root_cause_right += u64::from(found.root_cause);
        self.explained += u64::from(is_caught && !label.explanations.is_empty());
        self.explanation_right += u64::from(found.explanation);
        self.caught_by.extend(found.rules.iter().cloned());
        if let (Some(currency), Some(delta)) = (&label.currency, label.delta()) {
            self.with_money += 1;
            self.money_exact += u64::from(found.delta == Some(delta));
            let told = found.delta.unwrap_or_default();
            self.money_injected = sum(self.money_injected, in_dollars(delta, currency));
            self.money_signalled = sum(self.money_signalled, in_dollars(told, currency));
        }
    }
}

/// The size of an amount in dollars, by the rates of the worlds.
fn in_dollars(amount: Decimal, currency: &str) -> Decimal {
    let rate = RATES
        .iter()
        .find(|(known, _)| *known == currency)
        .and_then(|(_, rate)| rate.parse::<Decimal>().ok());
    match rate {
        Some(rate) => amount.abs().checked_mul(rate).unwrap_or_default(),
        None => amount.abs(),
    }
}
