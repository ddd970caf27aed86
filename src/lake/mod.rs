//! The lake: where every table lives, what its columns are, and the one way to change it.
//!
//! `schema` declares the tables, `storage` turns a URL into an object store, `open` gives a table at
//! its newest version, `commit` is the only place that changes one, and `upsert` decides what a
//! change is. A query session is handed in: this module never makes one.

mod commit;
mod compare;
mod error;
mod maintain;
mod open;
mod rows;
pub mod schema;
mod storage;
mod upsert;

pub use commit::{Change, Outcome, Writer, commit, last_number, rows_committed};
pub(crate) use compare::{Moments, conform};
pub use error::LakeError;
pub use maintain::{Maintenance, MaintenancePlan};
pub use open::{Lake, changed_partitions};
pub use rows::{from_batches, to_batch};
pub use schema::{TABLES, TableDef, Zone, table};
pub use storage::{ObjectPlace, object_place};
pub use upsert::{Difference, Rejected, Tally, Upsert, contested, difference, upsert};
