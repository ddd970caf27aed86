//! `trueup explain`: why a signal is there, for those who answer for the invoice. It only words what
//! the run has proven and kept; nothing is computed or read again.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::args::{ExplainArgs, Format, Global};
use super::context::{Context, configuration_or_lake};
use super::output::{cell, format, rows, table, write};
use super::signals::find;
use super::wording::{money, number, period, steps, text};
use super::{Exit, Failure};
use crate::model::signal::EntityRow;
use crate::signals::Shown;

pub(super) async fn explain(
    global: &Global,
    args: &ExplainArgs,
    now: DateTime<Utc>,
) -> Result<Exit, Failure> {
    let context = Context::of_lake(configuration_or_lake(global)?, now).await?;
    let shown = find(&context, &args.signal).await?;
    match format(global) {
        Format::Table => write(&people(&shown, args.records))?,
        Format::Json => {
            let value = machine(&shown, args.records);
            let text = serde_json::to_string(&value).map_err(Failure::internal)?;
            write(&format!("{text}\n"))?;
        }
        // An explanation is no table: the records concerned are.
        Format::Csv => {
            let mut records = records(&shown);
            records.truncate(args.records);
            rows(global, &HEADINGS, &records, |row| cells(row))?;
        }
    }
    Ok(Exit::Done)
}

/// The affected records of the last run, the weightiest first.
fn records(shown: &Shown) -> Vec<&EntityRow> {
    let mut records: Vec<&EntityRow> = shown
        .entities
        .iter()
        .filter(|row| row.role.as_deref() == Some("primary"))
        .filter(|row| row.last_seen_at == shown.signal.last_seen_at)
        .collect();
    records.sort_by_key(|row| Reverse(row.delta.map(|delta| delta.abs())));
    records
}

/// A JSON text of the lake; nothing where there is none.
fn parsed(text: &Option<String>) -> Value {
    let value = text.as_deref().map(serde_json::from_str);
    value.and_then(Result::ok).unwrap_or(Value::Null)
}

/// The evidence of the weightiest record.
fn leading(shown: &Shown) -> Value {
    parsed(&shown.signal.evidence)["leading"].clone()
}

fn machine(shown: &Shown, most: usize) -> Value {
    let signal = &shown.signal;
    let records = records(shown);
    let leading = leading(shown);
    let evidence = &leading["evidence"];
    let described: Vec<Value> = records
        .iter()
        .take(most)
        .map(|row| {
            let evidence = parsed(&row.evidence);
            json!({
                "entity_type": row.entity_type,
                "entity_id": row.entity_id,
                "entity_number": row.entity_number,
                "customer_id": row.customer_id,
                "invoice_id": row.invoice_id,
                "period_start": row.period_start,
                "period_end": row.period_end,
                "expected": row.expected,
                "actual": row.actual,
                "delta": row.delta,
                "unit": row.unit,
                "change": evidence["change"],
            })
        })
        .collect();
    json!({
        "signal_id": signal.signal_id,
        "title": signal.title,
        "rule_id": signal.rule_id,
        "source": signal.source,
        "severity": signal.severity,
        "status": signal.status,
        "explanation": signal.explanation,
        "root_cause": signal.root_cause,
        "confidence": signal.root_cause_confidence,
        "caused_by": signal.caused_by,
        "overbilled": signal.overbilled,
        "underbilled": signal.underbilled,
        "currency": signal.currency,
        "leading": {
            "entity_type": leading["entity_type"],
            "entity_id": leading["entity_id"],
            "billed": leading["actual"],
            "due": leading["expected"],
            "change": evidence["change"],
            "expected_tiers": evidence["expected_tiers"],
            "billed_as_tiers": evidence["billed_as_tiers"],
            "explanations": evidence["explanations"],
        },
        "records": described,
        "records_left_out": records.len().saturating_sub(most),
        "remediations": shown.remediations,
    })
}

