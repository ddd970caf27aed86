//! One source's data must not keep the others from being judged.

use serde_json::json;

use crate::support::{World, assert_code};

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
