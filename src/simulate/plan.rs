//! Which subscription, meter, price or bill run goes wrong, and how: decided before anything is made.
//!
//! A subscription has one fault at most. The choice goes through the subscriptions in their order and
//! never looks ahead, so that a larger world keeps the faults of a smaller one: densely until every
//! fault has its first instances, then two in a hundred.

use std::collections::BTreeMap;

use super::draw;
use super::fault::{Fault, Scope};
use super::random::{Dice, Purpose};
use super::world::World;

/// Instances of each fault before the world thins out: one more than three, as one may not fit.
const FIRST_INSTANCES: u64 = 4;
/// Chances in a hundred of a subscription to have a fault that lacks instances, and any fault.
const DENSE_PER_CENT: u64 = 12;
const THIN_PER_CENT: u64 = 2;
/// Instances of a fault of meters, prices or runs.
const SYSTEMIC_INSTANCES: usize = 3;

/// What goes wrong where.
#[derive(Debug, Default)]
pub(super) struct Plan {
    subscriptions: BTreeMap<u64, &'static Fault>,
    /// By the place of the price.
    niches: BTreeMap<usize, &'static Fault>,
    /// Days before the moment of judgement.
    pub(super) runs: Vec<(i64, &'static Fault)>,
}

impl Plan {
    pub(super) fn new(world: &World, subscriptions: u64, faults: &[&'static Fault]) -> Self {
        let of = |scope: Scope| {
            let chosen = faults.iter().filter(move |fault| fault.scope == scope);
            chosen.copied().collect::<Vec<&'static Fault>>()
        };
        let mut systemic = of(Scope::Catalogue);
        systemic.extend(of(Scope::Niche));
        let mut plan = Self {
            niches: niches(world, &systemic),
            ..Self::default()
        };
        for fault in of(Scope::Run) {
            let days = (1..).step_by(2).take(SYSTEMIC_INSTANCES);
            plan.runs.extend(days.map(|day| (day, fault)));
        }
        plan.choose(world, subscriptions, &of(Scope::Subscription));
        plan
    }

    fn choose(&mut self, world: &World, subscriptions: u64, faults: &[&'static Fault]) {
        if faults.is_empty() {
            return;
        }
        let mut counts = vec![0u64; faults.len()];
        for number in 1..=subscriptions {
            let mut dice = Dice::of(world.seed, number, Purpose::Fault);
            let (is_dense, is_thin) = (dice.per_cent(DENSE_PER_CENT), dice.per_cent(THIN_PER_CENT));
            if !is_dense && !is_thin {
                continue;
            }
            let profile = draw::subscription(world, number);
            let rarest = (0..faults.len())
                .filter(|place| (faults[*place].fits)(world, &profile))
                .min_by_key(|place| counts[*place]);
            let Some(place) = rarest else { continue };
            if is_thin || counts[place] < FIRST_INSTANCES {
                counts[place] += 1;
                self.subscriptions.insert(number, faults[place]);
            }
        }
    }

    /// What goes wrong with a subscription.
    pub(super) fn of_subscription(&self, number: u64) -> Option<&'static Fault> {
        self.subscriptions.get(&number).copied()
    }

    /// What goes wrong with the buyers of a price.
    pub(super) fn of_price(&self, place: usize) -> Option<&'static Fault> {
        self.niches.get(&place).copied()
    }

    /// Every price that goes wrong.
    pub(super) fn prices(&self) -> impl Iterator<Item = (usize, &'static Fault)> + '_ {
        self.niches.iter().map(|(place, fault)| (*place, *fault))
    }
}

/// Faults over the niche prices, so that the instances of one lie at different sources.
fn niches(world: &World, faults: &[&'static Fault]) -> BTreeMap<usize, &'static Fault> {
    let prices = world.catalogue.niches();
    if faults.is_empty() || prices.is_empty() {
        return BTreeMap::new();
    }
    let mut dice = Dice::of(world.seed, 0, Purpose::Fault);
    let mut free = prices;
    let mut plan = BTreeMap::new();
    for _ in 0..SYSTEMIC_INSTANCES {
        for fault in faults {
            if free.is_empty() {
                return plan;
            }
            let place = free.swap_remove(dice.index(free.len()));
            plan.insert(place, *fault);
        }
    }
    plan
}
