//! Where harm is done: the usage line of the last closed period, and how to change and tell it.
//!
//! The conditions that make a subscription fit for a fault are here too, as several faults share
//! them. No fault is described here.

use crate::simulate::aggregate::aggregate;
use crate::simulate::case::Case;
use crate::simulate::catalogue::{Aggregation, Price, Terms};
use crate::simulate::fault::Harm;
use crate::simulate::invoice::{Invoice, Kind, Line};
use crate::simulate::profile::{Link, Profile};
use crate::simulate::rating::{charge, charge_without_minimum};
use crate::simulate::time::{DAY, Micros};
use crate::simulate::usage::Usage;
use crate::simulate::world::World;

/// Nothing out of the ordinary, and the last invoice is a draft.
pub(super) fn plain(_: &World, profile: &Profile) -> bool {
    profile.is_plain && !profile.is_niche && profile.link == Link::None
}

/// The same, and metering measures it too.
pub(super) fn linked(world: &World, profile: &Profile) -> bool {
    let sums = main_price(profile)
        .is_some_and(|place| world.catalogue.aggregation_of(place) == Aggregation::Sum);
    profile.is_plain && !profile.is_niche && profile.link != Link::None && sums
}

/// Plain, and usage is added up.
pub(super) fn summed(world: &World, profile: &Profile) -> bool {
    let sums = main_price(profile)
        .is_some_and(|place| world.catalogue.aggregation_of(place) == Aggregation::Sum);
    plain(world, profile) && sums
}

/// Plain, added up, and every change of the quantity changes the amount.
pub(super) fn sensitive(world: &World, profile: &Profile) -> bool {
    let is_sensitive =
        main_price(profile).is_some_and(|place| world.catalogue.prices[place].is_sensitive());
    summed(world, profile) && is_sensitive
}

/// Sensitive, and sold at another price too.
pub(super) fn has_alternate(world: &World, profile: &Profile) -> bool {
    let alternate = main_price(profile).and_then(|place| world.catalogue.prices[place].alternate);
    sensitive(world, profile) && alternate.is_some()
}

/// Plain, and billed for three periods or more.
pub(super) fn settled(world: &World, profile: &Profile) -> bool {
    plain(world, profile) && profile.periods(&world.timeline).len() >= 3
}

/// The price of the first usage item.
pub(in crate::simulate) fn main_price(profile: &Profile) -> Option<usize> {
    let place = profile.usage_items().next()?;
    Some(profile.items[place].price)
}

/// A line that harm is done to: mostly the usage line of the last closed period.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub(super) item: usize,
    pub(super) invoice: usize,
    pub(super) line: usize,
}

impl Spot {
    /// The line of the first usage item.
    pub(super) fn of(case: &Case) -> Option<Self> {
        Self::in_invoice(case, case.invoices.len().checked_sub(1)?)
    }

    /// The line of the first usage item in the newest invoice that is final.
    pub(super) fn of_final(case: &Case) -> Option<Self> {
        let is_final = |invoice: &Invoice| invoice.finalized.is_some();
        Self::in_invoice(case, case.invoices.iter().rposition(is_final)?)
    }

    /// The line of the fee in an invoice.
    pub(super) fn of_fee(case: &Case, invoice: usize) -> Option<Self> {
        let line = case.invoices.get(invoice)?.find(Kind::Recurring, 0)?;
        Some(Self {
            item: 0,
            invoice,
            line,
        })
    }

    /// The line of the first usage item in an invoice.
    pub(super) fn in_invoice(case: &Case, invoice: usize) -> Option<Self> {
        let item = case.profile.usage_items().next()?;
        let line = case.invoices.get(invoice)?.find(Kind::Usage, item)?;
        Some(Self {
            item,
            invoice,
            line,
        })
    }

    pub(super) fn invoice(self, case: &Case) -> &Invoice {
        &case.invoices[self.invoice]
    }

    pub(super) fn line(self, case: &Case) -> &Line {
        &case.invoices[self.invoice].lines[self.line]
    }

