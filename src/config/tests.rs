//! The configuration as its users meet it: what a file means, and the exact text of each mistake.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::error::{ConfigError, Place, Problem};
use super::{Config, Engine, Overrides, Role};
use crate::model::Severity;

fn none(_: &str) -> Option<String> {
    None
}

fn read_with(text: &str, overrides: &Overrides) -> Result<Config, ConfigError> {
    Config::from_text(text, Path::new("trueup.toml"), overrides, &none)
}

fn read(text: &str) -> Result<Config, ConfigError> {
    read_with(text, &Overrides::default())
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    assert_eq!(read(text).unwrap_err().to_string(), expected);
}

fn set(assignments: &[&str]) -> Overrides {
    let set = assignments.iter().map(|text| (*text).to_owned()).collect();
    Overrides {
        set,
        ..Overrides::default()
    }
}

#[track_caller]
fn refused_set(text: &str, assignment: &str, expected: &str) {
    let error = read_with(text, &set(&[assignment])).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

const FULL: &str = r#"
as_of = 2026-03-04T13:00:00+01:00

[lake]
url = "s3://acme/lake"

[reporting]
currency = "eur"
rates = { USD = "0.92", jpy = "0.0061" }

[[sources]]
name = "acme-zuora"
kind = "files"
platform = "zuora"
path = "exports"
without = ["meters"]

[[sources]]
name = "product-events"
kind = "files"
role = "metering"
path = "/data/events"
[sources.tables.usage_records]
files = "2026/**/*.parquet"
sql = "SELECT id AS usage_id FROM raw"

[rules]
dirs = ["rules/"]
[rules.override.usage-spike]
enabled = true
severity = "critical"
params = { min_change = "0.5", min_days = 3 }

[[suppress]]
rule = "usage-spike"
match = { customer_id = "C-17" }
reason = "planned backfill"
owner = "maria"
expires = 2026-12-01

[engine]
memory = "2GiB"
threads = 8
timeout = "90s"
"#;

#[test]
fn a_full_file_is_understood() {
    let file = Path::new("/etc/acme/trueup.toml");
    let config = Config::from_text(FULL, file, &Overrides::default(), &none).unwrap();
    assert_eq!(config.file.as_deref(), Some(file));
    assert_eq!(
        config.as_of.unwrap().to_rfc3339(),
        "2026-03-04T12:00:00+00:00"
    );
    assert_eq!(config.lake.url.as_str(), "s3://acme/lake/");
    assert_eq!(config.reporting.currency, "EUR");
    assert_eq!(config.reporting.rates["USD"].to_string(), "0.92");
    assert_eq!(config.reporting.rates["JPY"].to_string(), "0.0061");
    let [zuora, events] = config.sources.as_slice() else {
        panic!("not two sources")
    };
    assert_eq!(
        (zuora.role, zuora.platform.as_str()),
        (Role::Billing, "zuora")
    );
    assert_eq!(zuora.path.as_str(), "file:///etc/acme/exports/");
    assert_eq!(zuora.without, ["meters"]);
    assert_eq!(
        (events.role, events.platform.as_str()),
        (Role::Metering, "files")
    );
    assert_eq!(events.path.as_str(), "file:///data/events/");
    let mapping = &events.tables["usage_records"];
    assert_eq!(mapping.files.as_deref(), Some("2026/**/*.parquet"));
    assert_eq!(
        mapping.sql.as_deref(),
        Some("SELECT id AS usage_id FROM raw")
    );
    assert_eq!(config.rules.dirs, ["/etc/acme/rules"]);
    let change = &config.rules.overrides["usage-spike"];
    assert_eq!(
        (change.enabled, change.severity),
        (Some(true), Some(Severity::Critical))
    );
    assert_eq!(
        (&*change.params["min_change"], &*change.params["min_days"]),
        ("0.5", "3")
    );
    assert_eq!(config.suppress[0].matches["customer_id"], "C-17");
    assert_eq!(config.suppress[0].expires.to_string(), "2026-12-01");
    let timeout = Duration::from_secs(90);
    assert_eq!(
        config.engine,
        Engine {
            memory: 2 << 30,
            threads: 8,
            timeout
        }
    );
}

#[test]
fn an_empty_file_means_the_defaults() {
    let file = Path::new("/etc/acme/trueup.toml");
    let config = Config::from_text("", file, &Overrides::default(), &none).unwrap();
    assert_eq!(config.lake.url.as_str(), "file:///etc/acme/lake/");
    assert_eq!(config.reporting.currency, "USD");
    assert!(config.as_of.is_none() && config.sources.is_empty());
    assert_eq!(config.engine, Engine::default());
}

#[test]
fn unknown_keys_are_refused_with_the_nearest() {
    refused(
        "[lake]\nlakee = './x'\n",
        "trueup.toml:2: unknown key `lakee` in [lake]; did you mean `url`?",
    );
    refused(
        "lakee = 1\n",
        "trueup.toml:1: unknown key `lakee`; did you mean `lake`?",
    );
    refused(
        "[engine]\nzzz = 1\naaa = 1\n",
        "trueup.toml:2: unknown key `zzz` in [engine]; valid here: `memory`, `threads`, `timeout`",
    );
    refused(
        "[[sources]]\nnmae = 'a'\n",
        "trueup.toml:2: unknown key `nmae` in [[sources]]; did you mean `name`?",
    );
    refused(
        "[[sources]]\n[sources.tables.invoicelines]\n",
        "trueup.toml:2: unknown key `invoicelines` in [sources.tables]; \
         did you mean `invoice_lines`?",
    );
    refused(
        "[rules.override.usage-spike]\nsevrity = 'high'\n",
        "trueup.toml:2: unknown key `sevrity` in [rules.override.usage-spike]; \
         did you mean `severity`?",
    );
    refused(
        "[[suppress]]\nrule = 'a'\nuntil = 2026-01-01\n",
        "trueup.toml:3: unknown key `until` in [[suppress]]; \
         valid here: `rule`, `match`, `reason`, `owner`, `expires`",
    );
}

#[test]
fn wrong_types_are_named() {
    refused(
        "[lake]\nurl = 3\n",
        "trueup.toml:2: `lake.url` must be a string, not an integer",
    );
    refused(
        "lake = './x'\n",
        "trueup.toml:1: `lake` must be a table, not a string",
    );
    refused(
        "[sources]\nname = 'a'\n",
        "trueup.toml:1: `sources` must be an array of tables, not a table",
    );
    refused(
        "[rules]\ndirs = 'rules'\n",
        "trueup.toml:2: `rules.dirs` must be an array of strings, not a string",
    );
    refused(
        "[rules]\ndirs = [\n  'a',\n  1,\n]\n",
        "trueup.toml:4: `rules.dirs` must be an array of strings, not an integer",
    );
    refused(
        "[reporting]\nrates = { EUR = true }\n",
        "trueup.toml:2: `reporting.rates.EUR` must be a decimal in quotes, not a boolean",
    );
    refused(
        "[rules.override.a]\nenabled = 'yes'\n",
        "trueup.toml:2: `rules.override.a.enabled` must be true or false, not a string",
    );
}

#[test]
fn wrong_values_are_told_with_what_is_expected() {
    refused(
        "as_of = 'yesterday'\n",
        "trueup.toml:1: `as_of` cannot be `yesterday`; \
         expected an RFC 3339 time, such as `2026-03-04T12:00:00Z`",
    );
    refused(
        "[reporting]\ncurrency = 'XYZ'\n",
        "trueup.toml:2: `reporting.currency` cannot be `XYZ`; \
         expected an ISO 4217 currency code, such as `USD`",
    );
    refused(
        "[reporting]\n[reporting.rates]\nEURO = '1'\n",
        "trueup.toml:3: `reporting.rates` cannot name `EURO`; \
         expected an ISO 4217 currency code, such as `USD`",
    );
    refused(
        "[reporting.rates]\nEUR = '0'\n",
        "trueup.toml:2: `reporting.rates.EUR` cannot be `0`; \
         expected a decimal above zero, such as `\"1.08\"`",
    );
    refused(
        "[engine]\nmemory = '4 gigs'\n",
        "trueup.toml:2: `engine.memory` cannot be `4 gigs`; \
         expected a size such as `4GiB`, `512MiB` or `8GB`",
    );
    refused(
        "[engine]\nthreads = -1\n",
        "trueup.toml:2: `engine.threads` cannot be `-1`; expected a count, or 0 for every core",
    );
    refused(
        "[engine]\ntimeout = '0s'\n",
        "trueup.toml:2: `engine.timeout` cannot be `0s`; \
         expected a span of time, such as `10 minutes`",
    );
    refused(
        "[rules.override.a]\nseverity = 'hihg'\n",
        "trueup.toml:2: `rules.override.a.severity` cannot be `hihg`; did you mean `high`?",
    );
}

#[test]
fn sources_are_checked() {
    let source = |more: &str| format!("[[sources]]\nname = 'a'\npath = 'x'\n{more}\n");
    let twice = format!("{0}{0}", source("kind = 'files'"));
    refused(
        &twice,
        "trueup.toml:6: `sources.name` is `a`, which is already used at trueup.toml:2",
    );
    refused(
        &source(""),
        "trueup.toml:1: [[sources]] has no `kind`; expected `files`",
    );
    refused(
        &source("kind = 'zuora'\nbase_url = 'https://zuora.example'"),
        "trueup.toml:4: `sources.kind` cannot be `zuora` yet; this version reads only `files`",
    );
    refused(
        &source("kind = 'csv'"),
        "trueup.toml:4: `sources.kind` cannot be `csv`; did you mean `files`?",
    );
    refused(
        &source("kind = 'files'\nrole = 'bill'"),
        "trueup.toml:5: `sources.role` cannot be `bill`; did you mean `billing`?",
    );
    refused(
        &source("kind = 'files'\nwithout = ['price']"),
        "trueup.toml:5: `sources.without` cannot be `price`; did you mean `prices`?",
    );
    refused(
        &source("kind = 'files'\nwithout = ['prices']\ntables.prices.files = '*.csv'"),
        "trueup.toml:5: `sources.without` names `prices`, \
         which the same source maps in [sources.tables.prices]",
    );
    refused(
        "[[sources]]\nname = 'Acme Inc'\n",
        "trueup.toml:2: `sources.name` cannot be `Acme Inc`; expected a name of a-z, 0-9 and -",
    );
}

#[test]
fn suppressions_are_complete() {
    let head = "[[suppress]]\nrule = 'a'\nreason = 'b'\nowner = 'c'\n";
    refused(
        &format!("{head}expires = 2026-12-01\n"),
        "trueup.toml:1: [[suppress]] has no `match`; \
         expected the columns and values to suppress, such as `{ customer_id = \"C-17\" }`",
    );
    refused(
        &format!("{head}match = {{ customer_id = 'C' }}\n"),
        "trueup.toml:1: [[suppress]] has no `expires`; expected a date",
    );
    refused(
        &format!("{head}match = {{ customer_id = 'C' }}\nexpires = 'soon'\n"),
        "trueup.toml:6: `suppress.expires` cannot be `soon`; expected a date, such as `2026-12-01`",
    );
}

#[test]
fn sections_of_later_versions_are_refused() {
    refused(
        "[gate]\n",
        "trueup.toml:1: [gate] is not supported by this version yet; remove it",
    );
    refused(
        "\n[[notify]]\nkind = 'slack'\n",
        "trueup.toml:2: [[notify]] is not supported by this version yet; remove it",
    );
    refused(
        "assistant.model = 'x'\n",
        "trueup.toml:1: [assistant] is not supported by this version yet; remove it",
    );
}

#[test]
fn set_overrides_the_file() {
    let text = "[lake]\nurl = '/a'\n[engine]\nmemory = '1GiB'\nthreads = 2\n";
    let overrides = set(&[
        "lake.url=/b",
        "engine.memory = 8GiB",
        "reporting.currency=EUR",
        "reporting.rates.USD=0.92",
        "rules.override.usage-spike.enabled=false",
        "rules.override.usage-spike.params.min_change=0.10",
        "as_of=2026-03-04T12:00:00Z",
    ]);
    let config = read_with(text, &overrides).unwrap();
    assert_eq!(config.lake.url.as_str(), "file:///b/");
    assert_eq!((config.engine.memory, config.engine.threads), (8 << 30, 2));
    assert_eq!(config.reporting.currency, "EUR");
    assert_eq!(config.reporting.rates["USD"].to_string(), "0.92");
    let change = &config.rules.overrides["usage-spike"];
    assert_eq!(
        (change.enabled, &*change.params["min_change"]),
        (Some(false), "0.10")
    );
    assert_eq!(
        config.as_of.unwrap().to_rfc3339(),
        "2026-03-04T12:00:00+00:00"
    );
}

#[test]
fn mistakes_in_set_are_told_like_those_in_the_file() {
    refused_set(
        "",
        "lakee.url=/b",
        "--set: unknown key `lakee`; did you mean `lake`?",
    );
    refused_set(
        "",
        "engine.memroy=1GiB",
        "--set: unknown key `memroy` in [engine]; did you mean `memory`?",
    );
    refused_set(
        "",
        "engine.threads=x",
        "--set: `engine.threads` must be an integer, not a string",
    );
    refused_set(
        "",
        "engine.threads",
        "--set: `engine.threads` is not of the form key=value",
    );
    refused_set(
        "",
        "engine..threads=1",
        "--set: `engine..threads=1` is not of the form key=value",
    );
    refused_set(
        "[[sources]]\nname = 'a'\n",
        "sources.a.path=x",
        "--set: `sources` is a list, which --set can only replace as a whole",
    );
    refused_set(
        "lake = 'x'\n",
        "lake.url=/b",
        "trueup.toml:1: `lake` must be a table, not a string",
    );
}

#[test]
fn the_command_line_wins_over_set_and_that_over_the_environment() {
    let env = |name: &str| (name == "TRUEUP_LAKE_URL").then(|| "/env".to_owned());
    let load = |overrides: &Overrides| {
        let text = "as_of = 2026-01-01T00:00:00Z\n[lake]\nurl = '/file'\n";
        Config::from_text(text, Path::new("trueup.toml"), overrides, &env).unwrap()
    };
    assert_eq!(load(&Overrides::default()).lake.url.path(), "/env/");
    let mut overrides = set(&["lake.url=/set"]);
    assert_eq!(load(&overrides).lake.url.path(), "/set/");
    overrides.lake = Some("/flag".to_owned());
    overrides.as_of = Some("2026-02-01T00:00:00Z".to_owned());
    let config = load(&overrides);
    assert_eq!(config.lake.url.path(), "/flag/");
    assert_eq!(
        config.as_of.unwrap().to_rfc3339(),
        "2026-02-01T00:00:00+00:00"
    );
    overrides.as_of = Some("now".to_owned());
    let error = read_with("", &overrides).unwrap_err().to_string();
    assert!(
        error.starts_with("--as-of: `as_of` cannot be `now`; "),
        "{error}"
    );
}

#[test]
fn the_file_is_the_argument_else_the_flag_else_the_variable() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let file = folder.path().join(name);
        fs::write(&file, format!("[reporting]\ncurrency = '{name}'\n")).unwrap();
        file
    };
    let (by_path, by_flag, by_variable) = (file("USD"), file("EUR"), file("JPY"));
    let variable = by_variable.to_string_lossy().into_owned();
    let env = |name: &str| (name == "TRUEUP_CONFIG").then(|| variable.clone());
    let flag = Overrides {
        config: Some(by_flag),
        ..Overrides::default()
    };
    let currency = |path, overrides: &Overrides| {
        Config::load(path, overrides, &env)
            .unwrap()
            .reporting
            .currency
    };
    assert_eq!(currency(Some(by_path.as_path()), &flag), "USD");
    assert_eq!(currency(None, &flag), "EUR");
    assert_eq!(currency(None, &Overrides::default()), "JPY");
}

