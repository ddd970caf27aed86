//! The life of a signal across runs: opened, seen, missed, resolved, back; and what people decide.

use serde_json::{Value, json};
use trueup::lake::{Lake, Upsert, Writer, from_batches, table, to_batch, upsert};
use trueup::model::Decimal;
use trueup::model::signal::SignalRow;

use crate::support::{
    EVENTS, World, assert_code, files_below, query_batches, sessions, stdout, url,
};

/// What the metering system says of a record on 2 March.
fn measured(world: &World, quantity: &str) {
    let header = "usage_id,customer_id,meter,quantity,occurred_at,recorded_at";
    let moments = "2026-03-02T10:00:00Z,2026-03-02T10:00:05Z";
    world.write(
        "events/usage_records.csv",
        &format!("{header}\nu1,c1,api,{quantity},{moments}\n"),
    );
}

fn export(world: &World, day: u8) {
    assert_code(
        &world.run(&["export", "--as-of", &format!("2026-03-{day:02}T12:00:00Z")]),
        0,
    );
}

#[track_caller]
fn detect(world: &World, day: u8, code: i32) {
    let as_of = format!("2026-03-{day:02}T12:00:00Z");
    assert_code(
        &world.run(&["detect", "--rule", "negative-usage", "--as-of", &as_of]),
        code,
    );
}

fn noon(day: u8) -> Value {
    json!(format!("2026-03-{day:02}T12:00:00Z"))
}

