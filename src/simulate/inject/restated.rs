//! Usage that changes after its invoice was final: a day restated, records restored from a backup.
//!
//! The invoice stays as it was; it was right when it was made.

use super::spot::{Spot, insert, named, sensitive, total, usage_harm, within};
use crate::simulate::case::Case;
use crate::simulate::fault::{Fault, Harm};
use crate::simulate::random::Dice;
use crate::simulate::time::DAY;
use crate::simulate::usage::Usage;
use crate::simulate::world::World;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "restated-day",
        "F4",
        "manual",
        &["restated-day"],
        &["changed_after_invoice"],
        sensitive,
        restated_day,
    )
    .seen_by(&["quantity-mismatch"]),
    Fault::new(
        "restored-backfill",
        "A3",
        "manual",
        &["rebilled-backfill"],
        &["waits_to_be_billed"],
        sensitive,
        restored_backfill,
    )
    .seen_by(&["late-usage", "quantity-mismatch", "repeated-usage"]),
];

/// Six days after the invoice was final, one of its days says twice as much.
fn restated_day(world: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let spot = Spot::of_final(case)?;
    let restated = spot.invoice(case).finalized? + 6 * DAY;
    let from = spot.midnight(case, dice.between(6, 22));
    let day = from..from + DAY;
    let touched = within(case, spot.item, day.start, day.end);
    let mut harm = usage_harm(case, spot.item, &touched, (0, 0))?;
    for record in &mut case.usage[spot.item] {
        if record.counts() && day.contains(&record.at) {
            record.quantity *= 2;
            record.updated = Some(restated);
        }
    }
    let quantity = spot.quantity(world, case, Usage::counts)?;
    harm.records.extend(named(spot.invoice(case)));
    harm.expected = spot.due(world, case, quantity);
    harm.actual = Some(spot.line(case).amount);
    (harm.is_money, harm.visible) = (true, restated);
    Some(harm)
}

/// Four days of an invoiced period come in once more, as new records.
fn restored_backfill(_: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let spot = Spot::of_final(case)?;
    let restored = spot.invoice(case).finalized? + 20 * DAY;
    let from = spot.midnight(case, dice.between(5, 20));
    let mut copies = within(case, spot.item, from, from + 4 * DAY);
    for copy in &mut copies {
        (copy.id_mark, copy.key_mark) = ("b", "b");
        copy.recorded = restored;
    }
    let harm = usage_harm(case, spot.item, &copies, (0, total(&copies)))?;
    insert(case, spot.item, &copies);
    Some(harm)
}
