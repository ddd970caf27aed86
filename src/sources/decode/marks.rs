//! Which rows of a batch are bad, and why: the first problem found in each.
//!
//! Marking instead of stopping keeps the decoding of a whole column in one loop.

use std::collections::BTreeMap;

/// The bad rows of one batch.
#[derive(Debug, Default)]
pub(super) struct Marks(BTreeMap<usize, (&'static str, String)>);

impl Marks {
    /// Marks a row, unless it is marked already; the words are only made when they are kept.
    pub(super) fn add(&mut self, row: usize, code: &'static str, reason: impl FnOnce() -> String) {
        self.0.entry(row).or_insert_with(|| (code, reason()));
    }

    /// Whether no row is marked.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the row is marked.
    pub(super) fn has(&self, row: usize) -> bool {
        self.0.contains_key(&row)
    }

    /// The first marked row from `start` up to but not including `end`, and its reason.
    pub(super) fn first_in(&self, start: usize, end: usize) -> Option<(usize, &str)> {
        self.0
            .range(start..end)
            .next()
            .map(|(row, (_, reason))| (*row, reason.as_str()))
    }

    /// Row, code and reason, in the order of the rows.
    pub(super) fn into_rows(self) -> impl Iterator<Item = (usize, &'static str, String)> {
        self.0
            .into_iter()
            .map(|(row, (code, reason))| (row, code, reason))
    }
}
