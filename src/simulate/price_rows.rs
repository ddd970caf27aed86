//! Rows of `meters` and `prices`: what is on sale, version by version.
//!
//! The order of the cells is that of the columns in `sink`. Nothing is computed here.

use super::catalogue::{Aggregation, CHARGEBEE, EVENTS, Price, Terms, Tier, ZUORA};
use super::columns::Cell;
use super::error::SimulateError;
use super::money::plain;
use super::sink::{Sink, Table};
use super::time::{DAY, Micros};
use super::world::World;

/// Meters and prices of every source.
pub(super) fn catalogue(world: &World, sink: &mut Sink) -> Result<(), SimulateError> {
    let since = world.timeline.first - 30 * DAY;
    for meter in &world.catalogue.meters {
        let title = meter.name.replace('_', " ");
        let cells = [
            Cell::Text(&meter.name),
            Cell::Text(&title),
            Cell::Text(meter.unit),
            Cell::Text(meter.aggregation.name()),
            Cell::Time(since),
        ];
        sink.row(meter.source, Table::Meters, &cells)?;
        let is_measured = matches!(meter.aggregation, Aggregation::Sum | Aggregation::Count);
        if is_measured && !meter.name.starts_with("beta_") {
            sink.row(EVENTS, Table::Meters, &cells)?;
        }
    }
    for (place, price) in world.catalogue.prices.iter().enumerate() {
        for version in &price.versions {
            let span = (version.from, version.to);
            price_row(world, place, price, &version.terms, span, sink)?;
        }
    }
    Ok(())
}

fn price_row(
    world: &World,
    place: usize,
    price: &Price,
    terms: &Terms,
    (from, to): (Micros, Option<Micros>),
    sink: &mut Sink,
) -> Result<(), SimulateError> {
    let meter = world.catalogue.meter_of(place);
    let product = format!("product-{}", price.product.replace(' ', "-"));
    let tiers = (!terms.tiers.is_empty()).then(|| tiers_json(&terms.tiers));
    // Zuora spells out what the others leave to their defaults.
    let is_explicit = price.source == ZUORA || terms.rounds_down;
    let mode = if terms.rounds_down { "down" } else { "half_up" };
    let scale = if terms.whole_units {
        Cell::Number(0)
    } else {
        Cell::Null
    };
    let kind = if meter.is_some() {
        "usage"
    } else {
        "recurring"
    };
    let is_package = terms.package_size.is_some() && price.source == CHARGEBEE;
    sink.row(
        price.source,
        Table::Prices,
        &[
            Cell::Text(&price.id),
            Cell::Text(&product),
            Cell::Text(&price.product),
            Cell::Text(price.currency),
            Cell::Text(terms.model.name()),
            Cell::Text(kind),
            Cell::text(meter.map(|meter| meter.name.as_str())),
            Cell::text(meter.map(|meter| meter.unit)),
            Cell::text(meter.map(|meter| meter.aggregation.name())),
            Cell::Text("month"),
            Cell::Number(1),
            Cell::amount(terms.unit_price),
            Cell::amount(terms.flat_fee),
            Cell::amount(terms.package_size),
            Cell::text(is_package.then_some("up")),
            Cell::amount(terms.included),
            Cell::amount(terms.overage_price),
            Cell::amount(terms.percentage_rate),
            Cell::amount(terms.minimum),
            Cell::amount(terms.maximum),
            Cell::text(tiers.as_deref()),
            Cell::text(is_explicit.then_some("line")),
            Cell::text(is_explicit.then_some(mode)),
            Cell::text(terms.whole_units.then_some("up")),
            scale,
            Cell::Time(from),
            Cell::time(to),
            Cell::Flag(true),
            Cell::Time(from),
        ],
    )
}

fn tiers_json(tiers: &[Tier]) -> String {
    let tiers: Vec<String> = tiers
        .iter()
        .map(|tier| {
            let values = [
                ("up_to", tier.up_to),
                ("unit_price", tier.unit_price),
                ("flat_fee", tier.flat_fee),
                ("package_size", tier.package_size),
                ("percentage_rate", tier.percentage_rate),
            ];
            let cells: Vec<String> = values
                .iter()
                .filter_map(|(name, value)| {
                    value.map(|value| format!("\"{name}\":\"{}\"", plain(value)))
                })
                .collect();
            format!("{{{}}}", cells.join(","))
        })
        .collect();
    format!("[{}]", tiers.join(","))
}
