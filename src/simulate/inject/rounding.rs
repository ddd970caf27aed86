//! The right charge as another sum of money: rounded elsewhere, in minor units, in another currency.

use super::rating::priced;
use super::spot::{Spot, sensitive};
use crate::simulate::case::Case;
use crate::simulate::catalogue::{Model, Terms};
use crate::simulate::fault::{Fault, Harm};
use crate::simulate::money::{Rounding, decimals, round_wide, widen};
use crate::simulate::profile::Profile;
use crate::simulate::random::Dice;
use crate::simulate::rating::{charge, exact, parts, round};
use crate::simulate::world::World;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "rounded-per-unit",
        "C15",
        "engine_defect",
        &["tier-miscalculation"],
        &["rounded_per_unit"],
        fine_grained,
        rounded_per_unit,
    ),
    Fault::new(
        "rounded-per-tier",
        "C15",
        "engine_defect",
        &["tier-miscalculation"],
        &["rounded_per_tier"],
        uneven_tiers,
        rounded_per_tier,
    ),
    Fault::new(
        "truncated",
        "C15",
        "engine_defect",
        &["tier-miscalculation"],
        &["truncated"],
        rounds_half_up,
        truncated,
    ),
    Fault::new(
        "currency-mismatch",
        "C17",
        "configuration",
        &["currency-mismatch"],
        &["other_currency"],
        sensitive,
        currency_mismatch,
    ),
    Fault::new(
        "minor-unit-slip",
        "C17",
        "data_quality",
        &["tier-miscalculation"],
        &["minor_unit_slip"],
        sensitive,
        minor_unit_slip,
    ),
];

/// How many units of usage may be added until a way of rounding makes a difference.
const NUDGES: i128 = 1_000;

/// What a quantity comes to, in some way of rounding.
type Way = fn(&Terms, &str, i128) -> i128;

/// Bills the last line in another way, after as little more usage as makes a difference.
fn rounded(world: &World, case: &mut Case, way: Way) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let terms = spot.terms(world, case)?;
    let one = world
        .catalogue
        .least_unit_of(case.profile.items[spot.item].price);
    let line = spot.line(case);
    let (currency, span) = (line.currency, line.start..line.stop);
    let used = line.quantity?;
    let is_other = |used: &i128| way(&terms, currency, *used) != charge(&terms, currency, *used);
    let nudged = (0..NUDGES).map(|more| used + more * one).find(is_other)?;
    let record = case.usage[spot.item]
        .iter_mut()
        .rfind(|record| record.counts() && span.contains(&record.at))?;
    record.quantity += nudged - used;
    case.bill_again(world);
    let spot = Spot::of(case)?;
    spot.overcharge(case, way(&terms, currency, nudged))
}

/// Sold by the unit, at a price of more decimals than the currency has.
fn fine_grained(world: &World, profile: &Profile) -> bool {
    priced(world, profile, |price| {
        price.versions.iter().all(|version| {
            let whole = |price_of_one| in_minor_units(price_of_one, price.currency);
            version.terms.model == Model::PerUnit
                && version
                    .terms
                    .unit_price
                    .is_some_and(|each| whole(each) != each && whole(each) != 0)
        })
    })
}

fn in_minor_units(amount: i128, currency: &str) -> i128 {
    round_wide(widen(amount), decimals(currency), Rounding::HalfUp)
}

fn rounded_per_unit(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    rounded(world, case, |terms, currency, quantity| {
        let unit_price = terms.unit_price.map(|each| in_minor_units(each, currency));
        let coarse = Terms {
            unit_price,
            ..terms.clone()
        };
        charge(&coarse, currency, quantity)
    })
}

/// Graduated, with a full tier that is no whole amount.
fn uneven_tiers(world: &World, profile: &Profile) -> bool {
    priced(world, profile, |price| {
        price.versions.iter().all(|version| {
            let terms = &version.terms;
            let full = terms.tiers.first().and_then(|tier| tier.up_to);
            let is_uneven = |full| {
                let amount = exact(terms, full);
                widen(round(terms, price.currency, amount)) != amount
            };
            terms.model == Model::Graduated && full.is_some_and(is_uneven)
        })
    })
}

fn rounded_per_tier(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    rounded(world, case, |terms, currency, quantity| {
        let parts = parts(terms, quantity);
        let amounts = parts.iter().map(|part| round(terms, currency, part.amount));
        amounts.sum()
    })
}

fn rounds_half_up(world: &World, profile: &Profile) -> bool {
    priced(world, profile, |price| {
        price
            .versions
            .iter()
            .all(|version| !version.terms.rounds_down)
    })
}

fn truncated(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    rounded(world, case, |terms, currency, quantity| {
        round_wide(exact(terms, quantity), decimals(currency), Rounding::Down)
    })
}

/// The line says another currency than its invoice and its price.
fn currency_mismatch(_: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let line = &mut case.invoices[spot.invoice].lines[spot.line];
    if line.amount == 0 {
        return None;
    }
    line.currency = if line.currency == "USD" { "EUR" } else { "USD" };
    // What it should be in the right currency is not known.
    Some(Harm {
        expected: None,
        ..spot.harm(case, 0)
    })
}

/// The amount in minor units is taken for one in major units.
fn minor_unit_slip(_: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let line = spot.line(case);
    let factor = if decimals(line.currency) == 3 {
        1_000
    } else {
        100
    };
    let amount = line.amount * factor;
    spot.overcharge(case, amount)
}
