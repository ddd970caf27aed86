//! `trueup signals`: what was found, by weight; and everything about one of them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::args::{Format, Global, ListArgs, ShowArgs, SignalsCommand};
use super::context::{Context, configuration_or_lake, rules};
use super::output::{format, rows, say, table, write};
use super::wording::{money, number, period, steps, text};
use super::{Exit, Failure};
use crate::model::signal::{EntityRow, SignalRow};
use crate::signals::{
    Filter, Named, Shown, SignalsError, known, load, select, show as show_signal,
};

pub(super) async fn signals(
    global: &Global,
    command: &SignalsCommand,
    now: DateTime<Utc>,
) -> Result<Exit, Failure> {
    let context = Context::of_lake(configuration_or_lake(global)?, now).await?;
    match command {
        SignalsCommand::List(args) => list(global, &context, args).await,
        SignalsCommand::Show(args) => show(global, &context, args).await,
    }
}

fn failed(error: SignalsError) -> Failure {
    Failure::of(Exit::Failed, &error)
}

async fn list(global: &Global, context: &Context, args: &ListArgs) -> Result<Exit, Failure> {
    let session = context.sessions.session();
    let all = load(&context.lake, &session).await.map_err(failed)?;
    let is_empty = all.is_empty();
    check_names(context, args, &all).await?;
    let filter = Filter {
        severity: args.severity,
        status: args.status.clone(),
        rule: args.rule.clone(),
        source: args.source.clone(),
        customer: args.customer.clone(),
        all: args.all,
    };
    let found = select(all.into_values(), &filter);
    if is_empty {
        say("no signals");
    } else if found.is_empty() {
        let note = "no signals that match; --all shows those that are resolved or suppressed too";
        say(note);
    }
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
            text(&signal.title),
        ]
    })?;
    Ok(Exit::Done)
}

/// Refuses a name that nothing has: a typing mistake must not look like a clean list.
async fn check_names(
    context: &Context,
    args: &ListArgs,
    all: &BTreeMap<String, SignalRow>,
) -> Result<(), Failure> {
    if let Some(rule) = args.rule.as_deref()
        && !all.values().any(|signal| signal.rule_id == rule)
    {
        let set = rules(&context.config).await?;
        if !set.ids().any(|id| id == rule) {
            let of_signals = all.values().map(|signal| signal.rule_id.as_str());
            return Err(Failure::unknown("rule", rule, set.ids().chain(of_signals)));
        }
    }
    if let Some(source) = args.source.as_deref() {
        let configured = context.config.sources.iter();
        let configured = configured.map(|source| source.name.as_str());
        let met = configured.chain(all.values().map(|signal| signal.source.as_str()));
        let met: Vec<&str> = met.collect();
        check(context, Named::Source, source, &met).await?;
    }
    if let Some(customer) = args.customer.as_deref() {
        let signals = all.values();
        let met = signals.filter_map(|signal| signal.customer_id.as_deref());
        let met: Vec<&str> = met.collect();
        check(context, Named::Customer, customer, &met).await?;
    }
    Ok(())
}

/// Refuses a name that is neither among those that were met nor anywhere in the lake.
async fn check(context: &Context, what: Named, name: &str, met: &[&str]) -> Result<(), Failure> {
    if met.contains(&name) {
        return Ok(());
    }
    let session = context.sessions.session();
    let found = known(&context.lake, &session, what, name).await;
    let Err(others) = found.map_err(failed)? else {
        return Ok(());
    };
    let others = others.iter().map(String::as_str);
    let names = met.iter().copied().chain(others);
    Err(Failure::unknown(what.word(), name, names))
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
    match format(global) {
        Format::Table => write(&people(&shown, args.entities))?,
        Format::Json => {
            let text = serde_json::to_string(&shown).map_err(Failure::internal)?;
            write(&format!("{text}\n"))?;
        }
        // A signal is no table: its records are.
        Format::Csv => {
            let records: Vec<&EntityRow> = shown.entities.iter().take(args.entities).collect();
            rows(global, &HEADINGS, &records, |row| cells(row))?;
        }
    }
    Ok(Exit::Done)
}

const HEADINGS: [&str; 9] = [
    "role", "record", "number", "status", "period", "expected", "actual", "delta", "unit",
];

fn cells(row: &EntityRow) -> Vec<String> {
    vec![
        text(&row.role),
        format!("{} {}", row.entity_type, row.entity_id),
        text(&row.entity_number),
        text(&row.entity_status),
        period(row),
        number(row.expected),
        number(row.actual),
        number(row.delta),
        text(&row.unit),
    ]
}

fn people(shown: &Shown, most: usize) -> String {
    let signal = &shown.signal;
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
    out.push_str(&steps(&shown.remediations));
    let records = shown.entities.iter().take(most).map(cells);
    out.push_str(&format!(
        "\naffected records\n{}\n",
        table(&HEADINGS, records)
    ));
    if shown.entities.len() > most {
        out.push_str(&format!(
            "{most} of {}; --entities shows more\n",
            shown.entities.len()
        ));
    }
    out
}
