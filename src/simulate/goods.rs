//! How a line of the price list is written: meters, terms of each charge model, and their parts.
//!
//! It holds shapes; which goods there are is `pricelist`'s business.

use super::catalogue::{Aggregation, CHARGEBEE, Meter, Model, STRIPE, Terms, Tier, ZUORA};
use super::money::{units, whole};

/// Something on sale, before its versions have dates.
#[derive(Clone, Debug)]
pub(super) struct Good {
    pub(super) key: String,
    pub(super) source: usize,
    pub(super) currency: &'static str,
    pub(super) product: String,
    pub(super) meter: Option<String>,
    pub(super) terms: Terms,
    pub(super) later: Option<Terms>,
    pub(super) next: Option<Terms>,
    pub(super) like: Option<&'static str>,
    pub(super) level: i64,
    pub(super) records: i64,
    pub(super) is_niche: bool,
    pub(super) has_minimum_line: bool,
}

/// Niche products of each billing source.
pub(super) const NICHES: usize = 8;

const METERS: &[(usize, &str, &str, Aggregation, u32)] = &[
    (ZUORA, "api_calls", "call", Aggregation::Sum, 0),
    (ZUORA, "data_gb", "GB", Aggregation::Sum, 3),
    (ZUORA, "messages", "message", Aggregation::Sum, 0),
    (ZUORA, "compute_hours", "hour", Aggregation::Sum, 0),
    (ZUORA, "lookups", "lookup", Aggregation::Sum, 0),
    (ZUORA, "scans", "scan", Aggregation::Sum, 0),
    (ZUORA, "storage_peak", "GB", Aggregation::Max, 0),
    (ZUORA, "renders", "render", Aggregation::Sum, 0),
    (ZUORA, "sessions", "session", Aggregation::Sum, 0),
    (ZUORA, "partner_fees", "amount", Aggregation::Sum, 2),
    (STRIPE, "tokens", "token", Aggregation::Sum, 0),
    (STRIPE, "requests", "request", Aggregation::Sum, 0),
    (STRIPE, "jobs", "job", Aggregation::Sum, 0),
    (STRIPE, "storage_gb", "GB", Aggregation::Last, 0),
    (STRIPE, "exports", "export", Aggregation::Count, 0),
    (STRIPE, "active_users", "user", Aggregation::UniqueCount, 0),
    (STRIPE, "payments", "amount", Aggregation::Sum, 2),
    (STRIPE, "sales", "amount", Aggregation::Sum, 2),
    (STRIPE, "reports", "report", Aggregation::Sum, 0),
    (STRIPE, "nodes", "node", Aggregation::Max, 0),
    (CHARGEBEE, "emails", "email", Aggregation::Sum, 0),
    (CHARGEBEE, "sms", "sms", Aggregation::Sum, 0),
    (CHARGEBEE, "api", "request", Aggregation::Sum, 0),
    (CHARGEBEE, "minutes", "minute", Aggregation::Sum, 0),
    (CHARGEBEE, "checks", "check", Aggregation::Sum, 0),
    (CHARGEBEE, "streams", "stream", Aggregation::Sum, 0),
    (CHARGEBEE, "labels", "label", Aggregation::Sum, 0),
    (CHARGEBEE, "models", "run", Aggregation::Sum, 0),
];

/// Every meter, those of the niches last.
pub(super) fn meters() -> Vec<Meter> {
    let mut meters: Vec<Meter> = METERS
        .iter()
        .map(|(source, name, unit, aggregation, decimals)| Meter {
            source: *source,
            name: (*name).to_owned(),
            unit,
            aggregation: *aggregation,
            decimals: *decimals,
        })
        .collect();
    for source in [ZUORA, STRIPE, CHARGEBEE] {
        for number in 0..NICHES {
            meters.push(Meter {
                source,
                name: format!("beta_{number}"),
                unit: "event",
                aggregation: Aggregation::Sum,
                decimals: 0,
            });
        }
    }
    meters
}

