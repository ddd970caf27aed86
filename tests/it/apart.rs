//! One source's data must not keep the others from being judged.

use serde_json::json;

use crate::support::{EVENTS, World, assert_code, files_below};

const DAY: &str = "2026-03-04T12:00:00Z";
const PRICES: &str = "price_id,charge_model,currency,unit_price,tiers,effective_from\n";
const INVOICES: &str = "invoice_id,status,currency\ni1,open,USD\n";
const LINES: &str =
    "line_id,invoice_id,price_id,kind,quantity,amount,currency,period_start,period_end\n";

fn write(world: &World, source: &str, price: &str, charge: &str) {
    let (id, _) = price.split_once(',').unwrap();
    let line = format!("l1,i1,{id},usage,{charge},USD,2026-02-01T00:00:00Z,2026-03-01T00:00:00Z\n");
    world.write(&format!("{source}/invoices.csv"), INVOICES);
    world.write(
        &format!("{source}/prices.csv"),
        &format!("{PRICES}{price}\n"),
    );
    world.write(
        &format!("{source}/invoice_lines.csv"),
        &format!("{LINES}{line}"),
    );
}

#[test]
fn a_price_that_cannot_be_rated_is_the_error_of_its_own_source() {
    let without = r#"["customers", "subscriptions", "subscription_items", "meters", "usage_records", "bill_runs",
    "adjustments", "entity_links"]"#;
    let source = |name: &str| {
        format!(
            "[[sources]]\nname = \"{name}\"\nkind = \"files\"\nrole = \"billing\"\npath = \"{name}/\"\nwithout = {without}\n"
        )
    };
    let sources: String = ["east", "north", "west"].map(source).concat();
    let world = World::new(&format!("as_of = \"{DAY}\"\n{sources}"));
    // The amount has more digits than any column can hold.
    write(
        &world,
        "east",
        "p-vast,per_unit,USD,100000000000000000000,,2026-01-01",
        "10000000000,5",
    );
    write(
        &world,
        "north",
        "p-plain,per_unit,USD,0.5,,2026-01-01",
        "10,5",
    );
    let tiers = r#""[{""up_to"":""100"",""unit_price"":""0.10""},{""up_to"":null,""unit_price"":""0.05""}]""#;
    // 150 units cost 12.50; as volume they would cost this.
    write(
        &world,
        "west",
        &format!("p-tiers,graduated,USD,,{tiers},2026-01-01"),
        "150,7.50",
    );
    assert_code(&world.run(&["export"]), 0);

    let rule = ["detect", "--rule", "tier-miscalculation"];
    assert_code(&world.run(&rule), 30);
    let runs = world.rows("select source, status, reason, findings from rule_runs order by source");
    let judged = [
        json!({"source": "north", "status": "clean", "reason": null, "findings": 0}),
        json!({"source": "west", "status": "fired", "reason": null, "findings": 1}),
    ];
    assert_eq!(runs[1..], judged);
    assert_eq!(
        (&runs[0]["source"], &runs[0]["status"]),
        (&json!("east"), &json!("error"))
    );
    let reason = runs[0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("(price p-vast): overflow"),
        "{reason} does not name the price"
    );
    let signals = world.rows("select source, explanation from signals");
    assert_eq!(
        signals,
        [json!({"source": "west", "explanation": "graduated_billed_as_volume"})]
    );

    // A source that is not asked for does not stand in the way either.
    for (source, code) in [("west", 0), ("east", 30)] {
        assert_code(
            &world.run(&[&rule[..], &["--source", source]].concat()),
            code,
        );
    }
}

/// A rule of the user that returns a row for the source and type of each usage record.
fn write_rule(world: &World, id: &str, source: &str, entity_type: &str) {
    let sql = format!(
        "select {source} as source, {entity_type} as entity_type, usage_id as entity_id from usage_records"
    );
    world.write(&format!("rules/usage/{id}.sql"), &sql);
    let toml = r#"title = "Any record"
description = "Every record there is."
status = "stable"
category = "usage_anomaly"
stage = "usage"
severity = "low"
owner = "us"
roles = ["metering"]
reads = ["usage_records"]
schedule = "hourly"
window = "45 days"
group_by = ["source"]
"#;
    world.write(&format!("rules/usage/{id}.toml"), toml);
}

