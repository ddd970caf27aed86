//! Why a price cannot be applied to a quantity. Two kinds matter to callers: a price that does not say
//! its amount, because it lacks what its model needs or cannot be rounded as it asks
//! ([`RatingError::is_unrateable`]: no amount is known, which SQL shows as NULL), and everything else,
//! which is wrong and must not be passed over.

use super::terms::{ChargeModel, UnknownTerm};
use crate::model::Decimal;

/// Why there is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RatingError {
    /// The price lacks a column that its model cannot do without.
    #[error("a {model} price needs {column}")]
    Missing {
        /// The model of the price.
        model: ChargeModel,
        /// The column that is NULL.
        column: &'static str,
    },
    /// No column describes how such a price is computed.
    #[error("a {model} price cannot be rated from its columns")]
    NotRateable {
        /// The model of the price.
        model: ChargeModel,
    },
    /// The price has fees or allowances per event, and only a total was given.
    #[error("{column} applies to each event, and the events were not given")]
    NeedsEvents {
        /// The column that applies to events.
        column: &'static str,
    },
    /// The last tier is bounded and the quantity lies above it.
    #[error("quantity {quantity} is above the last tier of the price")]
    BeyondTiers {
        /// The quantity that no tier holds.
        quantity: Decimal,
    },
    /// Units of several types do not fit in any tier.
    #[error("the units fit in no tier of the price")]
    BeyondCapacity,
    /// A unit type that no tier limits.
    #[error("no tier of the price has a limit for unit `{unit}`")]
    UnknownUnit {
        /// The unit as it came.
        unit: String,
    },
    /// The usage is of a form that the model does not take.
    #[error("a {model} price is not rated from {form}")]
    WrongUsage {
        /// The model of the price.
        model: ChargeModel,
        /// The form of the usage.
        form: &'static str,
    },
    /// The price refuses negative quantities.
    #[error("negative quantity {quantity} is refused by the price")]
    Negative {
        /// The quantity as it came.
        quantity: Decimal,
    },
    /// A tier that does not lie above the one before it.
    #[error("tiers out of order: tier {tier} does not end above the one before it")]
    TierOrder {
        /// The tier, counted from 1.
        tier: usize,
    },
    /// A tier after one that has no upper bound.
    #[error("tiers out of order: tier {tier} follows one without an upper bound")]
    TierAfterOpen {
        /// The tier, counted from 1.
        tier: usize,
    },
    /// A tier that is NULL as a whole.
    #[error("tier {tier} is null")]
    TierNull {
        /// The tier, counted from 1.
        tier: usize,
    },
    /// A number of a tier is outside its range.
    #[error("tier {tier}: {column} {value} is out of range")]
    TierRange {
        /// The tier, counted from 1.
        tier: usize,
        /// The column.
        column: &'static str,
        /// What it holds.
        value: Decimal,
    },
    /// A number of the price is outside its range.
    #[error("{column} {value} is out of range")]
    Range {
        /// The column.
        column: &'static str,
        /// What it holds.
        value: Decimal,
    },
    /// The price asks for a rounding that there is not: to multiples of nothing, or too coarse.
    #[error("{column} {value} is no way to round")]
    Rounding {
        /// The column.
        column: &'static str,
        /// What it holds.
        value: Decimal,
    },
    /// The least amount is above the greatest.
    #[error("minimum_amount {minimum} is above maximum_amount {maximum}")]
    Bounds {
        /// The least amount.
        minimum: Decimal,
        /// The greatest amount.
        maximum: Decimal,
    },
    /// A word the price does not know.
    #[error(transparent)]
    Term(#[from] UnknownTerm),
    /// The amount has more digits than the lake can hold.
    #[error("overflow: the amount needs more than 26 digits before the decimal point")]
    Overflow,
}

impl RatingError {
    /// Whether the price simply does not say what the amount is, as opposed to saying something
    /// that is wrong.
    pub const fn is_unrateable(&self) -> bool {
        matches!(
            self,
            Self::Missing { .. }
                | Self::NotRateable { .. }
                | Self::NeedsEvents { .. }
                | Self::BeyondTiers { .. }
                | Self::Rounding { .. }
        )
    }
}
