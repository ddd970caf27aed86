//! How a rule came out for one source: there is one of these whatever happened.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Decimal;

/// How a rule came out for one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It found something.
    Fired,
    /// It was judged on complete data and found nothing.
    Clean,
    /// Its input is missing or stale: nothing can be said.
    Inconclusive,
    /// The query failed.
    Error,
    /// The rule does not concern this source.
    Skipped,
    /// The query ran out of time.
    Timeout,
}

impl Verdict {
    /// The word in `rule_runs.status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fired => "fired",
            Self::Clean => "clean",
            Self::Inconclusive => "inconclusive",
            Self::Error => "error",
            Self::Skipped => "skipped",
            Self::Timeout => "timeout",
        }
    }

    /// Whether the rule was judged on complete data.
    pub const fn is_judged(self) -> bool {
        matches!(self, Self::Fired | Self::Clean)
    }

    /// Whether nothing can be said although something should be.
    pub const fn is_inconclusive(self) -> bool {
        matches!(self, Self::Inconclusive | Self::Error | Self::Timeout)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A row of `rule_runs`.
#[derive(Clone, Debug, Serialize)]
pub struct RuleRunRow {
    /// The run.
    pub run_id: String,
    /// The rule.
    pub rule_id: String,
    /// Its version.
    pub rule_version: i32,
    /// The source that was judged.
    pub source: String,
    /// A [`Verdict`].
    pub status: &'static str,
    /// Why it could not be judged, or does not apply.
    pub reason: Option<String>,
    /// Records found.
    pub findings: i64,
    /// Money found, in the reporting currency; `None` where none of it can be told in that.
    pub impact: Option<Decimal>,
    /// How long the query took.
    pub duration_ms: i64,
    /// Rows that its scans read.
    pub rows_scanned: i64,
    /// When it began, in the run's own time.
    pub started_at: DateTime<Utc>,
}

impl RuleRunRow {
    /// Columns that differ between two tries of the same run.
    pub const VOLATILE: &'static [&'static str] = &["duration_ms", "rows_scanned", "started_at"];
}