pub(super) fn terms(model: Model) -> Terms {
    Terms {
        model,
        unit_price: None,
        flat_fee: None,
        package_size: None,
        included: None,
        overage_price: None,
        percentage_rate: None,
        minimum: None,
        maximum: None,
        tiers: Vec::new(),
        rounds_down: false,
        whole_units: false,
    }
}

pub(super) fn flat(fee: &str) -> Terms {
    Terms {
        flat_fee: Some(units(fee)),
        ..terms(Model::Flat)
    }
}

pub(super) fn per_unit(price: &str) -> Terms {
    Terms {
        unit_price: Some(units(price)),
        ..terms(Model::PerUnit)
    }
}

pub(super) fn package(size: i64, price: &str) -> Terms {
    Terms {
        unit_price: Some(units(price)),
        package_size: Some(whole(size)),
        ..terms(Model::Package)
    }
}

pub(super) fn overage(included: i64, price: &str) -> Terms {
    Terms {
        included: Some(whole(included)),
        overage_price: Some(units(price)),
        ..terms(Model::Overage)
    }
}

/// Tiers as bound, unit price and flat fee; 0 is no bound, "" is none.
pub(super) fn tiered(model: Model, tiers: &[(i64, &str, &str)]) -> Terms {
    let some = |text: &str| (!text.is_empty()).then(|| units(text));
    let tiers = tiers.iter().map(|(up_to, price, fee)| Tier {
        up_to: (*up_to > 0).then(|| whole(*up_to)),
        unit_price: some(price),
        flat_fee: some(fee),
        ..Tier::default()
    });
    Terms {
        tiers: tiers.collect(),
        ..terms(model)
    }
}

pub(super) fn blocks(model: Model, size: i64, tiers: &[(i64, &str)]) -> Terms {
    let listed: Vec<(i64, &str, &str)> = tiers
        .iter()
        .map(|(up_to, price)| (*up_to, *price, ""))
        .collect();
    let mut terms = tiered(model, &listed);
    for tier in &mut terms.tiers {
        tier.package_size = Some(whole(size));
    }
    terms
}

pub(super) fn rates(tiers: &[(i64, &str)]) -> Terms {
    let tiers = tiers.iter().map(|(up_to, rate)| Tier {
        up_to: (*up_to > 0).then(|| whole(*up_to)),
        percentage_rate: Some(units(rate)),
        ..Tier::default()
    });
    Terms {
        tiers: tiers.collect(),
        ..terms(Model::GraduatedPercentage)
    }
}

impl Good {
    pub(super) fn usage(
        key: &str,
        source: usize,
        currency: &'static str,
        meter: &str,
        terms: Terms,
    ) -> Self {
        Self {
            key: key.to_owned(),
            source,
            currency,
            product: meter.replace('_', " "),
            meter: Some(meter.to_owned()),
            terms,
            later: None,
            next: None,
            like: None,
            level: 1_000,
            records: 3,
            is_niche: false,
            has_minimum_line: false,
        }
    }

    pub(super) fn recurring(
        key: String,
        source: usize,
        currency: &'static str,
        terms: Terms,
    ) -> Self {
        let product = if matches!(terms.model, Model::Flat) {
            "platform fee"
        } else {
            "seats"
        };
        Self {
            product: product.to_owned(),
            meter: None,
            ..Self::usage(&key, source, currency, "", terms)
        }
    }

    pub(super) fn daily(mut self, level: i64, records: i64) -> Self {
        (self.level, self.records) = (level, records);
        self
    }

    pub(super) fn later(mut self, terms: Terms) -> Self {
        self.later = Some(terms);
        self
    }

    pub(super) fn soon(mut self, terms: Terms) -> Self {
        self.next = Some(terms);
        self
    }

    pub(super) fn like(mut self, key: &'static str) -> Self {
        self.like = Some(key);
        self
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Terms)) -> Self {
        change(&mut self.terms);
        self
    }
}
