//! Rows of the canonical tables from the subscriptions and invoices of the world.
//!
//! The order of the cells is that of the columns in `sink`. Nothing is computed here.

use super::billing::run_id;
use super::case::{Adjustment, Case};
use super::catalogue::{EVENTS, SOURCES, ZUORA};
use super::columns::Cell;
use super::error::SimulateError;
use super::invoice::{Invoice, Line, State};
use super::profile::{Item, Profile};
use super::sink::{Sink, Table};
use super::time::{DAY, HOUR, Micros, day_of};
use super::world::World;

/// The customer, the subscription and its items.
pub(super) fn identity(
    world: &World,
    profile: &Profile,
    sink: &mut Sink,
) -> Result<(), SimulateError> {
    let timezone = match profile.currency {
        "EUR" => "Europe/Berlin",
        "JPY" => "Asia/Tokyo",
        "KWD" => "Asia/Kuwait",
        _ => "America/New_York",
    };
    let source = profile.source;
    sink.row(
        source,
        Table::Customers,
        &[
            Cell::Text(&profile.customer),
            Cell::text(profile.parent.as_deref()),
            Cell::Text(&profile.name),
            Cell::Text("active"),
            Cell::Text(profile.currency),
            Cell::Text(timezone),
            Cell::Flag(profile.is_test),
            Cell::Time(profile.started - 3 * DAY),
            Cell::Time(profile.started),
        ],
    )?;
    let as_of = world.timeline.as_of;
    let status = match (profile.ended, profile.trial_end) {
        (Some(_), _) => "cancelled",
        (None, Some(end)) if end > as_of => "trialing",
        _ => "active",
    };
    let (start, stop) = profile.running(as_of);
    let is_running = profile.ended.is_none();
    let number = format!("S-{:07}", profile.number);
    sink.row(
        source,
        Table::Subscriptions,
        &[
            Cell::Text(&profile.subscription),
            Cell::Text(&number),
            Cell::Text(&profile.customer),
            Cell::Text(status),
            Cell::Text(profile.currency),
            Cell::Time(profile.started),
            Cell::time(profile.trial_end),
            Cell::time(profile.ended),
            Cell::time(profile.ended),
            Cell::time(is_running.then_some(start)),
            Cell::time(is_running.then_some(stop)),
            Cell::Time(profile.anchor),
            Cell::Time(profile.ended.unwrap_or(profile.started)),
        ],
    )?;
    profile
        .items
        .iter()
        .try_for_each(|item| subscription_item(world, profile, item, sink))
}

fn subscription_item(
    world: &World,
    profile: &Profile,
    item: &Item,
    sink: &mut Sink,
) -> Result<(), SimulateError> {
    let end = profile.end_of(item);
    let meter = world.catalogue.meter_of(item.price);
    sink.row(
        profile.source,
        Table::Items,
        &[
            Cell::Text(&item.id),
            Cell::Text(&profile.subscription),
            Cell::Text(&profile.customer),
            Cell::Text(&world.catalogue.prices[item.price].id),
            Cell::text(meter.map(|meter| meter.name.as_str())),
            Cell::amount(item.quantity),
            Cell::Time(item.from),
            Cell::time(end),
            Cell::Time(end.unwrap_or(item.from)),
        ],
    )
}

/// The invoices of a subscription, their lines and its credit notes.
pub(super) fn billing(world: &World, case: &Case, sink: &mut Sink) -> Result<(), SimulateError> {
    for invoice in &case.invoices {
        invoice_row(&case.profile, invoice, sink)?;
        for line in &invoice.lines {
            line_row(world, &case.profile, invoice, line, sink)?;
        }
    }
    case.adjustments
        .iter()
        .try_for_each(|adjustment| adjustment_row(&case.profile, adjustment, sink))
}

