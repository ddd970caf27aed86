//! The right quantity at the wrong price: another tier mode, another version.
//!
//! Amounts under the mistake come from the simulation's own rating, like the right ones.

use super::spot::{Spot, main_price, sensitive};
use crate::simulate::case::Case;
use crate::simulate::catalogue::{Model, Price, Terms};
use crate::simulate::fault::{Fault, Harm};
use crate::simulate::profile::Profile;
use crate::simulate::random::Dice;
use crate::simulate::rating::charge;
use crate::simulate::world::World;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "graduated-billed-as-volume",
        "C1",
        "configuration",
        &["tier-miscalculation"],
        &["graduated_billed_as_volume"],
        graduated,
        as_volume,
    ),
    Fault::new(
        "volume-billed-as-graduated",
        "C1",
        "configuration",
        &["tier-miscalculation"],
        &["volume_billed_as_graduated"],
        volume,
        as_graduated,
    ),
    Fault::new(
        "previous-price-version",
        "C6",
        "configuration",
        &["tier-miscalculation"],
        &["previous_price_version"],
        has_previous,
        previous_version,
    ),
    Fault::new(
        "next-price-version",
        "C6",
        "configuration",
        &["tier-miscalculation"],
        &["next_price_version"],
        has_next,
        next_version,
    ),
];

/// Whether the first usage item's price satisfies a condition, on a subscription that shows it.
pub(super) fn priced(world: &World, profile: &Profile, is_it: impl Fn(&Price) -> bool) -> bool {
    let price = main_price(profile).map(|place| &world.catalogue.prices[place]);
    sensitive(world, profile) && price.is_some_and(is_it)
}

fn is_model(price: &Price, model: Model) -> bool {
    price
        .versions
        .iter()
        .all(|version| version.terms.model == model)
}

fn graduated(world: &World, profile: &Profile) -> bool {
    priced(world, profile, |price| is_model(price, Model::Graduated))
}

fn volume(world: &World, profile: &Profile) -> bool {
    priced(world, profile, |price| is_model(price, Model::Volume))
}

fn as_volume(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    as_model(world, case, Model::Volume)
}

fn as_graduated(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    as_model(world, case, Model::Graduated)
}

fn as_model(world: &World, case: &mut Case, model: Model) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let terms = Terms {
        model,
        ..spot.terms(world, case)?
    };
    bill_by(case, spot, &terms)
}

/// Bills the line's quantity by other terms.
pub(super) fn bill_by(case: &mut Case, spot: Spot, terms: &Terms) -> Option<Harm> {
    let line = spot.line(case);
    let amount = charge(terms, line.currency, line.quantity?);
    spot.overcharge(case, amount)
}

/// The places of the versions around the one in force for the last period.
fn has_previous(world: &World, profile: &Profile) -> bool {
    let rise = world.timeline.rise();
    priced(world, profile, |price| {
        price.versions.iter().any(|version| version.from == rise)
    })
}

fn has_next(world: &World, profile: &Profile) -> bool {
    let newest = world.timeline.newest();
    priced(world, profile, |price| {
        price.versions.iter().any(|version| version.from == newest)
    })
}

fn previous_version(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let at = spot.line(case).start;
    let price = spot.price(world, case);
    let current = price.version_at(at)?.from;
    let before = price
        .versions
        .iter()
        .rfind(|version| version.from < current)?;
    let terms = before.terms.clone();
    bill_by(case, spot, &terms)
}

fn next_version(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let at = spot.line(case).start;
    let price = spot.price(world, case);
    let current = price.version_at(at)?.from;
    let after = price
        .versions
        .iter()
        .find(|version| version.from > current)?;
    let terms = after.terms.clone();
    bill_by(case, spot, &terms)
}
