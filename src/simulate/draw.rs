//! Draws a subscription from its own stream: what it buys, when it begins and ends, how it behaves.
//!
//! The order of the draws is the identity of every world ever made: add at the end, never between.

use super::catalogue::{Aggregation, CHARGEBEE, Price, STRIPE, ZUORA};
use super::change::{change_usage_price, upgrade};
use super::money::{units, whole};
use super::profile::{Habit, Item, Link, Profile};
use super::random::{Dice, Purpose};
use super::time::{DAY, Micros, SECOND, add_months, day_number, day_of, month_length, month_of};
use super::world::World;

/// Niche subscriptions in a thousand.
const NICHE_PER_MILLE: u64 = 20;
const TRIAL_DAYS: i64 = 14;

/// The subscription of that number.
pub(super) fn subscription(world: &World, number: u64) -> Profile {
    let mut dice = Dice::of(world.seed, number, Purpose::Profile);
    let source = match dice.below(100) {
        0..40 => ZUORA,
        40..75 => STRIPE,
        _ => CHARGEBEE,
    };
    let is_niche = dice.below(1_000) < NICHE_PER_MILLE;
    let choice = world.catalogue.usage_prices(source, is_niche);
    let price = choice[dice.index(choice.len())];
    let anchor = anchor(world, source, is_niche, &mut dice);
    let mut profile = bare(world, number, source, price, anchor, &mut dice);
    profile.is_niche = is_niche;
    life(world, &mut profile, &mut dice);
    items(world, &mut profile, price, &mut dice);
    if !is_niche {
        change_plan(world, &mut profile, &mut dice);
    }
    terms(world, &mut profile, &mut dice);
    habits(world, &mut profile, &mut dice);
    profile.is_plain = is_plain(world, &profile);
    profile
}

/// The first moment of the billing grid.
fn anchor(world: &World, source: usize, is_niche: bool, dice: &mut Dice) -> Micros {
    let usual = [80, 65, 70][source];
    let other_day = dice.between(2, 31);
    let is_first = dice.per_cent(usual) || is_niche;
    let day = if is_first { 1 } else { other_day };
    let second = dice.between(0, 86_399) * SECOND;
    let at_midnight = dice.per_cent(50);
    let clock = match source {
        ZUORA => 0,
        STRIPE => second,
        _ if at_midnight => 0,
        _ => second,
    };
    let late = dice.between(1, (world.timeline.months - 1).max(1));
    let is_late = dice.per_cent(25) && world.timeline.months > 1 && !is_niche;
    let mut month = month_of(world.timeline.first) + if is_late { late } else { 0 };
    // A day that the month does not have waits for one that does.
    while month_length(month.div_euclid(12), month.rem_euclid(12) + 1) < day {
        month += 1;
    }
    day_number(month.div_euclid(12), month.rem_euclid(12) + 1, day) * DAY + clock
}

fn bare(
    world: &World,
    number: u64,
    source: usize,
    price: usize,
    anchor: Micros,
    dice: &mut Dice,
) -> Profile {
    let (customer, subscription) = match source {
        ZUORA => (format!("A{number:09}"), format!("A-S{number:09}")),
        STRIPE => (
            format!("cus_{}{number}", dice.code(10)),
            format!("sub_{}{number}", dice.code(12)),
        ),
        _ => (format!("cb-{number:06}"), format!("cbsub-{number:06}")),
    };
    Profile {
        number,
        source,
        customer,
        parent: None,
        name: format!("Customer {number:06}"),
        subscription,
        currency: world.catalogue.prices[price].currency,
        is_test: false,
        anchor,
        started: anchor,
        trial_end: None,
        ended: None,
        discount: None,
        discount_end: None,
        tax: None,
        items: Vec::new(),
        names_item: true,
        link: Link::None,
        is_plain: false,
        is_niche: false,
    }
}

/// When it begins, whether there is a trial, and whether it has ended.
fn life(world: &World, profile: &mut Profile, dice: &mut Dice) {
    let timeline = &world.timeline;
    let into_month = dice.between(1, 27);
    let is_partial = dice.per_cent(30);
    let has_trial = dice.per_cent(6);
    let ends = dice.per_cent(5);
    let (which, days) = (dice.below(1_000), dice.between(3, 25));
    if profile.is_niche {
        return;
    }
    let is_grid = profile.source == ZUORA && day_of(profile.anchor) > timeline.first_day();
    let begins = profile.anchor + into_month * DAY;
    if is_grid && is_partial && begins < timeline.as_of - 5 * DAY {
        profile.started = begins;
    } else if has_trial {
        let end = profile.started + TRIAL_DAYS * DAY;
        (profile.trial_end, profile.anchor) = (Some(end), end);
    }
    let periods = profile.periods(timeline);
    if ends && periods.len() >= 4 {
        let period = periods[1 + which as usize % (periods.len() - 3)];
        profile.ended = Some(period.full_start + days * DAY);
    }
}

