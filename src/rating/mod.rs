//! Answers one question: what should this cost?
//!
//! Pure functions over decimals: no I/O, no clock, no environment, and no DataFusion outside `udf`.
//! Amounts are accumulated exactly at 26 decimals and rounded where the price says, never in
//! passing; what does not fit is an error, never a wrapped or a clipped number. The order of one
//! rating is always the same:
//!
//! ```text
//! quantity → quantity rounding → negative policy → included units → model (tier by tier)
//!          → rounding of components or records → maximum, minimum → rounding of the line
//! ```
//!
//! The same code serves the SQL functions, the explanations, the simulation and `trueup rate`.
#![deny(clippy::float_arithmetic, clippy::as_conversions)]

mod aggregate;
mod blocks;
mod breakdown;
mod calculator;
mod capacity;
mod defaults;
mod error;
mod exact;
mod json;
mod package;
mod percentage;
mod price;
mod rate;
mod rounding;
mod terms;
mod tiered;
pub mod udf;

#[cfg(test)]
mod tests;

pub use aggregate::{AggregateError, Event, Period, aggregate};
pub use breakdown::TierCharge;
pub use calculator::{RateOutput, TierOutput, rate_line, rate_value};
pub use defaults::{Defaults, GENERAL, for_platform};
pub use error::RatingError;
pub use json::read_price;
pub use price::{Price, Tier};
pub use rate::{Rated, Usage, rate, rate_usage};
pub use rounding::{money_round, round};
pub use terms::{
    Aggregation, ChargeModel, NegativePolicy, PackageRounding, QuantityRounding, RoundingMode,
    RoundingStage, TierPick, UnknownTerm,
};
pub use udf::register;
