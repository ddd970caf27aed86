//! Charges for the wrong time: too early, too late, twice, not at all, by another clock, by a wrong
//! share.

use super::spot::{Spot, absent, needless, plain, sensitive, settled};
use crate::simulate::case::Case;
use crate::simulate::change::upgrade;
use crate::simulate::fault::{Fault, Harm};
use crate::simulate::invoice::Kind;
use crate::simulate::money::{ONE, decimals, share};
use crate::simulate::profile::Profile;
use crate::simulate::random::Dice;
use crate::simulate::time::{DAY, HOUR, Micros, date_of, day_of};
use crate::simulate::usage::Usage;
use crate::simulate::world::World;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "period-overlap",
        "D1",
        "engine_defect",
        &["period-overlap"],
        &[],
        sensitive,
        overlap,
    ),
    Fault::new(
        "period-gap",
        "D2",
        "engine_defect",
        &["period-gap"],
        &[],
        sensitive,
        gap,
    )
    .seen_by(&["unbilled-usage"]),
    Fault::new(
        "period-billed-twice",
        "D3",
        "engine_defect",
        &["duplicate-period", "period-overlap"],
        &[],
        plain,
        billed_twice,
    ),
    Fault::new(
        "period-skipped",
        "D4",
        "engine_defect",
        &["missing-invoice"],
        &[],
        settled,
        skipped,
    )
    .seen_by(&["bill-run-incomplete"]),
    Fault::new(
        "usage-of-previous-period",
        "D5",
        "configuration",
        &["quantity-mismatch", "usage-in-wrong-period"],
        &["shifted_period"],
        by_months,
        previous_period,
    ),
    Fault::new(
        "period-by-customer-clock",
        "D6",
        "configuration",
        &["quantity-mismatch", "usage-in-wrong-period"],
        &["shifted_period", "counted_in_local_time"],
        abroad,
        customer_clock,
    ),
    Fault::new(
        "proration-denominator",
        "D9",
        "engine_defect",
        &["proration"],
        &["wrong_denominator"],
        plain,
        wrong_denominator,
    ),
];

/// The last day of the period before is billed a second time.
fn overlap(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    begin_later(world, case, -DAY)
}

/// The first day of the period is never billed.
fn gap(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    begin_later(world, case, DAY)
}

/// The last usage line begins so much later, and has the usage of its own time.
fn begin_later(world: &World, case: &mut Case, by: Micros) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let (start, stop) = (spot.line(case).start + by, spot.line(case).stop);
    let quantity = spot.quantity_between(world, case, (start, stop), Usage::counts)?;
    let harm = spot.set_quantity(world, case, quantity)?;
    case.invoices[spot.invoice].lines[spot.line].start = start;
    Some(harm)
}

/// A second invoice for the last period, an hour after the first.
fn billed_twice(_: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let mut again = case.invoices.last()?.clone();
    again.id = format!("{}b", again.id);
    again.number = again.number.map(|number| format!("{number}B"));
    again.created += HOUR;
    again.finalizes = again.finalizes.map(|at| at + HOUR);
    for (number, line) in (1..).zip(&mut again.lines) {
        line.id = format!("{}-{number}", again.id);
    }
    let harm = needless(&again, &case.profile);
    case.invoices.push(again);
    Some(harm)
}

/// The period before the last has no invoice.
fn skipped(_: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let place = case.invoices.len().checked_sub(2)?;
    let gone = case.invoices.remove(place);
    case.adjustments.retain(|note| note.invoice != gone.id);
    Some(absent(&gone, &case.profile))
}

/// Billed by calendar months, at midnight.
fn by_months(world: &World, profile: &Profile) -> bool {
    let is_first = date_of(day_of(profile.anchor)).2 == 1;
    sensitive(world, profile) && is_first && profile.anchor % DAY == 0
}

/// The quantity of the month before stands on the last invoice again.
fn previous_period(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let before = Spot::in_invoice(case, spot.invoice.checked_sub(1)?)?;
    let quantity = before.line(case).quantity?;
    spot.set_quantity(world, case, quantity)
}

/// Somewhere where the day begins before that of UTC.
fn abroad(world: &World, profile: &Profile) -> bool {
    sensitive(world, profile) && profile.currency != "USD"
}

/// Usage is counted by the customer's midnights, and the line says those of UTC.
fn customer_clock(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    // In May, when the last period begins and all but ends: summer time in Berlin.
    let ahead = match case.profile.currency {
        "EUR" => 2 * HOUR,
        "JPY" => 9 * HOUR,
        _ => 3 * HOUR,
    };
    let line = spot.line(case);
    let span = (line.start - ahead, line.stop - ahead);
    let quantity = spot.quantity_between(world, case, span, Usage::counts)?;
    spot.set_quantity(world, case, quantity)
}

/// A dearer plan within the last period, whose part is taken of a period of another length.
fn wrong_denominator(world: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let at = case.invoices.last()?.period.full_start + dice.between(8, 20) * DAY;
    let days = [24, 45][dice.index(2)];
    upgrade(world, &mut case.profile, at, dice);
    case.use_again(world);
    let item = case.profile.items.len().checked_sub(1)?;
    let invoice = case.invoices.len().checked_sub(1)?;
    let spot = Spot {
        item,
        invoice,
        line: case.invoices[invoice].find(Kind::Recurring, item)?,
    };
    let line = spot.line(case);
    let whole = line.unit_price? * (line.quantity? / ONE);
    let part = line.stop - line.start;
    let amount = share(whole, part, days * DAY, decimals(line.currency));
    spot.overcharge(case, amount)
}
