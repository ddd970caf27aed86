//! Mistakes in the terms of the right price: bounds of tiers, included units, minimum and maximum,
//! packages.

use super::price::with;
use crate::explain::candidate::{Amount, Candidate, Edit, each_unit_price};
use crate::explain::facts::Facts;
use crate::explain::mistake::Mistake;
use crate::explain::ratio::divide;
use crate::model::Decimal;
use crate::rating::{ChargeModel, PackageRounding, Price, Tier, rate};

const fn has_ranges(model: ChargeModel) -> bool {
    matches!(
        model,
        ChargeModel::Graduated
            | ChargeModel::Volume
            | ChargeModel::Stairstep
            | ChargeModel::TieredOverage
            | ChargeModel::GraduatedPercentage
    )
}

/// Bounds of tiers that are one off: exclusive in place of inclusive, or first units read as bounds.
pub(super) fn boundary_off_by_one(facts: &Facts<'_>) -> Vec<Candidate> {
    let price = &facts.line.price;
    if !has_ranges(price.charge_model) || price.tiers.len() < 2 {
        return Vec::new();
    }
    let readings = [
        (
            "exclusive",
            Decimal::from_units(-1),
            "the last unit of a tier belonged to the next one",
        ),
        (
            "one less",
            Decimal::from_i64(-1),
            "every tier ended one unit earlier",
        ),
        (
            "one more",
            Decimal::ONE,
            "the first unit of the next tier were the end of each",
        ),
    ];
    let mut found = Vec::new();
    for (variant, by, words) in readings {
        if let Some(tiers) = moved(&price.tiers, by) {
            let edit = with(price, |price| price.tiers = tiers);
            found.push(Candidate::new(Mistake::BoundaryOffByOne, variant, words, edit).weak());
        }
    }
    if let Some(tiers) = starts_as_ends(&price.tiers) {
        let words = "the start of each tier were its end";
        let edit = with(price, |price| price.tiers = tiers);
        let variant = "starts as ends";
        found.push(Candidate::new(Mistake::BoundaryOffByOne, variant, words, edit).weak());
    }
    found
}

/// The tiers with every bound moved; nothing where one would fall below zero.
fn moved(tiers: &[Tier], by: Decimal) -> Option<Vec<Tier>> {
    let tier = |tier: &Tier| {
        let up_to = match tier.up_to {
            Some(up_to) => Some(up_to.checked_add(by).filter(|up_to| !up_to.is_negative())?),
            None => None,
        };
        Some(Tier {
            up_to,
            ..tier.clone()
        })
    };
    tiers.iter().map(tier).collect()
}

/// Each tier with the bound of the one before: the first is left with nothing, the last stays open.
fn starts_as_ends(tiers: &[Tier]) -> Option<Vec<Tier>> {
    let last = tiers.len().checked_sub(2)?;
    let moved = |(at, (before, tier)): (usize, (&Tier, &Tier))| {
        Some(Tier {
            up_to: if at == last {
                None
            } else {
                Some(before.up_to?)
            },
            ..tier.clone()
        })
    };
    let pairs = tiers.iter().zip(tiers.iter().skip(1));
    pairs.enumerate().map(moved).collect()
}

/// One tier left out, or billed at nothing.
pub(super) fn missing_tier(facts: &Facts<'_>) -> Vec<Candidate> {
    let price = &facts.line.price;
    let count = price.tiers.len();
    if !has_ranges(price.charge_model) || count < 2 {
        return Vec::new();
    }
    let mut found = Vec::new();
    for at in 0..count {
        let number = at + 1;
        let mut left = price.tiers.clone();
        left.remove(at);
        let mut ways = Vec::new();
        if number == count {
            if price.charge_model == ChargeModel::Graduated {
                ways.push((left.clone(), "were missing, and its units were not billed"));
            }
            if let Some(last) = left.last_mut() {
                last.up_to = None;
            }
        }
        ways.push((
            left,
            "were missing, and its units fell to the one beside it",
        ));
        let mut free = price.tiers.clone();
        if let Some(tier) = free.get_mut(at) {
            let bound = tier.up_to;
            *tier = Tier {
                up_to: bound,
                unit_price: Some(Decimal::ZERO),
                ..Tier::default()
            };
        }
        ways.push((free, "were billed at nothing"));
        for (tiers, how) in ways {
            let words = format!("tier {number} of the price {how}");
            let edit = with(price, |price| price.tiers = tiers);
            let variant = format!("tier {number}");
            found.push(
                Candidate::new(Mistake::MissingTier, variant, words, edit)
                    .weak()
                    .with("missing_tier", number),
            );
        }
    }
    found
}

