//! What a run came to, in a billing operator's words, and the exit code that says the same.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::args::{Format, Global};
use super::output::{rows, table, write};
use super::{Exit, Failure};
use crate::derive::Refreshed;
use crate::export::Report;
use crate::model::signal::SignalRow;
use crate::model::{Decimal, RuleRunRow, Run, Severity};
use crate::signals::Written;

/// What a run came to.
pub(super) struct Outcome {
    /// What failed before or while it judged, with the reasons.
    pub(super) failures: Vec<String>,
    pub(super) rule_runs: Vec<RuleRunRow>,
    pub(super) written: Written,
    pub(super) open: Vec<SignalRow>,
    pub(super) versions: BTreeMap<&'static str, u64>,
    /// The reporting currency.
    pub(super) reporting: String,
}

impl Outcome {
    /// Rules and sources that could not be judged.
    pub(super) fn inconclusive(&self) -> impl Iterator<Item = &RuleRunRow> {
        self.rule_runs.iter().filter(|row| is_unjudged(row))
    }

    /// What the run found, the same however often it is repeated.
    pub(super) fn counts(&self) -> Value {
        let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
        for row in &self.rule_runs {
            *rules.entry(row.status).or_default() += 1;
        }
        json!({ "rules": rules, "open_signals": self.by_severity() })
    }

    fn by_severity(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for signal in &self.open {
            *counts.entry(signal.severity.as_str()).or_default() += 1;
        }
        counts
    }
}

fn is_unjudged(row: &RuleRunRow) -> bool {
    matches!(row.status, "inconclusive" | "error" | "timeout")
}

/// How many could not be judged, and how to say so.
pub(super) fn unjudged(rule_runs: &[RuleRunRow]) -> (usize, String) {
    let reasons: Vec<String> = rule_runs
        .iter()
        .filter(|row| is_unjudged(row))
        .map(reason)
        .collect();
    if reasons.is_empty() {
        return (0, String::new());
    }
    (
        reasons.len(),
        format!("\nnot judged:\n  {}", reasons.join("\n  ")),
    )
}

fn reason(row: &RuleRunRow) -> String {
    let why = row.reason.as_deref().unwrap_or(row.status);
    format!("{} on {}: {why}", row.rule_id, row.source)
}

/// The code that an orchestrator obeys.
pub(super) fn exit(outcome: &Outcome, fail_on: Option<Severity>) -> Exit {
    let has_failures = !outcome.failures.is_empty();
    let is_partial = outcome.inconclusive().next().is_some();
    ending(&outcome.open, has_failures, is_partial, fail_on)
}

/// The same of its parts: the gravest reason wins.
pub(super) fn ending(
    open: &[SignalRow],
    has_failures: bool,
    is_partial: bool,
    fail_on: Option<Severity>,
) -> Exit {
    let is_grave = |least: Severity| {
        let severities = open
            .iter()
            .map(|signal| signal.severity.parse::<Severity>());
        severities.flatten().any(|found| found >= least)
    };
    if has_failures {
        Exit::Failed
    } else if is_partial {
        Exit::Inconclusive
    } else if fail_on.is_some_and(is_grave) {
        Exit::Signals
    } else {
        Exit::Done
    }
}

/// Prints the summary.
pub(super) fn print(
    global: &Global,
    run: &Run,
    outcome: &Outcome,
    exported: Option<(&Report, &Refreshed)>,
) -> Result<(), Failure> {
    match global.format {
        Some(Format::Json) => return write(&format!("{}\n", machine(run, outcome, exported))),
        Some(Format::Csv) => return line(global, run, outcome),
        // Whoever asks for nothing reads it, on a terminal or in a log.
        Some(Format::Table) | None => {}
    }
    let mut text = format!("run {} as of {}\n", run.id, run.as_of.to_rfc3339());
    if let Some((report, refreshed)) = exported {
        text.push_str(&sources(report, refreshed));
    }
    if !outcome.failures.is_empty() {
        let failed = outcome.failures.join("\n  ");
        text.push_str(&format!("\nfailed:\n  {failed}\n"));
    }
    text.push_str(&signals(outcome));
    let (count, why) = unjudged(&outcome.rule_runs);
    if count > 0 {
        text.push_str(&format!(
            "\n{count} judgements are inconclusive:{}\n",
            why.trim_start_matches("\nnot judged:")
        ));
    }
    text.push_str(&unweighed(outcome));
    text.push_str(&next(outcome));
    write(&text)
}

fn sources(report: &Report, refreshed: &Refreshed) -> String {
    let mut totals: BTreeMap<&str, [i64; 4]> = BTreeMap::new();
    for table in &report.tables {
        let row = &table.row;
        let sums = totals.entry(&row.source).or_default();
        let counts = [
            row.rows_read,
            row.rows_written,
            row.rows_unchanged,
            row.rows_rejected,
        ];
        sums.iter_mut()
            .zip(counts)
            .for_each(|(sum, count)| *sum += count);
    }
    if totals.values().all(|[read, ..]| *read == 0) {
        return "\nno source has anything new\n".to_owned();
    }
    let rows = totals.iter().map(|(source, counts)| {
        let mut row = vec![(*source).to_owned()];
        row.extend(counts.iter().map(ToString::to_string));
        row
    });
    let table = table(
        &["source", "rows read", "written", "unchanged", "rejected"],
        rows,
    );
    let rejected: i64 = totals.values().map(|[.., rejected]| rejected).sum();
    let mut text = format!("\n{table}\n");
    if rejected > 0 {
        text.push_str(
            "rejected rows, with file, line and reason: \
             trueup sql \"select source, origin, reason from rejects\"\n",
        );
    }
    if refreshed.days_rebuilt > 0 {
        text.push_str(&format!(
            "{} days of usage rolled up; {} records repeat an earlier one and count once\n",
            refreshed.days_rebuilt, refreshed.duplicates
        ));
    }
    text
}

