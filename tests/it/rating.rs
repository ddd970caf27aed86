//! Rating against figures that others publish, and against brute force.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as expected"
)]

use std::time::Duration;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::Value;
use trueup::detect::cases;
use trueup::explain::explain_findings;
use trueup::model::Decimal;
use trueup::rating::{
    Aggregation, ChargeModel, Event, Period, Price, RoundingMode, Tier, aggregate, rate, rate_line,
    round,
};
use trueup::rules::{Rule, embedded};

use crate::support::sessions;

const VECTORS: &str = include_str!("../../fixtures/rating/vectors.json");
const AGGREGATIONS: &str = include_str!("../../fixtures/rating/aggregations.json");

fn entries(json: &str) -> Vec<Value> {
    serde_json::from_str(json).unwrap()
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} of {entry}"))
}

fn decimal(text: &str) -> Decimal {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Rounds to the scale at which the source compares, if it has one.
fn compared(entry: &Value, value: Decimal) -> Decimal {
    match entry.get("compare_scale").and_then(Value::as_i64) {
        Some(scale) => round(value, scale.try_into().unwrap(), RoundingMode::HalfUp).unwrap(),
        None => value,
    }
}

/// An expected quantity may have more decimals than the lake: the thirteenth rounds, half up.
fn rounded(text: &str) -> Decimal {
    let Some(point) = text.find('.').filter(|point| text.len() > point + 13) else {
        return decimal(text);
    };
    let kept = decimal(&text[..point + 13]);
    let next = text.as_bytes()[point + 13];
    if next >= b'5' {
        kept.checked_add(Decimal::from_units(1)).unwrap()
    } else {
        kept
    }
}

#[test]
fn published_amounts_are_reproduced() {
    let entries = entries(VECTORS);
    assert!(
        entries.len() >= 195,
        "figures are missing: {}",
        entries.len()
    );
    let mut failures = Vec::new();
    for entry in &entries {
        let answer = rate_line(&entry["line"].to_string());
        let expected = decimal(text(entry, "expected_amount"));
        match answer.amount.as_deref().map(decimal) {
            Some(amount) if compared(entry, amount) == compared(entry, expected) => {
                let mut sum = Decimal::ZERO;
                for tier in &answer.tiers {
                    sum = sum.checked_add(decimal(&tier.amount)).unwrap();
                }
                if sum != amount {
                    failures.push(format!("{}: tiers add up to {sum}", text(entry, "id")));
                }
            }
            _ => failures.push(format!(
                "{}: expected {expected}, got {:?} {:?}",
                text(entry, "id"),
                answer.amount,
                answer.error
            )),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn published_aggregations_are_reproduced() {
    let entries = entries(AGGREGATIONS);
    assert!(
        entries.len() >= 30,
        "figures are missing: {}",
        entries.len()
    );
    for entry in &entries {
        let id = text(entry, "id");
        let instant = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let period = Period {
            start: instant(text(entry, "start")),
            end: instant(text(entry, "end")),
        };
        let events: Vec<Event> = entry["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| Event {
                at: instant(text(event, "at")),
                value: event["value"].as_str().map(decimal),
                unique_value: event["unique_value"].as_str().map(str::to_owned),
                ..Event::default()
            })
            .collect();
        let aggregation: Aggregation = text(entry, "aggregation").parse().unwrap();
        let carried = entry["carried"].as_str().map_or(Decimal::ZERO, decimal);
        let quantity = aggregate(aggregation, &events, &period, carried).unwrap();
        let quantity = quantity.or_else(|| entry["empty"].as_str().map(decimal));
        let quantity = quantity.map(|quantity| compared(entry, quantity));
        let expected = entry["expected"]
            .as_str()
            .map(|expected| compared(entry, rounded(expected)));
        assert_eq!(quantity, expected, "{id}");
    }
}

/// What no meter of the lake can be aggregated by.
const OF_NO_METER: [&str; 2] = ["avg", "daily_sum_max"];

/// Rows of a figure, as a case of a rule inserts them: one item, one line, one price of its own.
fn inserted(number: usize, entry: &Value) -> String {
    let mut script = String::new();
    let mut insert = |table: &str, columns: &str, rows: &[String]| {
        let rows = rows.join(",\n");
        script.push_str(&format!(
            "statement ok\ninsert into {table} (source, {columns}) values\n{rows}\n\n"
        ));
    };
    let [aggregation, start, end] = ["aggregation", "start", "end"].map(|key| text(entry, key));
    insert(
        "prices",
        "price_id, charge_model, charge_type, meter, aggregation, effective_from",
        &[format!(
            "('billing', 'p{number}', 'per_unit', 'usage', 'm{number}', '{aggregation}', \
             '2000-01-01T00:00:00Z')"
        )],
    );
    insert(
        "subscription_items",
        "item_id, subscription_id, customer_id, price_id, meter",
        &[format!(
            "('billing', 'i{number}', 's{number}', 'c{number}', 'p{number}', 'm{number}')"
        )],
    );
    insert(
        "invoice_lines",
        "line_id, invoice_id, item_id, price_id, kind, period_start, period_end",
        &[format!(
            "('billing', 'l{number}', 'n', 'i{number}', 'p{number}', 'usage', '{start}', '{end}')"
        )],
    );
    let quoted = |value: &Value| match value.as_str() {
        Some(text) => format!("'{text}'"),
        None => "null".to_owned(),
    };
    // The level that a period begins with is a record at its first instant.
    let carried = serde_json::json!({ "at": start, "value": entry["carried"] });
    let carried = std::iter::once(&carried).filter(|level| level["value"].is_string());
    let events = carried.chain(entry["events"].as_array().unwrap());
    let records: Vec<String> = (0..)
        .zip(events)
        .map(|(at, event): (usize, &Value)| {
            let (day, moment) = (&text(event, "at")[..10], text(event, "at"));
            let (value, unique) = (quoted(&event["value"]), quoted(&event["unique_value"]));
            format!(
                "('billing', 'u{number}-{at}', '{day}', 'i{number}', 'c{number}', 'm{number}', \
                 cast({value} as decimal(38, 12)), {unique}, '{moment}', '{moment}')"
            )
        })
        .collect();
    if !records.is_empty() {
        insert(
            "usage_records",
            "usage_id, usage_date, item_id, customer_id, meter, quantity, unique_value, occurred_at, \
             recorded_at",
            &records,
        );
    }
    script
}

/// The question for the quantity of a figure's line, and the answer that the figure gives.
fn asked(number: usize, entry: &Value) -> String {
    let id = text(entry, "id");
    let scale = entry.get("compare_scale").and_then(Value::as_i64);
    let scale = scale.unwrap_or(12);
    let used = match entry["empty"].as_str() {
        Some(empty) => format!("coalesce(actual, cast('{empty}' as decimal(38, 12)))"),
        None => "actual".to_owned(),
    };
    let expected = entry["expected"].as_str();
    let expected = expected.map(|expected| compared(entry, rounded(expected)).to_string());
    let expected = expected.unwrap_or_else(|| "NULL".to_owned());
    format!(
        "# {id}\nquery T\nselect cast(cast({used} as decimal(38, {scale})) as decimal(38, 12)) \
         from findings where entity_id = 'l{number}'\n----\n{expected}\n\n"
    )
}

/// What the rules call the usage of a line is worked out in SQL, from the rollup and single records: by
/// another way than [`aggregate`], so it is held against the same figures.
#[test]
fn published_aggregations_are_reproduced_by_the_usage_of_lines() {
    let entries = entries(AGGREGATIONS);
    let of_meters: Vec<&Value> = entries
        .iter()
        .filter(|entry| !OF_NO_METER.contains(&text(entry, "aggregation")))
        .collect();
    assert_eq!((of_meters.len(), entries.len()), (24, 30));
    let mut script = "statement ok\nset as_of = '2026-12-31T00:00:00Z'\n\n".to_owned();
    for (number, entry) in of_meters.iter().enumerate() {
        script.push_str(&inserted(number, entry));
    }
    for (number, entry) in of_meters.iter().enumerate() {
        script.push_str(&asked(number, entry));
    }
    let rules = embedded().unwrap();
    let rule = Rule {
        sql: "select source, 'invoice_line' as entity_type, line_id as entity_id, \
              used_quantity as actual from line_usage"
            .to_owned(),
        cases: Some(script),
        window: Duration::from_secs(20 * 366 * 86_400),
        settle: Duration::ZERO,
        explain: None,
        params: Default::default(),
        ..rules.rule("tier-miscalculation").unwrap().clone()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sessions = sessions();
    let figures = cases::run(&rule, &rules, &sessions, explain_findings);
    if let Err(text) = runtime.block_on(figures) {
        panic!("{text}");
    }
}

#[test]
fn repeated_and_voided_records_do_not_count() {
    let at = |hour: i64| DateTime::<Utc>::from_timestamp(hour * 3600, 0).unwrap();
    let period = Period {
        start: at(10),
        end: at(20),
    };
    let event = |hour: i64, value: i64, key: &str| Event {
        at: at(hour),
        value: Some(Decimal::from_i64(value)),
        source: Some("s".to_owned()),
        idempotency_key: Some(key.to_owned()),
        ..Event::default()
    };
    let voided = Event {
        status: Some("voided".to_owned()),
        ..event(11, 1000, "v")
    };
    let elsewhere = Event {
        source: Some("t".to_owned()),
        ..event(12, 40, "a")
    };
    let events = [
        event(20, 500, "end"),
        event(13, 4, "a"),
        event(12, 2, "a"),
        event(10, 1, "start"),
        event(9, 8, "early"),
        event(15, 16, "early"),
        elsewhere,
        voided,
    ];
    let of = |aggregation| aggregate(aggregation, &events, &period, Decimal::ZERO).unwrap();
    assert_eq!(of(Aggregation::Sum), Some(Decimal::from_i64(43)));
    assert_eq!(of(Aggregation::Count), Some(Decimal::from_i64(3)));
    assert_eq!(of(Aggregation::Max), Some(Decimal::from_i64(40)));
    assert_eq!(of(Aggregation::Min), Some(Decimal::from_i64(1)));
    assert_eq!(of(Aggregation::DailySumMax), Some(Decimal::from_i64(43)));
}

/// A tier in whole units and cents: its upper bound, the price of a unit, its flat fee.
#[derive(Debug, Clone, Copy)]
struct Step {
    up_to: i64,
    cents: i64,
    fee: i64,
}

const HUNDREDTH: i128 = 10_000_000_000;

fn cents(count: i64) -> Decimal {
    Decimal::from_units(i128::from(count) * HUNDREDTH)
}

fn price(model: ChargeModel, steps: &[Step]) -> Price {
    let mut tiers: Vec<Tier> = steps
        .iter()
        .map(|step| Tier {
            up_to: Some(Decimal::from_i64(step.up_to)),
            unit_price: Some(cents(step.cents)),
            flat_fee: Some(cents(step.fee)),
            ..Tier::default()
        })
        .collect();
    if let Some(last) = tiers.last_mut() {
        last.up_to = None;
    }
    Price {
        tiers,
        ..Price::new(model)
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((1i64..80, 0i64..500, 0i64..300), 1..5).prop_map(|rows| {
        let mut up_to = 0;
        rows.into_iter()
            .map(|(width, cents, fee)| {
                up_to += width;
                Step { up_to, cents, fee }
            })
            .collect()
    })
}

/// The step that holds unit number `unit`; the last one is open.
fn step_of(steps: &[Step], unit: i64) -> usize {
    steps
        .iter()
        .position(|step| unit <= step.up_to)
        .unwrap_or(steps.len() - 1)
}

/// Unit by unit: every unit pays the price of its step, and the first one in a step its fee.
fn graduated_cents(steps: &[Step], quantity: i64) -> i64 {
    let mut total = 0;
    let mut last = None;
    for unit in 1..=quantity {
        let at = step_of(steps, unit);
        total += steps[at].cents;
        if last != Some(at) {
            total += steps[at].fee;
            last = Some(at);
        }
    }
    total
}

fn volume_cents(steps: &[Step], quantity: i64) -> i64 {
    if quantity == 0 {
        return 0;
    }
    let step = steps[step_of(steps, quantity)];
    step.fee + (1..=quantity).map(|_| step.cents).sum::<i64>()
}

fn package_cents(size: i64, price: i64, quantity: i64) -> i64 {
    let (mut total, mut room) = (0, 0);
    for _ in 0..quantity {
        if room == 0 {
            total += price;
            room = size;
        }
        room -= 1;
    }
    total
}

fn amount(price: &Price, quantity: i64) -> Decimal {
    rate(price, Decimal::from_i64(quantity)).unwrap().amount
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tiers_agree_with_counting_units(steps in steps(), quantity in 0i64..400) {
        prop_assert_eq!(
            amount(&price(ChargeModel::Graduated, &steps), quantity),
            cents(graduated_cents(&steps, quantity))
        );
        prop_assert_eq!(
            amount(&price(ChargeModel::Volume, &steps), quantity),
            cents(volume_cents(&steps, quantity))
        );
        let fee = if quantity == 0 { 0 } else { steps[step_of(&steps, quantity)].fee };
        prop_assert_eq!(amount(&price(ChargeModel::Stairstep, &steps), quantity), cents(fee));
    }

    #[test]
    fn packages_agree_with_filling_them(
        size in 1i64..30, unit in 0i64..500, included in 0i64..50, quantity in 0i64..400,
    ) {
        let price = Price {
            unit_price: Some(cents(unit)),
            package_size: Some(Decimal::from_i64(size)),
            included_quantity: Some(Decimal::from_i64(included)),
            ..Price::new(ChargeModel::Package)
        };
        let paid = (quantity - included).max(0);
        prop_assert_eq!(amount(&price, quantity), cents(package_cents(size, unit, paid)));
    }

    #[test]
    fn blocks_agree_with_filling_them(
        blocks in prop::collection::vec((1i64..20, 1i64..6, 0i64..500), 1..4),
        quantity in 0i64..400,
    ) {
        let tiers = blocks.iter().map(|(size, most, unit)| Tier {
            package_size: Some(Decimal::from_i64(*size)),
            max_blocks: Some(Decimal::from_i64(*most)),
            unit_price: Some(cents(*unit)),
            ..Tier::default()
        });
        let price = Price { tiers: tiers.collect(), ..Price::new(ChargeModel::GraduatedBlock) };
        let (mut left, mut total) = (quantity, 0);
        for (size, most, unit) in &blocks {
            for _ in 0..*most {
                if left > 0 {
                    total += unit;
                    left -= size;
                }
            }
        }
        prop_assert_eq!(amount(&price, quantity), cents(total));
    }

    #[test]
    fn more_units_never_cost_less(steps in steps(), quantity in 0i64..400, more in 0i64..100) {
        for model in [ChargeModel::Graduated, ChargeModel::TieredOverage] {
            let price = price(model, &steps);
            prop_assert!(amount(&price, quantity) <= amount(&price, quantity + more));
        }
        let flat = Price { unit_price: Some(cents(steps[0].cents)), ..Price::new(ChargeModel::PerUnit) };
        prop_assert!(amount(&flat, quantity) <= amount(&flat, quantity + more));
        let packages = Price {
            unit_price: Some(cents(steps[0].cents)),
            package_size: Some(Decimal::from_i64(steps[0].up_to)),
            ..Price::new(ChargeModel::Package)
        };
        prop_assert!(amount(&packages, quantity) <= amount(&packages, quantity + more));
    }

    #[test]
    fn breakdowns_add_up_to_the_amount(
        steps in steps(),
        units in -1_000_000_000_000_000i128..1_000_000_000_000_000,
        minimum in 0i64..2000,
        scale in 0i32..4,
        model in prop::sample::select(vec![
            ChargeModel::Graduated, ChargeModel::Volume, ChargeModel::Stairstep,
        ]),
    ) {
        let price = Price {
            rounding_scale: Some(scale),
            minimum_amount: Some(cents(minimum)),
            negative_policy: Some(trueup::rating::NegativePolicy::Mirror),
            ..price(model, &steps)
        };
        let rated = rate(&price, Decimal::from_units(units)).unwrap();
        let mut sum = Decimal::ZERO;
        for tier in &rated.tiers {
            sum = sum.checked_add(tier.amount).unwrap();
        }
        prop_assert_eq!(sum, rated.amount);
        let mirrored = rate(&price, Decimal::from_units(-units)).unwrap();
        if units != 0 {
            prop_assert_eq!(mirrored.amount.checked_neg(), Some(rated.amount));
        }
    }
}
