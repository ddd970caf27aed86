//! Mistakes in any section: unknown keys, wrong types and wrong values, each with its place.

use std::path::Path;

use super::{read, refused};

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
fn errors_name_key_file_line_and_column() {
    let error = read("[lake]\n  url = 3\n").unwrap_err();
    assert_eq!(error.key, "lake.url");
    assert_eq!(error.file(), Some(Path::new("trueup.toml")));
    let position = error.position().unwrap();
    assert_eq!((position.line, position.column), (2, 3));
}