    pub(super) fn price<'a>(self, world: &'a World, case: &Case) -> &'a Price {
        &world.catalogue.prices[case.profile.items[self.item].price]
    }

    /// The terms in force for the line.
    pub(super) fn terms(self, world: &World, case: &Case) -> Option<Terms> {
        let at = self.line(case).start;
        self.price(world, case).terms_at(at).cloned()
    }

    /// What a quantity costs on this line.
    pub(super) fn due(self, world: &World, case: &Case, quantity: i128) -> Option<i128> {
        let terms = self.terms(world, case)?;
        let currency = self.line(case).currency;
        Some(if self.price(world, case).has_minimum_line {
            charge_without_minimum(&terms, currency, quantity)
        } else {
            charge(&terms, currency, quantity)
        })
    }

    /// The quantity of the line's span, where `counts` says which records do.
    pub(super) fn quantity(
        self,
        world: &World,
        case: &Case,
        counts: impl Fn(&Usage) -> bool,
    ) -> Option<i128> {
        let line = self.line(case);
        self.quantity_between(world, case, (line.start, line.stop), counts)
    }

    /// The same for another span.
    pub(super) fn quantity_between(
        self,
        world: &World,
        case: &Case,
        (start, stop): (Micros, Micros),
        counts: impl Fn(&Usage) -> bool,
    ) -> Option<i128> {
        let price = case.profile.items[self.item].price;
        let how = world.catalogue.aggregation_of(price);
        aggregate(how, &case.usage[self.item], start, stop, counts)
    }

    /// Bills another amount on the line and makes the invoice's sums follow.
    pub(super) fn set_amount(self, case: &mut Case, amount: i128) {
        let invoice = &mut case.invoices[self.invoice];
        let line = &mut invoice.lines[self.line];
        line.amount = amount;
        line.tiers = None;
        invoice.close(&case.profile);
    }

    /// Bills another quantity at the price in force; the harm, where that makes another amount.
    pub(super) fn set_quantity(
        self,
        world: &World,
        case: &mut Case,
        quantity: i128,
    ) -> Option<Harm> {
        let before = self.line(case).amount;
        let amount = self.due(world, case, quantity)?;
        if amount == before {
            return None;
        }
        case.invoices[self.invoice].lines[self.line].quantity = Some(quantity);
        self.set_amount(case, amount);
        Some(self.harm(case, before))
    }

    /// Bills another amount for the same quantity; the harm, where it is another one.
    pub(super) fn overcharge(self, case: &mut Case, amount: i128) -> Option<Harm> {
        let before = self.line(case).amount;
        if amount == before {
            return None;
        }
        self.set_amount(case, amount);
        Some(self.harm(case, before))
    }

    /// The harm of a line that should have another amount.
    pub(super) fn harm(self, case: &Case, expected: i128) -> Harm {
        let (invoice, line) = (self.invoice(case), self.line(case));
        Harm {
            records: vec![
                ("invoice_line", line.id.clone()),
                ("invoice", invoice.id.clone()),
                (
                    "subscription_item",
                    case.profile.items[self.item].id.clone(),
                ),
            ],
            expected: Some(expected),
            actual: Some(line.amount),
            is_money: true,
            visible: invoice.created,
        }
    }

    /// Midnight of the day that lies so many days into the line's period.
    pub(super) fn midnight(self, case: &Case, days: i64) -> Micros {
        (self.line(case).start / DAY + days) * DAY
    }
}

/// The lines of an invoice that charge something.
fn charges(invoice: &Invoice) -> impl Iterator<Item = &Line> {
    let is_charge =
        |line: &&Line| matches!(line.kind, Kind::Usage | Kind::Recurring | Kind::Minimum);
    invoice.lines.iter().filter(is_charge)
}

/// What an invoice charges, before discount and tax.
pub(super) fn charged(invoice: &Invoice) -> i128 {
    charges(invoice).map(|line| line.amount).sum()
}

/// The ids of an invoice and of its charges.
pub(super) fn named(invoice: &Invoice) -> Vec<(&'static str, String)> {
    let mut records = vec![("invoice", invoice.id.clone())];
    records.extend(charges(invoice).map(|line| ("invoice_line", line.id.clone())));
    records
}

/// The harm of an invoice that should charge nothing.
pub(super) fn needless(invoice: &Invoice, profile: &Profile) -> Harm {
    let mut records = named(invoice);
    records.push(("subscription", profile.subscription.clone()));
    Harm {
        records,
        expected: Some(0),
        actual: Some(charged(invoice)),
        is_money: true,
        visible: invoice.created,
    }
}

/// The harm of an invoice that is not there.
pub(super) fn absent(invoice: &Invoice, profile: &Profile) -> Harm {
    let mut records = vec![("subscription", profile.subscription.clone())];
    records.extend(invoice.run.clone().map(|run| ("bill_run", run)));
    Harm {
        records,
        expected: Some(charged(invoice)),
        actual: Some(0),
        is_money: true,
        visible: invoice.created + 4 * DAY,
    }
}

/// The harm of records: their ids and what they come to.
pub(super) fn usage_harm(
    case: &Case,
    item: usize,
    records: &[Usage],
    (expected, actual): (i128, i128),
) -> Option<Harm> {
    let visible = records.iter().map(|record| record.recorded).max()?;
    let mut named: Vec<(&'static str, String)> = records
        .iter()
        .map(|record| ("usage_record", case.usage_id(item, record)))
        .collect();
    named.push(("subscription_item", case.profile.items[item].id.clone()));
    Some(Harm {
        records: named,
        expected: Some(expected),
        actual: Some(actual),
        is_money: false,
        visible,
    })
}

/// What records come to when added up.
pub(super) fn total(records: &[Usage]) -> i128 {
    records.iter().map(|record| record.quantity).sum()
}

/// The records that count in a span, copied.
pub(super) fn within(case: &Case, item: usize, start: Micros, stop: Micros) -> Vec<Usage> {
    case.usage[item]
        .iter()
        .filter(|record| record.counts() && start <= record.at && record.at < stop)
        .cloned()
        .collect()
}

/// Puts records among those of an item.
pub(super) fn insert(case: &mut Case, item: usize, records: &[Usage]) {
    case.usage[item].extend_from_slice(records);
    case.usage[item].sort_by_key(|record| (record.at, record.recorded));
}
