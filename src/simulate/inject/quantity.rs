//! The right usage in the wrong quantity: another unit, another aggregation, counted in two places.

use super::spot::{Spot, insert, main_price, plain, sensitive, summed, total, usage_harm, within};
use crate::simulate::case::Case;
use crate::simulate::catalogue::{Aggregation, Model};
use crate::simulate::draw::{item, usage_of};
use crate::simulate::fault::{Fault, Harm};
use crate::simulate::invoice::{Kind, Line};
use crate::simulate::profile::Profile;
use crate::simulate::random::Dice;
use crate::simulate::time::DAY;
use crate::simulate::world::World;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "unit-factor",
        "A14",
        "data_quality",
        &["unit-slip", "usage-spike"],
        &["unit_factor", "item_unit_changed"],
        summed,
        unit_factor,
    )
    .seen_by(&["impossible-usage", "usage-drift"])
    .apart(),
    Fault::new(
        "unit-factor-billed",
        "A14",
        "data_quality",
        &["quantity-mismatch"],
        &["unit_factor"],
        sensitive,
        unit_factor_billed,
    ),
    Fault::new(
        "wrong-aggregation",
        "A15",
        "configuration",
        &["wrong-aggregation", "quantity-mismatch"],
        &["other_aggregation", "billed_as_sum"],
        levelled,
        wrong_aggregation,
    ),
    Fault::new(
        "double-bucket",
        "A16",
        "configuration",
        &["double-bucket", "quantity-mismatch"],
        &["filters_overlap"],
        sensitive,
        double_bucket,
    )
    .seen_by(&["duplicate-line", "period-overlap", "tier-miscalculation"]),
    Fault::new(
        "same-usage-two-meters",
        "A16",
        "configuration",
        &["double-bucket"],
        &["meters_share_records"],
        has_other_meter,
        same_usage_two_meters,
    ),
];

/// From the last two days on quantities come in another unit.
fn unit_factor(world: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let factor = [60, 1_000, 1_024, 3_600][dice.index(4)];
    let spot = Spot::of(case)?;
    let from = (world.timeline.last_day() - 1) * DAY;
    let touched = within(case, spot.item, from, from + 2 * DAY);
    let right = total(&touched);
    let harm = usage_harm(case, spot.item, &touched, (right, right * factor))?;
    for record in &mut case.usage[spot.item] {
        if record.counts() && record.at >= from {
            record.quantity *= factor;
        }
    }
    case.bill_again(world);
    Some(harm)
}

/// The quantity is carried into billing in another unit.
fn unit_factor_billed(world: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let factor = [60, 100, 1_000, 1_024][dice.index(4)];
    let spot = Spot::of(case)?;
    let quantity = spot.line(case).quantity? * factor;
    spot.set_quantity(world, case, quantity)
}

/// A meter of levels with one price for a unit.
fn levelled(world: &World, profile: &Profile) -> bool {
    let Some(place) = main_price(profile) else {
        return false;
    };
    let is_level = matches!(
        world.catalogue.aggregation_of(place),
        Aggregation::Max | Aggregation::Last
    );
    let models = &world.catalogue.prices[place].versions;
    let is_linear = models
        .iter()
        .all(|version| version.terms.model == Model::PerUnit);
    plain(world, profile) && is_level && is_linear
}

/// Levels are added up.
fn wrong_aggregation(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let line = spot.line(case);
    let records = within(case, spot.item, line.start, line.stop);
    spot.set_quantity(world, case, total(&records))
}

/// A part of the usage matches two filters and is billed by both.
fn double_bucket(world: &World, case: &mut Case, _: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let quantity = spot.line(case).quantity? * 2 / 5;
    let amount = spot.due(world, case, quantity)?;
    if amount == 0 {
        return None;
    }
    let mut second: Line = spot.line(case).clone();
    let invoice = &mut case.invoices[spot.invoice];
    second.id = format!("{}-f", second.id);
    second.description = format!("{} (EU)", second.description);
    (second.quantity, second.amount) = (Some(quantity), amount);
    second.tiers = None;
    let id = second.id.clone();
    invoice.lines.insert(spot.line + 1, second);
    invoice.close(&case.profile);
    let mut harm = spot.harm(case, 0);
    harm.records[0] = ("invoice_line", id);
    harm.actual = Some(amount);
    let line = spot.line(case).id.clone();
    harm.records.push(("invoice_line", line));
    Some(harm)
}

/// A price of the same source and currency for a meter that the subscription does not have.
fn other_price(world: &World, profile: &Profile) -> Option<usize> {
    let catalogue = &world.catalogue;
    let meter_of = |place: usize| catalogue.prices[place].meter;
    let is_other = |place: &usize| {
        let price = &catalogue.prices[*place];
        price.currency == profile.currency
            && price.is_sensitive()
            && catalogue.aggregation_of(*place) == Aggregation::Sum
            && profile
                .items
                .iter()
                .all(|item| meter_of(item.price) != price.meter)
    };
    let prices = catalogue.usage_prices(profile.source, false);
    prices.into_iter().find(is_other)
}

fn has_other_meter(world: &World, profile: &Profile) -> bool {
    sensitive(world, profile) && other_price(world, profile).is_some()
}

/// From the last period on, another meter counts the very same events, and both are billed.
fn same_usage_two_meters(world: &World, case: &mut Case, dice: &mut Dice) -> Option<Harm> {
    let spot = Spot::of(case)?;
    let price = other_price(world, &case.profile)?;
    let from = spot.invoice(case).period.full_start;
    let second = usage_of(item(&case.profile, price, from, dice));
    let place = case.profile.items.len();
    let copies = within(case, spot.item, from, world.timeline.as_of);
    case.profile.items.push(second);
    case.usage.push(Vec::new());
    insert(case, place, &copies);
    case.bill_again(world);
    let spot = Spot::of(case)?;
    let line = case.invoices[spot.invoice].find(Kind::Usage, place)?;
    let second = Spot {
        item: place,
        line,
        ..spot
    };
    let mut harm = second.harm(case, 0);
    let first = spot.line(case).id.clone();
    harm.records.push(("invoice_line", first));
    Some(harm)
}
