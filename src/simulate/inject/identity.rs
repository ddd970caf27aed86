//! Usage and charges that do not find each other: of nobody, not billed, billed without use.

use std::sync::Arc;

use super::spot::{Spot, insert, sensitive, total, usage_harm, within};
use crate::simulate::case::Case;
use crate::simulate::fault::{Fault, Harm};
use crate::simulate::random::Dice;
use crate::simulate::time::DAY;
use crate::simulate::usage::Owner;
use crate::simulate::world::World;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "orphan-usage",
        "B1",
        "integration",
        &["orphan-usage"],
        &[],
        sensitive,
        orphan_usage,
    ),
    Fault::new(
        "used-not-billed",
        "B2",
        "configuration",
        &["unbilled-usage"],
        &["never_billed"],
        sensitive,
        used_not_billed,
    ),
    Fault::new(
        "usage-charge-dropped",
        "E4",
        "configuration",
        &["missing-expected-charge", "unbilled-usage"],
        &["billed_before"],
        sensitive,
        usage_charge_dropped,
    ),
    Fault::new(
        "billed-without-usage",
        "B3",
        "data_quality",
        &["billed-without-usage"],
        &["not_used_in_period"],
        sensitive,
        billed_without_usage,
    )
    .seen_by(&["usage-drift", "usage-gap", "zero-usage"]),
];

/// Records of a tenant that the platform has never heard of.
fn orphan_usage(_: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let from = spot.midnight(case, dice.between(6, 20));
    let mut stray = within(case, spot.item, from, from + 3 * DAY);
    let owner = Arc::new(Owner {
        customer: Some(format!("{}-x", case.profile.customer)),
        subscription: None,
        item: None,
    });
    for record in &mut stray {
        (record.id_mark, record.key_mark) = ("o", "o");
        record.at += 3;
        record.owner = Some(Arc::clone(&owner));
    }
    let mut harm = usage_harm(case, spot.item, &stray, (total(&stray), 0))?;
    harm.records.pop();
    harm.records
        .extend(owner.customer.clone().map(|id| ("customer", id)));
    insert(case, spot.item, &stray);
    Some(harm)
}

/// A charge that came to the subscription with the last period, and that no invoice knows.
fn used_not_billed(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    case.profile.items[spot.item].from = spot.line(case).start;
    case.adjustments.clear();
    case.use_again(world);
    let spot = Spot::of(case)?;
    drop_line(case, spot)
}

/// The last invoice lacks a line that every one before it has.
fn usage_charge_dropped(_: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    drop_line(case, spot)
}

fn drop_line(case: &mut Case, spot: Spot) -> Option<Harm> {
    let invoice = &mut case.invoices[spot.invoice];
    let line = invoice.lines.remove(spot.line);
    invoice.close(&case.profile);
    Some(Harm {
        records: vec![
            (
                "subscription_item",
                case.profile.items[spot.item].id.clone(),
            ),
            ("invoice", case.invoices[spot.invoice].id.clone()),
        ],
        expected: Some(line.amount),
        actual: Some(0),
        is_money: true,
        visible: spot.invoice(case).created,
    })
}

/// The period has no usage, and the bill has it all the same.
fn billed_without_usage(_: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let (start, stop) = (spot.line(case).start, spot.line(case).stop);
    case.usage[spot.item].retain(|record| record.at < start || record.at >= stop);
    Some(spot.harm(case, 0))
}
