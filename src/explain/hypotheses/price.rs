//! Mistakes in the choice of the price: another one, another version, or another model of it.

use crate::explain::candidate::{Candidate, Edit};
use crate::explain::facts::{Facts, Offer};
use crate::explain::mistake::Mistake;
use crate::rating::{ChargeModel, Price};

/// The price with a change.
pub(super) fn with(price: &Price, change: impl FnOnce(&mut Price)) -> Edit {
    let mut price = price.clone();
    change(&mut price);
    Edit::Price(Box::new(price))
}

/// Graduated tiers read as volume tiers, or the reverse.
pub(super) fn tier_mode(facts: &Facts<'_>) -> Vec<Candidate> {
    let price = &facts.line.price;
    let (mistake, model, words) = match price.charge_model {
        ChargeModel::Graduated => (
            Mistake::GraduatedBilledAsVolume,
            ChargeModel::Volume,
            "all units were priced at the tier that the whole quantity reaches (volume), \
             not each at its own tier (graduated)",
        ),
        ChargeModel::Volume => (
            Mistake::VolumeBilledAsGraduated,
            ChargeModel::Graduated,
            "each unit was priced at its own tier (graduated), \
             not all at the tier that the whole quantity reaches (volume)",
        ),
        _ => return Vec::new(),
    };
    let edit = with(price, |price| price.charge_model = model);
    vec![Candidate::new(mistake, "", words, edit)]
}

/// Any other model that the same tiers and terms allow.
pub(super) fn other_charge_model(facts: &Facts<'_>) -> Vec<Candidate> {
    use ChargeModel::{
        Flat, Graduated, GraduatedBlock, Overage, Package, PerUnit, Stairstep, TieredOverage,
        Volume, VolumeBlock,
    };
    let price = &facts.line.price;
    let own = price.charge_model;
    let words: &[&str] = match own {
        Graduated | Volume => &["stairstep", "tiered_overage", "package"],
        Stairstep | TieredOverage => &["graduated", "volume", "stairstep", "tiered_overage"],
        GraduatedBlock => &["volume_block"],
        VolumeBlock => &["graduated_block"],
        Package | PerUnit | Overage => &["flat"],
        Flat => &["per_unit"],
        _ => &[],
    };
    let has_fees = price.tiers.iter().any(|tier| tier.flat_fee.is_some());
    let allowed = |word: &&&str| match **word {
        "stairstep" => has_fees,
        "tiered_overage" => price.overage_price.is_some(),
        "package" => price.package_size.is_some() && price.unit_price.is_some(),
        _ => true,
    };
    let mut found = Vec::new();
    for word in words
        .iter()
        .filter(allowed)
        .filter(|word| **word != own.as_str())
    {
        let mut other = price.clone();
        if other.suppose(word).is_ok() {
            let said = format!("the price were of the model {word}, not {own}");
            found.push(model(word, said, other));
        }
    }
    if matches!(
        own,
        Graduated | Volume | Stairstep | TieredOverage | GraduatedBlock | VolumeBlock
    ) && price.tiers.len() > 1
    {
        for (word, which) in [
            ("per_unit_first_tier", "first"),
            ("per_unit_last_tier", "last"),
        ] {
            let mut other = price.clone();
            if other.suppose(word).is_ok() {
                let said = format!("every unit were at the price of the {which} tier");
                found.push(model(word, said, other));
            }
        }
    }
    if matches!(own, Package | PerUnit | Overage) && price.package_size.is_some() {
        let mut other = price.clone();
        other.charge_model = PerUnit;
        other.package_size = None;
        if other.unit_price.is_none() {
            other.unit_price = other.flat_fee.take();
        }
        let said = "the price of a package were the price of one unit".to_owned();
        found.push(model("package as unit", said, other));
    }
    if own == ChargeModel::GraduatedPercentage {
        for (tier, which) in [(price.tiers.first(), "first"), (price.tiers.last(), "last")] {
            let mut other = price.clone();
            other.charge_model = ChargeModel::Percentage;
            other.percentage_rate = tier.and_then(|tier| tier.percentage_rate);
            let said = format!("the whole amount were at the rate of the {which} tier");
            found.push(model(&format!("rate of the {which} tier"), said, other));
        }
    }
    found
}

fn model(variant: &str, words: String, price: Price) -> Candidate {
    let edit = Edit::Price(Box::new(price));
    Candidate::new(Mistake::OtherChargeModel, variant, words, edit).weak()
}

/// A version of the same price that was not in force when the period began.
pub(super) fn other_version(facts: &Facts<'_>) -> Vec<Candidate> {
    let line = facts.line;
    let (Some(price_id), Some(in_force)) = (&line.price_id, line.price_from) else {
        return Vec::new();
    };
    let versions = line
        .offers
        .iter()
        .filter(|offer| offer.price_id == *price_id && offer.from != in_force);
    versions
        .map(|offer| {
            let from = spoken(offer);
            let (mistake, when) = if offer.from < in_force {
                (Mistake::PreviousPriceVersion, "earlier")
            } else {
                (Mistake::NextPriceVersion, "later")
            };
            let words = format!("the {when} version of the price, from {from}, were in force");
            let edit = Edit::Price(Box::new(offer.price.clone()));
            Candidate::new(mistake, from.clone(), words, edit).with("billed_version_from", from)
        })
        .collect()
}

fn spoken(offer: &Offer) -> String {
    offer
        .from
        .to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

/// Whether the version was in force when the line's period began.
fn was_in_force(facts: &Facts<'_>, offer: &Offer) -> bool {
    facts
        .line
        .period
        .is_none_or(|(start, _)| offer.from <= start && offer.to.is_none_or(|to| start < to))
}

fn is_same_currency(facts: &Facts<'_>, offer: &Offer) -> bool {
    offer
        .currency
        .as_ref()
        .is_none_or(|currency| currency.eq_ignore_ascii_case(facts.currency))
}

/// Another price of the same product or meter.
pub(super) fn other_plan(facts: &Facts<'_>) -> Vec<Candidate> {
    let own = facts.line.price_id.as_deref();
    let offers = facts.line.offers.iter().filter(|offer| {
        own != Some(offer.price_id.as_str())
            && is_same_currency(facts, offer)
            && was_in_force(facts, offer)
    });
    offers
        .map(|offer| {
            let id = offer.price_id.as_str();
            let words = format!("price {id} of the same product or meter were the item's own");
            let edit = Edit::Price(Box::new(offer.price.clone()));
            Candidate::new(Mistake::PriceOfOtherPlan, id, words, edit)
                .alone()
                .with("billed_price_id", id)
        })
        .collect()
}

/// The amount of the same product or meter in another currency.
pub(super) fn other_currency(facts: &Facts<'_>) -> Vec<Candidate> {
    let offers = facts
        .line
        .offers
        .iter()
        .filter(|offer| !is_same_currency(facts, offer) && was_in_force(facts, offer));
    offers
        .map(|offer| {
            let id = offer.price_id.as_str();
            let currency = offer.currency.clone().unwrap_or_default();
            let words = format!("the {currency} amount of price {id} were the amount");
            let edit = Edit::Price(Box::new(offer.price.clone()));
            Candidate::new(Mistake::OtherCurrency, currency.clone(), words, edit)
                .alone()
                .with("billed_price_id", id)
                .with("billed_currency", currency)
        })
        .collect()
}
