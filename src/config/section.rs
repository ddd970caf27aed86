//! Takes typed values out of one section of the tree and refuses what is left over.
//!
//! A section learns its valid keys from what is asked of it, so no list of keys can go out of date.
//! Every reader ends with [`Section::done`].

use std::collections::BTreeMap;

use super::error::{ConfigError, Place, Problem};
use super::parse::{Node, Table, Value};

/// A value with the path of its key and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) key: String,
    pub(super) place: Place,
}

impl<T> Located<T> {
    /// An error about this value.
    pub(super) fn error(&self, problem: Problem) -> ConfigError {
        ConfigError::new(&self.place, self.key.as_str(), problem)
    }
}

/// A table that is being read.
#[derive(Debug)]
pub(super) struct Section {
    /// Its path, such as `rules.override.usage-spike`; empty for the top level.
    path: String,
    /// How it is written in a file, such as `[lake]` or `[[sources]]`; empty for the top level.
    pub(super) label: String,
    pub(super) place: Place,
    entries: Table,
    known: Vec<&'static str>,
}

impl Section {
    /// The top level.
    pub(super) fn root(entries: Table, place: Place) -> Self {
        Self {
            path: String::new(),
            label: String::new(),
            place,
            entries,
            known: Vec::new(),
        }
    }

