//! Invoices put together wrongly: lines, sums, and the moment at which they become final.

use super::spot::{Spot, plain, sensitive, settled};
use crate::simulate::billing::run_id;
use crate::simulate::case::Case;
use crate::simulate::catalogue::{CHARGEBEE, STRIPE};
use crate::simulate::fault::{Fault, Harm};
use crate::simulate::invoice::{Invoice, State};
use crate::simulate::money::{decimals, share};
use crate::simulate::profile::Profile;
use crate::simulate::random::Dice;
use crate::simulate::time::{DAY, HOUR, MINUTE, day_of};
use crate::simulate::world::World;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "line-arithmetic",
        "E1",
        "manual",
        &["line-arithmetic"],
        &["product_differs"],
        plain,
        line_arithmetic,
    ),
    Fault::new(
        "total-counts-twice",
        "E1",
        "engine_defect",
        &["invoice-total"],
        &["billed_twice"],
        plain,
        total_counts_twice,
    ),
    Fault::new(
        "duplicate-line",
        "E3",
        "engine_defect",
        &["duplicate-line", "period-overlap"],
        &["line_twice"],
        plain,
        duplicate_line,
    ),
    Fault::new(
        "missing-expected-charge",
        "E4",
        "configuration",
        &["missing-expected-charge"],
        &["recurring_missing"],
        settled,
        missing_expected_charge,
    ),
    Fault::new(
        "draft-overdue",
        "E12",
        "manual",
        &["draft-overdue"],
        &["left_in_draft", "left_pending"],
        plain,
        draft_overdue,
    ),
    Fault::new(
        "finalised-early",
        "E13",
        "configuration",
        &["finalised-early"],
        &["before_period_end"],
        one_sensitive,
        finalised_early,
    )
    .seen_by(&["late-usage", "quantity-mismatch"]),
];

/// The fee of the last invoice.
fn fee(case: &Case) -> Option<Spot> {
    Spot::of_fee(case, case.invoices.len().checked_sub(1)?)
}

fn of_invoice(invoice: &Invoice, expected: i128, actual: i128) -> Harm {
    Harm {
        records: vec![("invoice", invoice.id.clone())],
        expected: Some(expected),
        actual: Some(actual),
        is_money: true,
        visible: invoice.created,
    }
}

/// The fee was changed by hand and is no longer its quantity times its price.
fn line_arithmetic(_: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let spot = fee(case)?;
    let line = spot.line(case);
    let amount = share(line.amount, 11, 10, decimals(line.currency));
    spot.overcharge(case, amount)
}

/// The total has the fee in it twice, the lines have it once.
fn total_counts_twice(_: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let spot = fee(case)?;
    let amount = spot.line(case).amount;
    let invoice = &mut case.invoices[spot.invoice];
    let right = invoice.total;
    invoice.total += amount;
    Some(of_invoice(invoice, right, right + amount))
}

/// The fee is printed twice.
fn duplicate_line(_: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let spot = fee(case)?;
    let mut second = spot.line(case).clone();
    let invoice = &mut case.invoices[spot.invoice];
    second.id = format!("{}-{}", invoice.id, invoice.next_line);
    invoice.next_line += 1;
    let id = second.id.clone();
    invoice.lines.insert(spot.line + 1, second);
    invoice.close(&case.profile);
    let mut harm = spot.harm(case, 0);
    harm.records.push(("invoice_line", id));
    Some(harm)
}

/// The last invoice lacks the fee that every one before it has.
fn missing_expected_charge(_: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let spot = fee(case)?;
    let invoice = &mut case.invoices[spot.invoice];
    let line = invoice.lines.remove(spot.line);
    invoice.close(&case.profile);
    let mut harm = of_invoice(invoice, line.amount, 0);
    let item = case.profile.items[spot.item].id.clone();
    harm.records.push(("subscription_item", item));
    Some(harm)
}

/// The invoice of a month ago was never made final.
fn draft_overdue(_: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let place = case.invoices.len().checked_sub(2)?;
    let source = case.profile.source;
    let invoice = &mut case.invoices[place];
    invoice.state = if source == CHARGEBEE {
        State::Pending
    } else {
        State::Draft
    };
    (invoice.finalizes, invoice.finalized) = (None, None);
    if source == STRIPE {
        invoice.number = None;
    }
    let mut harm = of_invoice(invoice, invoice.total, 0);
    harm.visible += 8 * DAY;
    let id = invoice.id.clone();
    case.adjustments.retain(|note| note.invoice != id);
    Some(harm)
}

/// Sensitive, and no other usage on the invoice.
fn one_sensitive(world: &World, profile: &Profile) -> bool {
    sensitive(world, profile) && profile.usage_items().count() == 1
}

/// Made five days before the period ends, with the usage there was, and final at once.
fn finalised_early(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let stop = spot.invoice(case).period.stop;
    let created = (day_of(stop) - 5) * DAY + HOUR + 5 * MINUTE;
    let quantity = spot.quantity(world, case, |record| {
        record.counts() && record.recorded < created
    })?;
    let mut harm = spot.set_quantity(world, case, quantity)?;
    harm.visible = created;
    let number = format!("S{:07}-{:04}", case.profile.number, spot.invoice + 1);
    let invoice = &mut case.invoices[spot.invoice];
    invoice.number.get_or_insert(number);
    invoice.run = invoice.run.as_ref().map(|_| run_id(created));
    invoice.state = State::Open;
    invoice.created = created;
    invoice.finalizes = None;
    invoice.finalized = Some(created + 12 * HOUR);
    Some(harm)
}
