//! What a sound biller makes of a subscription and its usage: one invoice for each closed period.
//!
//! Amounts come from the simulation's own `rating`. Faults change its results afterwards, or bill
//! again from changed usage; there is no switch for them here.

use super::aggregate::aggregate;
use super::catalogue::{CHARGEBEE, Model, Price, STRIPE, Terms, ZUORA};
use super::invoice::{Invoice, Kind, Line, State};
use super::money::{ONE, decimals, plain, share};
use super::profile::{Item, Period, Profile};
use super::random::{Dice, Purpose};
use super::rating::{charge, charge_without_minimum, parts};
use super::time::{DAY, HOUR, Micros, date_name, day_of};
use super::usage::Usage;
use super::world::World;

/// A biller at work on one subscription.
pub(super) struct Biller<'a> {
    pub(super) world: &'a World,
    pub(super) profile: &'a Profile,
    /// The records of each item, in the order of their moments.
    pub(super) usage: &'a [Vec<Usage>],
}

/// The id of the bill run that makes an invoice at that moment.
pub(super) fn run_id(created: Micros) -> String {
    format!("BR-{}", date_name(day_of(created)))
}

impl Biller<'_> {
    /// Every invoice, oldest first.
    pub(super) fn invoices(&self) -> Vec<Invoice> {
        let mut dice = Dice::of(self.world.seed, self.profile.number, Purpose::Billing);
        let periods = self.profile.periods(&self.world.timeline);
        (1..)
            .zip(periods)
            .map(|(number, period)| self.invoice(number, period, &mut dice))
            .collect()
    }

    fn invoice(&self, number: usize, period: Period, dice: &mut Dice) -> Invoice {
        let (is_paid, has_credit) = (dice.per_cent(80), dice.per_cent(2));
        let (hours, tenth) = (dice.between(4, 70), dice.between(1, 9));
        let mut invoice = self.header(number, period, is_paid, hours * HOUR);
        for (place, item) in self.profile.items.iter().enumerate() {
            let Some((start, stop)) = item.within(period.start, period.stop) else {
                continue;
            };
            let price = &self.world.catalogue.prices[item.price];
            let Some(terms) = price.terms_at(start) else {
                continue;
            };
            let work = Charge {
                place,
                item,
                price,
                terms,
                period,
                start,
                stop,
            };
            if item.is_usage {
                self.add_usage(&mut invoice, &work);
            } else {
                self.add_recurring(&mut invoice, &work);
            }
        }
        if has_credit && let Some(first) = invoice.lines.first() {
            let amount = share(first.amount, tenth, 100, decimals(invoice.currency));
            if amount > 0 {
                let line = invoice.line(Kind::Credit, -amount, "Goodwill");
                invoice.lines.push(line);
            }
        }
        invoice.close(self.profile);
        invoice
    }

    fn header(&self, number: usize, period: Period, is_paid: bool, review: Micros) -> Invoice {
        let profile = self.profile;
        let who = profile.number;
        let is_draft = period.created > self.world.timeline.draft_since();
        let state = match (is_draft, is_paid) {
            (true, _) if profile.source == CHARGEBEE => State::Pending,
            (true, _) => State::Draft,
            (false, true) => State::Paid,
            (false, false) => State::Open,
        };
        let (id, name) = match profile.source {
            ZUORA => (
                format!("INV-{who:09}-{number}"),
                Some(format!("INV{who:07}{number:03}")),
            ),
            STRIPE => (
                format!("in_{who:08}x{number:03}"),
                (!is_draft).then(|| format!("S{who:07}-{number:04}")),
            ),
            _ => (
                format!("cbinv-{who}-{number}"),
                Some(format!("CB-{who}-{number:02}")),
            ),
        };
        Invoice {
            id,
            number: name,
            run: (profile.source == ZUORA).then(|| run_id(period.created)),
            state,
            currency: profile.currency,
            period,
            created: period.created,
            finalizes: (is_draft && profile.source == STRIPE).then(|| period.created + 3 * DAY),
            finalized: (!is_draft).then(|| period.created + review),
            subtotal: 0,
            discount: 0,
            tax: 0,
            total: 0,
            lines: Vec::new(),
            next_line: 1,
        }
    }

    fn add_recurring(&self, invoice: &mut Invoice, work: &Charge<'_>) {
        let terms = work.terms;
        let quantity = work.item.quantity.unwrap_or(ONE);
        let unit_price = terms.unit_price.or(terms.flat_fee).unwrap_or(0);
        let whole = unit_price * (quantity / ONE);
        let all = work.period.full_stop - work.period.full_start;
        let amount = share(
            whole,
            work.stop - work.start,
            all,
            decimals(invoice.currency),
        );
        let mut line = work.line(invoice, Kind::Recurring, amount);
        line.quantity = Some(quantity);
        line.unit_price = Some(unit_price);
        line.is_prorated = work.stop - work.start != all;
        invoice.lines.push(line);
    }

    fn add_usage(&self, invoice: &mut Invoice, work: &Charge<'_>) {
        let quantity = self.quantity(work.place, work.start, work.stop);
        let used = quantity.unwrap_or(0);
        let currency = invoice.currency;
        let due = charge(work.terms, currency, used);
        let amount = if work.price.has_minimum_line {
            charge_without_minimum(work.terms, currency, used)
        } else {
            due
        };
        // Nothing used and nothing due is not worth a line.
        if used > 0 || amount > 0 {
            let mut line = work.line(invoice, Kind::Usage, amount);
            line.quantity = Some(used);
            if is_plain_product(work.terms) {
                line.unit_price = work.terms.unit_price;
            }
            if self.profile.source == STRIPE && !work.terms.tiers.is_empty() {
                line.tiers = Some(tiers_json(work.terms, used));
            }
            invoice.lines.push(line);
        }
        if due > amount {
            let line = work.line(invoice, Kind::Minimum, due - amount);
            invoice.lines.push(line);
        }
    }

    /// What an item used in a span, as its price counts.
    pub(super) fn quantity(&self, place: usize, start: Micros, stop: Micros) -> Option<i128> {
        let how = self
            .world
            .catalogue
            .aggregation_of(self.profile.items[place].price);
        aggregate(how, &self.usage[place], start, stop, Usage::counts)
    }
}

