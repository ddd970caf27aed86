//! Which subscription, meter, price, system or bill run goes wrong, and how.
//!
//! A subscription has one fault at most. It is chosen as the subscription is made, from what went
//! before it alone: a larger world keeps the faults of a smaller one, and nothing has to be known of
//! those to come. Densely until every fault has the instances asked for; after that a few in a
//! hundred, so that a world of any size has more of each. What sits in a meter, a price, a night or a
//! system takes that to itself, so the number of its instances is bounded by theirs.

use std::collections::BTreeMap;

use super::catalogue::{EVENTS, SOURCES};
use super::fault::{Fault, Scope};
use super::inject::main_price;
use super::profile::Profile;
use super::random::{Dice, Purpose};
use super::world::World;

/// Instances of each fault before the world thins out, where no number was asked for.
const FIRST_INSTANCES: u64 = 4;
/// Chances in a hundred of a subscription to have a fault that lacks instances, and any fault.
const DENSE_PER_CENT: u64 = 50;
const THIN_PER_CENT: u64 = 5;
/// What a failed attempt weighs: a fault that seldom finds its place does not keep the others out.
const DONE_WEIGHT: u64 = 4;
/// Instances of a fault of meters or prices, and of one of bill runs, where no number was asked for.
const SYSTEMIC_INSTANCES: u64 = 3;
/// Nights of failed runs; more would leave the time that is judged.
const NIGHTS: u64 = 10;
/// Instances of one fault on one meter, where many would look like a fault of the meter; and of how
/// many of the meter's subscriptions one has any such fault.
const CROWD_OF_FAULT: u64 = 2;
const CROWD_ONE_IN: u64 = 20;

