//! `trueup rate`: prices and quantities in, amounts and errors out, line by line.

use serde_json::{Value, json};

use super::{lines, piped};
use crate::support::{assert_code, stdout};

const PRICE: &str = r#"{"charge_model":"graduated","currency":"USD","tiers":[{"up_to":"100","unit_price":"0.10"},{"up_to":null,"unit_price":"0.05"}]}"#;
const RATED: &str = r#""amount":"12.50","unrounded":"12.5","currency":"USD","tiers":[{"up_to":"100","quantity":"100","unit_price":"0.10","flat_fee":"0","amount":"10"},{"up_to":null,"quantity":"50","unit_price":"0.05","flat_fee":"0","amount":"2.5"}],"error":null}"#;

#[test]
fn rate_answers_line_by_line_and_a_bad_line_does_not_stop_the_others() {
    let good = |id: &str| format!("{{\"id\":\"{id}\",\"price\":{PRICE},\"quantity\":\"150\"}}\n");
    let output = piped(&["rate", "--batch"], &good("a"));
    assert_code(&output, 0);
    assert_eq!(stdout(&output), format!("{{\"id\":\"a\",{RATED}\n"));

    let bad = "{\"id\":\"b\",\"price\":{\"charge_model\":\"odd\"},\"quantity\":\"1\"}\n";
    let output = piped(
        &["rate", "--batch"],
        &format!("{}{bad}no json\n{}", good("a"), good("c")),
    );
    assert_code(&output, 2);
    let rated = lines(&stdout(&output));
    assert_eq!(rated.len(), 4);
    assert_eq!(
        (&rated[1]["id"], &rated[1]["amount"]),
        (&json!("b"), &Value::Null)
    );
    assert!(
        rated[1]["error"].as_str().unwrap().contains("`odd`"),
        "{}",
        rated[1]
    );
    assert!(rated[2]["error"].is_string());
    assert_eq!(
        (&rated[3]["id"], &rated[3]["amount"]),
        (&json!("c"), &json!("12.50"))
    );
}

#[test]
fn rate_takes_one_price_and_many_quantities() {
    let output = piped(&["rate", "--price", PRICE, "150", "x"], "");
    assert_code(&output, 2);
    let text = stdout(&output);
    let (first, second) = text.trim_end().split_once('\n').unwrap();
    assert_eq!(first, format!("{{{RATED}"));
    assert!(
        second.contains("\"amount\":null") && second.contains("`x`"),
        "{second}"
    );
    let table = piped(&["rate", "--price", PRICE, "150", "--format", "table"], "");
    assert_code(&table, 0);
    assert!(
        stdout(&table).starts_with("150 costs 12.50 USD"),
        "{}",
        stdout(&table)
    );
    assert_code(&piped(&["rate", "--price", PRICE], ""), 2);
}