/// The only signal that there is.
fn signal(world: &World) -> Value {
    let mut rows = world.rows("select * from signals");
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

/// What happened so far, and on which day.
fn events(world: &World) -> Vec<Value> {
    let rows =
        world.rows("select kind, at, from_value, to_value from signal_events order by at, kind");
    rows.iter()
        .map(|row| json!([row["kind"], row["at"]]))
        .collect()
}

#[test]
fn a_signal_is_opened_seen_missed_resolved_and_comes_back() {
    let world = World::new(EVENTS);
    measured(&world, "-3");
    export(&world, 4);
    detect(&world, 4, 0);
    let opened = signal(&world);
    assert_eq!(
        (&opened["status"], &opened["occurrences"]),
        (&json!("unhandled"), &json!(1))
    );
    let mut history = vec![json!(["opened", noon(4)])];
    assert_eq!(events(&world), history);

    export(&world, 5);
    detect(&world, 5, 0);
    let seen = signal(&world);
    assert_eq!(seen["signal_id"], opened["signal_id"]);
    assert_eq!(
        (&seen["occurrences"], &seen["is_regression"]),
        (&json!(2), &json!(false))
    );
    assert_eq!(
        (&seen["first_seen_at"], &seen["last_seen_at"]),
        (&noon(4), &noon(5))
    );
    history.push(json!(["seen", noon(5)]));
    assert_eq!(events(&world), history);

    let files = files_below(&world.path("lake"));
    detect(&world, 5, 0);
    assert_eq!(
        files_below(&world.path("lake")),
        files,
        "the same moment judged again committed something"
    );
    // An earlier moment judged again says nothing about what is known since.
    detect(&world, 4, 0);
    assert_eq!(signal(&world), seen);
    assert_eq!(events(&world), history);

    measured(&world, "3");
    export(&world, 6);
    detect(&world, 6, 0);
    let missed = signal(&world);
    assert_eq!(
        (&missed["status"], &missed["missed_runs"]),
        (&json!("unhandled"), &json!(1))
    );

    // Nothing was exported since: not seeing it says nothing.
    detect(&world, 9, 30);
    assert_eq!(signal(&world), missed);
    // The same run again does not miss it twice.
    detect(&world, 6, 0);
    assert_eq!(signal(&world), missed);
    assert_eq!(events(&world), history);

    export(&world, 10);
    detect(&world, 10, 0);
    let resolved = signal(&world);
    assert_eq!(
        (&resolved["status"], &resolved["resolution"]),
        (&json!("resolved"), &json!("auto"))
    );
    assert_eq!(
        (&resolved["resolved_at"], &resolved["occurrences"]),
        (&noon(10), &json!(2))
    );
    history.push(json!(["auto_resolved", noon(10)]));
    assert_eq!(events(&world), history);

    measured(&world, "-3");
    export(&world, 11);
    detect(&world, 11, 0);
    let back = signal(&world);
    assert_eq!(back["signal_id"], opened["signal_id"]);
    assert_eq!(
        (&back["status"], &back["is_regression"]),
        (&json!("unhandled"), &json!(true))
    );
    assert_eq!(
        (&back["resolution"], &back["resolved_at"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        (&back["occurrences"], &back["missed_runs"]),
        (&json!(3), &json!(0))
    );
    assert_eq!(back["first_seen_at"], noon(4));
    history.push(json!(["regressed", noon(11)]));
    assert_eq!(events(&world), history);
}

#[test]
fn a_record_that_is_mended_is_no_longer_shown_but_kept() {
    let world = World::new(EVENTS);
    let records = |second: &str| {
        let header = "usage_id,customer_id,meter,quantity,occurred_at,recorded_at";
        let moments = "2026-03-02T10:00:00Z,2026-03-02T10:00:05Z";
        let rows = format!("u1,c1,api,-3,{moments}\nu2,c1,api,{second},{moments}\n");
        world.write("events/usage_records.csv", &format!("{header}\n{rows}"));
    };
    let shown = || -> Vec<Value> {
        let id = signal(&world)["signal_id"].as_str().unwrap().to_owned();
        let output = world.run(&["signals", "show", &id, "--format", "json"]);
        assert_code(&output, 0);
        let shown: Value = serde_json::from_str(&stdout(&output)).unwrap();
        let entities = shown["entities"].as_array().unwrap().iter();
        entities
            .filter(|row| row["role"] == "primary")
            .map(|row| row["entity_id"].clone())
            .collect()
    };
    records("-4");
    export(&world, 4);
    detect(&world, 4, 0);
    assert_eq!(shown(), [json!("u1"), json!("u2")]);
    records("4");
    export(&world, 5);
    detect(&world, 5, 0);
    assert_eq!(shown(), [json!("u1")]);
    let kept = "select entity_id, last_seen_at from signal_entities
                where role = 'primary' order by entity_id";
    assert_eq!(
        world.rows(kept),
        [
            json!({"entity_id": "u1", "last_seen_at": noon(5)}),
            json!({"entity_id": "u2", "last_seen_at": noon(4)})
        ]
    );
}

/// Writes the only signal as a person changed it.
pub(crate) fn decide(world: &World, change: impl Fn(&mut SignalRow)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let lake = Lake::open(&url(&world.path("lake"))).await.unwrap();
        let batches = query_batches(&lake, "select * from signals").await;
        let mut signals: Vec<SignalRow> = from_batches(&batches).unwrap();
        signals.iter_mut().for_each(change);
        let def = table("signals").unwrap();
        let rows = Upsert {
            rows: to_batch(def, &signals).unwrap(),
            volatile: &[],
            new_since: None,
        };
        let writer = Writer::new("triage", "person");
        let (tally, _) = upsert(&lake, &sessions().session(), def, &writer, rows)
            .await
            .unwrap();
        assert_eq!(tally.written, 1);
    });
}

#[test]
fn what_a_person_decides_survives_the_next_run() {
    let world = World::new(EVENTS);
    measured(&world, "-3");
    export(&world, 4);
    detect(&world, 4, 0);
    decide(&world, |signal| {
        signal.assignee = Some("maria".to_owned());
        signal.status = "in_progress".to_owned();
        signal.priority = Some(1);
    });
    measured(&world, "-4");
    export(&world, 5);
    detect(&world, 5, 0);
    let kept = signal(&world);
    assert_eq!(
        (&kept["assignee"], &kept["status"]),
        (&json!("maria"), &json!("in_progress"))
    );
    assert_eq!(
        (&kept["severity"], &kept["priority"]),
        (&json!("medium"), &json!(1))
    );
    // What the run knows better is what it found.
    assert_eq!(kept["occurrences"], json!(2));
    assert!(
        kept["evidence"].as_str().unwrap().contains("\"-4\""),
        "{kept}"
    );

    // A person's word that it is no error is not overruled by seeing it again.
    decide(&world, |signal| {
        signal.status = "resolved".to_owned();
        signal.resolution = Some("false_positive".to_owned());
    });
    export(&world, 6);
    detect(&world, 6, 0);
    let closed = signal(&world);
    assert_eq!(
        (&closed["status"], &closed["resolution"]),
        (&json!("resolved"), &json!("false_positive"))
    );
    assert_eq!(
        (&closed["is_regression"], &closed["occurrences"]),
        (&json!(false), &json!(3))
    );
}

#[test]
fn severity_rises_with_money_where_a_rate_tells_what_it_is_worth() {
    let source = |name: &str| {
        let without = "[\"prices\", \"usage_records\"]";
        format!(
            "[[sources]]\nname = \"{name}\"\nkind = \"files\"\npath = \"{name}/\"\nwithout = {without}\n"
        )
    };
    let reporting = "[reporting]\ncurrency = \"USD\"\nrates = { EUR = \"1.08\" }\n";
    let sources = [source("eu"), source("jp")].concat();
    let world = World::new(&format!(
        "as_of = \"2026-03-04T12:00:00Z\"\n{reporting}{sources}"
    ));
    for (name, currency, total, lines) in [
        ("eu", "EUR", "20000", "10500"),
        ("jp", "JPY", "10000", "40000"),
    ] {
        let invoice = format!("n1,draft,{currency},{total},2026-03-01");
        let header = "invoice_id,status,currency,total,created_at";
        world.write(
            &format!("{name}/invoices.csv"),
            &format!("{header}\n{invoice}\n"),
        );
        let header = "line_id,invoice_id,kind,amount,currency";
        let line = format!("l1,n1,recurring,{lines},{currency}");
        world.write(
            &format!("{name}/invoice_lines.csv"),
            &format!("{header}\n{line}\n"),
        );
    }
    assert_code(&world.run(&["export"]), 0);
    assert_code(&world.run(&["detect", "--rule", "invoice-total"]), 0);
    let signals = world.rows("select * from signals order by source");
    let told = |row: &Value| {
        let amount = |column: &str| {
            serde_json::from_value::<Decimal>(row[column].clone())
                .unwrap()
                .to_string()
        };
        let money = [
            amount("impact"),
            amount("overbilled"),
            amount("underbilled"),
        ];
        json!([
            row["source"],
            row["severity"],
            row["priority"],
            row["currency"],
            money
        ])
    };
    let told: Vec<Value> = signals.iter().map(told).collect();
    // 9 500 EUR are 10 260 USD, above the rule's threshold; what yen are worth is not known.
    let known = [
        json!(["eu", "critical", 1, "USD", ["10260", "10260", "0"]]),
        json!(["jp", "high", 2, "JPY", ["30000", "0", "30000"]]),
    ];
    assert_eq!(told, known);
}
