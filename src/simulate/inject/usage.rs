//! Usage that is there and wrong: repeated, late, dated wrongly, impossible, negative.
//!
//! What the biller could not know is billed as it came; what it should have known is not.

use super::spot::{Spot, insert, sensitive, summed, total, usage_harm, within};
use crate::simulate::case::Case;
use crate::simulate::fault::{Fault, Harm};
use crate::simulate::random::Dice;
use crate::simulate::time::{DAY, HOUR, MINUTE, SECOND};
use crate::simulate::usage::{Status, Usage};
use crate::simulate::world::World;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "duplicate-events",
        "A1",
        "data_quality",
        &["duplicate-usage"],
        &[],
        summed,
        duplicate_events,
    ),
    Fault::new(
        "duplicate-events-billed",
        "A1",
        "data_quality",
        &["duplicate-usage", "quantity-mismatch"],
        &["duplicates_counted"],
        sensitive,
        duplicate_events_billed,
    ),
    Fault::new(
        "duplicate-events-new-key",
        "A2",
        "integration",
        &["repeated-usage"],
        &["repeat_under_new_key"],
        sensitive,
        duplicate_events_new_key,
    )
    .seen_by(&["usage-drift", "usage-spike"])
    .apart(),
    Fault::new(
        "late-events",
        "A10",
        "timing",
        &["late-usage", "quantity-mismatch"],
        &["late_usage_missing"],
        sensitive,
        late_events,
    ),
    Fault::new(
        "future-dated-events",
        "A11",
        "data_quality",
        &["misdated-usage"],
        &["future_dated"],
        sensitive,
        future_dated,
    )
    .seen_by(&["usage-gap", "usage-drift"])
    .apart(),
    Fault::new(
        "epoch-dated-events",
        "A11",
        "data_quality",
        &["misdated-usage"],
        &["epoch_dated"],
        sensitive,
        epoch_dated,
    )
    .seen_by(&["usage-gap", "usage-drift"])
    .apart(),
    Fault::new(
        "impossible-value",
        "A12",
        "data_quality",
        &["impossible-usage", "usage-spike"],
        &[],
        summed,
        impossible_value,
    )
    .seen_by(&["usage-drift", "unit-slip"])
    .apart(),
    Fault::new(
        "negative-usage",
        "A13",
        "data_quality",
        &["negative-usage"],
        &[],
        sensitive,
        negative_usage,
    )
    .seen_by(&["counter-reset", "usage-drift"])
    .apart(),
];

/// The records of some days of the last closed period, once more.
fn repeats(case: &Case, spot: Spot, days: i64, dice: &mut Dice) -> Vec<Usage> {
    let from = spot.midnight(case, dice.between(5, 20));
    within(case, spot.item, from, from + days * DAY)
}

fn duplicate_events(_: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    send_again(case, spot, 2, dice)
}

/// The same records under the same keys; the biller counts each once.
fn send_again(case: &mut Case, spot: Spot, days: i64, dice: &mut Dice) -> Option<Harm> {
    let mut copies = repeats(case, spot, days, dice);
    for copy in &mut copies {
        copy.id_mark = "r";
        copy.recorded += 41 * SECOND;
        copy.is_repeat = true;
    }
    let once = total(&copies);
    let harm = usage_harm(case, spot.item, &copies, (once, once * 2))?;
    insert(case, spot.item, &copies);
    Some(harm)
}

fn duplicate_events_billed(world: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let before = case.usage[spot.item].clone();
    let again = send_again(case, spot, 6, dice)?;
    let counts = |record: &Usage| record.status == Status::Processed;
    let quantity = spot.quantity(world, case, counts)?;
    match spot.set_quantity(world, case, quantity) {
        Some(mut harm) => {
            harm.records.extend(again.records);
            Some(harm)
        }
        None => {
            case.usage[spot.item] = before;
            None
        }
    }
}

/// Every emission has a fresh key, so nobody can tell it from new usage.
fn duplicate_events_new_key(world: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let before = spot.line(case).amount;
    let mut copies = repeats(case, spot, 4, dice);
    for copy in &mut copies {
        (copy.id_mark, copy.key_mark) = ("n", "n");
        copy.recorded += 2 * SECOND;
    }
    let once = total(&copies);
    let seen = usage_harm(case, spot.item, &copies, (once, once * 2))?;
    insert(case, spot.item, &copies);
    case.bill_again(world);
    let mut harm = Spot::of(case)?.harm(case, before);
    harm.records.extend(seen.records);
    Some(harm)
}

/// The last three days come in after the invoice was made, and it is not made again.
fn late_events(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let (stop, created) = (spot.line(case).stop, spot.invoice(case).created);
    let is_late = |record: &Usage| record.counts() && record.at >= stop - 3 * DAY;
    let quantity = spot.quantity(world, case, |record| record.counts() && !is_late(record))?;
    let late = within(case, spot.item, stop - 3 * DAY, stop);
    if late.is_empty() {
        return None;
    }
    let mut harm = spot.set_quantity(world, case, quantity)?;
    let mut minutes = 0;
    for record in &mut case.usage[spot.item] {
        if is_late(record) && record.at < stop {
            record.recorded = created + 5 * HOUR + minutes * MINUTE;
            minutes += 1;
        }
    }
    let ids = late
        .iter()
        .map(|record| ("usage_record", case.usage_id(spot.item, record)));
    harm.records.extend(ids);
    harm.visible = created + 5 * HOUR;
    Some(harm)
}

fn future_dated(world: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let days = dice.between(20, 60);
    let day = dice.between(6, 22);
    misdate(world, case, day, |record| record.at += (40 + days) * DAY)
}

fn epoch_dated(world: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let day = dice.between(6, 22);
    misdate(world, case, day, |record| record.at %= DAY)
}

/// One day's records get another date, and are billed with neither.
fn misdate(world: &World, case: &mut Case, day: i64, date: impl Fn(&mut Usage)) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let from = spot.midnight(case, day);
    let moved = within(case, spot.item, from, from + DAY);
    let harm = usage_harm(case, spot.item, &moved, (total(&moved), 0))?;
    for record in &mut case.usage[spot.item] {
        if record.counts() && (from..from + DAY).contains(&record.at) {
            date(record);
        }
    }
    insert(case, spot.item, &[]);
    case.bill_again(world);
    Some(harm)
}

/// One record of the last day that nothing could have used.
fn impossible_value(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let from = world.timeline.last_day() * DAY;
    let day = within(case, spot.item, from, from + DAY);
    let first = day.first()?.clone();
    let record = case.usage[spot.item]
        .iter_mut()
        .find(|record| record.serial == first.serial)?;
    record.quantity *= 1_000_000;
    let actual = record.quantity;
    case.bill_again(world);
    usage_harm(
        case,
        spot.item,
        std::slice::from_ref(&first),
        (first.quantity, actual),
    )
}

/// A correction sent as a negative quantity.
fn negative_usage(world: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let from = spot.midnight(case, dice.between(8, 20));
    let first = within(case, spot.item, from, from + DAY).first()?.clone();
    let wrong = Usage {
        id_mark: "c",
        key_mark: "c",
        at: first.at + 2,
        recorded: first.recorded + MINUTE,
        quantity: -first.quantity / 2,
        ..first
    };
    let harm = usage_harm(
        case,
        spot.item,
        std::slice::from_ref(&wrong),
        (0, wrong.quantity),
    )?;
    insert(case, spot.item, std::slice::from_ref(&wrong));
    case.bill_again(world);
    Some(harm)
}
