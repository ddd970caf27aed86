//! Charges and usage on the wrong side of an end, of a change of plan or of a trial.
//!
//! The life of the subscription is changed first and billed anew; only then is something done wrong.

use super::spot::{
    Spot, has_alternate, insert, needless, plain, settled, summed, total, usage_harm, within,
};
use crate::simulate::case::Case;
use crate::simulate::change::change_usage_price;
use crate::simulate::fault::{Fault, Harm};
use crate::simulate::invoice::Kind;
use crate::simulate::random::Dice;
use crate::simulate::time::DAY;
use crate::simulate::usage::Usage;
use crate::simulate::world::World;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "billed-after-end",
        "B4",
        "configuration",
        &["billed-after-end"],
        &["made_after_end"],
        settled,
        billed_after_end,
    ),
    Fault::new(
        "usage-after-end",
        "B5",
        "integration",
        &["usage-after-end"],
        &[],
        summed,
        usage_after_end,
    ),
    Fault::new(
        "plan-change-unbilled",
        "B6",
        "engine_defect",
        &["plan-change-loss", "unbilled-usage"],
        &["old_item_unbilled"],
        has_alternate,
        plan_change_unbilled,
    ),
    Fault::new(
        "plan-change-usage-lost",
        "B6",
        "engine_defect",
        &["plan-change-loss", "usage-after-end"],
        &["left_on_old_item"],
        has_alternate,
        plan_change_usage_lost,
    ),
    Fault::new(
        "trial-billed",
        "B11",
        "configuration",
        &["trial-billed"],
        &["usage_in_trial", "fee_in_trial"],
        plain,
        trial_billed,
    ),
];

/// It ended in the period before the last, and its fee is billed for the last one all the same.
fn billed_after_end(world: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let before = case.invoices.len().checked_sub(2)?;
    let mut late = case.invoices.last()?.clone();
    late.lines.retain(|line| line.kind == Kind::Recurring);
    if late.lines.is_empty() {
        return None;
    }
    let end = case.invoices[before].period.full_start + dice.between(14, 24) * DAY;
    case.profile.ended = Some(end);
    case.use_again(world);
    late.close(&case.profile);
    let harm = needless(&late, &case.profile);
    case.invoices.push(late);
    Some(harm)
}

/// It ended in the last period, and goes on using for six days.
fn usage_after_end(world: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let end = spot.invoice(case).period.full_start + dice.between(8, 15) * DAY;
    let stray = within(case, spot.item, end, end + 6 * DAY);
    let mut harm = usage_harm(case, spot.item, &stray, (0, total(&stray)))?;
    let subscription = case.profile.subscription.clone();
    harm.records.push(("subscription", subscription));
    case.profile.ended = Some(end);
    case.use_again(world);
    insert(case, spot.item, &stray);
    Some(harm)
}

/// Another usage price from some day of the last period on, rightly billed: the old item and the new.
fn change(world: &World, case: &mut Case, dice: &mut Dice) -> Option<(usize, usize)> {
    let old = case.profile.usage_items().next()?;
    let at = case.invoices.last()?.period.full_start + dice.between(9, 18) * DAY;
    let new = change_usage_price(world, &mut case.profile, old, at, dice)?;
    case.use_again(world);
    Some((old, new))
}

/// Both items of a change, and what they belong to.
fn both(case: &Case, (old, new): (usize, usize)) -> Vec<(&'static str, String)> {
    let items = &case.profile.items;
    vec![
        ("subscription_item", items[old].id.clone()),
        ("subscription_item", items[new].id.clone()),
        ("subscription", case.profile.subscription.clone()),
    ]
}

/// What was used before the change is on no invoice.
fn plan_change_unbilled(world: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let (old, new) = change(world, case, dice)?;
    let invoice = case.invoices.last_mut()?;
    let place = invoice.find(Kind::Usage, old)?;
    let line = invoice.lines.remove(place);
    invoice.close(&case.profile);
    let (id, created) = (invoice.id.clone(), invoice.created);
    let mut records = both(case, (old, new));
    records.push(("invoice", id));
    Some(Harm {
        records,
        expected: Some(line.amount),
        actual: Some(0),
        is_money: true,
        visible: created,
    })
}

/// What is used after the change still names the item that has ended.
fn plan_change_usage_lost(world: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let (old, new) = change(world, case, dice)?;
    let invoice = case.invoices.last()?;
    let amount = invoice.lines[invoice.find(Kind::Usage, new)?].amount;
    let created = invoice.created;
    let mut moved: Vec<Usage> = case.usage[new]
        .iter()
        .filter(|record| record.counts())
        .cloned()
        .collect();
    for record in &mut moved {
        (record.id_mark, record.key_mark) = ("p", "p");
    }
    let mut harm = usage_harm(case, old, &moved, (0, 0))?;
    harm.records.extend(both(case, (old, new)));
    (harm.expected, harm.actual) = (Some(amount), Some(0));
    (harm.is_money, harm.visible) = (true, created);
    case.usage[new].retain(|record| !record.counts());
    insert(case, old, &moved);
    case.bill_again(world);
    Some(harm)
}

/// It began with the last period, all of which is its trial; and it is billed.
fn trial_billed(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let start = case.invoices.last()?.period.full_start;
    (case.profile.anchor, case.profile.started) = (start, start);
    for item in &mut case.profile.items {
        item.from = start;
    }
    case.adjustments.clear();
    case.use_again(world);
    let invoice = case.invoices.last()?;
    let harm = needless(invoice, &case.profile);
    case.profile.trial_end = Some(invoice.period.stop);
    Some(harm)
}
