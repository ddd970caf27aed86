//! Bill runs that failed: a second run of a night, which nobody repeated.

use super::gaps::anyone;
use crate::simulate::case::Case;
use crate::simulate::catalogue::{SOURCES, ZUORA};
use crate::simulate::fault::{Fault, Harm, Scope};
use crate::simulate::label::Label;
use crate::simulate::random::Dice;
use crate::simulate::tables::Run;
use crate::simulate::time::{HOUR, day_of};
use crate::simulate::world::World;

pub(super) const FAULTS: &[Fault] = &[Fault {
    effects: &["bill-run-incomplete"],
    scope: Scope::Run,
    ..Fault::new(
        "bill-run-failed",
        "F1",
        "integration",
        &["failed-bill-run"],
        &[],
        anyone,
        nothing,
    )
}];

/// Runs belong to no subscription.
fn nothing(_: &World, _: &mut Case, _: &mut Dice) -> Option<Harm> {
    None
}

/// The failed run of so many days before the moment of judgement.
pub(in crate::simulate) fn failed_run(
    world: &World,
    days: i64,
    fault: &'static Fault,
) -> (Run, Label) {
    let day = day_of(world.timeline.as_of) - days;
    let sound = Run::of_day(world, day);
    let run = Run {
        id: format!("{}-B", sound.id),
        status: "error",
        executed: sound.executed + 3 * HOUR,
        created: sound.created + 3 * HOUR,
        day,
    };
    let harm = Harm {
        records: vec![("bill_run", run.id.clone())],
        expected: None,
        actual: None,
        is_money: false,
        visible: run.executed,
    };
    let label = Label::new(fault, &run.id, SOURCES[ZUORA], "USD", harm);
    (run, label)
}
