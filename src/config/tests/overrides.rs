//! What is laid over the file: `--set`, the environment and the command line, and who wins.

use std::path::Path;

use super::{read_with, set};
use crate::config::{Config, Overrides};

#[track_caller]
fn refused_set(text: &str, assignment: &str, expected: &str) {
    let error = read_with(text, &set(&[assignment])).unwrap_err();
    assert_eq!(error.to_string(), expected);
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
