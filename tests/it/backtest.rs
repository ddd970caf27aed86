//! A rule over past days: on what was known on each of them, and without a trace.

use serde_json::{Value, json};
use trueup::detect::World as Known;
use trueup::lake::{Lake, from_batches};

use crate::life::decide;
use crate::support::{EVENTS, World, assert_code, files_below, sessions, stderr, stdout, url};

const RULE: &str = "negative-usage";
const DAYS: [&str; 4] = ["--from", "2026-03-01", "--to", "2026-03-04"];

/// The first record arrived after noon of its day, one of the negative ones hours after it
/// happened. Both negative ones together leave their day above zero.
const USAGE: &str = "usage_id,customer_id,meter,quantity,occurred_at,recorded_at
u1,c1,api,10,2026-03-01T10:00:00Z,2026-03-01T13:00:00Z
u2,c1,api,-3,2026-03-02T10:00:00Z,2026-03-02T10:00:05Z
u3,c1,api,-1,2026-03-02T09:00:00Z,2026-03-02T20:00:00Z
u4,c1,api,5,2026-03-02T08:00:00Z,2026-03-02T08:00:05Z
";

fn world() -> World {
    let world = World::new(&format!("as_of = \"2026-03-08T12:00:00Z\"\n{EVENTS}"));
    world.write("events/usage_records.csv", USAGE);
    assert_code(&world.run(&["export"]), 0);
    world
}

fn replay(world: &World, command: &str, more: &[&str]) -> Vec<Value> {
    let arguments = [&["rules", command, RULE][..], &DAYS[..], more].concat();
    let output = world.run(&arguments);
    assert_code(&output, 0);
    assert!(
        stderr(&output).contains("nothing was written"),
        "{}",
        stderr(&output)
    );
    let text = stdout(&output);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn each_day_is_judged_on_what_was_known_then_and_nothing_is_written() {
    let world = world();
    let before = files_below(&world.path("lake"));
    let told = replay(&world, "backtest", &[]);
    let day = |day: &str, [opened, open, entities]: [u8; 3], notes: &[&str]| {
        json!({
            "day": day, "opened": opened, "open": open, "entities": entities, "money": {},
            "notes": notes,
        })
    };
    let known = [
        day(
            "2026-03-01",
            [0, 0, 0],
            &["events has no usage_records yet"],
        ),
        day("2026-03-02", [1, 1, 1], &[]),
        day("2026-03-03", [0, 1, 2], &[]),
    ];
    assert_eq!(told[..3], known);
    let figures = |total: &Value| {
        [
            "days",
            "opened",
            "signals",
            "entities",
            "confirmed",
            "refuted",
            "undecided",
        ]
        .map(|name| total[name].as_u64().unwrap())
    };
    let total = &told[3];
    assert_eq!((told.len(), &total["day"]), (4, &json!("total")));
    assert_eq!(figures(total), [3, 1, 1, 2, 0, 0, 1]);
    assert_eq!(total["opened_per_day"].as_f64(), Some(0.333));
    assert_eq!(
        (&total["precision"], &total["as_today"]),
        (&Value::Null, &json!([]))
    );

    let quiet = replay(&world, "backtest", &["--set", "allow_corrections=true"]);
    assert_eq!(figures(&quiet[3]), [3, 0, 0, 0, 0, 0, 0]);
    let swept = replay(
        &world,
        "calibrate",
        &["--param", "allow_corrections", "--values", "false,true"],
    );
    let values: Vec<_> = swept.iter().map(|row| row["value"].clone()).collect();
    assert_eq!(values, [json!("false"), json!("true")]);
    assert_eq!(figures(&swept[0]), figures(total));
    assert_eq!(figures(&swept[1]), figures(&quiet[3]));
    assert_eq!(swept[1]["opened_per_day"].as_f64(), Some(0.0));
    assert_eq!(files_below(&world.path("lake")), before);

    // The signal that people know is the one that the past raises.
    assert_code(&world.run(&["detect", "--rule", RULE]), 0);
    for (resolution, counted, precision) in [
        ("false_positive", [0, 1, 0], 0.0),
        ("planned", [1, 0, 0], 1.0),
    ] {
        decide(&world, |signal| {
            signal.status = "resolved".to_owned();
            signal.resolution = Some(resolution.to_owned());
        });
        let told = replay(&world, "backtest", &[]);
        assert_eq!(figures(&told[3])[4..], counted);
        assert_eq!(told[3]["precision"].as_f64(), Some(precision));
    }
}

#[test]
fn mistakes_are_told_before_anything_is_read() {
    let world = world();
    for (more, words) in [
        (
            ["--set", "alow_corrections=true"],
            "no parameter `alow_corrections`; did you mean `allow_corrections`?",
        ),
        (
            ["--set", "allow_corrections=yes"],
            "parameter `allow_corrections`: `yes` is not true or false",
        ),
        (["--source", "evens"], "did you mean `events`?"),
    ] {
        let output = world.run(&[&["rules", "backtest", RULE][..], &DAYS[..], &more[..]].concat());
        assert_code(&output, 2);
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
    let output = world.run(&[
        "rules",
        "backtest",
        RULE,
        "--from",
        "2026-03-04",
        "--to",
        "2026-03-04",
    ]);
    assert_code(&output, 2);
}

#[test]
fn an_invoice_is_a_draft_until_it_was_final_and_absent_until_it_was_made() {
    let without = "without = [\"prices\", \"usage_records\"]\n";
    let shop = "[[sources]]\nname = \"shop\"\nkind = \"files\"\npath = \"shop/\"\n";
    let world = World::new(&format!(
        "as_of = \"2026-03-08T12:00:00Z\"\n{shop}{without}"
    ));
    world.write(
        "shop/invoices.csv",
        "invoice_id,status,currency,created_at,finalized_at
n1,open,USD,2026-03-01T00:00:00Z,2026-03-03T00:00:00Z
n2,draft,USD,2026-03-03T00:00:00Z,
",
    );
    world.write(
        "shop/invoice_lines.csv",
        "line_id,invoice_id,kind,amount,currency
l1,n1,recurring,5,USD
l2,n2,recurring,5,USD
",
    );
    assert_code(&world.run(&["export"]), 0);
    let rules = trueup::rules::embedded().unwrap();
    let rule = rules.rule("invoice-total").unwrap();
    let known = |moment: &str, query: &str| -> Vec<Value> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let lake = Lake::open(&url(&world.path("lake"))).await.unwrap();
            let sessions = sessions();
            let today = Known::of_lake(&lake, &sessions, &[]).await.unwrap();
            let moment = moment.parse().unwrap();
            let then = today.as_known(&sessions, rule, moment).await.unwrap();
            let rows = then.ctx().sql(query).await.unwrap();
            from_batches(&rows.collect().await.unwrap()).unwrap()
        })
    };
    let invoices = "select invoice_id, status, finalized_at is null as is_open from invoices \
                    order by invoice_id";
    let lines = "select line_id from invoice_lines order by line_id";
    let draft = |id: &str| json!({"invoice_id": id, "status": "draft", "is_open": true});
    let (before, after) = ("2026-03-02T06:00:00Z", "2026-03-03T06:00:00Z");
    assert_eq!(known(before, invoices), [draft("n1")]);
    assert_eq!(known(before, lines), [json!({"line_id": "l1"})]);
    let open = json!({"invoice_id": "n1", "status": "open", "is_open": false});
    assert_eq!(known(after, invoices), [open, draft("n2")]);
    assert_eq!(
        known(after, lines),
        [json!({"line_id": "l1"}), json!({"line_id": "l2"})]
    );
}
