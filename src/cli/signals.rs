//! `trueup signals`: what was found, by weight; and everything about one of them.

use chrono::{DateTime, Utc};

use super::args::{Format, Global, ListArgs, ShowArgs, SignalsCommand};
use super::context::{Context, configuration_or_lake};
use super::output::{format, rows, table, write};
use super::{Exit, Failure};
use crate::model::Decimal;
use crate::signals::{Filter, Shown, SignalsError, list as list_signals, show as show_signal};

pub(super) async fn signals(
    global: &Global,
    command: &SignalsCommand,
    now: DateTime<Utc>,
) -> Result<Exit, Failure> {
    let context = Context::open(configuration_or_lake(global)?, now).await?;
    match command {
        SignalsCommand::List(args) => list(global, &context, args).await,
        SignalsCommand::Show(args) => show(global, &context, args).await,
    }
}

fn failed(error: SignalsError) -> Failure {
    Failure::of(Exit::Failed, &error)
}

async fn list(global: &Global, context: &Context, args: &ListArgs) -> Result<Exit, Failure> {
    let filter = Filter {
        severity: args.severity,
        status: args.status.clone(),
        rule: args.rule.clone(),
        source: args.source.clone(),
        customer: args.customer.clone(),
        all: args.all,
    };
    let found = list_signals(&context.lake, &context.sessions.session(), &filter).await;
    let found = found.map_err(failed)?;
    let headings = [
        "signal", "severity", "status", "source", "rule", "records", "impact", "title",
    ];
    rows(global, &headings, &found, |signal| {
        vec![
            signal.signal_id.clone(),
            signal.severity.clone(),
            signal.status.clone(),
            signal.source.clone(),
            signal.rule_id.clone(),
            signal.entity_count.to_string(),
            money(signal.impact, signal.currency.as_deref()),
            signal.title.clone().unwrap_or_default(),
        ]
    })?;
    Ok(Exit::Done)
}

pub(super) fn money(amount: Option<Decimal>, unit: Option<&str>) -> String {
    let amount = amount.map(|amount| amount.to_string()).unwrap_or_default();
    format!("{amount} {}", unit.unwrap_or_default())
        .trim()
        .to_owned()
}

/// The signal of that id, or of that beginning of one.
pub(super) async fn find(context: &Context, id: &str) -> Result<Shown, Failure> {
    let session = context.sessions.session();
    let found = show_signal(&context.lake, &session, id).await;
    found.map_err(failed)?.map_err(|matching| {
        let reason = if matching.is_empty() {
            format!("there is no signal `{id}`")
        } else {
            format!("`{id}` may be any of {}", matching.join(", "))
        };
        Failure::new(Exit::Usage, reason)
    })
}

async fn show(global: &Global, context: &Context, args: &ShowArgs) -> Result<Exit, Failure> {
    let shown = find(context, &args.signal).await?;
    if format(global) == Format::Table {
        write(&people(&shown, args.entities))?;
    } else {
        let text = serde_json::to_string(&shown).map_err(Failure::internal)?;
        write(&format!("{text}\n"))?;
    }
    Ok(Exit::Done)
}

fn people(shown: &Shown, most: usize) -> String {
    let signal = &shown.signal;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let moment = |at: &Option<DateTime<Utc>>| at.map(|at| at.to_rfc3339()).unwrap_or_default();
    let mut out = format!(
        "{}\n{}\n\n{}\n\n",
        text(&signal.title),
        signal.signal_id,
        text(&signal.description)
    );
    let mut facts = vec![
        (
            "severity",
            format!(
                "{}, priority {}",
                signal.severity,
                signal.priority.unwrap_or_default()
            ),
        ),
        ("status", signal.status.clone()),
        (
            "rule",
            format!(
                "{} version {}",
                signal.rule_id,
                signal.rule_version.unwrap_or_default()
            ),
        ),
        (
            "source",
            format!("{} ({})", signal.source, text(&signal.platform)),
        ),
        ("root cause", text(&signal.root_cause)),
        ("explanation", text(&signal.explanation)),
        (
            "overbilled",
            money(signal.overbilled, signal.currency.as_deref()),
        ),
        (
            "underbilled",
            money(signal.underbilled, signal.currency.as_deref()),
        ),
        ("first seen", moment(&signal.first_seen_at)),
        (
            "last seen",
            format!(
                "{}, {} times",
                moment(&signal.last_seen_at),
                signal.occurrences
            ),
        ),
    ];
    if let Some(reason) = &signal.suppression_reason {
        facts.push(("suppressed", reason.clone()));
    }
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        out.push_str(&format!("{name:14} {value}\n"));
    }
    out.push_str("\nwhat to do\n");
    for step in &shown.remediations {
        let number = step.step;
        out.push_str(&format!(
            "  {number}. [{}] {}\n",
            text(&step.target_system),
            text(&step.action)
        ));
        out.push_str(&format!("     check:   {}\n", text(&step.what_to_check)));
        out.push_str(&format!("     why:     {}\n", text(&step.why)));
        out.push_str(&format!("     outcome: {}\n", text(&step.expected_outcome)));
    }
    let decimal = |value: &Option<Decimal>| value.map(|v| v.to_string()).unwrap_or_default();
    let headings = [
        "role", "record", "number", "status", "period", "expected", "actual", "delta", "unit",
    ];
    let records = shown.entities.iter().take(most).map(|row| {
        let day = |at: &Option<DateTime<Utc>>| at.map(|at| at.date_naive().to_string());
        let period = day(&row.period_start).zip(day(&row.period_end));
        vec![
            text(&row.role),
            format!("{} {}", row.entity_type, row.entity_id),
            text(&row.entity_number),
            text(&row.entity_status),
            period
                .map(|(start, end)| format!("{start} – {end}"))
                .unwrap_or_default(),
            decimal(&row.expected),
            decimal(&row.actual),
            decimal(&row.delta),
            text(&row.unit),
        ]
    });
    out.push_str(&format!(
        "\naffected records\n{}\n",
        table(&headings, records)
    ));
    if shown.entities.len() > most {
        out.push_str(&format!(
            "{most} of {}; --entities shows more\n",
            shown.entities.len()
        ));
    }
    out
}
