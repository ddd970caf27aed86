//! The affected records of a signal: what the rule returned, and the records those name.

use std::collections::BTreeMap;

use super::group::Group;
use super::lookup::{Known, Record, related_columns};
use super::transition::Moment;
use crate::model::Finding;
use crate::model::signal::EntityRow;

/// The rows of `signal_entities` of one group; the same record occurs once.
pub fn entities(
    group: &Group<'_>,
    known: &Known,
    platform: Option<&str>,
    moment: Moment<'_>,
) -> Vec<EntityRow> {
    let mut rows: BTreeMap<(String, String), EntityRow> = BTreeMap::new();
    let base = EntityRow {
        signal_id: group.signal_id.clone(),
        run_id: Some(moment.run_id.to_owned()),
        source: group.source.clone(),
        platform: platform.map(str::to_owned),
        first_seen_at: Some(moment.as_of),
        last_seen_at: Some(moment.as_of),
        ..EntityRow::default()
    };
    for finding in &group.findings {
        let row = primary(&base, finding, known);
        let key = (row.entity_type.clone(), row.entity_id.clone());
        // The weightiest comes first and stays.
        rows.entry(key).or_insert(row);
    }
    let primaries: Vec<EntityRow> = rows.values().cloned().collect();
    for (finding, named) in group
        .findings
        .iter()
        .flat_map(|f| related_columns().map(move |r| (f, r)))
    {
        let (entity_type, column) = named;
        let Some(id) = related_id(finding, entity_type, column, known) else {
            continue;
        };
        rows.entry((entity_type.to_owned(), id.clone()))
            .or_insert_with(|| {
                let record = known.get(&finding.source, entity_type, &id);
                related(&base, entity_type, id, record)
            });
    }
    debug_assert!(rows.len() >= primaries.len());
    rows.into_values().collect()
}

fn related_id(finding: &Finding, entity_type: &str, column: &str, known: &Known) -> Option<String> {
    if let Some(id) = finding.text(column) {
        return Some(id.to_owned());
    }
    if entity_type != "bill_run" {
        return None;
    }
    let invoice = known.get(&finding.source, "invoice", finding.text("invoice_id")?)?;
    invoice.bill_run_id.clone()
}

fn primary(base: &EntityRow, finding: &Finding, known: &Known) -> EntityRow {
    let own = related_columns()
        .find(|(entity_type, _)| *entity_type == finding.entity_type)
        .and_then(|(entity_type, _)| known.get(&finding.source, entity_type, &finding.entity_id));
    let invoice = finding
        .text("invoice_id")
        .and_then(|id| known.get(&finding.source, "invoice", id));
    let record = own.or(invoice);
    let text = |column: &str| finding.text(column).map(str::to_owned);
    let from = |pick: fn(&Record) -> Option<String>| record.and_then(pick);
    EntityRow {
        role: Some("primary".to_owned()),
        entity_type: finding.entity_type.clone(),
        entity_id: finding.entity_id.clone(),
        entity_number: text("entity_number").or_else(|| from(|record| record.number.clone())),
        customer_id: text("customer_id").or_else(|| from(|record| record.customer_id.clone())),
        subscription_id: text("subscription_id").or_else(|| from(|r| r.subscription_id.clone())),
        item_id: text("item_id"),
        invoice_id: text("invoice_id").or_else(|| from(|record| record.invoice_id.clone())),
        bill_run_id: text("bill_run_id").or_else(|| from(|record| record.bill_run_id.clone())),
        period_start: finding.period_start.or_else(|| record?.period_start),
        period_end: finding.period_end.or_else(|| record?.period_end),
        target_date: finding.target_date.or_else(|| record?.target_date),
        execution_date: finding.execution_date.or_else(|| record?.execution_date),
        entity_status: text("entity_status").or_else(|| from(|record| record.status.clone())),
        expected: finding.expected,
        actual: finding.actual,
        delta: finding.delta(),
        unit: text("currency").or_else(|| text("unit")),
        evidence: Some(evidence(finding)),
        ..base.clone()
    }
}

/// Every other column of the row, with the known ones that have no column of their own.
fn evidence(finding: &Finding) -> String {
    let mut evidence = finding.evidence.clone();
    for column in [
        "price_id",
        "meter",
        "invoice_line_id",
        "reason",
        "explanation",
        "root_cause",
    ] {
        if let Some(text) = finding.text(column) {
            evidence.insert(column.to_owned(), text.into());
        }
    }
    serde_json::Value::Object(evidence).to_string()
}

fn related(base: &EntityRow, entity_type: &str, id: String, record: Option<&Record>) -> EntityRow {
    let record = record.cloned().unwrap_or_default();
    EntityRow {
        role: Some("related".to_owned()),
        entity_type: entity_type.to_owned(),
        entity_id: id,
        entity_number: record.number,
        customer_id: record.customer_id,
        subscription_id: record.subscription_id,
        invoice_id: record.invoice_id,
        bill_run_id: record.bill_run_id,
        period_start: record.period_start,
        period_end: record.period_end,
        target_date: record.target_date,
        execution_date: record.execution_date,
        entity_status: record.status,
        ..base.clone()
    }
}
