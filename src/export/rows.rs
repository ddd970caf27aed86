//! Rows of the bookkeeping tables.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A row of `exports`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ExportRow {
    /// Identifies the run, source and table.
    pub export_id: String,
    /// The run.
    pub run_id: String,
    /// The source.
    pub source: String,
    /// The table.
    pub table_name: String,
    /// When it began, in the run's own time.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// `ok` or `failed`.
    pub status: String,
    /// What had been read before.
    pub cursor_before: Option<String>,
    /// What has been read now.
    pub cursor_after: Option<String>,
    /// The latest moment up to the run that any row read so far speaks of: how new the data is, where
    /// `finished_at` only says when it was looked for.
    pub high_watermark: Option<DateTime<Utc>>,
    /// Input rows read.
    pub rows_read: i64,
    /// Rows new or changed in the lake.
    pub rows_written: i64,
    /// Rows the lake held already.
    pub rows_unchanged: i64,
    /// Rows that could not become one.
    pub rows_rejected: i64,
    /// Bytes of the files read.
    pub bytes: i64,
    /// Requests made; files are counted as one each.
    pub requests: i64,
    /// Requests made again.
    pub retries: i64,
    /// Why it failed.
    pub error: Option<String>,
}

impl ExportRow {
    /// Columns that differ between two tries of the same run without any change in what was done.
    pub const VOLATILE: &'static [&'static str] = &["started_at", "finished_at", "cursor_before"];
}

/// A row of `rejects`.
#[derive(Clone, Debug, Serialize)]
pub struct RejectRow {
    /// The same row of the same file is the same reject in every run.
    pub reject_id: String,
    /// The run that met it first.
    pub run_id: String,
    /// The source.
    pub source: String,
    /// The table it was meant for.
    pub table_name: String,
    /// File and line.
    pub origin: String,
    /// The kind of problem.
    pub reason_code: String,
    /// The problem in words.
    pub reason: String,
    /// The row as it came.
    pub raw: String,
    /// When, in the run's own time.
    pub rejected_at: DateTime<Utc>,
}

impl RejectRow {
    /// Columns that are not part of what was rejected.
    pub(super) const VOLATILE: &'static [&'static str] = &["run_id", "rejected_at"];
}
