//! `trueup sql`: answers in every format, and nothing that changes the lake.

use super::piped;
use crate::support::{assert_code, stderr, stdout};

#[test]
fn sql_answers_in_every_format_and_changes_nothing() {
    let ask = |query: &str, format: &str| {
        piped(
            &["sql", "--lake", "memory://", query, "--format", format],
            "",
        )
    };
    let query = "select 1 as a, 'b' as c";
    assert_eq!(stdout(&ask(query, "json")), "{\"a\":1,\"c\":\"b\"}\n");
    assert_eq!(stdout(&ask(query, "csv")), "a,c\n1,b\n");
    let table = stdout(&ask(query, "table"));
    assert_eq!(table.lines().nth(1), Some("| a | c |"), "{table}");
    assert_eq!(
        stdout(&ask("select count(*) as n from signals", "json")),
        "{\"n\":0}\n"
    );
    // What rules build on is there as well, with the values that rules have.
    let views = trueup::rules::embedded().unwrap().views;
    let sources = views
        .iter()
        .map(|view| format!("select source from {}", view.name));
    let all = sources.collect::<Vec<_>>().join(" union all ");
    let query = format!("select count(*) as n from ({all}) where $window_start < $as_of");
    let counted = ask(&query, "json");
    assert_code(&counted, 0);
    assert_eq!(stdout(&counted), "{\"n\":0}\n");
    for query in [
        "insert into meters (source, meter) values ('a', 'b')",
        "create table x as select 1",
        "copy (select 1) to 'x.csv'",
        "drop table signals",
        "set datafusion.execution.batch_size = 1",
        "select 1; select 2",
        "select nothing",
    ] {
        let output = ask(query, "json");
        assert_code(&output, 2);
        assert!(
            stdout(&output).is_empty() && !stderr(&output).is_empty(),
            "{query}"
        );
    }
    let piped_in = piped(
        &["sql", "--lake", "memory://"],
        "select 1 as a;\nselect 2\n as a;\nselect b;\nselect 3 as a;\n",
    );
    assert_code(&piped_in, 2);
    assert_eq!(stdout(&piped_in), "{\"a\":1}\n{\"a\":2}\n");
}

#[test]
fn csv_has_its_headings_and_what_it_has_no_form_for_as_json() {
    let ask = |query: &str| {
        let output = piped(
            &["sql", "--lake", "memory://", query, "--format", "csv"],
            "",
        );
        assert_code(&output, 0);
        stdout(&output)
    };
    assert_eq!(
        ask("select signal_id, impact from signals"),
        "signal_id,impact\n"
    );
    let tiers = r#"tiers('[{"up_to":"100","unit_price":"0.10"},{"unit_price":"0.05"}]')"#;
    let query =
        format!("select 1 as a, {tiers}[2] as tier, cast(null as bigint[]) as gone, 'x' as b");
    let tier = concat!(
        r#""{""flat_fee"":null,""package_size"":null,""percentage_rate"":null,"#,
        r#"""unit_price"":0.050000000000,""up_to"":null}""#
    );
    assert_eq!(ask(&query), format!("a,tier,gone,b\n1,{tier},,x\n"));
    let table = piped(
        &[
            "sql",
            "--lake",
            "memory://",
            "select signal_id from signals",
            "--format",
            "table",
        ],
        "",
    );
    assert!(
        stdout(&table).contains("| signal_id |"),
        "{}",
        stdout(&table)
    );
}
