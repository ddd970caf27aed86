//! What commands work with: settings, lake, sessions, rules and the run, checked and opened.

use std::path::Path;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;

use super::args::Global;
use super::{Exit, Failure};
use crate::config::{Config, Overrides, environment};
use crate::lake::{Lake, object_place};
use crate::model::Run;
use crate::rules::{RuleFile, RuleSet, lock_hash};
use crate::session::{Resources, Sessions, Workers};

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
    crate::rules::load(&files, &config.rules).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::new(Exit::Usage, lines.join("\n"))
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