fn people(shown: &Shown, most: usize) -> String {
    let signal = &shown.signal;
    let leading = leading(shown);
    let evidence = &leading["evidence"];
    let records = records(shown);
    let mut out = format!(
        "{}\n{}, {}, rule {}, {}\n",
        text(&signal.title),
        signal.signal_id,
        signal.severity,
        signal.rule_id,
        signal.source
    );

    out.push_str("\nwhat was billed, and what was due\n");
    let currency = signal.currency.as_deref();
    for (what, amount) in [
        ("billed too much", signal.overbilled),
        ("not billed", signal.underbilled),
    ] {
        if amount.is_some_and(|amount| !amount.is_zero()) {
            out.push_str(&format!("  {what}: {}\n", money(amount, currency)));
        }
    }
    if let Some(row) = records.first()
        && let (Some(billed), Some(due)) = (row.actual, row.expected)
    {
        let unit = row.unit.as_deref().unwrap_or_default();
        out.push_str(&format!(
            "  {}: billed {billed} {unit}, due {due} {unit}\n",
            named(row)
        ));
    }

    out.push_str("\nwhy\n");
    let explanation = signal.explanation.as_deref().unwrap_or("no explanation");
    out.push_str(&format!("  {}", explanation.replace('_', " ")));
    if let Some(cause) = &signal.root_cause {
        out.push_str(&format!(", root cause {}", cause.replace('_', " ")));
    }
    if let Some(confidence) = signal.root_cause_confidence.filter(|share| *share > 0.0) {
        let percent = confidence * 100.0;
        out.push_str(&format!(", fits {percent:.0} % of the lines it could"));
    }
    out.push('\n');
    if let Some(change) = evidence["change"].as_str() {
        out.push_str(&format!("  {change}\n"));
    }
    for other in rest(&evidence["explanations"]) {
        out.push_str(&format!("  it may also be that: {other}\n"));
    }
    if let Some(cause) = &signal.caused_by {
        out.push_str(&format!("  it follows from signal {cause}: begin there\n"));
    }

    if let Some(tiers) = side_by_side(&evidence["expected_tiers"], &evidence["billed_as_tiers"]) {
        out.push_str(&format!("\ntier by tier\n{tiers}\n"));
    }

    let cells = records.iter().take(most).map(|row| cells(row));
    out.push_str(&format!(
        "\nthe records concerned\n{}\n",
        table(&HEADINGS, cells)
    ));
    if records.len() > most {
        let more = records.len() - most;
        out.push_str(&format!("and {more} more; --records shows them\n"));
    }

    out.push_str(&steps(&shown.remediations));
    out
}

const HEADINGS: [&str; 8] = [
    "record",
    "number",
    "customer",
    "period",
    "billed",
    "due",
    "difference",
    "unit",
];

fn cells(row: &EntityRow) -> Vec<String> {
    vec![
        format!("{} {}", row.entity_type.replace('_', " "), row.entity_id),
        text(&row.entity_number),
        text(&row.customer_id),
        period(row),
        number(row.actual),
        number(row.expected),
        number(row.delta),
        text(&row.unit),
    ]
}

/// The other explanations that fit, in words.
fn rest(explanations: &Value) -> Vec<&str> {
    let all = explanations
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let others = all.iter().skip(1).filter_map(|one| one["change"].as_str());
    others.collect()
}

fn named(row: &EntityRow) -> String {
    let mut name = format!("{} {}", row.entity_type.replace('_', " "), row.entity_id);
    if let Some(number) = &row.entity_number {
        name.push_str(&format!(" of {number}"));
    }
    let period = period(row);
    if !period.is_empty() {
        name.push_str(&format!(", {period}"));
    }
    name
}

