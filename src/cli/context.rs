//! What commands work with: settings, lake, sessions, rules and the run, checked and opened.

use std::path::Path;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;

use super::args::Global;
use super::{Exit, Failure};
use crate::config::{Config, Overrides, environment};
use crate::lake::{Lake, LakeError, TABLES, object_place};
use crate::model::Run;
use crate::model::text::hint;
use crate::rules::{RuleError, RuleFile, RuleSet, lock_hash};
use crate::session::{Resources, Sessions, Workers};
use crate::signals::Exchange;

/// Settings with a lake and sessions.
pub(super) struct Context {
    pub(super) config: Config,
    pub(super) lake: Lake,
    pub(super) sessions: Sessions,
    pub(super) as_of: DateTime<Utc>,
}

/// The settings as they are typed and configured.
pub(super) fn configuration(global: &Global) -> Result<Config, Failure> {
    let overrides = overrides(global);
    let path = global.config.as_deref().map(Path::new);
    Config::load(path, &overrides, &environment()).map_err(|error| Failure::of(Exit::Usage, &error))
}

/// The same, where a command can do without a file as long as the lake is named.
pub(super) fn configuration_or_lake(global: &Global) -> Result<Config, Failure> {
    if global.config.is_none() && global.lake.is_some() {
        let env = environment();
        let without = Config::without_file(&overrides(global), &env);
        return without.map_err(|error| Failure::of(Exit::Usage, &error));
    }
    configuration(global)
}

fn overrides(global: &Global) -> Overrides {
    Overrides {
        lake: global.lake.clone(),
        as_of: global.as_of.clone(),
        set: global.set.clone(),
        ..Overrides::default()
    }
}

impl Context {
    pub(super) async fn open(config: Config, now: DateTime<Utc>) -> Result<Self, Failure> {
        let sessions = sessions(&config)?;
        let lake = Lake::open(&config.lake.url).await;
        let lake = lake.map_err(|error| Failure::of(Exit::Failed, &error))?;
        let as_of = config.as_of.unwrap_or(now);
        Ok(Self {
            config,
            lake,
            sessions,
            as_of,
        })
    }

    /// The same for a command that only looks: a lake that is not there is not an empty one.
    pub(super) async fn of_lake(config: Config, now: DateTime<Utc>) -> Result<Self, Failure> {
        let context = Self::open(config, now).await?;
        let is_there = context.holds_a_table().await;
        if is_there.map_err(|error| Failure::of(Exit::Failed, &error))? {
            return Ok(context);
        }
        let url = context.lake.url();
        let path = url.to_file_path().map(|path| path.display().to_string());
        let place = path.unwrap_or_else(|()| url.to_string());
        let reason = format!("lake not found at {place}; run `trueup run` first, or pass --lake");
        Err(Failure::new(Exit::Usage, reason))
    }

    async fn holds_a_table(&self) -> Result<bool, LakeError> {
        // A lake in memory is always new: whoever names one wants an empty one.
        if self.lake.url().scheme() == "memory" {
            return Ok(true);
        }
        for def in TABLES.iter() {
            if self.lake.existing(def).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What money is told in.
    pub(super) fn exchange(&self) -> Exchange<'_> {
        let reporting = &self.config.reporting;
        Exchange {
            currency: &reporting.currency,
            rates: &reporting.rates,
        }
    }

    /// A run of this kind at this moment.
    pub(super) fn run(&self, kind: &'static str, rules: &RuleSet) -> Run {
        Run::new(kind, self.as_of, self.config.hash(), lock_hash(rules))
    }

    pub(super) fn workers(&self) -> Result<Workers, Failure> {
        Workers::new(self.sessions.threads()).map_err(Failure::internal)
    }
}

pub(super) fn sessions(config: &Config) -> Result<Sessions, Failure> {
    let resources = Resources {
        memory: config.engine.memory,
        threads: config.engine.threads,
    };
    Sessions::new(resources).map_err(Failure::internal)
}

/// The embedded rules with the user's own and their overrides.
pub(super) async fn rules(config: &Config) -> Result<RuleSet, Failure> {
    let mut files = Vec::new();
    for dir in &config.rules.dirs {
        files.extend(rule_files(dir).await?);
    }
    let set = crate::rules::load(&files, &config.rules).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(|error| placed(config, error)).collect();
        Failure::new(Exit::Usage, lines.join("\n"))
    })?;
    let unknown: Vec<String> = unknown_suppressions(config, &set).collect();
    if unknown.is_empty() {
        return Ok(set);
    }
    Err(Failure::new(Exit::Usage, unknown.join("\n")))
}

/// The error's text; of one about an override, with the place where that was written.
fn placed(config: &Config, error: &RuleError) -> String {
    let written = error
        .key
        .as_ref()
        .and_then(|key| Some((key, config.rules.places.get(key)?)));
    match written {
        Some((key, place)) => format!("{place}: `{key}`: {}", error.problem),
        None => error.to_string(),
    }
}

/// Suppressions of rules, or by columns, that there are not: they would suppress nothing, and nobody
/// would know.
fn unknown_suppressions(config: &Config, set: &RuleSet) -> impl Iterator<Item = String> {
    config.suppress.iter().filter_map(move |suppression| {
        let (place, rule) = (&suppression.place, &suppression.rule);
        if !set.ids().any(|id| id == rule) {
            let hint = hint(rule, set.ids());
            return Some(format!(
                "{place}: `suppress.rule`: unknown rule `{rule}`{hint}"
            ));
        }
        // One that is switched off has no query to look at.
        let names = set.rule(rule)?.names();
        let mut columns = suppression.matches.keys();
        let unknown = columns.find(|column| !names.contains(*column))?;
        let hint = hint(unknown, names.iter().map(String::as_str));
        Some(format!(
            "{place}: `suppress.match.{unknown}`: rule {rule} has no such column{hint}"
        ))
    })
}

async fn rule_files(dir: &str) -> Result<Vec<RuleFile>, Failure> {
    let refuse =
        |reason: String| Failure::new(Exit::Usage, format!("rules.dirs: `{dir}`: {reason}"));
    let url = match Url::parse(dir) {
        Ok(url) => url,
        Err(_) => Url::from_directory_path(dir).map_err(|()| refuse("not a folder".to_owned()))?,
    };
    let place = object_place(&url).map_err(|error| refuse(error.to_string()))?;
    let found: Vec<_> = place
        .store
        .list(Some(&place.root))
        .try_collect()
        .await
        .map_err(|error| refuse(error.to_string()))?;
    if found.is_empty() {
        return Err(refuse("the folder is missing or empty".to_owned()));
    }
    let mut files = Vec::new();
    for object in found {
        let name = object.location.as_ref();
        if ![".sql", ".toml", ".slt"]
            .iter()
            .any(|ending| name.ends_with(ending))
        {
            continue;
        }
        let bytes = match place.store.get(&object.location).await {
            Ok(found) => found
                .bytes()
                .await
                .map_err(|error| refuse(error.to_string()))?,
            Err(error) => return Err(refuse(error.to_string())),
        };
        let text = String::from_utf8(bytes.to_vec())
            .map_err(|_| refuse(format!("{name} is not UTF-8")))?;
        files.push(RuleFile {
            path: name.to_owned(),
            text,
        });
    }
    Ok(files)
}
