//! The functions through SQL, as a session calls them.

use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::register;

#[expect(clippy::disallowed_methods, reason = "rating is below the session")]
async fn run(sql: &str) -> Result<Vec<String>, String> {
    let mut config = SessionConfig::new();
    config.options_mut().sql_parser.parse_float_as_decimal = true;
    let ctx = SessionContext::new_with_config(config);
    register(&ctx);
    let frame = ctx.sql(sql).await.map_err(|error| error.to_string())?;
    let batches = frame.collect().await.map_err(|error| error.to_string())?;
    let table = pretty_format_batches(&batches).unwrap().to_string();
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(1);
    Ok(rows
        .map(|line| line.trim_matches('|').trim().to_owned())
        .collect())
}

async fn value(sql: &str) -> String {
    run(sql).await.unwrap().join("\n")
}

async fn failure(sql: &str) -> String {
    run(sql).await.unwrap_err()
}

const PRICE: &str = "named_struct('price_id', 'p1', 'charge_model', 'graduated', 'currency', 'USD', \
     'tiers', tiers('[{\"up_to\":\"100\",\"unit_price\":\"0.10\"},{\"unit_price\":\"0.05\"}]'))";

#[tokio::test]
async fn rates_scalars() {
    assert_eq!(
        value(&format!("select rate({PRICE}, 150)")).await,
        "12.500000000000"
    );
    assert_eq!(
        value(&format!("select rate_as({PRICE}, 150, 'volume')")).await,
        "7.500000000000"
    );
    assert_eq!(
        value(&format!(
            "select rate_as({PRICE}, 150, 'per_unit_first_tier')"
        ))
        .await,
        "15.000000000000"
    );
    assert_eq!(
        value(&format!("select rate_unrounded({PRICE}, 0.01)")).await,
        "0.001000000000"
    );
}

#[tokio::test]
async fn rates_columns_of_other_types() {
    let sql = "select rate(named_struct('charge_model', m, 'unit_price', p, 'flat_fee', null, \
               'currency', null, 'tiers', null), q) from (values ('per_unit', 2, '3'), \
               ('per_unit', 4, '0.5'), ('per_unit', 5, null), (null, 5, '1'), ('custom', 1, '1')) \
               as t(m, p, q)";
    assert_eq!(
        run(sql).await.unwrap(),
        ["6.000000000000", "2.000000000000", "", "", ""]
    );
}

#[tokio::test]
async fn null_in_is_null_out() {
    assert_eq!(
        value(&format!("select rate({PRICE}, null) is null")).await,
        "true"
    );
    assert_eq!(value("select rate(null, 1) is null").await, "true");
    assert_eq!(
        value(&format!("select rate_tiers({PRICE}, null) is null")).await,
        "true"
    );
    assert_eq!(
        value(&format!("select rate_as({PRICE}, 1, null) is null")).await,
        "true"
    );
    assert_eq!(value("select tiers(null) is null").await, "true");
}

#[tokio::test]
async fn breakdowns_add_up_to_the_amount() {
    let sql = format!(
        "select sum(t['amount']), count(*) from \
         (select unnest(rate_tiers({PRICE}, q)) as t from (values (100.049)) as v(q))"
    );
    assert_eq!(value(&sql).await.replace(' ', ""), "10.000000000000|3");
}

#[tokio::test]
async fn errors_name_the_row_and_the_price() {
    let price = "named_struct('price_id', 'p9', 'charge_model', 'per_unit', 'unit_price', p)";
    let sql = format!(
        "select rate({price}, q) from (values (1.0, 1.0), \
         (99999999999999.0, 99999999999999.0)) as t(p, q)"
    );
    let error = failure(&sql).await;
    assert!(
        error.contains("rate: row 1 (price p9): overflow"),
        "{error}"
    );
    let error = failure("select rate(named_struct('charge_model', 'tiered'), 1)").await;
    assert!(error.contains("unknown charge_model `tiered`"), "{error}");
}

#[tokio::test]
async fn a_price_that_cannot_be_rounded_has_no_amount_and_stops_no_other() {
    let price = "named_struct('charge_model', 'per_unit', 'unit_price', 0.111, \
                 'rounding_increment', i, 'rounding_scale', s)";
    let sql = format!(
        "select rate({price}, 10), rate_tiers({price}, 10) is null from (values (0.05, 2), \
         (0, 2), (-0.05, 2), (null, -13), (null, 2)) as t(i, s)"
    );
    let rows: Vec<String> = run(&sql).await.unwrap();
    let rows: Vec<String> = rows.iter().map(|row| row.replace(' ', "")).collect();
    assert_eq!(
        rows,
        [
            "1.100000000000|false",
            "|true",
            "|true",
            "|true",
            "1.110000000000|false"
        ]
    );
}

#[tokio::test]
async fn floats_are_refused() {
    let error = failure(&format!("select rate({PRICE}, cast(1 as double))")).await;
    assert!(error.contains("float"), "{error}");
    let sql = "select rate(named_struct('charge_model', 'per_unit', 'unit_price', \
               cast(1 as double)), 1)";
    let error = failure(sql).await;
    assert!(error.contains("unit_price is a Float64"), "{error}");
}

#[tokio::test]
async fn money_knows_its_minor_unit() {
    let sql = "select money_round(2.345, 'usd'), money_round(-2.5, 'JPY'), \
               minor_exponent('KWD'), minor_exponent('XYZ') is null";
    assert_eq!(
        value(sql).await.replace(' ', ""),
        "2.350000000000|-3.000000000000|3|true"
    );
}

#[tokio::test]
async fn a_price_column_changes_from_row_to_row() {
    let sql = "select rate(named_struct('charge_model', 'volume', 'tiers', tiers(j)), 10) from \
               (values ('[{\"up_to\":5,\"unit_price\":2},{\"unit_price\":1}]'), \
               ('[{\"unit_price\":3}]'), ('[]')) as t(j)";
    assert_eq!(
        run(sql).await.unwrap(),
        ["10.000000000000", "30.000000000000", ""]
    );
}
