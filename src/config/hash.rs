//! A fingerprint of the settings that can change results.
//!
//! It is stored with every run, so that one can tell whether two runs were configured alike. The
//! moment of judgement is stored beside it and therefore left out; so are the engine's limits and the
//! file's name.

use super::settings::{Config, Source};
use crate::model::identity::fingerprint;

impl Config {
    /// SHA-256 in hex over the resolved settings that can change results; the same settings give the
    /// same hash, however they were written.
    pub fn hash(&self) -> String {
        let mut parts = Parts::default();
        parts.add("lake", [self.lake.url.as_str()]);
        parts.add("currency", [self.reporting.currency.as_str()]);
        for (code, rate) in &self.reporting.rates {
            parts.add("rate", [code.as_str(), &rate.to_string()]);
        }
        for source in &self.sources {
            add_source(&mut parts, source);
        }
        for dir in &self.rules.dirs {
            parts.add("rules", [dir.as_str()]);
        }
        for (rule, change) in &self.rules.overrides {
            let enabled = change.enabled.map(|enabled| enabled.to_string());
            let severity = change.severity.map(|severity| severity.to_string());
            parts.add("override", [rule.as_str(), &set(enabled), &set(severity)]);
            for (name, value) in &change.params {
                parts.add("param", [name.as_str(), value]);
            }
        }
        for suppression in &self.suppress {
            let expires = suppression.expires.to_string();
            parts.add("suppress", [suppression.rule.as_str(), &expires]);
            for (column, value) in &suppression.matches {
                parts.add("match", [column.as_str(), value]);
            }
        }
        fingerprint(parts.0.iter().map(String::as_str))
    }
}

fn add_source(parts: &mut Parts, source: &Source) {
    let Source {
        name,
        kind,
        role,
        platform,
        path,
        tables,
        without,
    } = source;
    let (kind, role) = (kind.as_str(), role.as_str());
    parts.add(
        "source",
        [name.as_str(), kind, role, platform, path.as_str()],
    );
    for (table, mapping) in tables {
        let (files, sql) = (set(mapping.files.clone()), set(mapping.sql.clone()));
        parts.add("table", [table.as_str(), &files, &sql]);
    }
    for table in without {
        parts.add("without", [table.as_str()]);
    }
}

/// Each tag has a fixed number of values, so a list of parts can be read in one way only.
#[derive(Default)]
struct Parts(Vec<String>);

impl Parts {
    fn add<const N: usize>(&mut self, tag: &str, values: [&str; N]) {
        self.0.push(tag.to_owned());
        self.0.extend(values.into_iter().map(str::to_owned));
    }
}

/// Keeps an empty text apart from none.
fn set(value: Option<String>) -> String {
    value.map_or_else(String::new, |value| format!("={value}"))
}
