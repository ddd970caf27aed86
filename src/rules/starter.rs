//! The files that a new rule starts from: a small rule that can be run, tested and then rewritten.
//!
//! Only texts are made here; whether an id is taken, and where files go, is decided by the caller.

use super::error::{Problem, RuleError};
use super::lint::is_id;
use super::load::RuleFile;
use super::rule::Stage;

/// What stands for the stage in a template.
const STAGE: &str = "@stage";

/// A template's texts by the ending of their files.
type Template = [(&'static str, &'static str); 3];

const USAGE: Template = [
    ("sql", include_str!("starter/usage.sql")),
    ("toml", include_str!("starter/usage.toml")),
    ("slt", include_str!("starter/usage.slt")),
];

const LINE: Template = [
    ("sql", include_str!("starter/line.sql")),
    ("toml", include_str!("starter/line.toml")),
    ("slt", include_str!("starter/line.slt")),
];

/// The files of a new rule, with their paths below a rule folder.
///
/// # Errors
/// The id cannot be one.
pub fn starter(id: &str, stage: Stage) -> Result<Vec<RuleFile>, RuleError> {
    if !is_id(id) {
        let problem = Problem::BadValue {
            value: id.to_owned(),
            expected: "a rule id: lower-case words and digits joined by `-`",
        };
        return Err(RuleError::of("rules new", problem));
    }
    let template = match stage {
        Stage::Usage => USAGE,
        Stage::Rating | Stage::Billing | Stage::Invoice => LINE,
    };
    let file = |(kind, text): (&str, &str)| RuleFile {
        path: format!("{stage}/{id}.{kind}"),
        text: text.replace(STAGE, stage.as_str()),
    };
    Ok(template.into_iter().map(file).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::rules::{lint, load};

    #[test]
    fn every_stage_starts_from_a_rule_without_fault() {
        for stage in Stage::ALL {
            let files = starter("my-rule-2", *stage).unwrap();
            let set = load(&files, &config::Rules::default()).unwrap();
            let rule = set.rule("my-rule-2").unwrap();
            assert_eq!(rule.stage, *stage);
            assert_eq!(rule.sql_origin, format!("{stage}/my-rule-2.sql"));
            let faults = lint(rule);
            assert!(faults.is_empty(), "{faults:?}");
        }
    }

    #[test]
    fn what_is_no_id_is_no_path_either() {
        for id in ["", "My-rule", "../x", "a_b", "a--b"] {
            assert!(starter(id, Stage::Usage).is_err(), "{id}");
        }
    }
}
