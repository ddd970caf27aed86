//! The settings as optional fields of the right type, each still knowing where it was written.
//!
//! This is the schema: which sections and keys there are. What a value means, and what holds where it
//! is absent, is decided in `resolve`.

use std::collections::BTreeMap;

use super::error::{ConfigError, Place, Problem};
use super::parse::Table;
use super::section::{Located, Section};
use super::settings::{CANONICAL_TABLES, SourceKind, TableMapping};

/// Everything, as far as it was written.
#[derive(Debug)]
pub(super) struct Raw {
    /// What stands for the whole, where a default needs a place.
    pub(super) place: Place,
    pub(super) as_of: Option<Located<String>>,
    pub(super) lake_url: Option<Located<String>>,
    pub(super) currency: Option<Located<String>>,
    pub(super) rates: BTreeMap<String, Located<String>>,
    pub(super) sources: Vec<RawSource>,
    pub(super) rule_dirs: Vec<Located<String>>,
    pub(super) rule_overrides: BTreeMap<String, RawOverride>,
    pub(super) suppress: Vec<RawSuppression>,
    pub(super) memory: Option<Located<String>>,
    pub(super) threads: Option<Located<i64>>,
    pub(super) timeout: Option<Located<String>>,
}

/// One of `[[sources]]`.
#[derive(Debug)]
pub(super) struct RawSource {
    pub(super) header: Header,
    pub(super) name: Option<Located<String>>,
    pub(super) kind: Option<Located<SourceKind>>,
    pub(super) role: Option<Located<String>>,
    pub(super) platform: Option<Located<String>>,
    pub(super) path: Option<Located<String>>,
    pub(super) tables: BTreeMap<String, TableMapping>,
    pub(super) without: Vec<Located<String>>,
}

/// One of `[rules.override]`.
#[derive(Debug)]
pub(super) struct RawOverride {
    pub(super) place: Place,
    pub(super) enabled: Option<Located<bool>>,
    pub(super) severity: Option<Located<String>>,
    pub(super) params: BTreeMap<String, Located<String>>,
}

/// One of `[[suppress]]`.
#[derive(Debug)]
pub(super) struct RawSuppression {
    pub(super) header: Header,
    pub(super) rule: Option<Located<String>>,
    pub(super) matches: BTreeMap<String, Located<String>>,
    pub(super) reason: Option<Located<String>>,
    pub(super) owner: Option<Located<String>>,
    pub(super) expires: Option<Located<String>>,
}

/// Where an element of a list begins, and how it is written there.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) label: String,
    pub(super) place: Place,
}

impl Header {
    fn of(section: &Section) -> Self {
        Self {
            label: section.label.clone(),
            place: section.place.clone(),
        }
    }

    /// The value of a key that must be there.
    pub(super) fn required<T>(
        &self,
        found: Option<Located<T>>,
        key: &'static str,
        expected: &'static str,
    ) -> Result<Located<T>, ConfigError> {
        found.ok_or_else(|| self.missing(key, expected))
    }

    /// The error that a key which must be there is not.
    pub(super) fn missing(&self, key: &'static str, expected: &'static str) -> ConfigError {
        let problem = Problem::MissingKey {
            section: self.label.clone(),
            key,
            expected,
        };
        ConfigError::new(&self.place, key, problem)
    }
}

