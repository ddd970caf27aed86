//! Credits that give too much, count twice or charge once more, and invoices taken back for good.

use super::spot::{Spot, absent, plain, settled};
use crate::simulate::case::{Adjustment, Case};
use crate::simulate::fault::{Fault, Harm};
use crate::simulate::invoice::{Kind, State};
use crate::simulate::money::{decimals, share};
use crate::simulate::random::Dice;
use crate::simulate::time::DAY;
use crate::simulate::world::World;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "credit-over-applied",
        "E10",
        "manual",
        &["credit-overapplied"],
        &["more_than_billed"],
        plain,
        credit_over_applied,
    ),
    Fault::new(
        "credit-applied-twice",
        "E5",
        "engine_defect",
        &["credit-overapplied"],
        &["applied_twice"],
        plain,
        credit_applied_twice,
    ),
    Fault::new(
        "credit-charged",
        "E10",
        "manual",
        &["credit-overapplied"],
        &["wrong_sign"],
        plain,
        credit_charged,
    ),
    Fault::new(
        "voided-not-rebilled",
        "E11",
        "manual",
        &["missing-invoice"],
        &[],
        settled,
        voided_not_rebilled,
    )
    .seen_by(&["bill-run-incomplete"]),
];

/// A credit note for a fee gives back twice what was billed.
fn credit_over_applied(_: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let spot = Spot::of_fee(case, Spot::of_final(case)?.invoice)?;
    let (invoice, line) = (spot.invoice(case), spot.line(case));
    let amount = line.amount * 2 + invoice.tax;
    let left = line.amount - amount;
    let note = Adjustment {
        id: format!("CN-{}-2", invoice.id),
        invoice: invoice.id.clone(),
        line: line.id.clone(),
        reason: "correction",
        amount,
        created: invoice.finalized? + DAY,
    };
    let harm = Harm {
        actual: Some(left),
        visible: note.created,
        ..spot.harm(case, 0)
    };
    case.adjustments
        .retain(|other| other.invoice != note.invoice);
    case.adjustments.push(note);
    Some(harm)
}

/// Puts credit lines of a twentieth on the last invoice, in place of any others; the harm of the last.
fn credit_lines(case: &mut Case, count: usize, sign: i128) -> Option<Harm> {
    let invoice = case.invoices.last_mut()?;
    let amount = sign * share(invoice.subtotal, 5, 100, decimals(invoice.currency));
    if amount == 0 {
        return None;
    }
    invoice.lines.retain(|line| line.kind != Kind::Credit);
    let mut records = vec![("invoice", invoice.id.clone())];
    for _ in 0..count {
        let line = invoice.line(Kind::Credit, amount, "Service credit");
        records.push(("invoice_line", line.id.clone()));
        invoice.lines.push(line);
    }
    invoice.close(&case.profile);
    Some(Harm {
        records,
        expected: Some(0),
        actual: Some(amount),
        is_money: true,
        visible: invoice.created,
    })
}

/// The same credit stands on the invoice twice.
fn credit_applied_twice(_: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    credit_lines(case, 2, -1)
}

/// A credit without its minus: the customer is billed once more.
fn credit_charged(_: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let harm = credit_lines(case, 1, 1)?;
    Some(Harm {
        expected: harm.actual.map(|amount| -amount),
        ..harm
    })
}

/// The invoice before the last was voided, and none took its place.
fn voided_not_rebilled(_: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let place = case.invoices.len().checked_sub(2)?;
    let invoice = &mut case.invoices[place];
    invoice.state = State::Void;
    let mut harm = absent(invoice, &case.profile);
    let id = invoice.id.clone();
    case.adjustments.retain(|note| note.invoice != id);
    harm.records.push(("invoice", id));
    Some(harm)
}
