//! TOML text as a tree whose every value knows where it was written.
//!
//! Numbers keep the digits that were written, so that a decimal never passes through a float. Nothing
//! here knows which keys exist.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Place, Position, Problem};

/// The keys of a table.
pub(super) type Table = BTreeMap<String, Node>;

/// A value and where it was written: at its key, or at itself where it is an element of a list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// A value as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    String(String),
    Integer(i64),
    /// The digits, with sign and exponent, without underscores.
    Float(String),
    Boolean(bool),
    /// A date, a time or both, in ISO 8601.
    Date(String),
    Array(Vec<Node>),
    Table(Table),
}

impl Value {
    /// The type, as error messages name it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Boolean(_) => "a boolean",
            Self::Date(_) => "a date",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
        }
    }
}

/// Reads a whole file.
pub(super) fn document(text: &str, file: &Path) -> Result<Table, ConfigError> {
    let place = |span: Range<usize>| Place::File {
        path: file.to_path_buf(),
        at: Some(position(text, span.start)),
    };
    let document = DeTable::parse(text).map_err(|error| {
        let place = error.span().map_or_else(
            || Place::File {
                path: file.to_path_buf(),
                at: None,
            },
            &place,
        );
        let message = error.message().trim_end().replace('\n', ", ");
        ConfigError::new(&place, "", Problem::Syntax { message })
    })?;
    table(document.get_ref(), "", &place)
}

/// Reads what stands behind the `=` of an argument: a TOML value, else a string without its quotes.
pub(super) fn argument(text: &str, key: &str, place: &Place) -> Result<Value, ConfigError> {
    match DeValue::parse(text) {
        Ok(found) if !text.is_empty() => value(found.get_ref(), place, key, &|_| place.clone()),
        _ => Ok(Value::String(text.to_owned())),
    }
}

fn table(
    found: &DeTable<'_>,
    path: &str,
    place: &dyn Fn(Range<usize>) -> Place,
) -> Result<Table, ConfigError> {
    let mut entries = Table::new();
    for (key, found) in found.iter() {
        let name = key.get_ref().to_string();
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let at = place(key.span());
        let value = value(found.get_ref(), &at, &path, place)?;
        entries.insert(name, Node { place: at, value });
    }
    Ok(entries)
}

fn value(
    found: &DeValue<'_>,
    at: &Place,
    path: &str,
    place: &dyn Fn(Range<usize>) -> Place,
) -> Result<Value, ConfigError> {
    Ok(match found {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => {
                let value = digits.to_string();
                let problem = Problem::BadValue {
                    value,
                    expected: "a 64-bit integer",
                };
                return Err(ConfigError::new(at, path, problem));
            }
        },
        DeValue::Float(digits) => Value::Float(digits.as_str().to_owned()),
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(items) => {
            let mut nodes = Vec::with_capacity(items.len());
            for item in items.iter() {
                nodes.push(node(item, path, place)?);
            }
            Value::Array(nodes)
        }
        DeValue::Table(entries) => Value::Table(table(entries, path, place)?),
    })
}

fn node(
    found: &Spanned<DeValue<'_>>,
    path: &str,
    place: &dyn Fn(Range<usize>) -> Place,
) -> Result<Node, ConfigError> {
    let at = place(found.span());
    let value = value(found.get_ref(), &at, path, place)?;
    Ok(Node { place: at, value })
}

fn position(text: &str, offset: usize) -> Position {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Position {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: usize, column: usize) -> Place {
        Place::File {
            path: "trueup.toml".into(),
            at: Some(Position { line, column }),
        }
    }

    #[test]
    fn every_value_knows_where_its_key_stands() {
        let tree = document("a = 1\n\n[b]\n  c = 'x'\n", Path::new("trueup.toml")).unwrap();
        assert_eq!(
            tree["a"],
            Node {
                place: at(1, 1),
                value: Value::Integer(1)
            }
        );
        assert_eq!(tree["b"].place, at(3, 2));
        let Value::Table(inner) = &tree["b"].value else {
            panic!("not a table")
        };
        assert_eq!(
            inner["c"],
            Node {
                place: at(4, 3),
                value: Value::String("x".into())
            }
        );
    }

    #[test]
    fn each_table_of_a_list_knows_its_own_header() {
        let text = "[[sources]]\nname = 'a'\n[[sources]]\nname = 'b'\n";
        let tree = document(text, Path::new("trueup.toml")).unwrap();
        let Value::Array(items) = &tree["sources"].value else {
            panic!("not a list")
        };
        assert_eq!([&items[0].place, &items[1].place], [&at(1, 1), &at(3, 1)]);
    }

    #[test]
    fn numbers_keep_their_digits() {
        let place = Place::Argument("--set");
        let read = |text| argument(text, "k", &place).unwrap();
        assert_eq!(read("1.10"), Value::Float("1.10".into()));
        assert_eq!(read("0x10"), Value::Integer(16));
        assert_eq!(read("true"), Value::Boolean(true));
        assert_eq!(read("\"4GiB\""), Value::String("4GiB".into()));
        assert_eq!(read("4GiB"), Value::String("4GiB".into()));
        assert_eq!(read("./lake"), Value::String("./lake".into()));
        assert_eq!(
            read("s3://bucket/lake"),
            Value::String("s3://bucket/lake".into())
        );
        assert_eq!(read(""), Value::String(String::new()));
        assert_eq!(
            read("2026-03-04T12:00:00Z"),
            Value::Date("2026-03-04T12:00:00Z".into())
        );
    }

    #[test]
    fn broken_text_is_told_with_its_line() {
        let error = document("a = 1\nb = zz\n", Path::new("trueup.toml")).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("trueup.toml:2: not valid TOML: "),
            "{error}"
        );
        let error = document("a = 1\na = 2\n", Path::new("trueup.toml")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "trueup.toml:2: not valid TOML: duplicate key"
        );
    }
}
