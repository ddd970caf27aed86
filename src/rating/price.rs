//! A price as `rating` reads it: the columns of `prices` that decide an amount, and what must hold
//! of them. Names, dates and ids are left to others.

use std::collections::BTreeMap;

use super::defaults::{Defaults, GENERAL};
use super::error::RatingError;
use super::rounding::Rounding;
use super::terms::{
    ChargeModel, NegativePolicy, PackageRounding, QuantityRounding, RoundingMode, RoundingStage,
    TierPick,
};
use crate::model::Decimal;

/// One tier: it holds `previous.up_to < q <= up_to`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tier {
    /// The greatest quantity of the tier; `None` = no upper bound.
    pub up_to: Option<Decimal>,
    /// The price of a unit, or of a package where there is a package size.
    pub unit_price: Option<Decimal>,
    /// What the tier costs as soon as it is reached.
    pub flat_fee: Option<Decimal>,
    /// Units in a package (a block) of this tier.
    pub package_size: Option<Decimal>,
    /// The share of the amount, in percent.
    pub percentage_rate: Option<Decimal>,
    /// Blocks the tier holds; negative = unbounded.
    pub max_blocks: Option<Decimal>,
    /// The greatest quantity of each unit type (capacity); `None` = unbounded.
    pub limits: BTreeMap<String, Option<Decimal>>,
}

/// The columns of a price that decide an amount. `None` is NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// How a quantity becomes an amount.
    pub charge_model: ChargeModel,
    /// Decimals of the currency's minor unit; `None` without a (known) currency.
    pub currency_exponent: Option<u32>,
    /// The price of a unit, or of a package where there is a package size.
    pub unit_price: Option<Decimal>,
    /// A fixed amount: of the price, or of each paid event of a percentage price.
    pub flat_fee: Option<Decimal>,
    /// Units in a package. With tiers, the quantity is brought to whole packages before them.
    pub package_size: Option<Decimal>,
    /// Whether a package that is not full counts.
    pub package_rounding: Option<PackageRounding>,
    /// Units that cost nothing, taken off before a tier is picked.
    pub included_quantity: Option<Decimal>,
    /// The price of a unit above the included ones or above the last tier.
    pub overage_price: Option<Decimal>,
    /// The share of the amount, in percent.
    pub percentage_rate: Option<Decimal>,
    /// Events that cost nothing.
    pub free_events: Option<Decimal>,
    /// The amount of events that costs nothing.
    pub free_amount: Option<Decimal>,
    /// The least that a paid event costs.
    pub event_minimum: Option<Decimal>,
    /// The most that a paid event costs.
    pub event_maximum: Option<Decimal>,
    /// The least amount after rating.
    pub minimum_amount: Option<Decimal>,
    /// The greatest amount after rating.
    pub maximum_amount: Option<Decimal>,
    /// The tiers, ascending.
    pub tiers: Vec<Tier>,
    /// Where the amount is rounded.
    pub rounding_stage: Option<RoundingStage>,
    /// How it is rounded.
    pub rounding_mode: Option<RoundingMode>,
    /// To how many decimals; `None` = as many as the currency has.
    pub rounding_scale: Option<i32>,
    /// To multiples of what; it goes before the scale.
    pub rounding_increment: Option<Decimal>,
    /// How the quantity is rounded before anything else.
    pub quantity_rounding: Option<QuantityRounding>,
    /// To how many decimals; `None` = to whole units.
    pub quantity_scale: Option<i32>,
    /// Which quantity picks a tier.
    pub tier_pick: Option<TierPick>,
    /// Whether the first tier's flat fee is due without any usage.
    pub flat_fee_at_zero: Option<bool>,
    /// What a negative quantity means.
    pub negative_policy: Option<NegativePolicy>,
    /// What applies where the columns above are `None`.
    pub defaults: Defaults,
}

impl Price {
    /// A price of the model with every column NULL.
    pub const fn new(charge_model: ChargeModel) -> Self {
        Self {
            charge_model,
            currency_exponent: None,
            unit_price: None,
            flat_fee: None,
            package_size: None,
            package_rounding: None,
            included_quantity: None,
            overage_price: None,
            percentage_rate: None,
            free_events: None,
            free_amount: None,
            event_minimum: None,
            event_maximum: None,
            minimum_amount: None,
            maximum_amount: None,
            tiers: Vec::new(),
            rounding_stage: None,
            rounding_mode: None,
            rounding_scale: None,
            rounding_increment: None,
            quantity_rounding: None,
            quantity_scale: None,
            tier_pick: None,
            flat_fee_at_zero: None,
            negative_policy: None,
            defaults: GENERAL,
        }
    }

    /// What must hold of the price whatever the quantity.
    ///
    /// # Errors
    /// Tiers that do not ascend or follow an open one, sizes that are not above zero, negative
    /// allowances, a minimum above the maximum.
    pub fn check(&self) -> Result<(), RatingError> {
        above_zero("package_size", self.package_size)?;
        not_negative("included_quantity", self.included_quantity)?;
        not_negative("free_events", self.free_events)?;
        not_negative("free_amount", self.free_amount)?;
        check_bounds(self.minimum_amount, self.maximum_amount)?;
        check_bounds(self.event_minimum, self.event_maximum)?;
        match self.charge_model {
            ChargeModel::Graduated
            | ChargeModel::Volume
            | ChargeModel::Stairstep
            | ChargeModel::GraduatedPercentage
            | ChargeModel::TieredOverage => check_bounded(&self.tiers),
            ChargeModel::GraduatedBlock | ChargeModel::VolumeBlock => check_blocks(&self.tiers),
            ChargeModel::Capacity if self.tiers.iter().all(|tier| tier.limits.is_empty()) => {
                check_bounded(&self.tiers)
            }
            _ => Ok(()),
        }
    }

