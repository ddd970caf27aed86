//! Invoices and their lines, and the sums that hold them together.
//!
//! A line's amount is given; this makes discount, tax and totals follow from the lines. What a line
//! should cost is `billing`'s business.

use super::catalogue::{CHARGEBEE, STRIPE};
use super::money::{Rounding, decimals, product, round_wide, share};
use super::profile::{Period, Profile};
use super::time::{Micros, SECOND, date_name, day_of, stamp};

/// What a line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Usage,
    Recurring,
    Minimum,
    Discount,
    Credit,
    Tax,
}

impl Kind {
    /// As the data model spells it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Recurring => "recurring",
            Self::Minimum => "minimum",
            Self::Discount => "discount",
            Self::Credit => "credit",
            Self::Tax => "tax",
        }
    }
}

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) id: String,
    pub(super) kind: Kind,
    /// Place among the subscription's items.
    pub(super) item: Option<usize>,
    /// Place in the catalogue.
    pub(super) price: Option<usize>,
    pub(super) description: String,
    pub(super) quantity: Option<i128>,
    pub(super) unit_price: Option<i128>,
    pub(super) amount: i128,
    pub(super) currency: &'static str,
    pub(super) start: Micros,
    pub(super) stop: Micros,
    pub(super) is_prorated: bool,
    /// JSON.
    pub(super) tiers: Option<String>,
    /// JSON: what the platform says beside.
    pub(super) attributes: Option<String>,
}

/// Where an invoice stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Draft,
    Pending,
    Open,
    Paid,
    Void,
}

impl State {
    /// As the data model spells it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Pending => "pending",
            Self::Open => "open",
            Self::Paid => "paid",
            Self::Void => "void",
        }
    }
}

/// One invoice.
#[derive(Clone, Debug)]
pub(super) struct Invoice {
    pub(super) id: String,
    pub(super) number: Option<String>,
    pub(super) run: Option<String>,
    pub(super) state: State,
    pub(super) currency: &'static str,
    pub(super) period: Period,
    pub(super) created: Micros,
    pub(super) finalizes: Option<Micros>,
    pub(super) finalized: Option<Micros>,
    pub(super) subtotal: i128,
    pub(super) discount: i128,
    pub(super) tax: i128,
    pub(super) total: i128,
    pub(super) lines: Vec<Line>,
    /// The number that the next line gets.
    pub(super) next_line: usize,
}

impl Invoice {
    /// A blank line of the invoice's own period.
    pub(super) fn line(&mut self, kind: Kind, amount: i128, description: &str) -> Line {
        let id = format!("{}-{}", self.id, self.next_line);
        self.next_line += 1;
        Line {
            id,
            kind,
            item: None,
            price: None,
            description: description.to_owned(),
            quantity: None,
            unit_price: None,
            amount,
            currency: self.currency,
            start: self.period.start,
            stop: self.period.stop,
            is_prorated: false,
            tiers: None,
            attributes: None,
        }
    }

    fn sum(&self, kinds: &[Kind]) -> i128 {
        self.lines
            .iter()
            .filter(|line| kinds.contains(&line.kind))
            .map(|line| line.amount)
            .sum()
    }

    /// Makes discount, tax and totals anew from the other lines.
    pub(super) fn close(&mut self, profile: &Profile) {
        self.lines
            .retain(|line| !matches!(line.kind, Kind::Discount | Kind::Tax));
        let places = decimals(self.currency);
        let charges = self.sum(&[Kind::Usage, Kind::Recurring, Kind::Minimum]);
        let credits = self.sum(&[Kind::Credit]);
        self.subtotal = charges;
        self.discount = profile
            .discount
            .map_or(0, |per_cent| share(charges, per_cent, 100, places));
        let taxable = charges - self.discount + credits;
        self.tax = profile.tax.map_or(0, |rate| {
            round_wide(product(taxable, rate), places, Rounding::HalfUp)
        });
        self.total = taxable + self.tax;
        if self.discount != 0 {
            let mut line = self.line(Kind::Discount, -self.discount, "Loyalty discount");
            line.attributes = profile
                .discount_end
                .map(|end| discount_json(profile.source, end));
            self.lines.push(line);
        }
        if self.tax != 0 {
            let line = self.line(Kind::Tax, self.tax, "Tax");
            self.lines.push(line);
        }
    }

    /// The line of a kind for an item.
    pub(super) fn find(&self, kind: Kind, item: usize) -> Option<usize> {
        self.lines
            .iter()
            .position(|line| line.kind == kind && line.item == Some(item))
    }
}

/// When a discount ends, as each platform words it.
fn discount_json(source: usize, end: Micros) -> String {
    match source {
        STRIPE => format!(
            r#"{{"discount":{{"id":"di_loyal","end":{}}}}}"#,
            end / SECOND
        ),
        CHARGEBEE => format!(r#"{{"coupon_id":"LOYAL","valid_till":"{}"}}"#, stamp(end)),
        _ => format!(r#"{{"discount_end_date":"{}"}}"#, date_name(day_of(end))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::catalogue::ZUORA;
    use crate::simulate::time::{DAY, day_number};

    #[test]
    fn each_platform_has_its_own_words_for_the_end_of_a_discount() {
        let end = day_number(2026, 4, 13) * DAY;
        let of = |source| discount_json(source, end);
        assert_eq!(of(ZUORA), r#"{"discount_end_date":"2026-04-13"}"#);
        assert_eq!(
            of(STRIPE),
            r#"{"discount":{"id":"di_loyal","end":1776038400}}"#
        );
        let coupon = r#"{"coupon_id":"LOYAL","valid_till":"2026-04-13T00:00:00Z"}"#;
        assert_eq!(of(CHARGEBEE), coupon);
    }
}