/// Included units charged, or taken off twice. A first tier without a price is an allowance too.
pub(super) fn included_units(facts: &Facts<'_>) -> Vec<Candidate> {
    let price = &facts.line.price;
    let mut found = Vec::new();
    let mut propose = |units: Decimal, ignored: Edit, twice: Option<Edit>| {
        let words = format!("the {units} included units were charged");
        found.push(Candidate::new(
            Mistake::IncludedUnitsIgnored,
            "",
            words,
            ignored,
        ));
        if let Some(twice) = twice {
            let words = format!("the {units} included units were taken off twice");
            found.push(Candidate::new(
                Mistake::IncludedUnitsTwice,
                "",
                words,
                twice,
            ));
        }
    };
    if let Some(units) = price.included_quantity.filter(|units| !units.is_zero()) {
        let ignored = with(price, |price| price.included_quantity = None);
        let twice = units.checked_add(units);
        let twice = twice.map(|twice| with(price, |price| price.included_quantity = Some(twice)));
        propose(units, ignored, twice);
    }
    let is_free = |tier: &&Tier| {
        let nothing = |value: Option<Decimal>| value.is_none_or(|value| value.is_zero());
        nothing(tier.unit_price) && nothing(tier.flat_fee) && nothing(tier.percentage_rate)
    };
    let first = price.tiers.first().filter(is_free);
    if has_ranges(price.charge_model)
        && price.included_quantity.is_none()
        && price.tiers.len() > 1
        && let Some(units) = first.and_then(|tier| tier.up_to)
    {
        let ignored = with(price, |price| {
            price.tiers.remove(0);
        });
        let twice = with(price, |price| price.included_quantity = Some(units));
        propose(units, ignored, Some(twice));
    }
    found
}

/// The least and the greatest amount, left out or applied where they do not bind.
pub(super) fn bounds(facts: &Facts<'_>) -> Vec<Candidate> {
    let price = &facts.line.price;
    let mut found = Vec::new();
    if let Some(minimum) = price.minimum_amount {
        let words = format!("there were no minimum of {minimum}");
        let ignored = with(price, |price| price.minimum_amount = None);
        found.push(Candidate::new(Mistake::MinimumIgnored, "", words, ignored));
        let due = rate(price, facts.quantity).map(|rated| rated.amount);
        if due.is_ok_and(|due| due > minimum) {
            let needless = [
                (
                    Amount::Instead(minimum),
                    format!("only the minimum of {minimum} were due"),
                ),
                (
                    Amount::Plus(minimum),
                    format!("the minimum of {minimum} came on top of the usage"),
                ),
            ];
            for (change, words) in needless {
                found.push(Candidate::new(
                    Mistake::MinimumAppliedWithoutNeed,
                    "",
                    words,
                    Edit::Amount(change),
                ));
            }
        }
    }
    if let Some(maximum) = price.maximum_amount {
        let words = format!("there were no maximum of {maximum}");
        let ignored = with(price, |price| price.maximum_amount = None);
        found.push(Candidate::new(Mistake::MaximumIgnored, "", words, ignored));
    }
    found
}

/// Packages that are not full counted the other way, or in parts.
pub(super) fn packages(facts: &Facts<'_>) -> Vec<Candidate> {
    let price = &facts.line.price;
    let in_tiers = price.tiers.iter().any(|tier| tier.package_size.is_some());
    if price.package_size.is_none() && !in_tiers {
        return Vec::new();
    }
    let own = price
        .package_rounding
        .unwrap_or(price.defaults.package_rounding);
    let (other, words) = match own {
        PackageRounding::Up => (
            PackageRounding::Down,
            "a package that is not full did not count",
        ),
        PackageRounding::Down => (PackageRounding::Up, "a package that is not full counted"),
    };
    let edit = with(price, |price| price.package_rounding = Some(other));
    let mut found = vec![Candidate::new(
        Mistake::PackageRoundedOtherWay,
        "",
        words,
        edit,
    )];
    if let Some(parted) = in_parts(price) {
        let words = "a part of a package cost its part of the price";
        let edit = Edit::Price(Box::new(parted));
        found.push(Candidate::new(Mistake::PackageNotRounded, "", words, edit));
    }
    found
}

/// The price with each package taken apart into units.
fn in_parts(price: &Price) -> Option<Price> {
    let mut parted = price.clone();
    parted.charge_model = match price.charge_model {
        ChargeModel::Package => ChargeModel::PerUnit,
        ChargeModel::GraduatedBlock => ChargeModel::Graduated,
        ChargeModel::VolumeBlock => ChargeModel::Volume,
        other => other,
    };
    if parted.unit_price.is_none() && price.charge_model == ChargeModel::Package {
        parted.unit_price = parted.flat_fee.take();
    }
    let size = parted.package_size.take();
    for tier in &mut parted.tiers {
        // A count of blocks is no bound in units.
        if tier.max_blocks.is_some() {
            return None;
        }
        if let (Some(size), Some(unit_price)) = (tier.package_size.take().or(size), tier.unit_price)
        {
            tier.unit_price = Some(divide(unit_price, size)?);
        }
    }
    let tiers = std::mem::take(&mut parted.tiers);
    if let Some(size) = size {
        each_unit_price(&mut parted, |unit_price| divide(unit_price, size))?;
    }
    parted.tiers = tiers;
    Some(parted)
}