/// The computation that is due on the left, the one that was billed on the right.
fn side_by_side(due: &Value, billed: &Value) -> Option<String> {
    let (due, billed) = (due.as_array()?, billed.as_array()?);
    let columns = ["up_to", "quantity", "unit_price", "flat_fee", "amount"];
    let headings = [
        "due: up to",
        "units",
        "price",
        "fee",
        "amount",
        "billed: up to",
        "units",
        "price",
        "fee",
        "amount",
    ];
    let side = |tier: Option<&Value>| -> Vec<String> {
        let cells = columns
            .into_iter()
            .map(|column| match tier.map(|tier| &tier[column]) {
                Some(Value::Null) if column == "up_to" => "and above".to_owned(),
                Some(value) => cell(value),
                None => String::new(),
            });
        cells.collect()
    };
    let rows = (0..due.len().max(billed.len())).map(|at| {
        let mut row = side(due.get(at));
        row.extend(side(billed.get(at)));
        row
    });
    Some(table(&headings, rows).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::signal::{RemediationRow, SignalRow};

    fn shown() -> Shown {
        let at = "2026-03-04T12:00:00Z".parse().ok();
        let evidence = json!({"leading": {
            "entity_type": "invoice_line", "entity_id": "l1", "expected": "12.5", "actual": "7.5",
            "evidence": {
                "change": "billed as if volume: 7.5 USD instead of 12.5",
                "explanations": [{"change": "first"}, {"change": "second"}],
                "expected_tiers": [
                    {"up_to": "100", "quantity": "100", "unit_price": "0.1", "flat_fee": "0", "amount": "10"},
                    {"up_to": null, "quantity": "50", "unit_price": "0.05", "flat_fee": "0", "amount": "2.5"},
                ],
                "billed_as_tiers": [
                    {"up_to": null, "quantity": "150", "unit_price": "0.05", "flat_fee": "0", "amount": "7.5"},
                ],
            },
        }});
        let line = |id: &str, delta: &str| EntityRow {
            role: Some("primary".to_owned()),
            entity_type: "invoice_line".to_owned(),
            entity_id: id.to_owned(),
            expected: "12.5".parse().ok(),
            actual: "7.5".parse().ok(),
            delta: delta.parse().ok(),
            unit: Some("USD".to_owned()),
            last_seen_at: at,
            ..EntityRow::default()
        };
        Shown {
            signal: SignalRow {
                signal_id: "sig_1".to_owned(),
                title: Some("Charge differs".to_owned()),
                explanation: Some("graduated_billed_as_volume".to_owned()),
                root_cause: Some("configuration".to_owned()),
                root_cause_confidence: Some(1.0),
                underbilled: "10".parse().ok(),
                overbilled: "0".parse().ok(),
                currency: Some("USD".to_owned()),
                evidence: Some(evidence.to_string()),
                last_seen_at: at,
                ..SignalRow::default()
            },
            remediations: vec![RemediationRow {
                step: 1,
                target_system: Some("catalogue".to_owned()),
                action: Some("Set the mode".to_owned()),
                ..RemediationRow::default()
            }],
            entities: vec![
                line("l2", "-1"),
                line("l1", "-5"),
                EntityRow {
                    last_seen_at: None,
                    ..line("gone", "-9")
                },
            ],
            events: Vec::new(),
        }
    }

    #[test]
    fn a_person_reads_what_happened_and_what_to_do() {
        let text = people(&shown(), 1);
        for part in [
            "not billed: 10 USD",
            "invoice line l1: billed 7.5 USD, due 12.5 USD",
            "graduated billed as volume, root cause configuration, fits 100 %",
            "billed as if volume: 7.5 USD instead of 12.5",
            "it may also be that: second",
            "and above",
            "and 1 more",
            "1. [catalogue] Set the mode",
        ] {
            assert!(text.contains(part), "{part} not in\n{text}");
        }
        assert!(!text.contains("billed too much"), "{text}");
        assert!(!text.contains("gone"), "{text}");
    }

    #[test]
    fn a_program_reads_the_same() {
        let value = machine(&shown(), 1);
        assert_eq!(value["leading"]["billed"], "7.5");
        assert_eq!(value["leading"]["expected_tiers"][1]["amount"], "2.5");
        assert_eq!(value["records"][0]["entity_id"], "l1");
        assert_eq!(value["records_left_out"], 1);
    }
}
