//! Which labels a signal belongs to: by the records that it names.

use std::collections::{BTreeMap, BTreeSet};

use super::world::{Entity, Label, Signal};
use crate::model::Decimal;

/// Which labels have which record.
pub(super) struct Index<'a> {
    /// By source, type and id.
    labels: BTreeMap<(&'a str, &'a str, &'a str), Vec<usize>>,
}

impl<'a> Index<'a> {
    pub(super) fn new(all: &'a [Label]) -> Self {
        let mut labels: BTreeMap<(&str, &str, &str), Vec<usize>> = BTreeMap::new();
        for (place, label) in all.iter().enumerate() {
            for record in &label.records {
                let key = (
                    label.source.as_str(),
                    record.entity_type.as_str(),
                    record.entity_id.as_str(),
                );
                labels.entry(key).or_default().push(place);
            }
        }
        Self { labels }
    }

    /// The labels that one of the signal's records belongs to.
    pub(super) fn met(&self, signal: &Signal) -> BTreeSet<usize> {
        let entities = signal.entities.iter();
        entities
            .flat_map(|entity| self.of_entity(&signal.source, entity))
            .collect()
    }

    /// The labels that a record belongs to: by its own id, and where the rule returned it, by what it
    /// is a part of. A customer, a bill run, a price or a meter that is only mentioned has many others
    /// that have nothing to do with it.
    pub(super) fn of_entity(&self, source: &str, entity: &Entity) -> BTreeSet<usize> {
        let is_shared = matches!(
            entity.entity_type.as_str(),
            "customer" | "bill_run" | "price" | "meter"
        );
        let mut met: BTreeSet<usize> = BTreeSet::new();
        let mut look = |entity_type: &str, id: &str| {
            met.extend(
                self.labels
                    .get(&(source, entity_type, id))
                    .into_iter()
                    .flatten(),
            );
        };
        if entity.is_primary || !is_shared {
            look(&entity.entity_type, &entity.entity_id);
        }
        if entity.is_primary {
            let wholes = [
                ("subscription", &entity.subscription_id),
                ("subscription_item", &entity.item_id),
                ("invoice", &entity.invoice_id),
            ];
            for (entity_type, id) in wholes {
                if let Some(id) = id {
                    look(entity_type, id);
                }
            }
        }
        met
    }

    /// What the signal says of a label's money: the sum over its records that belong to it.
    pub(super) fn delta(&self, signal: &Signal, place: usize, label: &Label) -> Option<Decimal> {
        let currency = label.currency.as_ref()?;
        let deltas = signal.entities.iter().filter_map(|entity| {
            let is_money = entity.is_primary && entity.unit.as_ref() == Some(currency);
            let is_its = is_money && self.of_entity(&signal.source, entity).contains(&place);
            if is_its { entity.delta } else { None }
        });
        deltas.map(Some).reduce(|a, b| a?.checked_add(b?)).flatten()
    }
}