/// Takes the tree apart; no key may be left over.
pub(super) fn read(tree: Table, place: Place) -> Result<Raw, ConfigError> {
    let mut root = Section::root(tree, place.clone());
    for (key, label) in [
        ("gate", "[gate]"),
        ("assistant", "[assistant]"),
        ("notify", "[[notify]]"),
    ] {
        root.unsupported(key, label)?;
    }
    let as_of = root.date("as_of")?;
    let mut lake = root.section("lake")?;
    let mut reporting = root.section("reporting")?;
    let sources = root.sections("sources")?;
    let mut rules = root.section("rules")?;
    let suppress = root.sections("suppress")?;
    let mut engine = root.section("engine")?;
    root.done()?;

    let lake_url = lake.string("url")?;
    lake.done()?;

    let currency = reporting.string("currency")?;
    let rates = reporting.decimals("rates")?;
    reporting.done()?;

    let sources = sources
        .into_iter()
        .map(source)
        .collect::<Result<Vec<_>, _>>()?;

    let rule_dirs = rules.strings("dirs")?;
    let mut rule_overrides = BTreeMap::new();
    for (rule, section) in rules.named_sections("override")? {
        rule_overrides.insert(rule, rule_override(section)?);
    }
    rules.done()?;

    let suppress = suppress
        .into_iter()
        .map(suppression)
        .collect::<Result<Vec<_>, _>>()?;

    let memory = engine.string("memory")?;
    let threads = engine.integer("threads")?;
    let timeout = engine.string("timeout")?;
    engine.done()?;

    Ok(Raw {
        place,
        as_of,
        lake_url,
        currency,
        rates,
        sources,
        rule_dirs,
        rule_overrides,
        suppress,
        memory,
        threads,
        timeout,
    })
}

fn source(mut section: Section) -> Result<RawSource, ConfigError> {
    let header = Header::of(&section);
    let name = section.string("name")?;
    // Before the other keys: those of a kind that is not read yet are no typing mistakes.
    let kind = section.string("kind")?.map(source_kind).transpose()?;
    let role = section.string("role")?;
    let platform = section.string("platform")?;
    let path = section.string("path")?;
    let mut tables = BTreeMap::new();
    for (table, section) in section.named_sections("tables")? {
        if !CANONICAL_TABLES.contains(&table.as_str()) {
            let problem = Problem::UnknownKey {
                key: table,
                section: "[sources.tables]".to_owned(),
                valid: CANONICAL_TABLES.to_vec(),
            };
            return Err(ConfigError::new(&section.place, "sources.tables", problem));
        }
        tables.insert(table, mapping(section)?);
    }
    let without = section.strings("without")?;
    section.done()?;
    Ok(RawSource {
        header,
        name,
        kind,
        role,
        platform,
        path,
        tables,
        without,
    })
}

fn source_kind(found: Located<String>) -> Result<Located<SourceKind>, ConfigError> {
    match found.value.as_str() {
        "files" => Ok(Located {
            value: SourceKind::Files,
            key: found.key,
            place: found.place,
        }),
        "stripe" | "zuora" | "chargebee" => Err(found.error(Problem::UnsupportedKind {
            kind: found.value.clone(),
        })),
        other => {
            let valid = vec![SourceKind::Files.as_str()];
            Err(found.error(Problem::NotOneOf {
                value: other.to_owned(),
                valid,
            }))
        }
    }
}

fn mapping(mut section: Section) -> Result<TableMapping, ConfigError> {
    let files = section.string("files")?.map(|found| found.value);
    let sql = section.string("sql")?.map(|found| found.value);
    section.done()?;
    Ok(TableMapping { files, sql })
}

fn rule_override(mut section: Section) -> Result<RawOverride, ConfigError> {
    let place = section.place.clone();
    let enabled = section.boolean("enabled")?;
    let severity = section.string("severity")?;
    let params = section.texts("params")?;
    section.done()?;
    Ok(RawOverride {
        place,
        enabled,
        severity,
        params,
    })
}

fn suppression(mut section: Section) -> Result<RawSuppression, ConfigError> {
    let header = Header::of(&section);
    let rule = section.string("rule")?;
    let matches = section.texts("match")?;
    let reason = section.string("reason")?;
    let owner = section.string("owner")?;
    let expires = section.date("expires")?;
    section.done()?;
    Ok(RawSuppression {
        header,
        rule,
        matches,
        reason,
        owner,
        expires,
    })
}
