//! Everything that is known of a wrong line: plain values, from which hypotheses are made.
//!
//! What is missing is absent, and a hypothesis that needs it is not formed; nothing is guessed here.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::model::Decimal;
use crate::rating::Price;
use crate::rules::Explain;

/// The names of the quantities that are counted for a line, as the queries spell them.
pub(super) mod measure {
    /// The records that count.
    pub(in crate::explain) const OWN: &str = "own";
    /// Of those, what was received before the invoice was made.
    pub(in crate::explain) const RECEIVED: &str = "received";
    /// With records that repeat an earlier one.
    pub(in crate::explain) const WITH_REPEATS: &str = "with_repeats";
    /// With records that are voided or in error.
    pub(in crate::explain) const WITH_VOIDED: &str = "with_voided";
    /// Records of the customer's cancelled subscriptions, by themselves.
    pub(in crate::explain) const CANCELLED: &str = "cancelled";
    /// Records of test customers beside this one, by themselves.
    pub(in crate::explain) const TEST: &str = "test";
    /// What metering has for the same owner.
    pub(in crate::explain) const METERED: &str = "metered";
}

/// One quantity, in every way that records become one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Measures {
    pub(super) sum: Option<Decimal>,
    pub(super) count: Option<Decimal>,
    pub(super) max: Option<Decimal>,
    pub(super) min: Option<Decimal>,
    pub(super) last: Option<Decimal>,
    pub(super) unique_count: Option<Decimal>,
}

impl Measures {
    /// The quantity under an aggregation; nothing for those that these columns do not hold.
    pub(super) fn by(&self, aggregation: &str) -> Option<Decimal> {
        match aggregation {
            "sum" => self.sum,
            "count" => self.count,
            "max" => self.max,
            "min" => self.min,
            "last" => self.last,
            "unique_count" => self.unique_count,
            _ => None,
        }
    }
}

/// A version of some price that might have been applied.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Offer {
    pub(super) price_id: String,
    pub(super) product_id: Option<String>,
    pub(super) meter: Option<String>,
    pub(super) currency: Option<String>,
    pub(super) from: DateTime<Utc>,
    pub(super) to: Option<DateTime<Utc>>,
    pub(super) price: Price,
}

/// What another line beside this one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    /// A charge for the same item and period.
    Charge,
    /// A credit or discount that already reduces the same invoice.
    Reduction,
    /// A discount that the same item had on another invoice.
    DiscountElsewhere,
}

/// A line or adjustment that has to do with this line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Other {
    pub(super) beside: Beside,
    pub(super) id: String,
    pub(super) amount: Decimal,
}

/// A wrong line, whatever rule found it.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) price_id: Option<String>,
    pub(super) product_id: Option<String>,
    pub(super) meter: Option<String>,
    pub(super) aggregation: String,
    /// The price in force.
    pub(super) price: Price,
    /// Since when it is.
    pub(super) price_from: Option<DateTime<Utc>>,
    pub(super) period: Option<(DateTime<Utc>, DateTime<Utc>)>,
    pub(super) invoice_created_at: Option<DateTime<Utc>>,
    /// What part of the period the item was active for.
    pub(super) active: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    /// `day`, `week`, `month`, `quarter`, `year`, and how many of them.
    pub(super) cycle: Option<(String, u32)>,
    pub(super) offers: Vec<Arc<Offer>>,
    pub(super) measures: BTreeMap<String, Measures>,
    pub(super) others: Vec<Other>,
}

impl Line {
    /// A line of which only the price is known.
    pub(super) fn of(price: Price) -> Self {
        Self {
            price_id: None,
            product_id: None,
            meter: None,
            aggregation: "sum".to_owned(),
            price,
            price_from: None,
            period: None,
            invoice_created_at: None,
            active: (None, None),
            cycle: None,
            offers: Vec::new(),
            measures: BTreeMap::new(),
            others: Vec::new(),
        }
    }

    /// A quantity that was counted for the line, by its own aggregation.
    pub(super) fn counted(&self, measure: &str) -> Option<Decimal> {
        self.measures.get(measure)?.by(&self.aggregation)
    }
}

/// What is to be reproduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The billed amount.
    Amount(Decimal),
    /// The billed quantity.
    Quantity(Decimal),
}

/// A line as one finding sees it.
#[derive(Clone, Debug)]
pub(super) struct Facts<'a> {
    pub(super) source: &'a str,
    pub(super) line: &'a Line,
    pub(super) currency: &'a str,
    /// The quantity that the due amount is made of.
    pub(super) quantity: Decimal,
    /// What the rule says is due; the amount, whatever the target is.
    pub(super) expected: Option<Decimal>,
    pub(super) target: Target,
    pub(super) tries: Tries,
}

/// Which kinds of mistakes are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tries {
    pub(super) quantity: bool,
    pub(super) price: bool,
}

impl Tries {
    /// Where a price is to be explained but nobody tells the quantity that was billed, the quantity
    /// may be what is wrong.
    pub(super) fn of(explain: Explain, is_quantity_given: bool) -> Self {
        Self {
            quantity: explain != Explain::Price || !is_quantity_given,
            price: explain != Explain::Quantity,
        }
    }
}

impl Facts<'_> {
    /// Whether nothing was billed: many mistakes give nothing, so that none is proven by it.
    pub(super) fn is_nothing_billed(&self) -> bool {
        match self.target {
            Target::Amount(amount) => amount.is_zero(),
            Target::Quantity(quantity) => quantity.is_zero(),
        }
    }
}
