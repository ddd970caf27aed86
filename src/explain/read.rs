//! Reads the facts about wrong lines: each set in one query for all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::prelude::SessionContext;
use serde::Deserialize;
use serde_json::Value;

use super::facts::{Beside, Line, Measures, Offer, Other};
use super::query::{BESIDE, Desk, NEIGHBOURS, OFFERS, RECORDS, SPANS};
use super::shift::shifts;
use super::{ExplainError, Found};
use crate::model::Decimal;
use crate::rating::{Price, read_price};
use crate::rules::RuleSet;

/// (source, line id)
pub(super) type Key = (String, String);

/// The wrong lines that can be rated.
pub(super) type Lines = BTreeMap<Key, Line>;

/// Of the prices related to a line's own, so many are tried: those of the same product first.
const TRIED_OFFERS: usize = 500;

/// The lines that are to be explained.
pub(super) fn wanted(found: &[Found<'_>]) -> BTreeSet<Key> {
    found
        .iter()
        .filter(|found| found.rule.explain.is_some())
        .flat_map(|found| found.findings.iter())
        .filter(|finding| finding.entity_type == "invoice_line")
        .map(|finding| (finding.source.clone(), finding.entity_id.clone()))
        .collect()
}

#[derive(Deserialize)]
struct LineRow {
    source: String,
    line_id: String,
    price_id: Option<String>,
    product_id: Option<String>,
    meter: Option<String>,
    aggregation: String,
    price_effective_from: Option<DateTime<Utc>>,
    period_start: Option<DateTime<Utc>>,
    period_end: Option<DateTime<Utc>>,
    invoice_created_at: Option<DateTime<Utc>>,
    timezone: Option<String>,
    billing_period: Option<String>,
    billing_period_count: Option<i64>,
    active_from: Option<DateTime<Utc>>,
    active_to: Option<DateTime<Utc>>,
    price: Value,
}

#[derive(Deserialize)]
struct OfferRow {
    source: String,
    price_id: String,
    product_id: Option<String>,
    meter: Option<String>,
    currency: Option<String>,
    effective_from: DateTime<Utc>,
    effective_to: Option<DateTime<Utc>>,
    price: Value,
}

#[derive(Deserialize)]
struct MeasureRow {
    source: String,
    line_id: String,
    measure: String,
    quantity_sum: Option<Decimal>,
    record_count: Option<i64>,
    quantity_max: Option<Decimal>,
    quantity_min: Option<Decimal>,
    quantity_last: Option<Decimal>,
    unique_values: Option<i64>,
}

#[derive(Deserialize)]
struct BesideRow {
    source: String,
    line_id: String,
    beside: String,
    other_id: String,
    amount: Decimal,
}

/// Everything that is known of the lines.
pub(super) async fn lines(
    ctx: &SessionContext,
    set: &RuleSet,
    as_of: DateTime<Utc>,
    wanted: &BTreeSet<Key>,
) -> Result<Lines, ExplainError> {
    let mut desk = Desk::new(ctx, set, as_of, wanted).await?;
    let rows: Vec<LineRow> = desk.keep_lines().await?;
    let mut spans = Vec::new();
    for row in &rows {
        let Some(period) = row.period_start.zip(row.period_end) else {
            continue;
        };
        for (shift, span) in shifts(period, row.timezone.as_deref()) {
            let (source, line_id) = (row.source.as_str(), row.line_id.as_str());
            spans.push((source, line_id, shift.name(), span));
        }
    }
    desk.set_spans(&spans)?;
    let own = rows
        .iter()
        .filter_map(|row| row.period_start.zip(row.period_end));
    desk.look_at(as_of, own);
    let offers: Vec<OfferRow> = desk.ask(&OFFERS).await?;
    let mut counted: Vec<MeasureRow> = desk.ask(&RECORDS).await?;
    counted.extend(desk.ask::<MeasureRow>(&NEIGHBOURS).await?);
    desk.look_at(as_of, spans.iter().map(|(.., span)| *span));
    counted.extend(desk.ask::<MeasureRow>(&SPANS).await?);
    drop(spans);
    let mut lines: Lines = rows.into_iter().filter_map(line).collect();
    assign_offers(&mut lines, offers);
    for row in counted {
        let measures = measures(&row);
        if let Some(line) = lines.get_mut(&(row.source, row.line_id)) {
            line.measures.insert(row.measure, measures);
        }
    }
    let beside: Vec<BesideRow> = desk.ask(&BESIDE).await?;
    assign_others(&mut lines, beside);
    desk.clear()?;
    Ok(lines)
}

fn line(row: LineRow) -> Option<(Key, Line)> {
    let price = price(&row.price, row.price_id.as_deref())?;
    let mut line = Line::of(price);
    line.price_id = row.price_id;
    line.product_id = row.product_id;
    line.meter = row.meter;
    line.aggregation = row.aggregation;
    line.price_from = row.price_effective_from;
    line.period = row.period_start.zip(row.period_end);
    line.invoice_created_at = row.invoice_created_at;
    line.active = (row.active_from, row.active_to);
    let count = u32::try_from(row.billing_period_count.unwrap_or(1)).ok();
    line.cycle = row.billing_period.zip(count);
    Some(((row.source, row.line_id), line))
}

/// A price that cannot be read explains nothing, and spoils nothing.
fn price(json: &Value, price_id: Option<&str>) -> Option<Price> {
    match read_price(json) {
        Ok(price) => Some(price),
        Err(reason) => {
            let price_id = price_id.unwrap_or_default();
            tracing::warn!(price_id, %reason, "a price cannot be tried");
            None
        }
    }
}

/// Gives each line the prices that may have been applied in place of its own.
fn assign_offers(lines: &mut Lines, rows: Vec<OfferRow>) {
    let mut by_source: BTreeMap<String, Vec<Arc<Offer>>> = BTreeMap::new();
    for row in rows {
        let Some(price) = price(&row.price, Some(&row.price_id)) else {
            continue;
        };
        let offer = Offer {
            price_id: row.price_id,
            product_id: row.product_id,
            meter: row.meter,
            currency: row.currency,
            from: row.effective_from,
            to: row.effective_to,
            price,
        };
        by_source
            .entry(row.source)
            .or_default()
            .push(Arc::new(offer));
    }
    for ((source, _), line) in lines.iter_mut() {
        let Some(offers) = by_source.get(source) else {
            continue;
        };
        let mut near: Vec<(u8, Arc<Offer>)> = offers
            .iter()
            .filter_map(|offer| Some((nearness(line, offer)?, Arc::clone(offer))))
            .collect();
        near.sort_by_key(|(nearness, _)| *nearness);
        near.truncate(TRIED_OFFERS);
        line.offers = near.into_iter().map(|(_, offer)| offer).collect();
    }
}

/// The same price first, then the same product, then the same meter; nothing for any other.
fn nearness(line: &Line, offer: &Offer) -> Option<u8> {
    let same = |own: &Option<String>, other: Option<&str>| own.is_some() && own.as_deref() == other;
    if same(&line.price_id, Some(&offer.price_id)) {
        Some(0)
    } else if same(&line.product_id, offer.product_id.as_deref()) {
        Some(1)
    } else if same(&line.meter, offer.meter.as_deref()) {
        Some(2)
    } else {
        None
    }
}

fn measures(row: &MeasureRow) -> Measures {
    Measures {
        sum: row.quantity_sum,
        count: row.record_count.map(Decimal::from_i64),
        max: row.quantity_max,
        min: row.quantity_min,
        last: row.quantity_last,
        unique_count: row.unique_values.map(Decimal::from_i64),
    }
}

fn assign_others(lines: &mut Lines, rows: Vec<BesideRow>) {
    for row in rows {
        let beside = match row.beside.as_str() {
            "charge" => Beside::Charge,
            "reduction" => Beside::Reduction,
            _ => Beside::DiscountElsewhere,
        };
        if let Some(line) = lines.get_mut(&(row.source, row.line_id)) {
            line.others.push(Other {
                beside,
                id: row.other_id,
                amount: row.amount,
            });
        }
    }
    for line in lines.values_mut() {
        line.others.sort_by(|a, b| a.id.cmp(&b.id));
    }
}
