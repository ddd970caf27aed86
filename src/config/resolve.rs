//! From what was written to what holds: values are checked, paths anchored, defaults filled, once.
//!
//! Whether a rule, a parameter or a file exists is not asked here; the layers that own them do.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, Utc};

use super::columns::canonical_columns;
use super::error::{ConfigError, Place, Problem};
use super::location;
use super::raw::{Raw, RawOverride, RawSource, RawSuppression};
use super::section::Located;
use super::settings::{
    CANONICAL_TABLES, Config, Engine, LakeConfig, Reporting, Role, RuleOverride, Rules, Source,
    Suppression, TableMapping,
};
use crate::model::currency::minor_exponent;
use crate::model::span::parse_span;
use crate::model::{Decimal, Severity};

const LAKE: &str = "./lake";
const CURRENCY: &str = "USD";

const A_CURRENCY: &str = "an ISO 4217 currency code, such as `USD`";
const A_NAME: &str = "a name of a-z, 0-9 and -";
const A_SIZE: &str = "a size such as `4GiB`, `512MiB` or `8GB`";

pub(super) fn resolve(raw: Raw, file: Option<PathBuf>) -> Result<Config, ConfigError> {
    let lake_url = raw.lake_url.unwrap_or_else(|| Located {
        value: LAKE.to_owned(),
        key: "lake.url".to_owned(),
        place: raw.place.clone(),
    });
    let (mut rule_overrides, mut places) = (BTreeMap::new(), BTreeMap::new());
    for (rule, change) in raw.rule_overrides {
        places.insert(format!("rules.override.{rule}"), change.place.clone());
        let params = change.params.values();
        places.extend(params.map(|found| (found.key.clone(), found.place.clone())));
        rule_overrides.insert(rule, rule_override(change)?);
    }
    Ok(Config {
        file,
        as_of: raw.as_of.map(|found| moment(&found)).transpose()?,
        lake: LakeConfig {
            url: location::folder(&lake_url)?,
        },
        reporting: reporting(raw.currency, raw.rates)?,
        sources: sources(raw.sources)?,
        rules: Rules {
            dirs: raw
                .rule_dirs
                .iter()
                .map(location::folder_text)
                .collect::<Result<_, _>>()?,
            overrides: rule_overrides,
            places,
        },
        suppress: raw
            .suppress
            .into_iter()
            .map(suppression)
            .collect::<Result<_, _>>()?,
        engine: engine(raw.memory, raw.threads, raw.timeout)?,
    })
}

fn moment(found: &Located<String>) -> Result<DateTime<Utc>, ConfigError> {
    DateTime::parse_from_rfc3339(&found.value)
        .map(|moment| moment.with_timezone(&Utc))
        .map_err(|_| bad(found, "an RFC 3339 time, such as `2026-03-04T12:00:00Z`"))
}

fn reporting(
    currency: Option<Located<String>>,
    written: BTreeMap<String, Located<String>>,
) -> Result<Reporting, ConfigError> {
    let currency = match currency {
        None => CURRENCY.to_owned(),
        Some(found) if minor_exponent(&found.value).is_some() => found.value.to_ascii_uppercase(),
        Some(found) => return Err(bad(&found, A_CURRENCY)),
    };
    let mut rates = BTreeMap::new();
    for (name, found) in written {
        if minor_exponent(&name).is_none() {
            let problem = Problem::BadName {
                name,
                expected: A_CURRENCY,
            };
            return Err(ConfigError::new(&found.place, "reporting.rates", problem));
        }
        let rate = found
            .value
            .parse::<Decimal>()
            .ok()
            .filter(|rate| *rate > Decimal::ZERO)
            .ok_or_else(|| bad(&found, "a decimal above zero, such as `\"1.08\"`"))?;
        if rates.insert(name.to_ascii_uppercase(), rate).is_some() {
            let problem = Problem::BadName {
                name,
                expected: "each currency once",
            };
            return Err(ConfigError::new(&found.place, "reporting.rates", problem));
        }
    }
    Ok(Reporting { currency, rates })
}

fn sources(written: Vec<RawSource>) -> Result<Vec<Source>, ConfigError> {
    let mut taken: BTreeMap<String, Place> = BTreeMap::new();
    let mut sources = Vec::with_capacity(written.len());
    for raw in written {
        let (source, name) = source(raw)?;
        if let Some(first) = taken.get(&source.name) {
            let value = source.name.clone();
            return Err(name.error(Problem::Duplicate {
                value,
                first: first.clone(),
            }));
        }
        taken.insert(source.name.clone(), name.place);
        sources.push(source);
    }
    Ok(sources)
}

fn source(raw: RawSource) -> Result<(Source, Located<String>), ConfigError> {
    let name = raw.header.required(raw.name, "name", A_NAME)?;
    source_name(&name)?;
    let kind = raw.header.required(raw.kind, "kind", "`files`")?.value;
    let path = raw
        .header
        .required(raw.path, "path", "the folder of its files")?;
    let role = match raw.role {
        None => Role::Billing,
        Some(found) => choice(&found, &Role::ALL.map(|role| (role.as_str(), role)))?,
    };
    let platform = match raw.platform {
        None => kind.as_str().to_owned(),
        Some(found) => filled(found)?,
    };
    let mut without = Vec::with_capacity(raw.without.len());
    for found in &raw.without {
        without.push(lacking(found, &raw.tables)?);
    }
    let source = Source {
        name: name.value.clone(),
        kind,
        role,
        platform,
        path: location::folder(&path)?,
        tables: raw.tables,
        without,
    };
    Ok((source, name))
}

