//! A file of JSON lines as text batches: numbers keep their digits, nested values stay JSON.
//!
//! Columns are decided before the first line is read. What no column holds either is gathered into
//! `attributes` or, for a file read as it is, cannot occur because the columns came from a scan.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use serde_json::{Map, Value};

use super::batch::{Gathering, TextBatch};
use super::lines::{Lines, without_terminator};
use super::open::read_error;
use crate::sources::error::SourceError;

const ATTRIBUTES: &str = "attributes";

/// An open file of JSON lines.
pub(super) struct JsonlFile {
    path: String,
    lines: Lines,
    schema: SchemaRef,
    /// Position of each column.
    index: BTreeMap<String, usize>,
    /// Where keys that are no columns go.
    attributes: Option<usize>,
}

impl JsonlFile {
    /// A file read into the columns of `schema`.
    pub(super) fn open(
        path: &str,
        input: Box<dyn BufRead>,
        schema: SchemaRef,
        others: OtherKeys,
    ) -> Self {
        let index: BTreeMap<String, usize> = schema
            .fields()
            .iter()
            .enumerate()
            .map(|(at, field)| (field.name().clone(), at))
            .collect();
        let attributes = match others {
            OtherKeys::Gather => index.get(ATTRIBUTES).copied(),
            OtherKeys::Drop => None,
        };
        Self {
            path: path.to_owned(),
            lines: Lines::new(input),
            schema,
            index,
            attributes,
        }
    }

    /// The next rows; `None` at the end.
    pub(super) fn next_batch(&mut self, rows_max: usize) -> Result<Option<TextBatch>, SourceError> {
        let width = self.schema.fields().len();
        let mut batch = Gathering::new(width, rows_max);
        let mut text = Vec::new();
        let mut cells: Vec<Option<String>> = vec![None; width];
        let mut others = BTreeSet::new();
        while !batch.is_full() {
            text.clear();
            let next = self.lines.append_next(&mut text);
            let Some(line) = next.map_err(|error| read_error(&self.path, error))? else {
                break;
            };
            let raw = without_terminator(&text);
            if raw.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice::<Map<String, Value>>(raw) {
                Ok(object) => {
                    self.fill(object, &mut cells, &mut others);
                    batch.push(line, raw, cells.iter().map(Option::as_deref));
                }
                Err(error) => {
                    let reason = format!("not a JSON object: {error}");
                    batch.refuse(&self.path, line, "bad_json", reason, raw);
                }
            }
        }
        if batch.is_empty() {
            return Ok(None);
        }
        let mut finished = batch
            .finish(&self.schema)
            .map_err(|error| SourceError::Decode {
                place: self.path.clone(),
                source: Arc::new(error),
            })?;
        finished.others = others;
        Ok(Some(finished))
    }

    fn fill(
        &self,
        object: Map<String, Value>,
        cells: &mut [Option<String>],
        names: &mut BTreeSet<String>,
    ) {
        cells.fill(None);
        let mut others = Map::new();
        let mut given = Value::Null;
        for (key, value) in object {
            match self.index.get(&key) {
                Some(at) if Some(*at) == self.attributes => given = value,
                Some(at) => cells[*at] = as_text(value),
                None => {
                    if !value.is_null() && !names.contains(&key) {
                        names.insert(key.clone());
                    }
                    others.insert(key, value);
                }
            }
        }
        if let Some(at) = self.attributes {
            cells[at] = as_text(merged(given, others));
        }
    }
}

/// What becomes of keys that are no columns.
#[derive(Clone, Copy)]
pub(super) enum OtherKeys {
    /// They go into `attributes`, if that is a column.
    Gather,
    /// There are none: the columns are all keys of the file.
    Drop,
}

/// The given attributes win over other keys of the same name; what is no object is left to be
/// refused when the column is decoded.
fn merged(given: Value, others: Map<String, Value>) -> Value {
    let given = match given {
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(Value::Object(object)) => Value::Object(object),
            _ => Value::String(text),
        },
        given => given,
    };
    match given {
        Value::Null if others.is_empty() => Value::Null,
        Value::Null => Value::Object(others),
        Value::Object(mut object) => {
            for (key, value) in others {
                object.entry(key).or_insert(value);
            }
            Value::Object(object)
        }
        given => given,
    }
}

fn as_text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// All keys of a file, in alphabetical order; lines that are no objects are passed over here and
/// refused when the file is read.
pub(super) fn keys(path: &str, input: Box<dyn BufRead>) -> Result<BTreeSet<String>, SourceError> {
    let mut lines = Lines::new(input);
    let mut keys = BTreeSet::new();
    let mut text = Vec::new();
    loop {
        text.clear();
        if lines
            .append_next(&mut text)
            .map_err(|error| read_error(path, error))?
            .is_none()
        {
            return Ok(keys);
        }
        if let Ok(object) = serde_json::from_slice::<Map<String, Value>>(without_terminator(&text))
        {
            keys.extend(object.into_iter().map(|(key, _)| key));
        }
    }
}
