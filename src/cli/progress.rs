//! Progress of long work: bars on a terminal, log lines elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::Global;
use crate::export::{Progress, TableReport};

/// A bar that is only drawn on a terminal.
pub(super) struct Bars {
    bar: Mutex<ProgressBar>,
    is_drawn: bool,
}

impl Bars {
    pub(super) fn new(global: &Global) -> Self {
        let is_drawn = std::io::stderr().is_terminal() && !global.quiet;
        Self {
            bar: Mutex::new(ProgressBar::hidden()),
            is_drawn,
        }
    }

    /// Rule so many of so many.
    pub(super) fn rule(&self, done: usize, of: usize, rule: &str) {
        tracing::info!(rule, done, of, "judging");
        let template = "{msg:28} [{bar:30}] {pos}/{len} rules";
        self.step(done, of, rule, template);
    }

    /// Day so many of so many.
    pub(super) fn day(&self, done: usize, of: usize, day: &str) {
        tracing::info!(day, done, of, "judging");
        let template = "{msg:28} [{bar:30}] {pos}/{len} days";
        self.step(done, of, day, template);
    }

    fn step(&self, done: usize, of: usize, what: &str, template: &str) {
        self.with(|bar| {
            if bar.length() != Some(of as u64) || done == 0 {
                *bar = self.new_bar(of as u64, template);
            }
            bar.set_message(what.to_owned());
            bar.set_position(done as u64);
        });
    }

    pub(super) fn clear(&self) {
        self.with(|bar| bar.finish_and_clear());
    }

    fn new_bar(&self, length: u64, template: &str) -> ProgressBar {
        if !self.is_drawn {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template(template);
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    }

    fn with(&self, act: impl FnOnce(&mut ProgressBar)) {
        if let Ok(mut bar) = self.bar.lock() {
            act(&mut bar);
        }
    }
}

impl Progress for Bars {
    fn table_started(&self, source: &str, table: &str, files: usize, bytes: u64) {
        tracing::info!(source, table, files, bytes, "reading");
        self.with(|bar| {
            *bar = self.new_bar(bytes, "{msg:40} [{bar:30}] {bytes}/{total_bytes}");
            bar.set_message(format!("{source} {table}"));
        });
    }

    fn file_read(&self, bytes: u64) {
        self.with(|bar| bar.inc(bytes));
    }

    fn table_finished(&self, report: &TableReport) {
        let row = &report.row;
        tracing::info!(
            source = row.source,
            table = row.table_name,
            status = row.status,
            read = row.rows_read,
            written = row.rows_written,
            unchanged = row.rows_unchanged,
            rejected = row.rows_rejected,
            "exported"
        );
        self.with(|bar| bar.finish_and_clear());
    }
}
