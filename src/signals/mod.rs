//! Signals: findings grouped into issues that have a life across runs.
//!
//! ```text
//! findings ─► group (fingerprint, money, severity) ─► transition (what becomes of each signal)
//!                                                       │
//!        events ─► entities ─► remediations ─► rule_runs ─► patterns ─► signals, last
//! ```
//! `signals` is written last and decides: a run that dies before it is repeated as if it had never
//! been, and every other table is written by keys that come out the same.

mod cause;
mod entities;
mod group;
mod known;
mod lookup;
mod money;
mod pattern;
mod query;
mod transition;
mod write;

pub use cause::causes;
pub use entities::entities;
pub use group::{Group, Grouped, Observed, group};
pub use known::{Named, known};
pub use lookup::{Known, lookup};
pub use money::Exchange;
pub use query::{Filter, Shown, list, select, show};
pub use transition::{Moment, Transition, transitions};
pub use write::{Results, SignalsError, Written, load, write};