/// A recurring fee, one charge by usage, and sometimes a second one.
fn items(world: &World, profile: &mut Profile, price: usize, dice: &mut Dice) {
    let prefix = ["z", "s", "c"][profile.source];
    let fee = format!("{prefix}-fee-{}", profile.currency.to_lowercase());
    let seats = dice.between(3, 40);
    if let Some(fee) = world.catalogue.find(&fee) {
        let mut item = item(profile, fee, profile.started, dice);
        let is_seats = profile.source == CHARGEBEE;
        item.quantity = is_seats.then(|| whole(seats));
        profile.items.push(item);
    }
    let first = item(profile, price, profile.started, dice);
    profile.items.push(usage_of(first));
    let wants_more = dice.per_cent(20);
    let catalogue = &world.catalogue;
    let meter = catalogue.prices[price].meter;
    let mut others = catalogue.usage_prices(profile.source, false);
    others.retain(|other| {
        let other: &Price = &catalogue.prices[*other];
        other.currency == profile.currency && other.meter != meter
    });
    let which = dice.index(others.len());
    if wants_more && !profile.is_niche && !others.is_empty() {
        let second = item(profile, others[which], profile.started, dice);
        profile.items.push(usage_of(second));
    }
}

pub(super) fn usage_of(item: Item) -> Item {
    Item {
        is_usage: true,
        ..item
    }
}

/// The next item of a subscription.
pub(super) fn item(profile: &Profile, price: usize, from: Micros, dice: &mut Dice) -> Item {
    let place = profile.items.len() + 1;
    let number = profile.number * 10 + place as u64;
    let id = match profile.source {
        ZUORA => format!("C-{number:010}"),
        STRIPE => format!("si_{}{number}", dice.code(8)),
        _ => format!("cbitem-{number:07}"),
    };
    Item {
        id,
        number,
        price,
        quantity: None,
        from,
        to: None,
        size: dice.between(60, 150),
        growth: dice.between(0, 3),
        habit: Habit::Daily,
        is_usage: false,
    }
}

/// A dearer plan from some day of a period on; sometimes another usage price with it.
fn change_plan(world: &World, profile: &mut Profile, dice: &mut Dice) {
    let changes = dice.per_cent(5);
    let with_usage = dice.per_cent(50);
    let (which, days) = (dice.below(1_000), dice.between(5, 20));
    let periods = profile.periods(&world.timeline);
    if !changes || profile.ended.is_some() || periods.len() < 4 {
        return;
    }
    let period = periods[1 + which as usize % (periods.len() - 2)];
    let at = period.full_start + days * DAY;
    if period.start != period.full_start || period == periods[periods.len() - 1] {
        return;
    }
    upgrade(world, profile, at, dice);
    let usage = profile.usage_items().next();
    if let (true, Some(usage)) = (with_usage, usage) {
        change_usage_price(world, profile, usage, at, dice);
    }
}

/// Discount, tax, and how its usage is named and linked.
fn terms(world: &World, profile: &mut Profile, dice: &mut Dice) {
    let (has_discount, rolled) = (dice.per_cent(12), dice.below(100));
    profile.discount = has_discount.then_some(10);
    if has_discount && profile.source == STRIPE {
        profile.discount_end = Some(add_months(world.timeline.newest(), 6));
    }
    profile.tax = match profile.currency {
        "EUR" if rolled < 50 => Some(units("0.2")),
        "USD" if rolled < 25 => Some(units("0.0725")),
        "JPY" if rolled < 50 => Some(units("0.1")),
        _ => None,
    };
    let (unnamed, linked, by_item) = (dice.per_cent(5), dice.per_cent(8), dice.per_cent(50));
    let counts_plainly = profile.usage_items().all(|place| {
        let price = profile.items[place].price;
        matches!(
            world.catalogue.aggregation_of(price),
            Aggregation::Sum | Aggregation::Count
        )
    });
    let usage_count = profile.usage_items().count();
    if linked && counts_plainly && !profile.is_niche {
        profile.link = if by_item { Link::Item } else { Link::Customer };
    } else if unnamed && profile.source == STRIPE && usage_count == 1 && !profile.is_niche {
        profile.names_item = false;
    }
}

/// How usage runs through the days.
fn habits(world: &World, profile: &mut Profile, dice: &mut Dice) {
    let timeline = &world.timeline;
    for place in 0..profile.items.len() {
        let (rolled, length) = (dice.below(100), dice.between(20, 35));
        let since = dice.between(0, 40);
        if profile.is_niche || !profile.items[place].is_usage {
            continue;
        }
        let price = profile.items[place].price;
        let is_level = matches!(
            world.catalogue.aggregation_of(price),
            Aggregation::Max | Aggregation::Last
        );
        // A pause has to be long past, so that what follows has a history of its own.
        let first = day_of(profile.items[place].from) + 10 + since;
        profile.items[place].habit = match rolled {
            0..12 if !is_level => Habit::Office,
            12..20 if !is_level => Habit::Sparse,
            20..24 if first + length < timeline.last_day() - 100 => {
                Habit::Paused(first, first + length)
            }
            _ => Habit::Daily,
        };
    }
}

fn is_plain(world: &World, profile: &Profile) -> bool {
    let timeline = &world.timeline;
    let periods = profile.periods(&world.timeline);
    let is_draft = periods.last().is_some_and(|last| {
        last.created > timeline.draft_since() && last.created < timeline.as_of - DAY
    });
    is_draft
        && periods.len() >= 2
        && profile.ended.is_none()
        && profile.trial_end.is_none()
        && profile.started == profile.anchor
        && profile.names_item
        && profile
            .items
            .iter()
            .all(|item| item.to.is_none() && item.habit == Habit::Daily)
}
