//! Usage that is not there: lost, cut off, refused, or silent.
//!
//! The biller bills what it has; what metering saw is left as it was.

use super::spot::{Spot, linked, named, sensitive, summed, total, usage_harm, within};
use crate::simulate::case::Case;
use crate::simulate::fault::{Fault, Harm, Scope};
use crate::simulate::profile::Profile;
use crate::simulate::random::Dice;
use crate::simulate::time::{DAY, HOUR, Micros};
use crate::simulate::usage::{Status, Usage};
use crate::simulate::world::World;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "lost-events",
        "A5",
        "integration",
        &["usage-mismatch"],
        &[],
        linked,
        lost_events,
    )
    .seen_by(&["usage-drift", "usage-gap"])
    .apart(),
    Fault {
        effects: &["hour-gap", "usage-drift", "usage-gap"],
        scope: Scope::Niche,
        ..Fault::new(
            "partial-source",
            "A5",
            "integration",
            &["source-coverage", "systemic-shift", "usage-spike"],
            &[],
            anyone,
            partial_source,
        )
    },
    Fault::new(
        "export-cursor-gap",
        "A6",
        "engine_defect",
        &["hour-gap"],
        &[],
        sensitive,
        export_cursor_gap,
    )
    .seen_by(&[
        "source-coverage",
        "systemic-shift",
        "usage-drift",
        "usage-spike",
    ])
    .apart(),
    Fault::new(
        "missing-days",
        "A7",
        "integration",
        &["usage-gap", "usage-spike"],
        &[],
        summed,
        missing_days,
    )
    .seen_by(&["usage-drift", "zero-usage"])
    .apart(),
    Fault {
        effects: &[
            "source-coverage",
            "systemic-shift",
            "usage-drift",
            "usage-gap",
            "usage-spike",
        ],
        scope: Scope::Niche,
        ..Fault::new(
            "meter-silent",
            "A8",
            "integration",
            &["meter-silent", "zero-usage"],
            &["meter_silent"],
            anyone,
            meter_silent,
        )
    },
    Fault::new(
        "rejected-events",
        "A9",
        "data_quality",
        &["rejected-usage"],
        &[],
        sensitive,
        rejected_events,
    )
    .seen_by(&["usage-drift", "usage-gap"])
    .apart(),
    Fault::new(
        "stuck-events",
        "A19",
        "engine_defect",
        &["stuck-usage"],
        &[],
        sensitive,
        stuck_events,
    )
    .seen_by(&["quantity-mismatch"]),
];

pub(super) fn anyone(_: &World, _: &Profile) -> bool {
    true
}

/// Takes records out and bills what is left; the harm names the item and its quantity.
fn drop_records(
    world: &World,
    case: &mut Case,
    item: usize,
    (start, stop): (Micros, Micros),
    is_lost: impl Fn(&Usage) -> bool,
) -> Option<Harm> {
    let there = within(case, item, start, stop);
    let lost: Vec<Usage> = there.iter().filter(|r| is_lost(r)).cloned().collect();
    if lost.is_empty() {
        return None;
    }
    let (right, gone) = (total(&there), total(&lost));
    case.usage[item].retain(|record| {
        !(record.counts() && start <= record.at && record.at < stop && is_lost(record))
    });
    case.bill_again(world);
    let mut records = vec![("subscription_item", case.profile.items[item].id.clone())];
    records.extend(Spot::of(case).map(|spot| ("invoice_line", spot.line(case).id.clone())));
    Some(Harm {
        records,
        expected: Some(right),
        actual: Some(right - gone),
        is_money: false,
        visible: start + DAY,
    })
}

/// Part of five days never reached the biller.
fn lost_events(world: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let from = spot.midnight(case, dice.between(6, 20));
    drop_records(world, case, spot.item, (from, from + 5 * DAY), |record| {
        record.serial % 2 == 1
    })
}

/// Half of a meter's records of two days, for everybody.
fn partial_source(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let item = case.profile.usage_items().next()?;
    let last = world.timeline.last_day();
    let span = ((last - 1) * DAY, (last + 1) * DAY);
    drop_records(world, case, item, span, |record| {
        record.at % DAY >= 12 * HOUR
    })
}

/// The hours after the export's midnight are never exported.
fn export_cursor_gap(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let span = (spot.midnight(case, 1), world.timeline.as_of);
    drop_records(world, case, spot.item, span, |record| {
        record.at % DAY >= 17 * HOUR
    })
}

/// Two days without any usage, and it comes back.
fn missing_days(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let item = case.profile.usage_items().next()?;
    let last = world.timeline.last_day();
    drop_records(world, case, item, ((last - 2) * DAY, last * DAY), |_| true)
}

/// Nothing from anybody any more.
fn meter_silent(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let item = case.profile.usage_items().next()?;
    let last = world.timeline.last_day();
    drop_records(
        world,
        case,
        item,
        ((last - 4) * DAY, world.timeline.as_of),
        |_| true,
    )
}

/// Records that the platform refused four days long, and that nobody repaired.
fn rejected_events(world: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let from = spot.midnight(case, dice.between(6, 20));
    let span = from..from + 4 * DAY;
    let refused = within(case, spot.item, span.start, span.end);
    let harm = usage_harm(case, spot.item, &refused, (total(&refused), 0))?;
    for record in &mut case.usage[spot.item] {
        if record.counts() && span.contains(&record.at) {
            record.status = Status::Error;
            record.reason = Some("customer_not_found");
        }
    }
    case.bill_again(world);
    Some(harm)
}

/// Three days that the platform took in and never worked on; their invoice is final without them.
fn stuck_events(world: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let spot = Spot::of_final(case)?;
    let from = spot.midnight(case, dice.between(5, 20));
    let span = from..from + 3 * DAY;
    let stuck = within(case, spot.item, span.start, span.end);
    let mut harm = usage_harm(case, spot.item, &stuck, (total(&stuck), 0))?;
    harm.visible = spot.invoice(case).finalized?;
    for record in &mut case.usage[spot.item] {
        if record.counts() && span.contains(&record.at) {
            record.status = Status::Pending;
        }
    }
    case.bill_again(world);
    let spot = Spot::of_final(case)?;
    harm.records.extend(named(spot.invoice(case)));
    Some(harm)
}