/// Whether the amount is the quantity times the unit price, whatever the quantity.
fn is_plain_product(terms: &Terms) -> bool {
    terms.model == Model::PerUnit
        && terms.minimum.is_none()
        && terms.maximum.is_none()
        && !terms.whole_units
}

/// One item in one period.
struct Charge<'a> {
    place: usize,
    item: &'a Item,
    price: &'a Price,
    terms: &'a Terms,
    period: Period,
    start: Micros,
    stop: Micros,
}

impl Charge<'_> {
    fn line(&self, invoice: &mut Invoice, kind: Kind, amount: i128) -> Line {
        let mut line = invoice.line(kind, amount, &self.price.product);
        line.item = Some(self.place);
        line.price = Some(self.item.price);
        (line.start, line.stop) = (self.start, self.stop);
        line
    }
}

/// The breakdown as a platform prints it.
fn tiers_json(terms: &Terms, quantity: i128) -> String {
    let tiers: Vec<String> = parts(terms, quantity)
        .iter()
        .map(|part| {
            let up_to = part
                .up_to
                .map_or("null".to_owned(), |up_to| format!("\"{}\"", plain(up_to)));
            format!(
                r#"{{"up_to":{up_to},"quantity":"{}","unit_price":"{}","flat_fee":"{}","amount":"{}"}}"#,
                plain(part.quantity),
                plain(part.unit_price),
                plain(part.flat_fee),
                plain(part.amount / ONE),
            )
        })
        .collect();
    format!("[{}]", tiers.join(","))
}
