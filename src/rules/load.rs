//! From files to a [`RuleSet`]: ours from the binary, the user's as handed in, then the overrides.
//!
//! A user's rule replaces ours of the same id as a whole, never file by file: half of one rule and
//! half of another would be a rule that nobody wrote.

use std::collections::BTreeMap;

use include_dir::{Dir, include_dir};

use super::error::{Problem, RuleError};
use super::lint;
use super::metadata::{self, Texts};
use super::rule::{Rule, RuleSet, Stage, View};
use super::{sql, template};
use crate::config;
use crate::model::Severity;
use crate::model::text::nearest;

static QUERIES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/queries");

/// The name of the folder whose files are views.
const VIEWS: &str = "views";

/// A file of a user's rule folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFile {
    /// Its path or URL; the last folder in it is the stage.
    pub path: String,
    /// Its content.
    pub text: String,
}

/// Reads the rules that come with the binary.
///
/// # Errors
/// The first fault of an embedded file: of a build whose tests were not run.
pub fn embedded() -> Result<RuleSet, RuleError> {
    let gathered = gather(&embedded_files()?);
    // `finish` never fails without an error, so there is a first one.
    finish(gathered, Vec::new()).map_err(|mut errors| errors.swap_remove(0))
}

/// Reads the embedded rules, lays the user's files over them and applies the overrides.
///
/// # Errors
/// Every fault of every file and override, at once.
pub fn load(extra: &[RuleFile], overrides: &config::Rules) -> Result<RuleSet, Vec<RuleError>> {
    let mut all = gather(&embedded_files().map_err(|error| vec![error])?);
    let user = gather(extra);
    all.rules.extend(user.rules);
    all.views.extend(user.views);
    all.errors.extend(user.errors);

    let mut disabled = Vec::new();
    for (id, change) in &overrides.overrides {
        let Some(rule) = all.rules.get_mut(id) else {
            let nearest = nearest(id, all.rules.keys().map(String::as_str)).map(str::to_owned);
            let problem = Problem::UnknownWord {
                what: "rule",
                word: id.clone(),
                nearest,
            };
            all.errors.push(override_error(id, "", problem));
            continue;
        };
        all.errors
            .extend(apply(rule, change.severity, &change.params));
        if change.enabled == Some(false) {
            disabled.push(id.clone());
        }
    }
    for id in &disabled {
        all.rules.remove(id);
    }
    finish(all, disabled)
}

/// What a set of files holds, by id and by name.
#[derive(Default)]
struct Gathered {
    rules: BTreeMap<String, Rule>,
    views: BTreeMap<String, View>,
    errors: Vec<RuleError>,
}

/// The files of one stem in one folder.
#[derive(Default)]
struct Group<'a> {
    folder: &'a str,
    stem: &'a str,
    sql: Option<&'a RuleFile>,
    toml: Option<&'a RuleFile>,
    slt: Option<&'a RuleFile>,
}

fn gather(files: &[RuleFile]) -> Gathered {
    let mut groups: BTreeMap<&str, Group<'_>> = BTreeMap::new();
    for file in files {
        let Some((base, extension)) = file.path.rsplit_once('.') else {
            continue;
        };
        if !matches!(extension, "sql" | "toml" | "slt") {
            continue;
        }
        let group = groups.entry(base).or_default();
        let (dir, stem) = base.rsplit_once(is_separator).unwrap_or(("", base));
        group.stem = stem;
        group.folder = dir.rsplit(is_separator).next().unwrap_or_default();
        match extension {
            "sql" => group.sql = Some(file),
            "toml" => group.toml = Some(file),
            _ => group.slt = Some(file),
        }
    }
    let mut gathered = Gathered::default();
    for group in groups.into_values() {
        if group.folder == VIEWS {
            gathered.add_view(&group);
        } else {
            gathered.add_rule(&group);
        }
    }
    gathered
}

impl Gathered {
    fn add_view(&mut self, group: &Group<'_>) {
        // Only the query makes a view; cases or notes may lie beside it.
        let Some(file) = group.sql else { return };
        if !template::is_name(group.stem) {
            let expected = "a view name: lower-case letters, digits and `_`";
            let problem = Problem::BadValue {
                value: group.stem.to_owned(),
                expected,
            };
            self.errors.push(RuleError::of(&file.path, problem));
            return;
        }
        let first = file.text.lines().next().unwrap_or_default();
        let view = View {
            name: group.stem.to_owned(),
            sql: file.text.clone(),
            materialise: first.trim() == "-- materialise",
        };
        self.errors.extend(lint::query_of_view(&file.path, &view));
        if self.views.contains_key(&view.name) {
            let first = "another folder".to_owned();
            let problem = Problem::Duplicate {
                name: view.name,
                first,
            };
            self.errors.push(RuleError::of(&file.path, problem));
        } else {
            self.views.insert(view.name.clone(), view);
        }
    }

