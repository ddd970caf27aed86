//! One subscription with all that belongs to it, as it will stand in the files.
//!
//! It is made clean; faults change it before it is written. What metering saw is kept apart, so that
//! a record lost on its way to the biller is not lost there.

use std::collections::BTreeSet;

use super::billing::Biller;
use super::catalogue::{EVENTS, ZUORA};
use super::columns::Cell;
use super::error::SimulateError;
use super::invoice::{Invoice, Kind};
use super::money::{decimals, share};
use super::profile::{Link, Profile};
use super::random::{Dice, Purpose};
use super::sink::{Sink, Table};
use super::tables;
use super::time::{DAY, Micros, SECOND, day_of};
use super::usage::{Status, Usage, of_item};
use super::world::World;

/// A credit note.
#[derive(Clone, Debug)]
pub(super) struct Adjustment {
    pub(super) id: String,
    pub(super) invoice: String,
    pub(super) line: String,
    pub(super) reason: &'static str,
    pub(super) amount: i128,
    pub(super) created: Micros,
}

/// A subscription as it will be written.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) profile: Profile,
    /// The records of each item, in the order of their moments.
    pub(super) usage: Vec<Vec<Usage>>,
    /// What metering saw, item by item; empty without a link.
    pub(super) measured: Vec<Vec<Usage>>,
    pub(super) invoices: Vec<Invoice>,
    pub(super) adjustments: Vec<Adjustment>,
    /// Another subscription that is in the world because of a fault.
    pub(super) twin: Option<Box<Case>>,
}

impl Case {
    /// Everything as it should be.
    pub(super) fn clean(world: &World, profile: Profile) -> Self {
        let mut case = Self {
            profile,
            usage: Vec::new(),
            measured: Vec::new(),
            invoices: Vec::new(),
            adjustments: Vec::new(),
            twin: None,
        };
        case.use_again(world);
        case.credit(world);
        case
    }

    /// Makes the usage anew, then the invoices: after a change of the subscription.
    pub(super) fn use_again(&mut self, world: &World) {
        let periods = self.profile.periods(&world.timeline);
        self.usage = (0..self.profile.items.len())
            .map(|place| {
                if self.profile.items[place].is_usage {
                    of_item(world, &self.profile, &periods, place)
                } else {
                    Vec::new()
                }
            })
            .collect();
        if self.profile.link != Link::None {
            self.measured = self.usage.clone();
        }
        self.bill_again(world);
    }

    /// Makes the invoices anew: after a change of the usage.
    pub(super) fn bill_again(&mut self, world: &World) {
        self.invoices = self.biller(world).invoices();
    }

    pub(super) fn biller<'a>(&'a self, world: &'a World) -> Biller<'a> {
        Biller {
            world,
            profile: &self.profile,
            usage: &self.usage,
        }
    }

    /// A few credit notes, each for a part of a line of a final invoice.
    fn credit(&mut self, world: &World) {
        let mut dice = Dice::of(world.seed, self.profile.number, Purpose::Credit);
        for invoice in &self.invoices {
            let (is_credited, part) = (dice.per_cent(1), dice.between(2, 30));
            let days = dice.between(1, 5);
            let charge = invoice
                .lines
                .iter()
                .find(|line| matches!(line.kind, Kind::Usage | Kind::Recurring) && line.amount > 0);
            let (Some(finalized), Some(line)) = (invoice.finalized, charge) else {
                continue;
            };
            let created = finalized + days * DAY;
            let amount = share(line.amount, part, 100, decimals(line.currency));
            if is_credited && amount > 0 && created < world.timeline.as_of {
                self.adjustments.push(Adjustment {
                    id: format!("CN-{}", invoice.id),
                    invoice: invoice.id.clone(),
                    line: line.id.clone(),
                    reason: "goodwill",
                    amount,
                    created,
                });
            }
        }
    }

    /// The id of a record, as the platform spells it.
    pub(super) fn usage_id(&self, place: usize, record: &Usage) -> String {
        let prefix = ["U-", "mev_", "usg-"][self.profile.source];
        let number = self.profile.items[place].number;
        format!("{prefix}{number}-{}{}", record.serial, record.id_mark)
    }