fn signals(outcome: &Outcome) -> String {
    let written = &outcome.written;
    let mut text = format!(
        "\nsignals: {} new, {} back again, {} continuing, {} resolved; {} open\n",
        written.opened,
        written.regressed,
        written.continuing,
        written.resolved,
        outcome.open.len()
    );
    if outcome.open.is_empty() {
        return text;
    }
    let counts = outcome.by_severity();
    let rows = Severity::ALL.iter().filter_map(|severity| {
        let count = counts.get(severity.as_str())?;
        let of = |signal: &&SignalRow| signal.severity == severity.as_str();
        let entities: i64 = outcome
            .open
            .iter()
            .filter(of)
            .map(|signal| signal.entity_count)
            .sum();
        let over = money(
            outcome
                .open
                .iter()
                .filter(of)
                .map(|s| (s.overbilled, s.currency.as_deref())),
        );
        let under = money(
            outcome
                .open
                .iter()
                .filter(of)
                .map(|s| (s.underbilled, s.currency.as_deref())),
        );
        Some(vec![
            severity.to_string(),
            count.to_string(),
            entities.to_string(),
            over,
            under,
        ])
    });
    let table = table(
        &[
            "severity",
            "signals",
            "records",
            "overbilled",
            "underbilled",
        ],
        rows,
    );
    text.push_str(&format!("{table}\n"));
    text
}

/// Sums by currency: `12.50 USD + 300 JPY`.
fn money<'a>(amounts: impl Iterator<Item = (Option<Decimal>, Option<&'a str>)>) -> String {
    let mut sums: BTreeMap<&str, Option<Decimal>> = BTreeMap::new();
    for (amount, currency) in amounts {
        let (Some(amount), Some(currency)) = (amount, currency) else {
            continue;
        };
        let sum = sums.entry(currency).or_insert(Some(Decimal::ZERO));
        *sum = sum.and_then(|sum| sum.checked_add(amount));
    }
    let texts = sums
        .into_iter()
        .filter(|(_, sum)| *sum != Some(Decimal::ZERO))
        .map(|(currency, sum)| {
            let sum = sum.map_or_else(|| "more than fits".to_owned(), |sum| sum.to_string());
            format!("{sum} {currency}")
        });
    texts.collect::<Vec<_>>().join(" + ")
}

/// Currencies whose money could not be told in the reporting one: it raises no severity.
fn unweighed(outcome: &Outcome) -> String {
    let own = outcome
        .open
        .iter()
        .filter_map(|signal| signal.currency.as_deref());
    let missing: std::collections::BTreeSet<&str> = own
        .filter(|currency| *currency != outcome.reporting)
        .collect();
    if missing.is_empty() {
        return String::new();
    }
    let missing: Vec<&str> = missing.into_iter().collect();
    format!(
        "\nno rate for {}: that money raises no severity; reporting.rates gives one\n",
        missing.join(", ")
    )
}

fn next(outcome: &Outcome) -> String {
    let Some(first) = outcome.open.first() else {
        return "\nnothing to do\n".to_owned();
    };
    let top = outcome.open.iter().take(5).map(|signal| {
        let title = signal.title.clone().unwrap_or_default();
        let impact = money(std::iter::once((signal.impact, signal.currency.as_deref())));
        vec![
            signal.signal_id.clone(),
            signal.severity.clone(),
            signal.source.clone(),
            impact,
            title,
        ]
    });
    let table = table(&["first", "severity", "source", "impact", "what"], top);
    format!(
        "\n{table}\nlook next: trueup signals show {}   all of them: trueup signals list\n",
        first.signal_id
    )
}

/// One line of figures, to be added to those of other runs.
fn line(global: &Global, run: &Run, outcome: &Outcome) -> Result<(), Failure> {
    let headings = [
        "run_id",
        "as_of",
        "opened",
        "regressed",
        "continuing",
        "resolved",
        "open",
        "inconclusive",
        "rows_written",
    ];
    let written = &outcome.written;
    let figures = [
        run.id.clone(),
        run.as_of.to_rfc3339(),
        written.opened.to_string(),
        written.regressed.to_string(),
        written.continuing.to_string(),
        written.resolved.to_string(),
        outcome.open.len().to_string(),
        outcome.inconclusive().count().to_string(),
        written.rows_written.to_string(),
    ];
    rows(global, &headings, &[figures], |figures| figures.to_vec())
}

fn machine(run: &Run, outcome: &Outcome, exported: Option<(&Report, &Refreshed)>) -> Value {
    let tables = exported.map(|(report, _)| {
        let rows: Vec<_> = report.tables.iter().map(|table| &table.row).collect();
        json!(rows)
    });
    let inconclusive: Vec<String> = outcome.inconclusive().map(reason).collect();
    json!({
        "run_id": run.id,
        "as_of": run.as_of,
        "exports": tables,
        "failed": outcome.failures,
        "signals": {
            "opened": outcome.written.opened,
            "regressed": outcome.written.regressed,
            "continuing": outcome.written.continuing,
            "resolved": outcome.written.resolved,
            "open": outcome.by_severity(),
        },
        "rows_written": outcome.written.rows_written,
        "inconclusive": inconclusive,
    })
}
