//! The settings as every other layer sees them: checked, complete, paths absolute.
//!
//! Plain values only. A stage is given the part it needs, not the whole.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use url::Url;

use super::error::Place;
use crate::model::{Decimal, Severity};

/// The canonical tables, which a source may provide, map or be without.
pub const CANONICAL_TABLES: [&str; 11] = [
    "customers",
    "subscriptions",
    "subscription_items",
    "meters",
    "prices",
    "usage_records",
    "bill_runs",
    "invoices",
    "invoice_lines",
    "adjustments",
    "entity_links",
];

/// Everything that is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file it was read from, as it was named; `None` where a command did without one.
    pub file: Option<PathBuf>,
    /// The moment to judge at; `None` means now, which `main` knows.
    pub as_of: Option<DateTime<Utc>>,
    /// Where the lake is.
    pub lake: LakeConfig,
    /// In which money results are told.
    pub reporting: Reporting,
    /// The configured systems, in the order of the file.
    pub sources: Vec<Source>,
    /// The user's own rules and changes to ours.
    pub rules: Rules,
    /// What is known and accepted for a while.
    pub suppress: Vec<Suppression>,
    /// What the engine may use.
    pub engine: Engine,
}

/// Where the lake is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LakeConfig {
    /// `file://`, `s3://`, `gs://`, `az://` or `memory://`; the path always ends in `/`, so that
    /// [`Url::join`] appends to it.
    pub url: Url,
}

/// In which money results are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reporting {
    /// ISO 4217 code, upper case.
    pub currency: String,
    /// What one unit of another currency is worth in the reporting currency, by upper-case code.
    pub rates: BTreeMap<String, Decimal>,
}

/// One system that is exported into the lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Unique; `a-z`, `0-9` and `-`. It stands in every row that comes from this source.
    pub name: String,
    /// How it is read.
    pub kind: SourceKind,
    /// What it is the truth about.
    pub role: Role,
    /// The system behind the data, such as `zuora`: whose defaults apply where a price is silent.
    pub platform: String,
    /// The folder with its files; the path ends in `/`.
    pub path: Url,
    /// How a table is made where its file is not in the canonical layout.
    pub tables: BTreeMap<String, TableMapping>,
    /// What this source does not have, tables as `prices` and columns as `usage_records.recorded_at`:
    /// rules that need them are skipped for it, not inconclusive.
    pub without: Vec<String>,
}

/// How a source is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// CSV, JSON lines or Parquet files in a folder.
    Files,
}

impl SourceKind {
    /// The name used in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Files => "files",
        }
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a source is the truth about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// What was billed.
    Billing,
    /// What was used.
    Metering,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 2] = [Self::Billing, Self::Metering];

    /// The name used in tables and configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Billing => "billing",
            Self::Metering => "metering",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How one table is made from files of another shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableMapping {
    /// A glob below the source's path; `None` means where the canonical layout has them.
    pub files: Option<String>,
    /// One SELECT over the files as they are, named `raw`; `None` means the canonical columns.
    pub sql: Option<String>,
}

/// The user's own rules and changes to ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Folders with more rules: absolute paths, or URLs of object stores.
    pub dirs: Vec<String>,
    /// Changes by rule id.
    pub overrides: BTreeMap<String, RuleOverride>,
    /// Where a change was written, by its key: whether its rule and parameter exist is found out later.
    pub places: BTreeMap<String, Place>,
}

/// What is changed of one rule; `None` keeps the rule's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleOverride {
    /// Whether it runs.
    pub enabled: Option<bool>,
    /// How grave its signals are at least.
    pub severity: Option<Severity>,
    /// Values of its parameters, as text; the rule knows their types.
    pub params: BTreeMap<String, String>,
}

/// Findings that are known and accepted until a date: still recorded, marked and counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    /// The rule's id.
    pub rule: String,
    /// Where that was written.
    pub place: Place,
    /// What a finding's columns must hold, all of them; never empty.
    pub matches: BTreeMap<String, String>,
    /// Why this is accepted.
    pub reason: String,
    /// Who accepted it.
    pub owner: String,
    /// The first day on which it no longer holds.
    pub expires: NaiveDate,
}

/// What the engine may use; it never changes what is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Memory for queries, in bytes; beyond it they spill to disk.
    pub memory: u64,
    /// Threads; 0 means one for each core.
    pub threads: usize,
    /// How long one rule may take.
    pub timeout: Duration,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            memory: 4 << 30,
            threads: 0,
            timeout: Duration::from_secs(600),
        }
    }
}