fn invoice_row(profile: &Profile, invoice: &Invoice, sink: &mut Sink) -> Result<(), SimulateError> {
    let day = day_of(invoice.created);
    let target = match invoice.run {
        Some(_) => Cell::Date(day),
        None => Cell::Null,
    };
    let due = match invoice.state {
        State::Paid | State::Void => 0,
        State::Draft | State::Pending | State::Open => invoice.total,
    };
    sink.row(
        profile.source,
        Table::Invoices,
        &[
            Cell::Text(&invoice.id),
            Cell::text(invoice.number.as_deref()),
            Cell::Text(&profile.customer),
            Cell::Text(&profile.subscription),
            Cell::text(invoice.run.as_deref()),
            Cell::Text(invoice.state.name()),
            Cell::Text(invoice.currency),
            Cell::Date(day),
            target,
            Cell::Time(invoice.created + 30 * DAY),
            Cell::time(invoice.finalizes),
            Cell::time(invoice.finalized),
            Cell::Time(invoice.period.start),
            Cell::Time(invoice.period.stop),
            Cell::Amount(invoice.subtotal),
            Cell::Amount(invoice.discount),
            Cell::Amount(invoice.tax),
            Cell::Amount(invoice.total),
            Cell::Amount(due),
            Cell::Time(invoice.created),
            Cell::Time(invoice.finalized.unwrap_or(invoice.created)),
        ],
    )
}

fn line_row(
    world: &World,
    profile: &Profile,
    invoice: &Invoice,
    line: &Line,
    sink: &mut Sink,
) -> Result<(), SimulateError> {
    let item = line.item.and_then(|place| profile.items.get(place));
    let price = line
        .price
        .and_then(|place| world.catalogue.prices.get(place));
    let meter = line.price.and_then(|place| world.catalogue.meter_of(place));
    sink.row(
        profile.source,
        Table::Lines,
        &[
            Cell::Text(&line.id),
            Cell::Text(&invoice.id),
            Cell::Text(&profile.customer),
            Cell::Text(&profile.subscription),
            Cell::text(item.map(|item| item.id.as_str())),
            Cell::text(price.map(|price| price.id.as_str())),
            Cell::text(meter.map(|meter| meter.name.as_str())),
            Cell::Text(line.kind.name()),
            Cell::Text(&line.description),
            Cell::amount(line.quantity),
            Cell::amount(line.unit_price),
            Cell::Amount(line.amount),
            Cell::Text(line.currency),
            Cell::Time(line.start),
            Cell::Time(line.stop),
            Cell::Flag(line.is_prorated),
            Cell::text(line.tiers.as_deref()),
            Cell::text(line.attributes.as_deref()),
            Cell::Time(invoice.finalized.unwrap_or(invoice.created)),
        ],
    )
}

fn adjustment_row(
    profile: &Profile,
    adjustment: &Adjustment,
    sink: &mut Sink,
) -> Result<(), SimulateError> {
    sink.row(
        profile.source,
        Table::Adjustments,
        &[
            Cell::Text(&adjustment.id),
            Cell::Text(&adjustment.invoice),
            Cell::Text(&adjustment.line),
            Cell::Text(&profile.customer),
            Cell::Text("credit"),
            Cell::Text(adjustment.reason),
            Cell::Amount(adjustment.amount),
            Cell::Text(profile.currency),
            Cell::Time(adjustment.created),
            Cell::Time(adjustment.created),
        ],
    )
}

/// A run of the night, and how it ended.
pub(super) struct Run {
    pub(super) id: String,
    pub(super) status: &'static str,
    pub(super) day: i64,
    pub(super) created: Micros,
    pub(super) executed: Micros,
}

impl Run {
    /// The sound run of a day; posted once its invoices are final.
    pub(super) fn of_day(world: &World, day: i64) -> Self {
        let created = day * DAY + HOUR;
        let is_final = created + HOUR <= world.timeline.draft_since();
        Self {
            id: run_id(created),
            status: if is_final { "posted" } else { "completed" },
            day,
            created,
            executed: created + 2 * HOUR,
        }
    }

    pub(super) fn write(&self, sink: &mut Sink) -> Result<(), SimulateError> {
        let number = self.id.replace("BR-", "R").replace('-', "");
        let cells = [
            Cell::Text(&self.id),
            Cell::Text(&number),
            Cell::Text(self.status),
            Cell::Date(self.day),
            Cell::Date(self.day),
            Cell::Time(self.executed),
            Cell::Time(self.created),
            Cell::Time(self.executed + HOUR),
        ];
        sink.row(ZUORA, Table::BillRuns, &cells)
    }
}

/// What the metering system calls something of a billing system.
pub(super) fn link(
    profile: &Profile,
    entity: &str,
    (own, other): (&str, &str),
    sink: &mut Sink,
) -> Result<(), SimulateError> {
    let cells = [
        Cell::Text(entity),
        Cell::Text(own),
        Cell::Text(SOURCES[profile.source]),
        Cell::Text(other),
    ];
    sink.row(EVENTS, Table::Links, &cells)
}
