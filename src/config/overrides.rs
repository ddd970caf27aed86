//! Lays the environment and the command line over what the file says.
//!
//! They go into the tree before types are checked and defaults are filled: what is unset overrides
//! nothing, and a mistake in an override is told like one in the file. In rising order of weight:
//! the file, `TRUEUP_LAKE_URL`, `--set`, and `--lake` and `--as-of`.

use std::path::PathBuf;

use super::LAKE_VARIABLE;
use super::error::{ConfigError, Place, Problem};
use super::parse::{self, Node, Table, Value};

/// What the command line says about the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--config`: the file to read.
    pub config: Option<PathBuf>,
    /// `--lake`: a path, relative to the working directory, or a URL.
    pub lake: Option<String>,
    /// `--as-of`: an RFC 3339 time.
    pub as_of: Option<String>,
    /// Each `--set key=value`, in order: a dotted key, and a TOML value or a plain string.
    pub set: Vec<String>,
}

pub(super) fn apply(
    tree: &mut Table,
    overrides: &Overrides,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(), ConfigError> {
    if let Some(url) = env(LAKE_VARIABLE).filter(|url| !url.is_empty()) {
        put(
            tree,
            &["lake", "url"],
            text(url, Place::Variable(LAKE_VARIABLE)),
        )?;
    }
    for assignment in &overrides.set {
        set(tree, assignment)?;
    }
    if let Some(lake) = &overrides.lake {
        put(
            tree,
            &["lake", "url"],
            text(lake.clone(), Place::Argument("--lake")),
        )?;
    }
    if let Some(as_of) = &overrides.as_of {
        put(
            tree,
            &["as_of"],
            text(as_of.clone(), Place::Argument("--as-of")),
        )?;
    }
    Ok(())
}

fn text(value: String, place: Place) -> Node {
    Node {
        place,
        value: Value::String(value),
    }
}

fn set(tree: &mut Table, assignment: &str) -> Result<(), ConfigError> {
    let place = Place::Argument("--set");
    let malformed = || Problem::NotAnAssignment {
        text: assignment.to_owned(),
    };
    let Some((key, value)) = assignment.split_once('=') else {
        return Err(ConfigError::new(&place, "", malformed()));
    };
    let path: Vec<&str> = key.split('.').map(str::trim).collect();
    if path.iter().any(|part| part.is_empty()) {
        return Err(ConfigError::new(&place, "", malformed()));
    }
    let value = parse::argument(value.trim(), &path.join("."), &place)?;
    put(tree, &path, Node { place, value })
}

fn put(tree: &mut Table, path: &[&str], node: Node) -> Result<(), ConfigError> {
    let Some((last, parents)) = path.split_last() else {
        return Ok(());
    };
    let mut table = tree;
    for (depth, name) in parents.iter().enumerate() {
        let parent = table.entry((*name).to_owned()).or_insert_with(|| Node {
            place: node.place.clone(),
            value: Value::Table(Table::new()),
        });
        let key = || path[..=depth].join(".");
        table = match &mut parent.value {
            Value::Table(inner) => inner,
            Value::Array(_) => {
                return Err(ConfigError::new(&node.place, key(), Problem::InsideList));
            }
            other => {
                let found = other.type_name();
                let problem = Problem::WrongType {
                    expected: "a table",
                    found,
                };
                return Err(ConfigError::new(&parent.place, key(), problem));
            }
        };
    }
    table.insert((*last).to_owned(), node);
    Ok(())
}
