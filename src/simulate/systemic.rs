//! Labels of faults that many subscriptions share: gathered while these are written, told at the end.

use std::collections::BTreeMap;

use super::catalogue::SOURCES;
use super::fault::{Harm, Scope};
use super::label::Label;
use super::plan::Plan;
use super::world::World;

/// Records named in one label; more would tell nothing more.
const RECORDS_MAX: usize = 10_000;

/// The harm done so far, by the place of the price.
#[derive(Debug, Default)]
pub(super) struct Systemic {
    harms: BTreeMap<usize, Harm>,
}

impl Systemic {
    /// Adds what one subscription suffers.
    pub(super) fn add(&mut self, price: usize, harm: Harm) {
        let Some(sum) = self.harms.get_mut(&price) else {
            self.harms.insert(price, harm);
            return;
        };
        let plus = |a: Option<i128>, b: Option<i128>| Some(a.unwrap_or(0) + b.unwrap_or(0));
        sum.expected = plus(sum.expected, harm.expected);
        sum.actual = plus(sum.actual, harm.actual);
        sum.visible = sum.visible.min(harm.visible);
        let room = RECORDS_MAX.saturating_sub(sum.records.len());
        sum.records.extend(harm.records.into_iter().take(room));
    }

    /// One label for each price or meter that went wrong for somebody, or is wrong in itself.
    pub(super) fn labels(mut self, world: &World, plan: &Plan) -> Vec<Label> {
        let mut labels = Vec::new();
        for (place, fault) in plan.prices() {
            let price = &world.catalogue.prices[place];
            let since = price.versions.last().map(|version| version.from);
            let of_price = || Harm {
                records: Vec::new(),
                expected: None,
                actual: None,
                is_money: false,
                visible: since.unwrap_or(world.timeline.first),
            };
            let harm = match self.harms.remove(&place) {
                Some(harm) => Some(harm),
                None => (fault.scope == Scope::Catalogue).then(of_price),
            };
            // Nobody bought it, so nothing shows.
            let Some(mut harm) = harm else { continue };
            harm.records.insert(0, ("price", price.id.clone()));
            if let Some(meter) = world.catalogue.meter_of(place) {
                harm.records.insert(1, ("meter", meter.name.clone()));
            }
            let source = SOURCES[price.source];
            labels.push(Label::new(fault, &price.key, source, price.currency, harm));
        }
        labels
    }
}
