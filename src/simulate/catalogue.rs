//! What is sold: meters, prices and their versions, in the terms of the simulation's own rating.
//!
//! What a version means in money is `rating`'s business; what is on sale is `goods`'. Nothing here
//! depends on the number of subscriptions.

use super::goods::{self, Good};
use super::money::ONE;
use super::pricelist;
use super::time::{Micros, add_months};
use super::timeline::Timeline;

/// The systems of the world: three that bill, one that meters.
pub(super) const SOURCES: [&str; 4] = ["sim-zuora", "sim-stripe", "sim-chargebee", "sim-events"];
pub(super) const ZUORA: usize = 0;
pub(super) const STRIPE: usize = 1;
pub(super) const CHARGEBEE: usize = 2;
pub(super) const EVENTS: usize = 3;

/// How a quantity becomes an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Model {
    Flat,
    PerUnit,
    Graduated,
    Volume,
    Stairstep,
    Package,
    Percentage,
    GraduatedPercentage,
    Overage,
    TieredOverage,
    GraduatedBlock,
    VolumeBlock,
    Capacity,
    Prerated,
    Custom,
}

impl Model {
    /// As the data model spells it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::PerUnit => "per_unit",
            Self::Graduated => "graduated",
            Self::Volume => "volume",
            Self::Stairstep => "stairstep",
            Self::Package => "package",
            Self::Percentage => "percentage",
            Self::GraduatedPercentage => "graduated_percentage",
            Self::Overage => "overage",
            Self::TieredOverage => "tiered_overage",
            Self::GraduatedBlock => "graduated_block",
            Self::VolumeBlock => "volume_block",
            Self::Capacity => "capacity",
            Self::Prerated => "prerated",
            Self::Custom => "custom",
        }
    }
}

/// How records become a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregation {
    Sum,
    Count,
    UniqueCount,
    Max,
    Last,
}

impl Aggregation {
    /// As the data model spells it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Count => "count",
            Self::UniqueCount => "unique_count",
            Self::Max => "max",
            Self::Last => "last",
        }
    }
}

/// One tier: above the one before, up to and with `up_to`.
#[derive(Clone, Debug, Default)]
pub(super) struct Tier {
    pub(super) up_to: Option<i128>,
    pub(super) unit_price: Option<i128>,
    pub(super) flat_fee: Option<i128>,
    pub(super) package_size: Option<i128>,
    pub(super) percentage_rate: Option<i128>,
}

/// What a version of a price asks for.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) model: Model,
    pub(super) unit_price: Option<i128>,
    pub(super) flat_fee: Option<i128>,
    pub(super) package_size: Option<i128>,
    pub(super) included: Option<i128>,
    pub(super) overage_price: Option<i128>,
    pub(super) percentage_rate: Option<i128>,
    pub(super) minimum: Option<i128>,
    pub(super) maximum: Option<i128>,
    pub(super) tiers: Vec<Tier>,
    /// Cut off instead of rounded half up.
    pub(super) rounds_down: bool,
    /// Whole units only, a started one counts.
    pub(super) whole_units: bool,
}

/// A version and when it holds.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) from: Micros,
    pub(super) to: Option<Micros>,
    pub(super) terms: Terms,
}

/// A price with its versions, oldest first.
#[derive(Clone, Debug)]
pub(super) struct Price {
    pub(super) key: String,
    pub(super) id: String,
    pub(super) product: String,
    pub(super) source: usize,
    pub(super) currency: &'static str,
    /// Place in the list of meters; `None` for a recurring price.
    pub(super) meter: Option<usize>,
    pub(super) versions: Vec<Version>,
    /// Another price of the same meter and currency.
    pub(super) alternate: Option<usize>,
    /// Sold to few: where a mistake of the catalogue or of a meter is put.
    pub(super) is_niche: bool,
    /// What is missing to the minimum is a line of its own.
    pub(super) has_minimum_line: bool,
    /// Usual quantity of a day, in the meter's least unit.
    pub(super) level: i64,
    /// Records of a day.
    pub(super) records: i64,
}

impl Price {
    /// The version in force; of several, the one that began last.
    pub(super) fn version_at(&self, at: Micros) -> Option<&Version> {
        self.versions
            .iter()
            .filter(|version| version.from <= at && version.to.is_none_or(|to| at < to))
            .max_by_key(|version| version.from)
    }

