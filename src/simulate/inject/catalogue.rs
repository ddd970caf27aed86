//! Prices that are wrong in themselves, and launches that only look wrong.
//!
//! They sit in niche prices, so that each price has one fault and its buyers have no other. The price
//! is edited first; billing then follows it, as it would.

use super::gaps::anyone;
use super::spot::{Spot, total, usage_harm, within};
use crate::simulate::case::Case;
use crate::simulate::catalogue::{Model, Price, Terms, Version};
use crate::simulate::fault::{Fault, Harm, Scope};
use crate::simulate::goods::tiered;
use crate::simulate::random::Dice;
use crate::simulate::rating::charge;
use crate::simulate::time::{DAY, add_months};
use crate::simulate::timeline::Timeline;
use crate::simulate::world::World;

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        effects: &["unpriced-usage"],
        scope: Scope::Catalogue,
        edit: Some(close_last_tier),
        ..Fault::new(
            "tier-gap",
            "C3",
            "configuration",
            &["tier-gap"],
            &["no_open_tier"],
            anyone,
            nothing,
        )
    },
    Fault {
        effects: &["mass-price-change"],
        scope: Scope::Catalogue,
        edit: Some(overlap_versions),
        ..Fault::new(
            "versions-overlap",
            "C7",
            "configuration",
            &["price-overlap"],
            &["overlapping_versions"],
            anyone,
            nothing,
        )
    },
    Fault {
        effects: &["mass-price-change"],
        scope: Scope::Niche,
        edit: Some(price_of_zero),
        ..Fault::new(
            "zero-price",
            "C19",
            "configuration",
            &["unpriced-usage"],
            &["zero_price"],
            anyone,
            billed_at_edited_price,
        )
    },
    Fault {
        scope: Scope::Niche,
        edit: Some(price_threefold),
        ..Fault::new(
            "unapproved-price-change",
            "C20",
            "manual",
            &["mass-price-change"],
            &[],
            anyone,
            billed_at_edited_price,
        )
    },
    Fault {
        scope: Scope::Niche,
        ..Fault::new("launch-spike", "G1", "legitimate", &[], &[], anyone, launch)
    },
];

/// A fault of the price alone: its buyers are billed rightly.
fn nothing(_: &World, _: &mut Case, _: &mut Dice) -> Option<Harm> {
    None
}

/// What is used above the last bound has no price.
fn close_last_tier(_: &Timeline, price: &mut Price) {
    for version in &mut price.versions {
        let terms = &mut version.terms;
        if terms.tiers.is_empty() {
            let unit_price = terms.unit_price.take();
            *terms = tiered(
                Model::Graduated,
                &[(20_000, "0.04", ""), (5_000_000, "0.03", "")],
            );
            if let Some(first) = terms.tiers.first_mut() {
                first.unit_price = unit_price;
            }
        } else {
            terms.tiers.pop();
        }
    }
}

/// A newer version begins, and the one before is never closed.
fn overlap_versions(timeline: &Timeline, price: &mut Price) {
    add_version(timeline, price, |_| {});
    if let Some(first) = price.versions.first_mut() {
        first.to = None;
    }
}

fn price_of_zero(timeline: &Timeline, price: &mut Price) {
    add_version(timeline, price, |unit_price| *unit_price = 0);
}

fn price_threefold(timeline: &Timeline, price: &mut Price) {
    add_version(timeline, price, |unit_price| *unit_price *= 3);
}

/// A version from the last whole month on, with changed unit prices.
fn add_version(timeline: &Timeline, price: &mut Price, change: impl Fn(&mut i128)) {
    let from = add_months(timeline.newest(), -1);
    let Some(before) = price.versions.last_mut() else {
        return;
    };
    before.to = Some(from);
    let mut terms: Terms = before.terms.clone();
    terms.unit_price.iter_mut().for_each(&change);
    let tiers = terms.tiers.iter_mut();
    tiers.for_each(|tier| tier.unit_price.iter_mut().for_each(&change));
    price.versions.push(Version {
        from,
        to: None,
        terms,
    });
}

/// Billing followed the edit; the first version says what was agreed.
fn billed_at_edited_price(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let line = spot.line(case);
    let agreed = &spot.price(world, case).versions.first()?.terms;
    let expected = charge(agreed, line.currency, line.quantity?);
    (expected != line.amount).then(|| spot.harm(case, expected))
}

/// Everybody on the meter uses three times as much for three days: a launch, and no error.
fn launch(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let item = case.profile.usage_items().next()?;
    let from = (world.timeline.last_day() - 2) * DAY;
    let touched = within(case, item, from, world.timeline.as_of);
    let usual = total(&touched);
    let harm = usage_harm(case, item, &touched, (usual, usual * 3))?;
    for record in &mut case.usage[item] {
        if record.counts() && record.at >= from {
            record.quantity *= 3;
        }
    }
    case.bill_again(world);
    Some(harm)
}
