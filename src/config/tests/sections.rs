//! Mistakes that only one section can have: sources, suppressions, and what is not supported yet.

use super::refused;

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
        &source("kind = 'files'\nwithout = ['price.unit_price']"),
        "trueup.toml:5: `sources.without` cannot be `price`; did you mean `prices`?",
    );
    refused(
        &source("kind = 'files'\nwithout = ['usage_records.recorded']"),
        "trueup.toml:5: `sources.without` names `usage_records.recorded`, \
         and usage_records has no such column; did you mean `recorded_at`?",
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
