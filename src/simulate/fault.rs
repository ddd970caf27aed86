//! The faults that a world can hold: what each is, and what counts as having caught it.
//!
//! A fault is a row beside its injector; this only gathers the rows. What goes wrong is decided in
//! `inject`, where it goes wrong in `plan`.

use super::case::Case;
use super::catalogue::Price;
use super::drift::Change;
use super::inject;
use super::profile::Profile;
use super::random::Dice;
use super::time::Micros;
use super::timeline::Timeline;
use super::world::World;
use crate::model::text::hint;
use crate::simulate::SimulateError;

/// Where a fault sits. Only those of single subscriptions can be repeated at will: each of the others
/// takes a meter, a price, a night or a system to itself, of which a world has a given number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// One subscription.
    Subscription,
    /// A meter or price that few buy: each of its subscriptions has it.
    Niche,
    /// The catalogue alone.
    Catalogue,
    /// A bill run.
    Run,
    /// A whole system: what it sends.
    Source,
}

/// What was done to a subscription, for the label.
#[derive(Clone, Debug)]
pub(super) struct Harm {
    /// Type and id of every record that shows it.
    pub(super) records: Vec<(&'static str, String)>,
    pub(super) expected: Option<i128>,
    pub(super) actual: Option<i128>,
    /// Whether these are money.
    pub(super) is_money: bool,
    pub(super) visible: Micros,
}

/// Does the harm; `None` where the subscription does not allow it, and then nothing is changed.
pub(super) type Injector = fn(&World, &mut Case, &mut Dice) -> Option<Harm>;

/// A change of a price that goes before everything else.
pub(super) type PriceEdit = fn(&Timeline, &mut Price);

/// A fault.
#[derive(Debug)]
pub struct Fault {
    /// Its name, for `--faults` and in the labels.
    pub id: &'static str,
    /// Its class in the catalogue of billing errors; those of G are no errors.
    pub class: &'static str,
    /// What is at its root.
    pub root_cause: &'static str,
    /// Rules of which any one is a catch.
    pub rules: &'static [&'static str],
    /// Rules that may speak of the same records too: honest consequences, no false alarms.
    pub effects: &'static [&'static str],
    /// Explanations that are right; empty where any is.
    pub explanations: &'static [&'static str],
    pub(super) scope: Scope,
    /// Whether a subscription can have it, as far as that can be told before its usage is known.
    pub(super) fits: fn(&World, &Profile) -> bool,
    pub(super) inject: Injector,
    /// What it makes of a price, where it sits in one.
    pub(super) edit: Option<PriceEdit>,
    /// What it makes of a system's records, where it sits in one.
    pub(super) drift: Option<Change>,
    /// Whether many of it on one meter would look like one fault of the meter.
    pub(super) crowds: bool,
}

impl Fault {
    /// A fault of single subscriptions.
    pub(super) const fn new(
        id: &'static str,
        class: &'static str,
        root_cause: &'static str,
        rules: &'static [&'static str],
        explanations: &'static [&'static str],
        fits: fn(&World, &Profile) -> bool,
        inject: Injector,
    ) -> Self {
        Self {
            id,
            class,
            root_cause,
            rules,
            effects: &[],
            explanations,
            scope: Scope::Subscription,
            fits,
            inject,
            edit: None,
            drift: None,
            crowds: false,
        }
    }

    /// The same with rules that see its consequences.
    pub(super) const fn seen_by(mut self, effects: &'static [&'static str]) -> Self {
        self.effects = effects;
        self
    }

    /// The same, kept apart from others on its meter.
    pub(super) const fn apart(mut self) -> Self {
        self.crowds = true;
        self
    }
}

/// Every fault.
pub fn all() -> impl Iterator<Item = &'static Fault> {
    inject::TABLES.iter().flat_map(|table| table.iter())
}

/// The faults of these names; all of them where none is named or `all` is.
pub(super) fn chosen(names: &[String]) -> Result<Vec<&'static Fault>, SimulateError> {
    if names.is_empty() || names.iter().any(|name| name == "all") {
        return Ok(all().collect());
    }
    let mut faults = Vec::new();
    for name in names {
        let found = all().find(|fault| fault.id == name.as_str());
        let fault = found.ok_or_else(|| SimulateError::UnknownFault {
            name: name.clone(),
            hint: hint(name, all().map(|fault| fault.id)),
        })?;
        faults.push(fault);
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn faults_have_names_of_their_own_and_say_what_catches_them() {
        let mut seen = BTreeSet::new();
        for fault in all() {
            assert!(seen.insert(fault.id), "{} is there twice", fault.id);
            let is_negative = fault.class.starts_with('G');
            assert_eq!(
                is_negative,
                fault.root_cause == "legitimate",
                "{}",
                fault.id
            );
            assert_eq!(is_negative, fault.rules.is_empty(), "{}", fault.id);
            let is_both = fault.effects.iter().any(|rule| fault.rules.contains(rule));
            assert!(!is_both, "{}: a rule is owner and effect", fault.id);
        }
        assert!(seen.len() > 10);
    }

    #[test]
    fn a_name_that_is_not_known_is_refused_with_the_nearest() {
        let error = chosen(&["duplicate-event".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("duplicate-events"), "{error}");
        assert_eq!(chosen(&[]).unwrap().len(), all().count());
    }
}