    fn add_rule(&mut self, group: &Group<'_>) {
        match rule_of(group) {
            Err(errors) => self.errors.extend(errors),
            Ok(rule) => match self.rules.get(&rule.id) {
                Some(known) => {
                    let first = known.sql_origin.clone();
                    let problem = Problem::Duplicate {
                        name: rule.id,
                        first,
                    };
                    self.errors.push(RuleError::of(&rule.sql_origin, problem));
                }
                None => {
                    self.errors.extend(lint::query_of_rule(&rule));
                    self.rules.insert(rule.id.clone(), rule);
                }
            },
        }
    }
}

fn rule_of(group: &Group<'_>) -> Result<Rule, Vec<RuleError>> {
    let any = [group.sql, group.toml, group.slt]
        .into_iter()
        .flatten()
        .next();
    let path = any.map(|file| file.path.as_str()).unwrap_or_default();
    let alone = |problem: Problem| vec![RuleError::of(path, problem)];
    if Stage::named(group.folder).is_none() {
        let known = Stage::ALL.iter().map(|stage| stage.as_str()).chain([VIEWS]);
        let nearest = nearest(group.folder, known).map(str::to_owned);
        return Err(alone(Problem::WrongFolder {
            folder: group.folder.to_owned(),
            nearest,
        }));
    }
    let missing = |extension: &str| {
        alone(Problem::Incomplete {
            missing: format!("{}.{extension}", group.stem),
        })
    };
    let sql = group.sql.ok_or_else(|| missing("sql"))?;
    let toml = group.toml.ok_or_else(|| missing("toml"))?;
    let texts = Texts {
        id: group.stem.to_owned(),
        sql: sql.text.clone(),
        sql_origin: sql.path.clone(),
        cases: group.slt.map(|slt| slt.text.clone()),
    };
    let rule = metadata::read(&toml.path, &toml.text, texts)?;
    if rule.stage.as_str() != group.folder {
        let (stage, folder) = (rule.stage.to_string(), group.folder.to_owned());
        let error = RuleError::of(&toml.path, Problem::StageIsNotFolder { stage, folder });
        return Err(vec![error.at_key("stage")]);
    }
    Ok(rule)
}

/// Changes a rule as the configuration says; a value of the wrong type changes nothing.
fn apply(
    rule: &mut Rule,
    severity: Option<Severity>,
    params: &BTreeMap<String, String>,
) -> Vec<RuleError> {
    let mut errors = Vec::new();
    rule.severity = severity.unwrap_or(rule.severity);
    for (name, text) in params {
        if let Err(error) = rule.assign(name, text) {
            let key = format!(".params.{name}");
            errors.push(override_error(&rule.id, &key, error.into()));
        }
    }
    errors
}

fn override_error(id: &str, rest: &str, problem: Problem) -> RuleError {
    RuleError::of("configuration", problem).at_key(format!("rules.override.{id}{rest}"))
}

fn finish(gathered: Gathered, disabled: Vec<String>) -> Result<RuleSet, Vec<RuleError>> {
    let mut errors = gathered.errors;
    let views = in_order(gathered.views).unwrap_or_else(|error| {
        errors.push(error);
        Vec::new()
    });
    if errors.is_empty() {
        Ok(RuleSet {
            rules: gathered.rules.into_values().collect(),
            views,
            disabled,
        })
    } else {
        Err(errors)
    }
}

/// Each view behind those that its text mentions.
fn in_order(mut waiting: BTreeMap<String, View>) -> Result<Vec<View>, RuleError> {
    let mut placed = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let waits = |view: &View| {
            sql::names(&view.sql)
                .iter()
                .any(|name| *name != view.name && waiting.contains_key(name))
        };
        let ready = waiting
            .values()
            .find(|view| !waits(view))
            .map(|view| view.name.clone());
        match ready.and_then(|name| waiting.remove(&name)) {
            Some(view) => placed.push(view),
            None => {
                let names = waiting.into_keys().collect();
                return Err(RuleError::of(VIEWS, Problem::ViewCycle { names }));
            }
        }
    }
    Ok(placed)
}

fn embedded_files() -> Result<Vec<RuleFile>, RuleError> {
    let mut files = Vec::new();
    for name in ["rules", VIEWS] {
        if let Some(dir) = QUERIES.get_dir(name) {
            collect(dir, &mut files)?;
        }
    }
    Ok(files)
}

fn collect(dir: &Dir<'static>, files: &mut Vec<RuleFile>) -> Result<(), RuleError> {
    for file in dir.files() {
        // Always with slashes, so that an origin is the same text on every machine.
        let path = format!(
            "queries/{}",
            file.path().to_string_lossy().replace('\\', "/")
        );
        let text = file
            .contents_utf8()
            .ok_or_else(|| RuleError::of(&path, Problem::NotText))?;
        files.push(RuleFile {
            text: text.to_owned(),
            path,
        });
    }
    for inner in dir.dirs() {
        collect(inner, files)?;
    }
    Ok(())
}

fn is_separator(c: char) -> bool {
    c == '/' || c == '\\'
}

#[cfg(test)]
mod tests;
