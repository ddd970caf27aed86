//! The calculator: a line of JSON in, an amount with its tiers or a plain error out.

use crate::rating::{rate_line, rate_value};

#[test]
fn the_calculator_answers_a_line() {
    let line = concat!(
        r#"{"id":"a","price":{"charge_model":"graduated","currency":"USD","tiers":["#,
        r#"{"up_to":"100","unit_price":"0.10"},{"up_to":null,"unit_price":"0.05"}]},"#,
        r#""quantity":"150"}"#,
    );
    let expected = concat!(
        r#"{"id":"a","amount":"12.50","unrounded":"12.5","currency":"USD","tiers":["#,
        r#"{"up_to":"100","quantity":"100","unit_price":"0.10","flat_fee":"0","amount":"10"},"#,
        r#"{"up_to":null,"quantity":"50","unit_price":"0.05","flat_fee":"0","amount":"2.5"}],"#,
        r#""error":null}"#,
    );
    assert_eq!(serde_json::to_string(&rate_line(line)).unwrap(), expected);
}

#[test]
fn the_calculator_subtracts_what_was_billed_before() {
    let price = r#"{"charge_model":"per_unit","unit_price":0.001,"currency":"USD"}"#;
    let line = format!(
        r#"{{"price":{price},"quantity":333,"previously":{{"quantity":"333","amount":"0.33"}}}}"#
    );
    let answer = rate_line(&line);
    assert_eq!(answer.amount.as_deref(), Some("0.34"));
    assert_eq!(answer.tiers.len(), 2);
    assert_eq!(rate_value(price, "333").amount.as_deref(), Some("0.33"));
}

#[test]
fn the_calculator_says_what_is_wrong() {
    let cases = [
        ("{", "not JSON"),
        ("[]", "the line is not an object"),
        (
            r#"{"price":{"charge_model":"flat"},"quantiti":1}"#,
            "unknown key `quantiti`",
        ),
        (r#"{"quantity":1}"#, "price is missing"),
        (
            r#"{"price":{"charge_model":"flat","flat_fee":"1"}}"#,
            "give one of quantity",
        ),
        (
            r#"{"price":{"charge_model":"tiered"},"quantity":1}"#,
            "unknown charge_model `tiered`",
        ),
        (
            r#"{"price":{"charge_model":"flat","fee":"1"},"quantity":1}"#,
            "unknown key `fee` in price",
        ),
        (
            r#"{"price":{"charge_model":"flat","flat_fee":"x"},"quantity":1}"#,
            "price.flat_fee: `x`",
        ),
        (
            r#"{"price":{"charge_model":"flat","flat_fee":"1","currency":"XYZ"},"quantity":1}"#,
            "unknown currency `XYZ`",
        ),
        (
            concat!(
                r#"{"price":{"charge_model":"volume","tiers":[{"up_to":5,"unit_price":1},"#,
                r#"{"up_to":5,"unit_price":1}]},"quantity":1}"#
            ),
            "tiers out of order: tier 2",
        ),
        (
            concat!(
                r#"{"price":{"charge_model":"per_unit","unit_price":1,"#,
                r#""negative_policy":"error"},"quantity":-1}"#
            ),
            "negative quantity -1",
        ),
    ];
    for (line, expected) in cases {
        let answer = rate_line(line);
        let error = answer.error.unwrap();
        assert!(error.contains(expected), "{line}: {error}");
        assert_eq!(answer.amount, None);
    }
}

#[test]
fn capacity_takes_the_first_tier_that_holds_every_unit() {
    let line = |units: &str| {
        format!(
            concat!(
                r#"{{"price":{{"charge_model":"capacity","tiers":["#,
                r#"{{"flat_fee":"10","limits":{{"u":"5","v":null}}}},"#,
                r#"{{"flat_fee":"20","limits":{{"u":"50","v":"9"}}}}]}},"units":{}}}"#
            ),
            units
        )
    };
    let amount = |units: &str| rate_line(&line(units)).amount;
    assert_eq!(amount(r#"{"u":"5"}"#).as_deref(), Some("10"));
    assert_eq!(amount(r#"{"u":"5","v":"1000"}"#).as_deref(), Some("10"));
    assert_eq!(amount(r#"{"u":"5.1","v":"9"}"#).as_deref(), Some("20"));
    assert_eq!(amount(r#"{"u":"0"}"#).as_deref(), Some("0"));
    assert_eq!(amount(r#"{"u":"51"}"#), None);
    assert_eq!(amount(r#"{"w":"1"}"#), None);
}
