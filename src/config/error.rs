//! How a mistake in the configuration is told: where it stands, which key, what is wrong, the way out.
//!
//! One line, so that it reads well in a log: `trueup.toml:12: unknown key `lakee` in [lake]; did you
//! mean `url`?`. The cause of an unreadable file is left to `source()`, which the printer walks.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::model::text::nearest;

/// A mistake in the configuration.
#[derive(Debug)]
pub struct ConfigError {
    /// Where it was written.
    pub place: Place,
    /// The path of the key, such as `lake.url`; empty where the mistake is about no key.
    pub key: String,
    /// What is wrong.
    pub problem: Box<Problem>,
}

/// Where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File {
        /// The file, as it was named.
        path: PathBuf,
        /// Where in the file; `None` means the file as a whole.
        at: Option<Position>,
    },
    /// With an argument of the command line.
    Argument(&'static str),
    /// In a variable of the environment.
    Variable(&'static str),
    /// Nowhere: it is a default, or missing.
    Nowhere,
}

/// A position in a text, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// What can be wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// No file was named and there is none of the default name.
    #[error("no configuration file: looked for ./{}", super::DEFAULT_FILE)]
    NoFile,
    /// The file is absent or cannot be read.
    #[error("the configuration cannot be read")]
    Unreadable(#[source] io::Error),
    /// The text is not TOML.
    #[error("not valid TOML: {message}")]
    Syntax {
        /// What the parser says.
        message: String,
    },
    /// A `--set` without `=`, or with an empty part in its key.
    #[error("`{text}` is not of the form key=value")]
    NotAnAssignment {
        /// What was given.
        text: String,
    },
    /// A key that means nothing.
    #[error("unknown key `{key}`{}", within(.section))]
    UnknownKey {
        /// The key.
        key: String,
        /// The section, as it is written in a file; empty for the top level.
        section: String,
        /// What would be a key there.
        valid: Vec<&'static str>,
    },
    /// A key that must be there is not.
    #[error("{section} has no `{key}`; expected {expected}")]
    MissingKey {
        /// The section, as it is written in a file.
        section: String,
        /// The key.
        key: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// A section that a later version will read.
    #[error("{section} is not supported by this version yet")]
    UnsupportedSection {
        /// The section, as it is written in a file.
        section: &'static str,
    },
    /// A kind of source that a later version will read.
    #[error("cannot be `{kind}` yet; this version reads only `files`")]
    UnsupportedKind {
        /// The kind.
        kind: String,
    },
    /// A value of another type.
    #[error("must be {expected}, not {found}")]
    WrongType {
        /// The type it should have.
        expected: &'static str,
        /// The type it has.
        found: &'static str,
    },
    /// A value outside a short list.
    #[error("cannot be `{value}`")]
    NotOneOf {
        /// The value.
        value: String,
        /// The list.
        valid: Vec<&'static str>,
    },
    /// A value that cannot be read as what it should be.
    #[error("cannot be `{value}`; expected {expected}")]
    BadValue {
        /// The value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A key of a map that cannot be read as what it should be.
    #[error("cannot name `{name}`; expected {expected}")]
    BadName {
        /// The key.
        name: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A location with a user name or a password in it. It is not repeated here.
    #[error("must not hold credentials; they are read from the environment")]
    Credentials,
    /// A name that is taken.
    #[error("is `{value}`, which is already used at {first}")]
    Duplicate {
        /// The name.
        value: String,
        /// Where it was used first.
        first: Place,
    },
    /// A column that its table does not have.
    #[error("names `{table}.{column}`, and {table} has no such column")]
    UnknownColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The columns that the table has.
        valid: Vec<&'static str>,
    },
    /// A table that a source both maps and does without.
    #[error("names `{table}`, which the same source maps in [sources.tables.{table}]")]
    MappedAndWithout {
        /// The table.
        table: String,
    },
    /// A `--set` into a list.
    #[error("is a list, which --set can only replace as a whole")]
    InsideList,
}

fn within(section: &str) -> String {
    if section.is_empty() {
        String::new()
    } else {
        format!(" in {section}")
    }
}

impl ConfigError {
    pub(super) fn new(place: &Place, key: impl Into<String>, problem: Problem) -> Self {
        Self {
            place: place.clone(),
            key: key.into(),
            problem: Box::new(problem),
        }
    }

    /// The file that holds the mistake, where it is in a file.
    pub fn file(&self) -> Option<&Path> {
        match &self.place {
            Place::File { path, .. } => Some(path),
            _ => None,
        }
    }

    /// The line and column of the mistake, where it is in a file.
    pub fn position(&self) -> Option<Position> {
        match &self.place {
            Place::File { at, .. } => *at,
            _ => None,
        }
    }

    /// The way out, where there is one to name.
    pub fn hint(&self) -> Option<String> {
        match self.problem.as_ref() {
            Problem::NoFile => {
                Some("write one with `trueup init`, or name one with `--config FILE`".to_owned())
            }
            Problem::UnknownKey { key, valid, .. } => Some(meant(key, valid)),
            Problem::NotOneOf { value, valid } => Some(meant(value, valid)),
            Problem::UnknownColumn { column, valid, .. } => Some(meant(column, valid)),
            Problem::UnsupportedSection { .. } => Some("remove it".to_owned()),
            _ => None,
        }
    }
}

fn meant(word: &str, valid: &[&'static str]) -> String {
    let guess = match valid {
        [only] => Some(*only),
        _ => nearest(word, valid.iter().copied()),
    };
    match guess {
        Some(guess) => format!("did you mean `{guess}`?"),
        None => format!("valid here: `{}`", valid.join("`, `")),
    }
}

impl Problem {
    /// Whether the text goes on from the key whose value it is about.
    fn follows_key(&self) -> bool {
        match self {
            Self::NoFile
            | Self::Unreadable(_)
            | Self::Syntax { .. }
            | Self::NotAnAssignment { .. }
            | Self::UnknownKey { .. }
            | Self::MissingKey { .. }
            | Self::UnsupportedSection { .. } => false,
            Self::UnsupportedKind { .. }
            | Self::WrongType { .. }
            | Self::NotOneOf { .. }
            | Self::BadValue { .. }
            | Self::BadName { .. }
            | Self::Credentials
            | Self::Duplicate { .. }
            | Self::UnknownColumn { .. }
            | Self::MappedAndWithout { .. }
            | Self::InsideList => true,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, at: Some(at) } => write!(f, "{}:{}", path.display(), at.line),
            Self::File { path, at: None } => write!(f, "{}", path.display()),
            Self::Argument(name) | Self::Variable(name) => f.write_str(name),
            Self::Nowhere => f.write_str("the defaults"),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place != Place::Nowhere {
            write!(f, "{}: ", self.place)?;
        }
        if self.problem.follows_key() {
            write!(f, "`{}` ", self.key)?;
        }
        write!(f, "{}", self.problem)?;
        match self.hint() {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.problem.source()
    }
}