#[test]
fn a_row_that_belongs_to_nothing_is_the_error_of_its_rule() {
    let probes = EVENTS.replace("events", "probes");
    let rules = "[rules]\ndirs = [\"rules/\"]\n";
    let config = |sources: &str| format!("as_of = \"{DAY}\"\n{sources}{rules}");
    let world = World::new(&config(&[EVENTS, &probes].concat()));
    let record = |id: &str| {
        format!("usage_id,meter,quantity,occurred_at\n{id},api,1,2026-03-01T10:00:00Z\n")
    };
    world.write("events/usage_records.csv", &record("u1"));
    world.write("probes/usage_records.csv", &record("x1"));
    write_rule(&world, "any-record", "source", "'usage_record'");
    assert_code(&world.run(&["export"]), 0);
    write_rule(&world, "odd-source", "'evnts'", "'usage_record'");
    let odd = "case when usage_id = 'x1' then 'usage_recrd' else 'usage_record' end";
    write_rule(&world, "odd-type", "source", odd);
    let judged = |rule: &str| {
        world.rows(&format!(
            "select source, status, reason from rule_runs where rule_id = '{rule}' order by source"
        ))
    };

    assert_code(&world.run(&["detect", "--rule", "odd-source"]), 30);
    let reason = "a row of its answer is of source `evnts`, which is not configured; \
                  did you mean `events`?";
    let error = |source: &str| json!({"source": source, "status": "error", "reason": reason});
    assert_eq!(judged("odd-source"), [error("events"), error("probes")]);

    // The other source is judged all the same.
    assert_code(&world.run(&["detect", "--rule", "odd-type"]), 30);
    let reason = "a row of its answer is about a `usage_recrd`, which is no type of record; \
                  did you mean `usage_record`?";
    assert_eq!(
        judged("odd-type"),
        [
            json!({"source": "events", "status": "fired", "reason": null}),
            json!({"source": "probes", "status": "error", "reason": reason}),
        ]
    );

    // Of a source that is no longer configured the lake still holds rows: nobody's fault.
    world.write("trueup.toml", &config(EVENTS));
    assert_code(&world.run(&["detect", "--rule", "any-record"]), 0);
    assert_eq!(
        judged("any-record"),
        [json!({"source": "events", "status": "fired", "reason": null})]
    );
    let signals = world.rows("select distinct source from signals where rule_id = 'any-record'");
    assert_eq!(signals, [json!({"source": "events"})]);
}

#[test]
fn a_table_that_cannot_be_read_is_the_error_of_the_rules_that_read_it() {
    let world = World::new(&format!(
        "as_of = \"{DAY}\"\n{EVENTS}[rules]\ndirs = [\"rules/\"]\n"
    ));
    write_rule(&world, "any-record", "source", "'usage_record'");
    world.write(
        "events/usage_records.csv",
        "usage_id,meter,quantity,occurred_at\nu1,api,1,2026-03-01T10:00:00Z\n",
    );
    assert_code(&world.run(&["export"]), 0);
    let files = files_below(&world.path("lake/canonical/usage_records"));
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|kind| kind == "parquet"))
    {
        std::fs::remove_file(file).unwrap();
    }
    let detect = ["detect", "--rule", "any-record", "--rule", "stale-export"];
    assert_code(&world.run(&detect), 30);
    let judged = world.rows(
        "select rule_id, status from rule_runs where run_id = (select run_id from runs where kind = 'detect')
         order by rule_id",
    );
    assert_eq!(
        judged,
        [
            json!({"rule_id": "any-record", "status": "inconclusive"}),
            json!({"rule_id": "stale-export", "status": "clean"}),
        ]
    );
}
