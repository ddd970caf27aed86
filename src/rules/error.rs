//! What is wrong with a rule, and where: the file and, where known, the key and the line.

use std::fmt;
use std::ops::Range;

use super::param::AssignError;
use super::schedule::ScheduleError;

/// One problem of one rule file or of one override.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// The file as it was named to us; `configuration` for an override.
    pub file: String,
    /// The line, from 1, where one is to blame.
    pub line: Option<usize>,
    /// The key, where one is to blame.
    pub key: Option<String>,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The TOML itself, or the type of a value in it.
    #[error("{message}")]
    Toml {
        /// The parser's own words.
        message: String,
    },
    /// A key nobody reads.
    #[error("unknown key{}", hint(.nearest))]
    UnknownKey {
        /// The known key that is nearest.
        nearest: Option<String>,
    },
    /// A key that must be there and is not.
    #[error("required, but missing or empty")]
    Missing,
    /// A value of the wrong form.
    #[error("`{value}` is not {expected}")]
    BadValue {
        /// The value as written.
        value: String,
        /// What it should have been.
        expected: &'static str,
    },
    /// A word that is not in its vocabulary.
    #[error("unknown {what} `{word}`{}", hint(.nearest))]
    UnknownWord {
        /// What kind of word it is.
        what: &'static str,
        /// The word as written.
        word: String,
        /// The known word that is nearest.
        nearest: Option<String>,
    },
    /// A schedule nobody can follow.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// One of the files that make a rule is absent.
    #[error("there is no `{missing}` beside it")]
    Incomplete {
        /// The file that is missing.
        missing: String,
    },
    /// The file's folder is neither a stage nor `views`.
    #[error("lies in `{folder}`, which is neither a stage nor `views`{}", hint(.nearest))]
    WrongFolder {
        /// The name of the folder.
        folder: String,
        /// The stage that is nearest.
        nearest: Option<String>,
    },
    /// The stage in the metadata is not the folder's.
    #[error("is `{stage}`, but the file lies in `{folder}`")]
    StageIsNotFolder {
        /// The stage in the metadata.
        stage: String,
        /// The name of the folder.
        folder: String,
    },
    /// The same rule or view twice.
    #[error("`{name}` is defined twice, first in {first}")]
    Duplicate {
        /// The rule id or view name.
        name: String,
        /// Where it was met first.
        first: String,
    },
    /// The file is not UTF-8.
    #[error("not a UTF-8 text")]
    NotText,
    /// Views that need each other.
    #[error("views need each other: {}", .names.join(", "))]
    ViewCycle {
        /// The views concerned.
        names: Vec<String>,
    },
    /// SQL that cannot even be split into words.
    #[error("unreadable SQL: {message}")]
    Sql {
        /// The tokenizer's own words.
        message: String,
    },
    /// More than one statement in a file.
    #[error("more than one statement")]
    SeveralStatements,
    /// A statement that is not a plain query.
    #[error("must be one SELECT (or WITH … SELECT)")]
    NotASelect,
    /// A word that makes the result depend on the clock or on chance, or that writes.
    #[error("`{word}` is not allowed: a rule only reads, and $as_of is its clock")]
    Forbidden {
        /// The word as written.
        word: String,
    },
    /// `SELECT *` as the rule's result.
    #[error("the result's columns must be named, not `*`")]
    SelectStar,
    /// A parameter that is used and not declared.
    #[error("parameter `${name}` is not declared in [params]{}", hint(.nearest))]
    UndeclaredParam {
        /// The parameter.
        name: String,
        /// The declared one that is nearest.
        nearest: Option<String>,
    },
    /// A parameter that is declared and not used.
    #[error("the SQL never uses `${name}`")]
    UnusedParam {
        /// The parameter.
        name: String,
    },
    /// A brace that belongs to no placeholder.
    #[error("a lone brace: write a column as {{name}}, and a brace itself twice")]
    LoneBrace,
    /// The rule has no case of a kind that it must have.
    #[error("no case `# case: {kind} — …`")]
    NoCase {
        /// The kind that is missing.
        kind: &'static str,
    },
    /// A `quiet_when` that no case proves.
    #[error("no case shows it: add `# case: quiet — {text}`")]
    QuietWithoutCase {
        /// The sentence.
        text: String,
    },
}

impl From<AssignError> for Problem {
    fn from(error: AssignError) -> Self {
        match error {
            AssignError::Unknown {
                parameter, nearest, ..
            } => Self::UnknownWord {
                what: "parameter",
                word: parameter,
                nearest,
            },
            AssignError::Value { text, expected, .. } => Self::BadValue {
                value: text,
                expected,
            },
        }
    }
}

impl RuleError {
    pub(super) fn of(file: &str, problem: Problem) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            key: None,
            problem,
        }
    }

    pub(super) fn at_line(mut self, line: Option<usize>) -> Self {
        self.line = line;
        self
    }

    pub(super) fn at_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Turns a TOML error into one that names the key, the line and the nearest known key.
    pub(super) fn of_toml(file: &str, text: &str, error: &toml::de::Error) -> Self {
        let message = error.message();
        let line = error.span().map(|span| line_of(text, &span));
        if let Some((key, known)) = quoted_after(message, "unknown field `") {
            let known = known.split('`').skip(1).step_by(2);
            let nearest = crate::model::text::nearest(key, known).map(str::to_owned);
            return Self::of(file, Problem::UnknownKey { nearest })
                .at_key(key)
                .at_line(line);
        }
        if let Some((key, _)) = quoted_after(message, "missing field `") {
            return Self::of(file, Problem::Missing).at_key(key).at_line(line);
        }
        Self::of(
            file,
            Problem::Toml {
                message: message.to_owned(),
            },
        )
        .at_line(line)
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": `{key}`")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for RuleError {}

/// The line, from 1, on which a span of the text begins.
pub(super) fn line_of(text: &str, span: &Range<usize>) -> usize {
    1 + text
        .bytes()
        .take(span.start)
        .filter(|byte| *byte == b'\n')
        .count()
}

fn quoted_after<'a>(message: &'a str, start: &str) -> Option<(&'a str, &'a str)> {
    message.strip_prefix(start)?.split_once('`')
}

/// The known word that was likely meant, as the end of a message.
pub(super) fn hint(nearest: &Option<String>) -> String {
    crate::model::text::meant(nearest.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_then_what() {
        let problem = Problem::UnknownKey {
            nearest: Some("severity".to_owned()),
        };
        let error = RuleError::of("rules/usage/a.toml", problem)
            .at_key("sevrity")
            .at_line(Some(4));
        assert_eq!(
            error.to_string(),
            "rules/usage/a.toml:4: `sevrity`: unknown key; did you mean `severity`?"
        );
        let bare = RuleError::of("a.sql", Problem::SelectStar);
        assert_eq!(
            bare.to_string(),
            "a.sql: the result's columns must be named, not `*`"
        );
    }

    #[test]
    fn braces_in_messages_are_printed_once() {
        assert!(Problem::LoneBrace.to_string().contains("as {name},"));
        let unused = Problem::UnusedParam {
            name: "floor".to_owned(),
        };
        assert_eq!(unused.to_string(), "the SQL never uses `$floor`");
    }
}