    /// Writes everything; `run_days` gathers the nights on which Zuora billed.
    pub(super) fn write(
        &self,
        world: &World,
        sink: &mut Sink,
        run_days: &mut BTreeSet<i64>,
    ) -> Result<(), SimulateError> {
        tables::identity(world, &self.profile, sink)?;
        tables::billing(world, self, sink)?;
        if self.profile.source == ZUORA {
            run_days.extend(self.invoices.iter().map(|invoice| day_of(invoice.created)));
        }
        for place in 0..self.usage.len() {
            for record in &self.usage[place] {
                self.write_record(world, place, record, sink)?;
                if world.drift.holds_back(&self.profile, record) {
                    let held = Usage {
                        id_mark: "h",
                        key_mark: "h",
                        status: Status::HeldBack,
                        ..record.clone()
                    };
                    self.write_record(world, place, &held, sink)?;
                }
            }
        }
        self.write_measured(world, sink)?;
        match &self.twin {
            Some(twin) => twin.write(world, sink, run_days),
            None => Ok(()),
        }
    }

    fn write_record(
        &self,
        world: &World,
        place: usize,
        record: &Usage,
        sink: &mut Sink,
    ) -> Result<(), SimulateError> {
        let (profile, item) = (&self.profile, &self.profile.items[place]);
        let meter = world.catalogue.meter_of(item.price);
        let (id, number) = (self.usage_id(place, record), item.number);
        let key = format!("k-{number}-{}{}", record.serial, record.key_mark);
        let key = (!world.drift.takes_key(profile, record)).then_some(key.as_str());
        let unique = record.unique.map(|value| format!("u{value:03}"));
        let (customer, subscription, named) = match &record.owner {
            Some(owner) => (
                owner.customer.as_deref(),
                owner.subscription.as_deref(),
                owner.item.as_deref(),
            ),
            None => (
                Some(profile.customer.as_str()),
                Some(profile.subscription.as_str()),
                profile.names_item.then_some(item.id.as_str()),
            ),
        };
        let cells = [
            Cell::Text(&id),
            Cell::text(customer),
            Cell::text(subscription),
            Cell::text(named),
            Cell::text(meter.map(|meter| meter.name.as_str())),
            Cell::Amount(record.quantity),
            Cell::text(meter.map(|meter| meter.unit)),
            Cell::Time(record.at),
            Cell::Time(record.recorded),
            Cell::text(key),
            Cell::text(unique.as_deref()),
            Cell::Text(record.status.name()),
            Cell::text(record.reason),
            Cell::Time(record.updated.unwrap_or(record.recorded)),
        ];
        sink.usage(profile.source, record.at, &cells)
    }

    /// The metering system's own customer, links and records.
    fn write_measured(&self, world: &World, sink: &mut Sink) -> Result<(), SimulateError> {
        let profile = &self.profile;
        if profile.link == Link::None {
            return Ok(());
        }
        let org = format!("org-{:07}", profile.number);
        let name = format!("Organisation {:07}", profile.number);
        let cells = [
            Cell::Text(&org),
            Cell::Null,
            Cell::Text(&name),
            Cell::Text("active"),
            Cell::Null,
            Cell::Null,
            Cell::Flag(false),
            Cell::Time(profile.started),
            Cell::Time(profile.started),
        ];
        sink.row(EVENTS, Table::Customers, &cells)?;
        if profile.link == Link::Customer {
            let pair = (org.as_str(), profile.customer.as_str());
            tables::link(profile, "customer", pair, sink)?;
        }
        for place in profile.usage_items() {
            let item = &profile.items[place];
            let own = format!("stream-{}", item.number);
            let is_by_item = profile.link == Link::Item;
            if is_by_item {
                let pair = (own.as_str(), item.id.as_str());
                tables::link(profile, "item", pair, sink)?;
            }
            let meter = world.catalogue.meter_of(item.price);
            for record in self.measured[place].iter().filter(|record| record.counts()) {
                let id = format!("ev-{}-{}", item.number, record.serial);
                let key = format!("e-{}-{}", item.number, record.serial);
                let cells = [
                    Cell::Text(&id),
                    Cell::Text(&org),
                    Cell::Null,
                    Cell::text(is_by_item.then_some(own.as_str())),
                    Cell::text(meter.map(|meter| meter.name.as_str())),
                    Cell::Amount(record.quantity),
                    Cell::text(meter.map(|meter| meter.unit)),
                    Cell::Time(record.at),
                    Cell::Time(record.at + 4 * SECOND),
                    Cell::Text(&key),
                    Cell::Null,
                    Cell::Text("processed"),
                    Cell::Null,
                    Cell::Time(record.at + 4 * SECOND),
                ];
                sink.usage(EVENTS, record.at, &cells)?;
            }
        }
        Ok(())
    }
}
