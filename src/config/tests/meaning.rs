//! What a file means: every setting, every default, and the hash of those that change results.

use std::path::Path;
use std::time::Duration;

use super::{none, read};
use crate::config::{Config, Engine, Overrides, Role};
use crate::model::Severity;

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
without = ["meters", "usage_records.recorded_at"]

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
    assert_eq!(zuora.without, ["meters", "usage_records.recorded_at"]);
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
