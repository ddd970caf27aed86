//! The right price with one of its terms misread: a bound, an allowance, a least or greatest amount,
//! a unit, the end of a discount; or the price of another plan.

use super::rating::{bill_by, priced};
use super::spot::{Spot, has_alternate, main_price, plain, sensitive, settled};
use crate::simulate::case::Case;
use crate::simulate::catalogue::{Model, Price, Terms};
use crate::simulate::fault::{Fault, Harm};
use crate::simulate::invoice::{Kind, Line};
use crate::simulate::money::ONE;
use crate::simulate::profile::Profile;
use crate::simulate::random::Dice;
use crate::simulate::time::DAY;
use crate::simulate::world::World;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "boundary-off-by-one",
        "C2",
        "engine_defect",
        &["tier-miscalculation"],
        &["boundary_off_by_one"],
        steep,
        boundary_off_by_one,
    ),
    Fault::new(
        "price-of-other-plan",
        "C8",
        "configuration",
        &["tier-miscalculation"],
        &["price_of_other_plan"],
        has_alternate,
        price_of_other_plan,
    ),
    Fault::new(
        "discount-after-end",
        "C8",
        "configuration",
        &["discount-expired"],
        &["discount_expired"],
        has_discount,
        discount_after_end,
    ),
    Fault::new(
        "included-units-ignored",
        "C10",
        "configuration",
        &["tier-miscalculation"],
        &["included_units_ignored"],
        has_included,
        included_ignored,
    ),
    Fault::new(
        "included-units-twice",
        "C10",
        "configuration",
        &["tier-miscalculation"],
        &["included_units_twice"],
        has_included,
        included_twice,
    ),
    Fault::new(
        "minimum-ignored",
        "C11",
        "configuration",
        &["minimum-charge", "tier-miscalculation"],
        &["minimum_ignored"],
        has_minimum,
        minimum_ignored,
    )
    .seen_by(&["missing-expected-charge"]),
    Fault::new(
        "maximum-ignored",
        "C12",
        "configuration",
        &["minimum-charge", "tier-miscalculation"],
        &["maximum_ignored"],
        has_maximum,
        maximum_ignored,
    ),
    Fault::new(
        "price-per-other-unit",
        "A14",
        "data_quality",
        &["tier-miscalculation"],
        &["unit_factor"],
        sensitive,
        price_per_other_unit,
    ),
];

/// Whether every version of the first usage item's price satisfies a condition.
fn offers(world: &World, profile: &Profile, is_it: impl Fn(&Terms) -> bool) -> bool {
    let price = main_price(profile).map(|place| &world.catalogue.prices[place]);
    let is_so = |price: &Price| price.versions.iter().all(|version| is_it(&version.terms));
    plain(world, profile) && price.is_some_and(is_so)
}

/// Bills the last line by its terms after something was done to them.
fn misread(world: &World, case: &mut Case, change: impl FnOnce(&mut Terms)) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let mut terms = spot.terms(world, case)?;
    change(&mut terms);
    bill_by(case, spot, &terms)
}

/// One unit more or less in a tier is worth more than rounding can hide.
fn steep(world: &World, profile: &Profile) -> bool {
    let is_steep = |terms: &Terms| {
        let prices: Vec<i128> = terms
            .tiers
            .iter()
            .map(|tier| tier.unit_price.unwrap_or(0))
            .collect();
        let first = terms.tiers.first().and_then(|tier| tier.up_to);
        terms.model == Model::Graduated
            && first.is_some_and(|up_to| up_to > ONE)
            && prices
                .windows(2)
                .any(|pair| (pair[0] - pair[1]).abs() * 2 >= ONE)
    };
    priced(world, profile, |price| {
        price
            .versions
            .iter()
            .all(|version| is_steep(&version.terms))
    })
}

fn boundary_off_by_one(world: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let by = if dice.per_cent(50) { ONE } else { -ONE };
    misread(world, case, |terms| {
        for up_to in terms
            .tiers
            .iter_mut()
            .filter_map(|tier| tier.up_to.as_mut())
        {
            *up_to += by;
        }
    })
}

fn price_of_other_plan(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let at = spot.line(case).start;
    let other = spot.price(world, case).alternate?;
    let terms = world.catalogue.prices[other].terms_at(at)?;
    bill_by(case, spot, terms)
}

fn has_discount(world: &World, profile: &Profile) -> bool {
    settled(world, profile) && profile.discount.is_some()
}

/// It ended within the period before the last, and the last invoice gives it all the same.
fn discount_after_end(world: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let before = case.invoices.len().checked_sub(2)?;
    let is_discount = |line: &&Line| line.kind == Kind::Discount;
    case.invoices.last()?.lines.iter().find(is_discount)?;
    let day = case.invoices[before].period.full_start / DAY + dice.between(5, 20);
    case.profile.discount_end = Some(day * DAY);
    case.bill_again(world);
    let invoice = case.invoices.last()?;
    let line = invoice.lines.iter().find(is_discount)?;
    Some(Harm {
        records: vec![
            ("invoice_line", line.id.clone()),
            ("invoice", invoice.id.clone()),
        ],
        expected: Some(0),
        actual: Some(line.amount),
        is_money: true,
        visible: invoice.created,
    })
}

fn has_included(world: &World, profile: &Profile) -> bool {
    offers(world, profile, |terms| terms.included.is_some())
}

fn included_ignored(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    misread(world, case, |terms| terms.included = None)
}

fn included_twice(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    misread(world, case, |terms| {
        terms.included = terms.included.map(|units| units * 2);
    })
}

fn has_minimum(world: &World, profile: &Profile) -> bool {
    offers(world, profile, |terms| {
        terms.minimum.is_some() && terms.maximum.is_none()
    })
}

/// Where what is missing to the minimum is a line of its own, the line is missing.
fn minimum_ignored(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    if !spot.price(world, case).has_minimum_line {
        return misread(world, case, |terms| terms.minimum = None);
    }
    let invoice = &mut case.invoices[spot.invoice];
    let place = invoice.find(Kind::Minimum, spot.item)?;
    let missing = invoice.lines.remove(place).amount;
    invoice.close(&case.profile);
    let expected = spot.line(case).amount + missing;
    Some(spot.harm(case, expected))
}

fn has_maximum(world: &World, profile: &Profile) -> bool {
    offers(world, profile, |terms| {
        terms.maximum.is_some() && terms.minimum.is_none()
    })
}

fn maximum_ignored(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    misread(world, case, |terms| terms.maximum = None)
}

/// A price for sixty, or for ten thousand, is taken for the price of one.
fn price_per_other_unit(world: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let factor: i128 = [60, 10_000][dice.index(2)];
    misread(world, case, |terms| {
        let of_tiers = terms.tiers.iter_mut().map(|tier| &mut tier.unit_price);
        for price in of_tiers.chain([&mut terms.unit_price]).flatten() {
            *price *= factor;
        }
    })
}
