//! What looks wrong and is not: months that end in a batch, and customers that grow fast.
//!
//! Usage, bill and metering agree. A signal that is grave about it is a false alarm.

use super::spot::{Spot, summed};
use crate::simulate::case::Case;
use crate::simulate::fault::{Fault, Harm};
use crate::simulate::profile::Habit;
use crate::simulate::random::Dice;
use crate::simulate::world::World;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "month-end-batch",
        "G2",
        "legitimate",
        &[],
        &[],
        summed,
        month_end_batch,
    )
    .apart(),
    Fault::new(
        "growth-ramp",
        "G3",
        "legitimate",
        &[],
        &[],
        summed,
        growth_ramp,
    )
    .apart(),
];

fn month_end_batch(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    live_otherwise(world, case, Habit::Batch)
}

/// Two per cent of the first level more each day, for ten weeks.
fn growth_ramp(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    live_otherwise(world, case, Habit::Ramp(world.timeline.last_day() - 70))
}

fn live_otherwise(world: &World, case: &mut Case, habit: Habit) -> Option<Harm> {
    let before = Spot::of(case)?.line(case).quantity?;
    let item = case.profile.usage_items().next()?;
    case.profile.items[item].habit = habit;
    case.use_again(world);
    let after = Spot::of(case)?;
    Some(Harm {
        records: vec![("subscription_item", case.profile.items[item].id.clone())],
        expected: Some(before),
        actual: after.line(case).quantity,
        is_money: false,
        visible: after.line(case).start,
    })
}
