//! Rows that a rule returned, as findings.

use chrono::{DateTime, NaiveDate, Utc};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Schema};
use serde_json::{Map, Value};

use super::world::World;
use crate::config::Source;
use crate::lake::from_batches;
use crate::model::finding::{ENTITY_TYPES, TEXT_COLUMNS};
use crate::model::text::hint;
use crate::model::{Decimal, Finding};

/// The findings in the rows; an error names what is wrong with a row.
pub(super) fn read(batches: &[RecordBatch]) -> Result<Vec<Finding>, String> {
    let Some(first) = batches.first() else {
        return Ok(Vec::new());
    };
    let schema = first.schema();
    let rows: Vec<Map<String, Value>> = from_batches(batches).map_err(|error| error.to_string())?;
    rows.into_iter().map(|row| finding(&schema, row)).collect()
}

/// What is wrong with a finding that could be read but belongs to nothing: left out it would be missed.
/// Of sources that are not asked for, or no longer configured, nothing is said.
pub(super) fn fault(
    found: &[Finding],
    asked: &[String],
    sources: &[Source],
    world: &World,
) -> Option<String> {
    found.iter().find_map(|finding| {
        let (source, entity_type) = (&finding.source, finding.entity_type.as_str());
        if !sources.iter().any(|known| known.name == *source) && !world.has_had(source) {
            let hint = hint(source, sources.iter().map(|known| known.name.as_str()));
            return Some(format!(
                "is of source `{source}`, which is not configured{hint}"
            ));
        }
        if asked.contains(source) && !ENTITY_TYPES.contains(&entity_type) {
            let hint = hint(entity_type, ENTITY_TYPES.iter().copied());
            return Some(format!(
                "is about a `{entity_type}`, which is no type of record{hint}"
            ));
        }
        None
    })
}

fn finding(schema: &Schema, mut row: Map<String, Value>) -> Result<Finding, String> {
    let required = |row: &mut Map<String, Value>, name: &str| match row.remove(name) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(format!("`{name}` is missing")),
    };
    let mut finding = Finding {
        source: required(&mut row, "source")?,
        entity_type: required(&mut row, "entity_type")?,
        entity_id: required(&mut row, "entity_id")?,
        period_start: moment(&mut row, "period_start")?,
        period_end: moment(&mut row, "period_end")?,
        target_date: date(&mut row, "target_date")?,
        execution_date: date(&mut row, "execution_date")?,
        expected: decimal(&mut row, "expected")?,
        actual: decimal(&mut row, "actual")?,
        ..Finding::default()
    };
    for name in TEXT_COLUMNS {
        if let Some(Value::String(text)) = row.remove(*name) {
            finding.texts.insert(name, text);
        }
    }
    for (name, value) in row {
        let field = schema
            .field_with_name(&name)
            .map_err(|error| error.to_string())?;
        finding
            .evidence
            .insert(name, plain(field.data_type(), value));
    }
    Ok(finding)
}

/// Decimals as the shortest exact text, wherever they are nested; everything else as it is.
fn plain(data_type: &DataType, value: Value) -> Value {
    match (data_type, value) {
        (DataType::Decimal128(..) | DataType::Decimal256(..), value) => shortest(value),
        (DataType::List(field) | DataType::LargeList(field), Value::Array(items)) => Value::Array(
            items
                .into_iter()
                .map(|item| plain(field.data_type(), item))
                .collect(),
        ),
        (DataType::Struct(fields), Value::Object(object)) => {
            let typed = object.into_iter().map(|(name, value)| {
                let field = fields.iter().find(|field| *field.name() == name);
                let value = match field {
                    Some(field) => plain(field.data_type(), value),
                    None => value,
                };
                (name, value)
            });
            Value::Object(typed.collect())
        }
        (_, value) => value,
    }
}

fn shortest(value: Value) -> Value {
    let text = match &value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return value,
    };
    match text.parse::<Decimal>() {
        Ok(decimal) => Value::String(decimal.to_string()),
        Err(_) => Value::String(text),
    }
}

fn decimal(row: &mut Map<String, Value>, name: &str) -> Result<Option<Decimal>, String> {
    match row.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => serde_json::from_value(value)
            .map(Some)
            .map_err(|error| format!("`{name}` is no decimal: {error}")),
    }
}

fn moment(row: &mut Map<String, Value>, name: &str) -> Result<Option<DateTime<Utc>>, String> {
    match row.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => parse_moment(&text)
            .map(Some)
            .ok_or_else(|| format!("`{name}` is no point in time: {text}")),
        Some(other) => Err(format!("`{name}` is no point in time: {other}")),
    }
}

fn parse_moment(text: &str) -> Option<DateTime<Utc>> {
    let zoned = DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|at| at.to_utc());
    zoned.or_else(|| {
        text.parse::<chrono::NaiveDateTime>()
            .ok()
            .map(|at| at.and_utc())
    })
}

fn date(row: &mut Map<String, Value>, name: &str) -> Result<Option<NaiveDate>, String> {
    match row.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            let day = text.get(..10).unwrap_or(&text);
            day.parse()
                .map(Some)
                .map_err(|_| format!("`{name}` is no date: {text}"))
        }
        Some(other) => Err(format!("`{name}` is no date: {other}")),
    }
}