    /// Turns the price into the hypothesis that it is of another model. Two words go beyond the
    /// models: all units at the price of the first, or of the last, tier.
    ///
    /// # Errors
    /// A word that is neither a model nor one of those two.
    pub fn suppose(&mut self, model: &str) -> Result<(), RatingError> {
        let tier = match model {
            "per_unit_first_tier" => self.tiers.first(),
            "per_unit_last_tier" => self.tiers.last(),
            word => {
                self.charge_model = word.parse()?;
                return Ok(());
            }
        };
        self.unit_price = tier.and_then(|tier| tier.unit_price);
        self.flat_fee = tier.and_then(|tier| tier.flat_fee);
        self.package_size = tier
            .and_then(|tier| tier.package_size)
            .or(self.package_size);
        self.charge_model = ChargeModel::PerUnit;
        Ok(())
    }

    /// Where amounts are rounded and how; no rounding for the stages that leave the line as it is,
    /// and none where neither a currency nor a scale nor an increment says to what.
    pub(super) fn rounding(&self) -> Result<Option<(RoundingStage, Rounding)>, RatingError> {
        let stage = self.rounding_stage.unwrap_or(self.defaults.rounding_stage);
        if matches!(stage, RoundingStage::None | RoundingStage::Invoice) {
            return Ok(None);
        }
        let mode = self.rounding_mode.unwrap_or(self.defaults.rounding_mode);
        let rounding = match (self.rounding_increment, self.scale()) {
            (Some(increment), _) => Rounding::to_increment(increment, mode)?,
            (None, Some(scale)) => Rounding::to_scale("rounding_scale", scale, mode)?,
            (None, None) => return Ok(None),
        };
        Ok(Some((stage, rounding)))
    }

    /// The decimals an amount is rounded to, where that is a matter of decimals.
    pub(super) fn scale(&self) -> Option<i32> {
        self.rounding_scale.or_else(|| {
            self.currency_exponent
                .and_then(|exponent| i32::try_from(exponent).ok())
        })
    }

    pub(super) fn package_rounding(&self) -> PackageRounding {
        self.package_rounding
            .unwrap_or(self.defaults.package_rounding)
    }

    pub(super) fn tier_pick(&self) -> TierPick {
        self.tier_pick.unwrap_or(self.defaults.tier_pick)
    }

    pub(super) fn flat_fee_at_zero(&self) -> bool {
        self.flat_fee_at_zero
            .unwrap_or(self.defaults.flat_fee_at_zero)
    }

    pub(super) fn negative_policy(&self) -> NegativePolicy {
        self.negative_policy
            .unwrap_or(self.defaults.negative_policy)
    }

    pub(super) fn needs<T>(
        &self,
        column: &'static str,
        value: Option<T>,
    ) -> Result<T, RatingError> {
        value.ok_or(RatingError::Missing {
            model: self.charge_model,
            column,
        })
    }
}

fn check_bounded(tiers: &[Tier]) -> Result<(), RatingError> {
    let mut below: Option<Decimal> = None;
    let mut open = false;
    for (number, tier) in (1..).zip(tiers) {
        if open {
            return Err(RatingError::TierAfterOpen { tier: number });
        }
        match tier.up_to {
            None => open = true,
            Some(up_to) if up_to.is_negative() => {
                return Err(RatingError::TierRange {
                    tier: number,
                    column: "up_to",
                    value: up_to,
                });
            }
            Some(up_to) if below.is_some_and(|below| up_to <= below) => {
                return Err(RatingError::TierOrder { tier: number });
            }
            Some(up_to) => below = Some(up_to),
        }
        check_size(number, tier)?;
    }
    Ok(())
}

/// Blocks are counted, so a tier is bounded by `max_blocks`, or by `up_to` where it has none.
fn check_blocks(tiers: &[Tier]) -> Result<(), RatingError> {
    let mut below: Option<Decimal> = None;
    let mut open = false;
    for (number, tier) in (1..).zip(tiers) {
        if open {
            return Err(RatingError::TierAfterOpen { tier: number });
        }
        if let Some(up_to) = tier.up_to {
            if below.is_some_and(|below| up_to <= below) {
                return Err(RatingError::TierOrder { tier: number });
            }
            below = Some(up_to);
        }
        open = match tier.max_blocks {
            Some(blocks) => blocks.is_negative(),
            None => tier.up_to.is_none(),
        };
        check_size(number, tier)?;
    }
    Ok(())
}

fn check_size(number: usize, tier: &Tier) -> Result<(), RatingError> {
    match tier.package_size {
        Some(size) if size <= Decimal::ZERO => Err(RatingError::TierRange {
            tier: number,
            column: "package_size",
            value: size,
        }),
        _ => Ok(()),
    }
}

fn above_zero(column: &'static str, value: Option<Decimal>) -> Result<(), RatingError> {
    match value {
        Some(value) if value <= Decimal::ZERO => Err(RatingError::Range { column, value }),
        _ => Ok(()),
    }
}

fn not_negative(column: &'static str, value: Option<Decimal>) -> Result<(), RatingError> {
    match value {
        Some(value) if value.is_negative() => Err(RatingError::Range { column, value }),
        _ => Ok(()),
    }
}

fn check_bounds(minimum: Option<Decimal>, maximum: Option<Decimal>) -> Result<(), RatingError> {
    match (minimum, maximum) {
        (Some(minimum), Some(maximum)) if minimum > maximum => {
            Err(RatingError::Bounds { minimum, maximum })
        }
        _ => Ok(()),
    }
}
