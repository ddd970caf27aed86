//! Scorecards reckoned by hand.

use super::*;
use crate::model::{Decimal, Severity};

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn texts(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn records(all: &[(&str, &str)]) -> Vec<Record> {
    all.iter()
        .map(|&(entity_type, entity_id)| Record {
            entity_type: entity_type.to_owned(),
            entity_id: entity_id.to_owned(),
        })
        .collect()
}

/// A wrong line, in its currency.
fn wrong_line(line: &str, invoice: &str, money: (&str, &str, &str)) -> Label {
    let (expected, actual, currency) = money;
    Label {
        class: "C1".to_owned(),
        fault: "as-volume".to_owned(),
        source: "s".to_owned(),
        records: records(&[("invoice_line", line), ("invoice", invoice)]),
        expected: Some(decimal(expected)),
        actual: Some(decimal(actual)),
        currency: Some(currency.to_owned()),
        root_cause: "configuration".to_owned(),
        rules: texts(&["tiers", "totals"]),
        effects: texts(&["late"]),
        explanations: texts(&["as_volume"]),
        ..Label::default()
    }
}

fn primary(entity_type: &str, entity_id: &str) -> Entity {
    Entity {
        is_primary: true,
        entity_type: entity_type.to_owned(),
        entity_id: entity_id.to_owned(),
        ..Entity::default()
    }
}

fn wrong_by(line: &str, delta: &str, currency: &str) -> Entity {
    Entity {
        delta: Some(decimal(delta)),
        unit: Some(currency.to_owned()),
        ..primary("invoice_line", line)
    }
}

fn signal(rule: &str, severity: Severity, entities: Vec<Entity>) -> Signal {
    Signal {
        rule_id: rule.to_owned(),
        source: "s".to_owned(),
        severity: Some(severity),
        entities,
        ..Signal::default()
    }
}

#[test]
fn every_signal_counts_once_and_where_it_belongs() {
    let launch = Label {
        class: "G1".to_owned(),
        fault: "launch".to_owned(),
        source: "s".to_owned(),
        records: records(&[("subscription_item", "item")]),
        root_cause: "legitimate".to_owned(),
        ..Label::default()
    };
    let labels = vec![
        wrong_line("l1", "i1", ("10", "12", "USD")),
        wrong_line("l2", "i2", ("100", "50", "EUR")),
        launch,
    ];
    let of_first_invoice = |id: &str| Entity {
        invoice_id: Some("i1".to_owned()),
        ..primary("usage_record", id)
    };
    let catch = Signal {
        root_cause: Some("configuration".to_owned()),
        explanation: Some("as_volume".to_owned()),
        ..signal(
            "tiers",
            Severity::High,
            vec![wrong_by("l1", "2", "USD"), wrong_by("l9", "1", "USD")],
        )
    };
    let signals = vec![
        catch,
        signal("late", Severity::High, vec![of_first_invoice("u1")]),
        signal("other", Severity::Medium, vec![of_first_invoice("u2")]),
        signal("other", Severity::Low, vec![primary("customer", "c9")]),
        signal("other", Severity::Info, vec![primary("customer", "c9")]),
        signal(
            "spike",
            Severity::Low,
            vec![primary("subscription_item", "item")],
        ),
        signal(
            "spike",
            Severity::High,
            vec![primary("subscription_item", "item")],
        ),
    ];
    let world = World {
        name: "w".to_owned(),
        labels,
        signals,
        subscription_months: 400,
    };
    let card = score(&[world]);
    let wrong = FaultScore {
        class: "C1".to_owned(),
        fault: "as-volume".to_owned(),
        injected: 2,
        caught: 1,
        root_cause_right: 1,
        explained: 1,
        explanation_right: 1,
        records_named: 2,
        records_right: 1,
        false_alarms: 1,
        with_money: 2,
        money_exact: 1,
        money_injected: decimal("56"),
        money_signalled: decimal("2"),
        caught_by: ["tiers".to_owned()].into(),
    };
    let quiet = FaultScore {
        class: "G1".to_owned(),
        fault: "launch".to_owned(),
        injected: 1,
        false_alarms: 1,
        ..FaultScore::default()
    };
    assert_eq!(card.faults, [wrong, quiet]);
    assert_eq!((card.total.injected, card.total.caught), (2, 1));
    let alarms: Vec<(&str, u64, u64, u64)> = card
        .rules
        .iter()
        .map(|rule| {
            (
                rule.rule.as_str(),
                rule.signals,
                rule.beside,
                rule.elsewhere,
            )
        })
        .collect();
    let expected = [
        ("late", 1, 0, 0),
        ("other", 3, 1, 1),
        ("spike", 2, 1, 0),
        ("tiers", 1, 0, 0),
    ];
    assert_eq!(alarms, expected);
    let world = &card.worlds[0];
    assert_eq!(
        (world.injected, world.caught, world.false_alarms),
        (2, 1, 3)
    );
    assert_eq!(world.false_alarms_per_1000, 7.5);
}

#[test]
fn what_many_share_counts_only_where_the_rule_returned_it() {
    let label = Label {
        records: records(&[("customer", "c1")]),
        ..wrong_line("l1", "i1", ("1", "2", "USD"))
    };
    let of = |entity: Entity| {
        let world = World {
            labels: vec![label.clone()],
            signals: vec![signal("tiers", Severity::High, vec![entity])],
            ..World::default()
        };
        let card = score(&[world]);
        (card.total.caught, card.worlds[0].false_alarms)
    };
    let mentioned = Entity {
        is_primary: false,
        ..primary("customer", "c1")
    };
    assert_eq!(of(primary("customer", "c1")), (1, 0));
    assert_eq!(of(mentioned), (0, 1));
}

#[test]
fn another_source_has_other_records() {
    let world = World {
        labels: vec![wrong_line("l1", "i1", ("1", "2", "USD"))],
        signals: vec![Signal {
            source: "t".to_owned(),
            ..signal("tiers", Severity::High, vec![primary("invoice_line", "l1")])
        }],
        ..World::default()
    };
    assert_eq!(score(&[world]).total.caught, 0);
}

#[test]
fn of_two_amounts_the_right_one_counts() {
    let of = |deltas: &[(&str, &str)]| {
        let signals = deltas
            .iter()
            .map(|&(rule, delta)| signal(rule, Severity::High, vec![wrong_by("l1", delta, "USD")]));
        let world = World {
            labels: vec![wrong_line("l1", "i1", ("10", "12", "USD"))],
            signals: signals.collect(),
            ..World::default()
        };
        let total = score(&[world]).total;
        (total.money_exact, total.money_signalled.to_string())
    };
    assert_eq!(of(&[("tiers", "2"), ("totals", "7")]), (1, "2".to_owned()));
    assert_eq!(of(&[("totals", "7"), ("tiers", "2")]), (1, "2".to_owned()));
    assert_eq!(of(&[("tiers", "1"), ("totals", "-7")]), (0, "7".to_owned()));
}

#[test]
fn a_clean_world_counts_what_is_said_of_it() {
    let world = World {
        signals: vec![
            signal(
                "spike",
                Severity::Info,
                vec![primary("subscription_item", "a")],
            ),
            signal(
                "spike",
                Severity::Medium,
                vec![primary("subscription_item", "b")],
            ),
        ],
        subscription_months: 3_000,
        ..World::default()
    };
    let card = score(&[world]);
    assert_eq!(card.worlds[0].false_alarms_per_1000, 0.33);
    let page = markdown(&card);
    assert!(
        page.contains("| 1 (clean) | 0 |  | 2 | 1 | 3000 | 0.33 |"),
        "{page}"
    );
    assert!(page.contains("| spike | 2 | 0 | 1 |"), "{page}");
}

#[test]
fn cells_say_parts_and_money() {
    let cells = fault_cells(&FaultScore {
        class: "C1".to_owned(),
        fault: "as-volume".to_owned(),
        injected: 3,
        caught: 2,
        root_cause_right: 1,
        with_money: 3,
        money_exact: 2,
        money_injected: decimal("1000.5"),
        money_signalled: decimal("20.129"),
        ..FaultScore::default()
    });
    let expected = [
        "C1",
        "as-volume",
        "3",
        "2/3 (66 %)",
        "1/2 (50 %)",
        "",
        "",
        "0",
        "2/3 (66 %)",
        "20.12 of 1000.50",
    ];
    assert_eq!(cells, expected);
}

#[test]
fn tables_take_their_place_on_a_page() {
    let fresh = placed(None, "| a |\n");
    assert_eq!(
        fresh,
        "<!-- scorecard: begin -->\n| a |\n<!-- scorecard: end -->\n"
    );
    let page = format!("# Scorecard\n{fresh}Made by hand.\n");
    let again = placed(Some(&page), "| b |\n");
    assert_eq!(again, page.replace("| a |", "| b |"));
}

#[test]
fn labels_of_the_generator_can_be_read() {
    let line = r#"{"label_id":"x-1","class":"B1","fault":"x","source":"s",
        "records":[{"entity_type":"customer","entity_id":"c"}],"expected":"12.5","actual":null,
        "currency":null,"root_cause":"integration","rules":["r"],"effects":["e"],
        "explanations":[],"first_visible_at":"2026-05-01T00:00:00Z"}"#;
    let label: Label = serde_json::from_str(line).unwrap();
    assert_eq!(label.expected, Some(decimal("12.5")));
    assert_eq!(label.effects, ["e"]);
}
