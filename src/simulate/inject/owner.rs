//! Usage and subscriptions of the wrong owner: another customer's, nobody's in truth, or there twice.
//!
//! A second subscription comes into the world as the twin of the first, with a number and ids of its
//! own; the twins know of each other and nobody else does.

use super::spot::{Spot, charged, insert, named, plain, sensitive, summed, usage_harm, within};
use crate::simulate::case::Case;
use crate::simulate::fault::{Fault, Harm};
use crate::simulate::invoice::State;
use crate::simulate::profile::Profile;
use crate::simulate::random::Dice;
use crate::simulate::time::{DAY, HOUR};
use crate::simulate::usage::Usage;
use crate::simulate::world::World;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "misattributed-usage",
        "B7",
        "data_quality",
        &["misattributed-usage"],
        &["mirrored_change"],
        sensitive,
        misattributed,
    )
    .seen_by(&["usage-drift", "usage-gap", "usage-spike"])
    .apart(),
    Fault::new(
        "test-customer-billed",
        "B8",
        "configuration",
        &["test-usage-billed"],
        &["test_customer_billed"],
        plain,
        test_billed,
    ),
    Fault::new(
        "duplicate-subscription",
        "B9",
        "integration",
        &["duplicate-subscription"],
        &["same_name"],
        summed,
        duplicate_subscription,
    ),
];

/// Numbers from here on belong to no drawn subscription. A multiple of fifty, so that the twin is
/// billed at the same minute.
const TWINS_FROM: u64 = 50_000_000;

/// The same subscription of another customer.
fn neighbour(profile: &Profile) -> Profile {
    let number = profile.number + TWINS_FROM;
    let own = |id: &str| format!("{id}n");
    let mut other = profile.clone();
    other.number = number;
    other.customer = own(&profile.customer);
    other.subscription = own(&profile.subscription);
    other.name = format!("Customer {number:06}");
    for (place, item) in (1..).zip(&mut other.items) {
        item.id = own(&item.id);
        item.number = number * 10 + place;
    }
    other
}

/// Two thirds of three days are booked to a neighbour, and billed there.
fn misattributed(world: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let from = spot.midnight(case, dice.between(17, 21));
    let is_moved = |record: &Usage| {
        let is_near = from <= record.at && record.at < from + 3 * DAY;
        record.counts() && is_near && record.at % DAY >= 8 * HOUR
    };
    let mut moved = within(case, spot.item, from, from + 3 * DAY);
    moved.retain(is_moved);
    for record in &mut moved {
        (record.id_mark, record.key_mark) = ("m", "m");
    }
    let mut twin = Case::clean(world, neighbour(&case.profile));
    let quantity: i128 = moved.iter().map(|record| record.quantity).sum();
    let mut harm = usage_harm(&twin, spot.item, &moved, (0, quantity))?;
    let loser = case.profile.items[spot.item].id.clone();
    harm.records.push(("subscription_item", loser));
    insert(&mut twin, spot.item, &moved);
    twin.bill_again(world);
    case.usage[spot.item].retain(|record| !is_moved(record));
    case.bill_again(world);
    case.twin = Some(Box::new(twin));
    Some(harm)
}

/// A customer of our own tests gets invoices, none of which anybody has paid.
fn test_billed(_: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let visible = case.invoices.last()?.created;
    let mut records = vec![
        ("subscription", case.profile.subscription.clone()),
        ("customer", case.profile.customer.clone()),
    ];
    let mut amount = 0;
    for invoice in &mut case.invoices {
        if invoice.state == State::Paid {
            invoice.state = State::Open;
        }
        records.extend(named(invoice));
        amount += charged(invoice);
    }
    case.profile.is_test = true;
    Some(Harm {
        records,
        expected: Some(0),
        actual: Some(amount),
        is_money: true,
        visible,
    })
}

/// The customer and the subscription are there a second time, with the same usage.
fn duplicate_subscription(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let item = case.profile.usage_items().next()?;
    let mut profile = neighbour(&case.profile);
    profile.name.clone_from(&case.profile.name);
    let mut twin = Case {
        profile,
        usage: case.usage.clone(),
        measured: Vec::new(),
        invoices: Vec::new(),
        adjustments: Vec::new(),
        twin: None,
    };
    twin.bill_again(world);
    let visible = twin.invoices.last()?.created;
    let amount: i128 = twin.invoices.iter().map(charged).sum();
    let mut records = Vec::new();
    for profile in [&case.profile, &twin.profile] {
        records.push(("subscription", profile.subscription.clone()));
        records.push(("subscription_item", profile.items[item].id.clone()));
    }
    case.twin = Some(Box::new(twin));
    Some(Harm {
        records,
        expected: Some(0),
        actual: Some(amount),
        is_money: true,
        visible,
    })
}
