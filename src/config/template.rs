//! The commented file that `init` writes: every option, explained, at its default.
//!
//! It is embedded text with one gap for the sources. Tests read it back, as it is and with every
//! option uncommented, so that it cannot drift from what is understood.

use super::error::{ConfigError, Place};
use super::resolve::source_name;
use super::section::Located;

const TEMPLATE: &str = include_str!("template.toml");
const GAP: &str = "#:sources:\n";

const EXAMPLE: &str = "\
#[[sources]]
#name = \"acme-billing\"
#kind = \"files\"
#role = \"billing\"
#platform = \"zuora\"
#path = \"./exports/acme-billing\"
#without = [\"bill_runs\", \"entity_links\"]
#[sources.tables.usage_records]
#files = \"2026/**/*.parquet\"
#sql = \"SELECT id AS usage_id, org AS customer_id, qty AS quantity, ts AS occurred_at FROM raw\"

";

/// A source that the new file should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitSource {
    /// Its name: `a-z`, `0-9` and `-`.
    pub name: String,
    /// The folder of its files; `None` means a folder of its name beside the configuration.
    pub path: Option<String>,
}

impl InitSource {
    /// Reads `name` or `name=path`.
    ///
    /// # Errors
    /// Where the name is not one that a source may have.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let (name, path) = match text.split_once('=') {
            Some((name, path)) => (name, Some(path.to_owned())),
            None => (text, None),
        };
        let found = Located {
            value: name.to_owned(),
            key: "name".to_owned(),
            place: Place::Argument("init"),
        };
        source_name(&found)?;
        Ok(Self {
            name: found.value,
            path: path.filter(|path| !path.is_empty()),
        })
    }
}

/// The text of a new configuration; without sources it shows how one is written.
pub fn init_template(sources: &[InitSource]) -> String {
    let mut blocks = String::new();
    for InitSource { name, path } in sources {
        let path = path.clone().unwrap_or_else(|| format!("./{name}"));
        let path = toml::Value::String(path);
        blocks.push_str(&format!(
            "[[sources]]\nname = \"{name}\"\nkind = \"files\"\n#role = \"billing\"\n\
             #platform = \"files\"\npath = {path}\n#without = []\n\n"
        ));
    }
    if blocks.is_empty() {
        blocks.push_str(EXAMPLE);
    }
    TEMPLATE.replace(GAP, &blocks)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, Engine, Overrides};

    fn read(text: &str) -> Config {
        let file = Path::new("/etc/acme/trueup.toml");
        Config::from_text(text, file, &Overrides::default(), &|_| None).unwrap()
    }

    fn uncommented(text: &str) -> String {
        let is_option = |rest: &str| !rest.is_empty() && !rest.starts_with(' ');
        text.lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if is_option(rest) => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect()
    }

    #[test]
    fn it_holds_nothing_but_defaults() {
        assert_eq!(read(&init_template(&[])), read(""));
    }

    #[test]
    fn every_option_in_its_comments_is_understood() {
        let config = read(&uncommented(&init_template(&[])));
        assert_eq!(
            config.as_of.unwrap().to_rfc3339(),
            "2026-03-04T12:00:00+00:00"
        );
        assert_eq!(config.reporting.rates.len(), 2);
        assert_eq!(config.sources[0].without, ["bill_runs", "entity_links"]);
        assert!(config.sources[0].tables["usage_records"].sql.is_some());
        assert_eq!(config.rules.dirs, ["/etc/acme/rules"]);
        assert_eq!(config.rules.overrides["usage-spike"].enabled, Some(true));
        assert_eq!(config.suppress[0].owner, "maria");
        assert_eq!(config.engine, Engine::default());
    }

    #[test]
    fn the_named_sources_are_in_it() {
        let named = [
            "acme-zuora=exports/a \"b\"",
            "product-events",
            "s3=s3://bucket/x",
        ];
        let named: Vec<InitSource> = named
            .iter()
            .map(|text| InitSource::parse(text).unwrap())
            .collect();
        let text = init_template(&named);
        let config = read(&text);
        let paths: Vec<&str> = config
            .sources
            .iter()
            .map(|source| source.path.as_str())
            .collect();
        assert_eq!(
            paths,
            [
                "file:///etc/acme/exports/a%20%22b%22/",
                "file:///etc/acme/product-events/",
                "s3://bucket/x/"
            ]
        );
        assert_eq!(read(&uncommented(&text)).sources, config.sources);
    }

    #[test]
    fn a_bad_name_is_told() {
        assert_eq!(
            InitSource::parse("Acme=x").unwrap_err().to_string(),
            "init: `name` cannot be `Acme`; expected a name of a-z, 0-9 and -"
        );
    }
}
