//! The findings of a case with their explanations, as a table again.
//!
//! A finding goes back into the columns it came from; what an explanation adds stands in columns of
//! its own, as text.

use std::io::Cursor;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::json::ReaderBuilder;
use datafusion::datasource::MemTable;
use datafusion::error::{DataFusionError, Result};
use serde_json::{Map, Value};

use super::findings;
use crate::lake::from_batches;
use crate::model::Finding;
use crate::rules::EXPLAINED_COLUMNS;

/// The rows as findings.
pub(super) fn findings(rows: &[RecordBatch]) -> Result<Vec<Finding>> {
    findings::read(rows).map_err(DataFusionError::Execution)
}

/// The same rows with what the findings say now.
pub(super) fn table(rows: &[RecordBatch], findings: &[Finding]) -> Result<MemTable> {
    let Some(first) = rows.first() else {
        return MemTable::try_new(Arc::new(Schema::empty()), vec![vec![]]);
    };
    let given = first.schema();
    let mut fields: Vec<Field> = given
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_nullable(true))
        .collect();
    for name in EXPLAINED_COLUMNS {
        if given.column_with_name(name).is_none() {
            fields.push(Field::new(*name, DataType::Utf8, true));
        }
    }
    let schema = Arc::new(Schema::new(fields));
    let mut text = Vec::new();
    let before: Vec<Map<String, Value>> = from_batches(rows)?;
    for (mut row, finding) in before.into_iter().zip(findings) {
        let said = ["explanation", "root_cause"];
        for (name, value) in said
            .into_iter()
            .filter_map(|name| Some((name, finding.text(name)?)))
        {
            row.insert(name.to_owned(), value.into());
        }
        for name in EXPLAINED_COLUMNS {
            if let Some(value) = finding.evidence.get(*name) {
                row.insert((*name).to_owned(), fitting(&schema, name, value));
            }
        }
        let line = serde_json::to_vec(&row);
        text.extend(line.map_err(|error| DataFusionError::External(Box::new(error)))?);
        text.push(b'\n');
    }
    let reader = ReaderBuilder::new(Arc::clone(&schema)).build(Cursor::new(text))?;
    let batches: Vec<RecordBatch> = reader.collect::<std::result::Result<_, _>>()?;
    MemTable::try_new(schema, vec![batches])
}

/// The value as its column takes it: whatever is no text is written out where text is wanted.
fn fitting(schema: &Schema, name: &str, value: &Value) -> Value {
    let wants_text = schema
        .field_with_name(name)
        .is_ok_and(|field| field.data_type() == &DataType::Utf8);
    match value {
        Value::String(_) | Value::Null => value.clone(),
        other if wants_text => Value::String(other.to_string()),
        other => other.clone(),
    }
}