    fn within(path: String, label: String, place: Place, entries: Table) -> Self {
        Self {
            path,
            label,
            place,
            entries,
            known: Vec::new(),
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Located<Value>> {
        self.known.push(key);
        let Node { place, value } = self.entries.remove(key)?;
        Some(Located {
            value,
            key: self.path_of(key),
            place,
        })
    }

    /// Refuses a section that a later version will read.
    pub(super) fn unsupported(&self, key: &str, label: &'static str) -> Result<(), ConfigError> {
        match self.entries.get(key) {
            Some(node) => {
                let problem = Problem::UnsupportedSection { section: label };
                Err(ConfigError::new(&node.place, key, problem))
            }
            None => Ok(()),
        }
    }

    /// A string.
    pub(super) fn string(
        &mut self,
        key: &'static str,
    ) -> Result<Option<Located<String>>, ConfigError> {
        self.take(key)
            .map(|found| convert(found, "a string", as_string))
            .transpose()
    }

    /// A date or a moment: TOML's own, or a string.
    pub(super) fn date(
        &mut self,
        key: &'static str,
    ) -> Result<Option<Located<String>>, ConfigError> {
        self.take(key)
            .map(|found| convert(found, "a date or a string", as_date))
            .transpose()
    }

    /// `true` or `false`.
    pub(super) fn boolean(
        &mut self,
        key: &'static str,
    ) -> Result<Option<Located<bool>>, ConfigError> {
        self.take(key)
            .map(|found| convert(found, "true or false", as_boolean))
            .transpose()
    }

    /// An integer.
    pub(super) fn integer(
        &mut self,
        key: &'static str,
    ) -> Result<Option<Located<i64>>, ConfigError> {
        self.take(key)
            .map(|found| convert(found, "an integer", as_integer))
            .transpose()
    }

    /// A list of strings; empty where absent.
    pub(super) fn strings(
        &mut self,
        key: &'static str,
    ) -> Result<Vec<Located<String>>, ConfigError> {
        let Some(found) = self.take(key) else {
            return Ok(Vec::new());
        };
        let list = convert(found, "an array of strings", as_array)?;
        let mut strings = Vec::with_capacity(list.value.len());
        for Node { place, value } in list.value {
            let item = Located {
                value,
                key: list.key.clone(),
                place,
            };
            strings.push(convert(item, "an array of strings", as_string)?);
        }
        Ok(strings)
    }

    /// A table of decimals, as text; empty where absent.
    pub(super) fn decimals(
        &mut self,
        key: &'static str,
    ) -> Result<BTreeMap<String, Located<String>>, ConfigError> {
        self.map(key, "a decimal in quotes", as_decimal)
    }

    /// A table of plain values, as text; empty where absent.
    pub(super) fn texts(
        &mut self,
        key: &'static str,
    ) -> Result<BTreeMap<String, Located<String>>, ConfigError> {
        self.map(key, "a string, a number, a date, true or false", as_text)
    }

    fn map(
        &mut self,
        key: &'static str,
        expected: &'static str,
        pick: fn(Value) -> Result<String, Value>,
    ) -> Result<BTreeMap<String, Located<String>>, ConfigError> {
        let Some(found) = self.take(key) else {
            return Ok(BTreeMap::new());
        };
        let table = convert(found, "a table", as_table)?;
        let mut map = BTreeMap::new();
        for (name, Node { place, value }) in table.value {
            let item = Located {
                value,
                key: format!("{}.{name}", table.key),
                place,
            };
            map.insert(name, convert(item, expected, pick)?);
        }
        Ok(map)
    }

    /// A section below this one; empty where absent.
    pub(super) fn section(&mut self, key: &'static str) -> Result<Self, ConfigError> {
        let path = self.path_of(key);
        let label = format!("[{path}]");
        let Some(found) = self.take(key) else {
            return Ok(Self::within(path, label, self.place.clone(), Table::new()));
        };
        let table = convert(found, "a table", as_table)?;
        Ok(Self::within(path, label, table.place, table.value))
    }

    /// A list of sections below this one; empty where absent.
    pub(super) fn sections(&mut self, key: &'static str) -> Result<Vec<Self>, ConfigError> {
        let path = self.path_of(key);
        let label = format!("[[{path}]]");
        let Some(found) = self.take(key) else {
            return Ok(Vec::new());
        };
        let list = convert(found, "an array of tables", as_array)?;
        let mut sections = Vec::with_capacity(list.value.len());
        for Node { place, value } in list.value {
            let item = Located {
                value,
                key: path.clone(),
                place,
            };
            let table = convert(item, "an array of tables", as_table)?;
            sections.push(Self::within(
                path.clone(),
                label.clone(),
                table.place,
                table.value,
            ));
        }
        Ok(sections)
    }

    /// A table of sections below this one, each under a name of the user's choice; empty where absent.
    pub(super) fn named_sections(
        &mut self,
        key: &'static str,
    ) -> Result<BTreeMap<String, Self>, ConfigError> {
        let Some(found) = self.take(key) else {
            return Ok(BTreeMap::new());
        };
        let table = convert(found, "a table", as_table)?;
        let mut sections = BTreeMap::new();
        for (name, Node { place, value }) in table.value {
            let path = format!("{}.{name}", table.key);
            let label = format!("[{path}]");
            let inner = convert(
                Located {
                    value,
                    key: path.clone(),
                    place,
                },
                "a table",
                as_table,
            )?;
            sections.insert(name, Self::within(path, label, inner.place, inner.value));
        }
        Ok(sections)
    }

    /// Refuses every key that was not asked for; the first in the file is told.
    pub(super) fn done(self) -> Result<(), ConfigError> {
        let first = self
            .entries
            .iter()
            .min_by_key(|(_, node)| match node.place {
                Place::File { at, .. } => at,
                _ => None,
            });
        match first {
            None => Ok(()),
            Some((key, node)) => {
                let problem = Problem::UnknownKey {
                    key: key.clone(),
                    section: self.label.clone(),
                    valid: self.known.clone(),
                };
                Err(ConfigError::new(&node.place, self.path_of(key), problem))
            }
        }
    }
}

fn convert<T>(
    found: Located<Value>,
    expected: &'static str,
    pick: fn(Value) -> Result<T, Value>,
) -> Result<Located<T>, ConfigError> {
    let Located { value, key, place } = found;
    match pick(value) {
        Ok(value) => Ok(Located { value, key, place }),
        Err(other) => {
            let problem = Problem::WrongType {
                expected,
                found: other.type_name(),
            };
            Err(ConfigError::new(&place, key, problem))
        }
    }
}

fn as_string(value: Value) -> Result<String, Value> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(other),
    }
}

fn as_date(value: Value) -> Result<String, Value> {
    match value {
        Value::String(text) | Value::Date(text) => Ok(text),
        other => Err(other),
    }
}

fn as_decimal(value: Value) -> Result<String, Value> {
    match value {
        Value::String(text) | Value::Float(text) => Ok(text),
        Value::Integer(number) => Ok(number.to_string()),
        other => Err(other),
    }
}

fn as_text(value: Value) -> Result<String, Value> {
    match value {
        Value::String(text) | Value::Float(text) | Value::Date(text) => Ok(text),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Boolean(flag) => Ok(flag.to_string()),
        other => Err(other),
    }
}

fn as_boolean(value: Value) -> Result<bool, Value> {
    match value {
        Value::Boolean(flag) => Ok(flag),
        other => Err(other),
    }
}

fn as_integer(value: Value) -> Result<i64, Value> {
    match value {
        Value::Integer(number) => Ok(number),
        other => Err(other),
    }
}

fn as_array(value: Value) -> Result<Vec<Node>, Value> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(other),
    }
}

fn as_table(value: Value) -> Result<Table, Value> {
    match value {
        Value::Table(entries) => Ok(entries),
        other => Err(other),
    }
}