    /// The terms in force; the newest where there are none.
    pub(super) fn terms_at(&self, at: Micros) -> Option<&Terms> {
        self.version_at(at)
            .or_else(|| self.versions.last())
            .map(|version| &version.terms)
    }

    /// Whether every change of the quantity changes the amount.
    pub(super) fn is_sensitive(&self) -> bool {
        self.versions.iter().all(|version| {
            let terms = &version.terms;
            terms.minimum.is_none()
                && terms.maximum.is_none()
                && matches!(
                    terms.model,
                    Model::PerUnit | Model::Graduated | Model::Volume
                )
        })
    }
}

/// A meter.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    pub(super) source: usize,
    pub(super) name: String,
    pub(super) unit: &'static str,
    pub(super) aggregation: Aggregation,
    /// Decimals of a quantity.
    pub(super) decimals: u32,
}

/// Everything on sale.
#[derive(Clone, Debug)]
pub(super) struct Catalogue {
    pub(super) meters: Vec<Meter>,
    pub(super) prices: Vec<Price>,
}

impl Catalogue {
    pub(super) fn new(timeline: &Timeline) -> Self {
        let mut catalogue = Self {
            meters: goods::meters(),
            prices: Vec::new(),
        };
        for good in pricelist::all() {
            catalogue.add(timeline, good);
        }
        catalogue
    }

    fn add(&mut self, timeline: &Timeline, good: Good) {
        let meter = good.meter.as_deref().and_then(|name| {
            self.meters
                .iter()
                .position(|meter| meter.source == good.source && meter.name == name)
        });
        let oldest = add_months(timeline.first, -6);
        let terms = [
            (oldest, Some(good.terms)),
            (timeline.rise(), good.later),
            (timeline.newest(), good.next),
        ];
        let mut versions: Vec<Version> = Vec::new();
        for (from, terms) in terms {
            let Some(terms) = terms else { continue };
            if let Some(before) = versions.last_mut() {
                before.to = Some(from);
            }
            versions.push(Version {
                from,
                to: None,
                terms,
            });
        }
        let alternate = good
            .like
            .and_then(|key| self.prices.iter().position(|price| price.key == key));
        let place = self.prices.len();
        if let Some(other) = alternate {
            self.prices[other].alternate = Some(place);
        }
        self.prices.push(Price {
            id: price_id(good.source, &good.key, place),
            key: good.key,
            product: good.product,
            source: good.source,
            currency: good.currency,
            meter,
            versions,
            alternate,
            is_niche: good.is_niche,
            has_minimum_line: good.has_minimum_line,
            level: good.level,
            records: good.records,
        });
    }

    /// The place of a price, by its key.
    pub(super) fn find(&self, key: &str) -> Option<usize> {
        self.prices.iter().position(|price| price.key == key)
    }

    /// The meter of a price.
    pub(super) fn meter_of(&self, price: usize) -> Option<&Meter> {
        self.meters.get(self.prices[price].meter?)
    }

    /// How the records of a price become a quantity.
    pub(super) fn aggregation_of(&self, price: usize) -> Aggregation {
        self.meter_of(price)
            .map_or(Aggregation::Sum, |meter| meter.aggregation)
    }

    /// One of the meter's least unit, in units of 10⁻¹².
    pub(super) fn least_unit_of(&self, price: usize) -> i128 {
        let decimals = self.meter_of(price).map_or(0, |meter| meter.decimals);
        ONE / 10i128.pow(decimals)
    }

    /// Prices of a source for usage, niche ones or the others.
    pub(super) fn usage_prices(&self, source: usize, niche: bool) -> Vec<usize> {
        (0..self.prices.len())
            .filter(|place| {
                let price = &self.prices[*place];
                price.source == source && price.meter.is_some() && price.is_niche == niche
            })
            .collect()
    }

    /// Prices for few, of all sources.
    pub(super) fn niches(&self) -> Vec<usize> {
        (0..self.prices.len())
            .filter(|place| self.prices[*place].is_niche)
            .collect()
    }
}

fn price_id(source: usize, key: &str, place: usize) -> String {
    match source {
        ZUORA => format!("P-{:08}", 10_000_417 + 7_919 * place),
        STRIPE => format!("price_{}", key.replace('-', "0")),
        _ => key.to_owned(),
    }
}
