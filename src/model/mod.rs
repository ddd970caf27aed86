//! Plain values every layer shares: exact decimals, currencies, severities, time spans, identities.
//!
//! Nothing here reads a file, a clock or the environment, and nothing here knows a table.
#![deny(clippy::float_arithmetic, clippy::as_conversions)]

pub mod currency;
mod decimal;
pub mod finding;
pub mod identity;
mod judgement;
mod run;
mod severity;
pub mod signal;
pub mod span;
pub mod text;

pub use decimal::{Decimal, DecimalError};
pub use finding::Finding;
pub use judgement::{RuleRunRow, Verdict};
pub use run::Run;
pub use severity::{Severity, UnknownSeverity};