/// What goes wrong where.
#[derive(Debug)]
pub(super) struct Plan {
    /// Faults of single subscriptions, with what became of them so far.
    tallies: Vec<Tally>,
    /// Instances of each that are wanted first.
    instances: u64,
    /// Chances in a hundred of any fault after that.
    thin: u64,
    /// Subscriptions and crowding faults so far, by meter.
    meters: BTreeMap<usize, (u64, u64)>,
    /// By the place of the price.
    niches: BTreeMap<usize, &'static Fault>,
    /// By system.
    pub(super) drifts: Vec<(usize, &'static Fault)>,
    /// Days before the moment of judgement.
    pub(super) runs: Vec<(i64, &'static Fault)>,
}

/// A fault of single subscriptions and how often it was tried.
#[derive(Debug)]
struct Tally {
    fault: &'static Fault,
    done: u64,
    failed: u64,
    /// Instances by meter, of a fault that crowds.
    by_meter: BTreeMap<usize, u64>,
}

/// A fault chosen for a subscription.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) fault: &'static Fault,
    place: usize,
    meter: usize,
}

impl Plan {
    /// `instances` of each fault, as far as the world has room; without a number, a few and more as
    /// it grows.
    pub(super) fn new(world: &World, faults: &[&'static Fault], instances: Option<u64>) -> Self {
        let of = |scope: Scope| {
            let chosen = faults.iter().filter(move |fault| fault.scope == scope);
            chosen.copied().collect::<Vec<&'static Fault>>()
        };
        let shared = instances.unwrap_or(SYSTEMIC_INSTANCES);
        let mut systemic = of(Scope::Catalogue);
        systemic.extend(of(Scope::Niche));
        let mut runs = Vec::new();
        for fault in of(Scope::Run) {
            let nights = (1..).step_by(2).zip(0..shared.min(NIGHTS));
            runs.extend(nights.map(|(day, _)| (day, fault)));
        }
        let tallies = of(Scope::Subscription).into_iter().map(|fault| Tally {
            fault,
            done: 0,
            failed: 0,
            by_meter: BTreeMap::new(),
        });
        Self {
            tallies: tallies.collect(),
            instances: instances.unwrap_or(FIRST_INSTANCES),
            thin: instances.map_or(THIN_PER_CENT, |_| 0),
            meters: BTreeMap::new(),
            niches: niches(world, &systemic, shared),
            drifts: drifts(world, &of(Scope::Source), shared),
            runs,
        }
    }

    /// What is to go wrong with the next subscription. To be asked once for each, in their order;
    /// what came of it is told by `note`.
    pub(super) fn choose(
        &mut self,
        world: &World,
        profile: &Profile,
        dice: &mut Dice,
    ) -> Option<Choice> {
        let (is_dense, is_thin) = (dice.per_cent(DENSE_PER_CENT), dice.per_cent(self.thin));
        let meter = world.catalogue.prices[main_price(profile)?].meter?;
        let (buyers, crowd) = self.meters.entry(meter).or_default();
        *buyers += 1;
        let is_crowded = *crowd > *buyers / CROWD_ONE_IN;
        if !is_dense && !is_thin {
            return None;
        }
        let has_room = |tally: &Tally| {
            let on_meter = tally.by_meter.get(&meter).copied().unwrap_or(0);
            !tally.fault.crowds || (!is_crowded && on_meter < CROWD_OF_FAULT)
        };
        let fitting = self.tallies.iter().enumerate().filter(|&(_, tally)| {
            (is_thin || tally.done < self.instances)
                && has_room(tally)
                && (tally.fault.fits)(world, profile)
        });
        let (place, tally) =
            fitting.min_by_key(|(_, tally)| DONE_WEIGHT * tally.done + tally.failed)?;
        Some(Choice {
            fault: tally.fault,
            place,
            meter,
        })
    }

    /// Notes whether a chosen fault could be injected.
    pub(super) fn note(&mut self, choice: Choice, is_done: bool) {
        let tally = &mut self.tallies[choice.place];
        if !is_done {
            tally.failed += 1;
            return;
        }
        tally.done += 1;
        if tally.fault.crowds {
            *tally.by_meter.entry(choice.meter).or_default() += 1;
            self.meters.entry(choice.meter).or_default().1 += 1;
        }
    }

    /// Faults of single subscriptions that have fewer instances than were wanted first.
    pub(super) fn short(&self) -> Vec<&'static str> {
        let few = |tally: &&Tally| tally.done < self.instances;
        let short = self.tallies.iter().filter(few);
        short.map(|tally| tally.fault.id).collect()
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
fn niches(
    world: &World,
    faults: &[&'static Fault],
    instances: u64,
) -> BTreeMap<usize, &'static Fault> {
    let mut dice = Dice::of(world.seed, 0, Purpose::Fault);
    let mut free = world.catalogue.niches();
    let mut plan = BTreeMap::new();
    if faults.is_empty() {
        return plan;
    }
    for _ in 0..instances {
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

/// Faults over the systems that bill, one for each system.
fn drifts(
    world: &World,
    faults: &[&'static Fault],
    instances: u64,
) -> Vec<(usize, &'static Fault)> {
    // Nobody has the number 0: its streams are the world's own.
    let turn = Dice::of(world.seed, 0, Purpose::Profile).index(faults.len());
    let wanted = faults.iter().cycle().skip(turn);
    let systems = (0..SOURCES.len()).filter(|source| *source != EVENTS);
    let most = faults.len() * instances.min(SOURCES.len() as u64) as usize;
    let pairs = systems.zip(wanted.copied());
    pairs.take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::{draw, fault};

    /// The choices for the subscriptions up to a number, all of them carried out.
    fn chosen(world: &World, plan: &mut Plan, last: u64) -> Vec<(u64, Choice)> {
        let mut chosen = Vec::new();
        for number in 1..=last {
            let mut dice = Dice::of(world.seed, number, Purpose::Fault);
            let profile = draw::subscription(world, number);
            if let Some(choice) = plan.choose(world, &profile, &mut dice) {
                plan.note(choice, true);
                chosen.push((number, choice));
            }
        }
        chosen
    }

    fn count(chosen: &[(u64, Choice)], id: &str) -> usize {
        let own = chosen.iter().filter(|(_, choice)| choice.fault.id == id);
        own.count()
    }

    #[test]
    fn every_fault_gets_as_many_instances_as_were_asked_for_and_no_more() {
        let world = World::new(3, 6);
        let names = ["duplicate-line", "late-events", "missing-days"].map(str::to_owned);
        let faults = fault::chosen(&names).unwrap();
        let mut plan = Plan::new(&world, &faults, Some(6));
        assert_eq!(plan.short(), names);
        let chosen = chosen(&world, &mut plan, 1_500);
        for name in &names {
            assert_eq!(count(&chosen, name), 6, "{name}");
        }
        assert!(plan.short().is_empty());
    }

    #[test]
    fn without_a_number_a_larger_world_has_more_of_each() {
        let world = World::new(3, 6);
        let faults = fault::chosen(&["late-events".to_owned()]).unwrap();
        let mut plan = Plan::new(&world, &faults, None);
        let few = chosen(&world, &mut plan, 400).len();
        assert!(few >= 4, "{few}");
        let mut plan = Plan::new(&world, &faults, None);
        assert!(chosen(&world, &mut plan, 3_000).len() >= few + 8);
    }

    #[test]
    fn faults_that_crowd_keep_apart_on_a_meter() {
        let world = World::new(3, 6);
        let faults = fault::chosen(&["missing-days".to_owned()]).unwrap();
        let mut plan = Plan::new(&world, &faults, Some(1_000));
        let chosen = chosen(&world, &mut plan, 2_000);
        let mut meters: BTreeMap<usize, u64> = BTreeMap::new();
        for (_, choice) in &chosen {
            *meters.entry(choice.meter).or_default() += 1;
        }
        assert!(meters.len() > 5, "{meters:?}");
        assert!(meters.values().all(|count| *count <= CROWD_OF_FAULT));
        assert_eq!(plan.short(), ["missing-days"]);
    }

    #[test]
    fn a_fault_that_never_fits_does_not_keep_the_others_out() {
        let world = World::new(3, 6);
        let names = ["duplicate-line", "line-arithmetic"].map(str::to_owned);
        let faults = fault::chosen(&names).unwrap();
        let mut plan = Plan::new(&world, &faults, Some(5));
        let mut others = 0;
        for number in 1..=400 {
            let mut dice = Dice::of(world.seed, number, Purpose::Fault);
            let profile = draw::subscription(&world, number);
            if let Some(choice) = plan.choose(&world, &profile, &mut dice) {
                let is_other = choice.fault.id == "line-arithmetic";
                plan.note(choice, is_other);
                others += u64::from(is_other);
            }
        }
        assert_eq!(others, 5);
        assert_eq!(plan.short(), ["duplicate-line"]);
    }

    #[test]
    fn what_many_share_has_a_price_a_night_or_a_system_to_itself() {
        let world = World::new(3, 6);
        let all: Vec<&'static Fault> = fault::all().collect();
        let plan = Plan::new(&world, &all, Some(500));
        assert_eq!(plan.prices().count(), world.catalogue.niches().len());
        assert_eq!(plan.runs.len() as u64, NIGHTS);
        let systems: Vec<usize> = plan.drifts.iter().map(|(system, _)| *system).collect();
        assert_eq!(systems, [0, 1, 2]);
        let one = Plan::new(&world, &all, Some(1));
        assert_eq!((one.runs.len(), one.drifts.len()), (1, 2));
        assert_ne!(one.drifts[0].1.id, one.drifts[1].1.id);
        let none = Plan::new(&world, &[], None);
        assert!(none.drifts.is_empty() && none.runs.is_empty());
        assert_eq!(none.prices().count(), 0);
    }
}
