//! Simulate: a billing world with known errors, of any size, in files that `run` can judge.
//!
//! ```text
//!  seed ─► draw ─► usage ─► billing ─► case ─► inject ─► files + labels.jsonl + trueup.toml
//!            └─► plan ──────────────────────────┘
//! ```
//! It is the other side of every check: it shares no code with `rating`, `detect`, `rules` or `lake`,
//! so that a mistake there shows against it; `score` alone, which makes nothing, reads a lake. It goes
//! subscription by subscription and holds one of them in memory, with a bounded part of every file;
//! the same seed gives the same bytes, and a larger world keeps the smaller one.

mod aggregate;
mod billing;
mod case;
mod catalogue;
mod change;
mod columns;
mod draw;
mod drift;
mod error;
mod fault;
mod goods;
mod inject;
mod invoice;
mod label;
mod money;
mod plan;
mod price_rows;
mod pricelist;
mod profile;
mod random;
mod rating;
mod rhythm;
pub mod score;
mod settings;
mod sink;
mod systemic;
mod tables;
mod time;
mod timeline;
mod usage;
mod world;

use std::collections::BTreeSet;
use std::path::PathBuf;

use case::Case;
use catalogue::SOURCES;
use label::{Label, Labels};
use plan::Plan;
use random::{Dice, Purpose};
use sink::Sink;
use systemic::Systemic;
use tables::Run;
use world::World;

pub use error::SimulateError;
pub use fault::{Fault, all as faults};

/// How often it says how far it is.
const SAY_EVERY: u64 = 10_000;

/// What to make.
#[derive(Clone, Debug)]
pub struct Options {
    /// A folder that holds no world yet.
    pub folder: PathBuf,
    /// How many subscriptions.
    pub subscriptions: u64,
    /// How many whole months.
    pub months: u32,
    /// Decides everything else.
    pub seed: u64,
    /// Names of faults; all of them where none is named or `all` is. `None` makes a clean world.
    pub faults: Option<Vec<String>>,
    /// So many instances of each fault, if the world is large enough; `None` makes a few, and more
    /// the larger it is. What a whole meter, price, system or bill run has cannot be repeated at
    /// will: of that there are fewer.
    pub instances: Option<u64>,
}

/// What was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Subscriptions.
    pub subscriptions: u64,
    /// Usage records of all systems.
    pub usage_records: u64,
    /// Labels.
    pub labels: u64,
}

/// Makes a world: `data/`, `labels.jsonl` and `trueup.toml` below the folder.
pub fn simulate(options: &Options) -> Result<Made, SimulateError> {
    let faults = match &options.faults {
        Some(names) => fault::chosen(names)?,
        None => Vec::new(),
    };
    let mut world = World::new(options.seed, options.months);
    let mut plan = Plan::new(&world, &faults, options.instances);
    for (place, fault) in plan.prices() {
        if let Some(edit) = fault.edit {
            edit(&world.timeline, &mut world.catalogue.prices[place]);
        }
    }
    for &(source, fault) in &plan.drifts {
        world.drift.changes[source] = fault.drift;
    }
    let mut drifted = BTreeSet::new();
    let mut sink = Sink::create(&options.folder)?;
    let mut labels = Labels::create(options.folder.join("labels.jsonl"))?;
    let mut systemic = Systemic::default();
    let mut run_days = BTreeSet::new();
    price_rows::catalogue(&world, &mut sink)?;
    for number in 1..=options.subscriptions {
        let mut case = Case::clean(&world, draw::subscription(&world, number));
        if let Some(label) = harm(&world, &mut plan, &mut case, &mut systemic) {
            labels.add(&label)?;
        }
        if world.drift.meets(&case.profile) {
            drifted.insert(case.profile.source);
        }
        case.write(&world, &mut sink, &mut run_days)?;
        if number.is_multiple_of(SAY_EVERY) {
            tracing::info!(subscriptions = number, "written");
        }
    }
    for day in &run_days {
        Run::of_day(&world, *day).write(&mut sink)?;
    }
    for label in systemic.labels(&world, &plan) {
        labels.add(&label)?;
    }
    for &(days, fault) in &plan.runs {
        let (run, label) = inject::failed_run(&world, days, fault);
        run.write(&mut sink)?;
        labels.add(&label)?;
    }
    for &(source, fault) in &plan.drifts {
        if drifted.contains(&source)
            && let Some(label) = inject::drifted(&world, source, fault)
        {
            labels.add(&label)?;
        }
    }
    if options.instances.is_some() && !plan.short().is_empty() {
        tracing::warn!(
            faults = %plan.short().join(","),
            "fewer instances than asked for: make more subscriptions"
        );
    }
    let usage_records = sink.usage_records;
    sink.close(time::month_of(world.timeline.first))?;
    settings::write(&options.folder, &world)?;
    Ok(Made {
        subscriptions: options.subscriptions,
        usage_records,
        labels: labels.close()?,
    })
}

/// Does to a subscription what was planned for it; its own label, if it has one.
fn harm(world: &World, plan: &mut Plan, case: &mut Case, systemic: &mut Systemic) -> Option<Label> {
    let number = case.profile.number;
    let mut dice = Dice::of(world.seed, number, Purpose::Fault);
    if let Some(choice) = plan.choose(world, &case.profile, &mut dice) {
        let harm = (choice.fault.inject)(world, case, &mut dice);
        plan.note(choice, harm.is_some());
        let (place, source) = (format!("{number:08}"), SOURCES[case.profile.source]);
        let currency = case.profile.currency;
        return harm.map(|harm| Label::new(choice.fault, &place, source, currency, harm));
    }
    if case.profile.is_niche {
        let price = inject::main_price(&case.profile)?;
        let fault = plan.of_price(price)?;
        let harm = (fault.inject)(world, case, &mut dice)?;
        systemic.add(price, harm);
    }
    None
}

#[cfg(test)]
mod tests;