#[test]
fn an_absent_file_is_an_error_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent.toml");
    let error = Config::load(Some(&absent), &Overrides::default(), &none).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{}: the configuration cannot be read", absent.display())
    );
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(
        ConfigError::new(&Place::Nowhere, "", Problem::NoFile).to_string(),
        "no configuration file: looked for ./trueup.toml; \
         write one with `trueup init`, or name one with `--config FILE`"
    );
}

#[test]
fn errors_name_key_file_line_and_column() {
    let error = read("[lake]\n  url = 3\n").unwrap_err();
    assert_eq!(error.key, "lake.url");
    assert_eq!(error.file(), Some(Path::new("trueup.toml")));
    let position = error.position().unwrap();
    assert_eq!((position.line, position.column), (2, 3));
}

#[test]
fn without_a_file_the_command_line_is_enough() {
    let config = Config::without_file(&set(&["lake.url=memory:"]), &none).unwrap();
    assert_eq!(
        (config.file, config.lake.url.as_str()),
        (None, "memory:///")
    );
}

#[test]
fn the_hash_tells_settings_that_change_results() {
    let hash = |text: &str| {
        read(&format!("{text}\nlake.url = 'memory:'\n"))
            .unwrap()
            .hash()
    };
    let plain = hash("");
    assert_eq!(
        plain,
        "d1877f526bd1c167a2747f597878992a3482a1bfc8d90d43894a314e742dd678"
    );
    assert_eq!(
        hash("engine.threads = 3\nas_of = 2026-03-04T12:00:00Z"),
        plain
    );
    assert_eq!(hash("reporting.currency = 'usd'"), plain);
    assert_ne!(hash("reporting.currency = 'EUR'"), plain);
    let off = hash("rules.override.a.enabled = false");
    assert_ne!(off, plain);
    assert_ne!(off, hash("rules.override.a.enabled = true"));
    assert_eq!(
        hash("reporting.rates = { EUR = '1.10', GBP = '1.3' }"),
        hash("reporting.rates.GBP = '1.30'\nreporting.rates.EUR = 1.1")
    );
}