/// A table that a source is without, or one column of a table that it has.
fn lacking(
    found: &Located<String>,
    mapped: &BTreeMap<String, TableMapping>,
) -> Result<String, ConfigError> {
    let (table, column) = match found.value.split_once('.') {
        Some((table, column)) => (table, Some(column)),
        None => (found.value.as_str(), None),
    };
    if !CANONICAL_TABLES.contains(&table) {
        let (value, valid) = (table.to_owned(), CANONICAL_TABLES.to_vec());
        return Err(found.error(Problem::NotOneOf { value, valid }));
    }
    let columns = canonical_columns(table);
    match column {
        Some(column) if !columns.contains(&column) => {
            let (table, column) = (table.to_owned(), column.to_owned());
            let valid = columns.to_vec();
            Err(found.error(Problem::UnknownColumn {
                table,
                column,
                valid,
            }))
        }
        None if mapped.contains_key(table) => {
            let table = table.to_owned();
            Err(found.error(Problem::MappedAndWithout { table }))
        }
        _ => Ok(found.value.clone()),
    }
}

/// Refuses a name that could not stand in a row, a path and a command line alike.
pub(super) fn source_name(found: &Located<String>) -> Result<(), ConfigError> {
    let is_name_byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if found.value.is_empty() || !found.value.bytes().all(is_name_byte) {
        return Err(bad(found, A_NAME));
    }
    Ok(())
}

fn rule_override(raw: RawOverride) -> Result<RuleOverride, ConfigError> {
    let severities = Severity::ALL.map(|severity| (severity.as_str(), severity));
    Ok(RuleOverride {
        enabled: raw.enabled.map(|found| found.value),
        severity: raw
            .severity
            .map(|found| choice(&found, &severities))
            .transpose()?,
        params: values(raw.params),
    })
}

fn suppression(raw: RawSuppression) -> Result<Suppression, ConfigError> {
    let header = &raw.header;
    if raw.matches.is_empty() {
        let expected = "the columns and values to suppress, such as `{ customer_id = \"C-17\" }`";
        return Err(header.missing("match", expected));
    }
    let expires = header.required(raw.expires, "expires", "a date")?;
    let is_date = |found: &Located<String>| {
        found
            .value
            .parse::<NaiveDate>()
            .map_err(|_| bad(found, "a date, such as `2026-12-01`"))
    };
    let rule = header.required(raw.rule, "rule", "the id of a rule")?;
    Ok(Suppression {
        place: rule.place.clone(),
        rule: filled(rule)?,
        matches: values(raw.matches),
        reason: filled(header.required(raw.reason, "reason", "why this is accepted")?)?,
        owner: filled(header.required(raw.owner, "owner", "who accepts it")?)?,
        expires: is_date(&expires)?,
    })
}

fn engine(
    memory: Option<Located<String>>,
    threads: Option<Located<i64>>,
    timeout: Option<Located<String>>,
) -> Result<Engine, ConfigError> {
    let mut engine = Engine::default();
    if let Some(found) = memory {
        engine.memory = size(&found.value).ok_or_else(|| bad(&found, A_SIZE))?;
    }
    if let Some(found) = threads {
        engine.threads = usize::try_from(found.value).map_err(|_| {
            let value = found.value.to_string();
            found.error(Problem::BadValue {
                value,
                expected: "a count, or 0 for every core",
            })
        })?;
    }
    if let Some(found) = timeout {
        engine.timeout = parse_span(&found.value)
            .ok()
            .filter(|span| !span.is_zero())
            .ok_or_else(|| bad(&found, "a span of time, such as `10 minutes`"))?;
    }
    Ok(engine)
}

/// Bytes of a text such as `4GiB`.
fn size(text: &str) -> Option<u64> {
    let unit_start = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_start);
    let factor: u64 = match unit.trim_start() {
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    number
        .parse::<u64>()
        .ok()?
        .checked_mul(factor)
        .filter(|bytes| *bytes > 0)
}

fn choice<T: Copy>(
    found: &Located<String>,
    choices: &[(&'static str, T)],
) -> Result<T, ConfigError> {
    match choices.iter().find(|(name, _)| *name == found.value) {
        Some((_, value)) => Ok(*value),
        None => {
            let valid = choices.iter().map(|(name, _)| *name).collect();
            Err(found.error(Problem::NotOneOf {
                value: found.value.clone(),
                valid,
            }))
        }
    }
}

fn filled(found: Located<String>) -> Result<String, ConfigError> {
    if found.value.trim().is_empty() {
        return Err(bad(&found, "some text"));
    }
    Ok(found.value)
}

fn values(map: BTreeMap<String, Located<String>>) -> BTreeMap<String, String> {
    map.into_iter()
        .map(|(name, found)| (name, found.value))
        .collect()
}

fn bad(found: &Located<String>, expected: &'static str) -> ConfigError {
    found.error(Problem::BadValue {
        value: found.value.clone(),
        expected,
    })
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_a_unit() {
        assert_eq!(size("4GiB"), Some(4 << 30));
        assert_eq!(size("512 MiB"), Some(512 << 20));
        assert_eq!(size("8GB"), Some(8_000_000_000));
        assert_eq!(size("1MB"), Some(1_000_000));
        for text in [
            "",
            "4",
            "GiB",
            "0GiB",
            "4gib",
            "-1GiB",
            "1.5GiB",
            "99999999999999GiB",
        ] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
