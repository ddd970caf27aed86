//! Rules as text: the embedded and the user's own files become checked [`Rule`] values.
//!
//! This layer reads and lints text. It never plans or runs SQL, reads no folder and asks no clock:
//! the files of a user's folders are handed in, and whether a query's columns and tables are right
//! is decided where it is planned.

pub mod cases;
pub mod condition;
mod error;
mod index;
mod lint;
mod load;
mod lock;
mod metadata;
mod need;
mod param;
mod rule;
mod schedule;
mod sql;
mod starter;
pub mod template;

pub use error::{Problem, RuleError};
pub use index::index;
pub use lint::{lint, tables};
pub use load::{RuleFile, embedded, load};
pub use lock::{lock_file, lock_hash, retired, rule_hash, view_hash};
pub use need::{Column, Need};
pub use param::{AssignError, Param, ParamKind, ParamValue};
pub use rule::{
    CATEGORIES, EXPLAINED_COLUMNS, Escalate, Explain, ROOT_CAUSES, Rule, RuleSet, Stage, Status,
    Step, TARGETS, Trigger, View,
};
pub use schedule::{Schedule, ScheduleError};
pub use starter::starter;

/// The stages from upstream to downstream: an earlier one explains a later one.
pub fn stages() -> &'static [Stage] {
    Stage::ALL
}
