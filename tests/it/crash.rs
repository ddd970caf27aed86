//! A run that is killed at any moment, and run again, ends with the tables of a run that was not.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use trueup::lake::{Lake, TABLES, from_batches};
use trueup::session::Pinned;

use crate::support::{World, assert_code, sessions, url};

const RUN: [&str; 8] = [
    "--config",
    "trueup.toml",
    "run",
    "-v",
    "--log-format",
    "json",
    "--as-of",
    "2026-03-04T12:00:00Z",
];

const CONFIG: &str = r#"
[[sources]]
name = "billing"
kind = "files"
path = "billing/"
without = ["adjustments", "entity_links"]

[[sources]]
name = "events"
kind = "files"
role = "metering"
path = "events/"
without = ["subscriptions", "subscription_items", "prices", "bill_runs", "invoices", "invoice_lines", "adjustments", "usage_records.idempotency_key"]
"#;

/// A wrong tier, a repeated record, a negative one, and two rows that are none.
const FILES: &[(&str, &str)] = &[
    ("billing/customers.csv", "customer_id,name,status\nc1,Acme,active\nc2,Bolt,active\n"),
    (
        "billing/subscriptions.csv",
        "subscription_id,number,customer_id,status,currency,started_at
s1,S-1,c1,active,USD,2026-01-01
s2,S-2,c2,active,USD,2026-01-01
",
    ),
    (
        "billing/subscription_items.csv",
        "item_id,subscription_id,customer_id,price_id,meter,effective_from
i1,s1,c1,p1,api,2026-01-01
i2,s2,c2,p1,api,2026-01-01
",
    ),
    ("billing/meters.csv", "meter,unit,aggregation\napi,call,sum\n"),
    (
        "billing/prices.jsonl",
        r#"{"price_id":"p1","currency":"USD","charge_model":"graduated","charge_type":"usage","meter":"api","aggregation":"sum","billing_period":"month","billing_period_count":1,"effective_from":"2026-01-01","tiers":[{"up_to":"100","unit_price":"0.10"},{"up_to":null,"unit_price":"0.05"}]}
"#,
    ),
    (
        "billing/usage_records.csv",
        "usage_id,customer_id,subscription_id,item_id,meter,quantity,occurred_at,recorded_at,idempotency_key,status
u1,c1,s1,i1,api,90,2026-02-03T10:00:00Z,2026-02-03T10:00:05Z,k1,processed
u2,c1,s1,i1,api,60,2026-02-10T10:00:00Z,2026-02-10T10:00:05Z,k2,processed
u3,c2,s2,i2,api,200,2026-02-11T10:00:00Z,2026-02-11T10:00:05Z,k3,processed
u4,c2,s2,i2,api,200,2026-02-12T10:00:00Z,2026-02-12T10:00:05Z,k3,processed
u5,c2,s2,i2,api,-5,2026-02-13T10:00:00Z,2026-02-13T10:00:05Z,k5,processed
u6,c2,s2,i2,api,many,2026-02-14T10:00:00Z,2026-02-14T10:00:05Z,k6,processed
",
    ),
    (
        "billing/bill_runs.csv",
        "bill_run_id,number,status,target_date,invoice_date,executed_at,created_at
b1,BR-1,completed,2026-03-01,2026-03-01,2026-03-01T02:00:00Z,2026-03-01T01:00:00Z
",
    ),
    (
        "billing/invoices.csv",
        "invoice_id,number,customer_id,subscription_id,bill_run_id,status,currency,invoice_date,period_start,period_end,total,created_at
n1,INV-1,c1,s1,b1,open,USD,2026-03-01,2026-02-01,2026-03-01,7.50,2026-03-01T02:00:00Z
n2,INV-2,c2,s2,b1,open,USD,2026-03-01,2026-02-01,2026-03-01,14.75,2026-03-01T02:00:00Z
",
    ),
    (
        "billing/invoice_lines.csv",
        "line_id,invoice_id,customer_id,subscription_id,item_id,price_id,meter,kind,quantity,amount,currency,period_start,period_end
l1,n1,c1,s1,i1,p1,api,usage,150,7.50,USD,2026-02-01,2026-03-01
l2,n2,c2,s2,i2,p1,api,usage,195,14.75,USD,2026-02-01,2026-03-01
",
    ),
    ("events/customers.csv", "customer_id,name\nacme,Acme\n"),
    ("events/meters.jsonl", "{\"meter\":\"api\",\"unit\":\"call\",\"aggregation\":\"sum\"}\n"),
    ("events/entity_links.csv", "entity_type,entity_id,other_source,other_entity_id\ncustomer,acme,billing,c1\n"),
    (
        "events/usage_records.jsonl",
        r#"{"usage_id":"m1","customer_id":"acme","meter":"api","quantity":"90","occurred_at":"2026-02-03T10:00:00Z","recorded_at":"2026-02-03T10:00:05Z"}
{"usage_id":"m2","customer_id":"acme","meter":"api","quantity":"60","occurred_at":"2026-02-10T10:00:00Z","recorded_at":"2026-02-10T10:00:05Z"}
{"usage_id":"m3","customer_id":"acme","meter":"api","quantity":"7"
"#,
    ),
];

/// The rules that find something here; planning and running the others would only take time.
const RULES: [&str; 3] = ["duplicate-usage", "negative-usage", "tier-miscalculation"];

fn world() -> World {
    let rules = trueup::rules::embedded().unwrap();
    let others = rules.ids().filter(|id| !RULES.contains(id));
    let off: String = others
        .map(|id| format!("[rules.override.{id}]\nenabled = false\n"))
        .collect();
    let world = World::new(&format!("{CONFIG}{off}"));
    for (name, text) in FILES {
        world.write(name, text);
    }
    world
}

/// Runs and kills the process as soon as it has told of that many commits; the tables it told of.
fn killed_after(world: &World, commits: usize) -> Vec<String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_trueup"))
        .current_dir(world.dir.path())
        .args(RUN)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = Vec::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        told.extend(committed(&line.unwrap()));
        if told.len() == commits {
            child.kill().unwrap();
            break;
        }
    }
    let status = child.wait().unwrap();
    assert!(
        !status.success() && told.len() == commits,
        "{status}: {told:?}"
    );
    told
}

/// The table, where the line tells of a commit.
fn committed(line: &str) -> Option<String> {
    let event: Value = serde_json::from_str(line).ok()?;
    let fields = &event["fields"];
    (fields["message"] == "committed").then(|| fields["table"].as_str().unwrap().to_owned())
}

/// Runs to the end; the tables that were committed to.
fn run(world: &World) -> Vec<String> {
    let output = crate::support::trueup(world.dir.path(), &RUN);
    assert_code(&output, 0);
    crate::support::stderr(&output)
        .lines()
        .filter_map(committed)
        .collect()
}

/// How long things took and what had been read before depend on the attempt, and nothing else does.
fn volatile(table: &str) -> &'static [&'static str] {
    match table {
        "exports" => &["started_at", "finished_at", "cursor_before"],
        "runs" => &["finished_at", "input_versions"],
        "rule_runs" => &["started_at", "duration_ms", "rows_scanned"],
        _ => &[],
    }
}

/// Every table of the lake, its rows in order.
fn tables(lake: &Path) -> BTreeMap<&'static str, Vec<String>> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let lake = Lake::open(&url(lake)).await.unwrap();
        let ctx = sessions().session();
        Pinned::new(&lake, &ctx, TABLES.iter())
            .await
            .unwrap()
            .register(&ctx)
            .unwrap();
        let mut tables = BTreeMap::new();
        for def in TABLES.iter() {
            let all = ctx
                .sql(&format!("select * from {}", def.name))
                .await
                .unwrap();
            let mut rows: Vec<Value> = from_batches(&all.collect().await.unwrap()).unwrap();
            for row in &mut rows {
                for column in volatile(def.name) {
                    row.as_object_mut().unwrap().remove(*column).unwrap();
                }
            }
            let mut rows: Vec<String> = rows.iter().map(Value::to_string).collect();
            rows.sort();
            tables.insert(def.name, rows);
        }
        tables
    })
}

#[test]
fn a_killed_run_repeated_ends_like_one_that_was_not() {
    let world = world();
    let lake = world.path("lake");
    let commits = run(&world);
    let clean = tables(&lake);
    for (table, rows) in [
        ("signals", 3),
        ("rejects", 2),
        ("usage_duplicates", 1),
        ("exports", 13),
        ("runs", 1),
    ] {
        assert_eq!(clean[table].len(), rows, "{table}: {:?}", clean[table]);
    }
    // Rows without their bookkeeping, one source of two, a rollup half done, and everything but the
    // run's own row.
    let after = |table: &str| commits.iter().position(|name| name == table).unwrap() + 1;
    let moments = [
        after("usage_records"),
        after("exports"),
        after("usage_keys"),
        after("signals"),
    ];
    assert_eq!(moments[3], commits.len() - 1, "{commits:?}");
    // One for each source, after its tables.
    let recorded = commits.iter().filter(|name| *name == "exports").count();
    assert_eq!(recorded, 2, "{commits:?}");
    for moment in moments {
        // The lake stays where the configuration says: its place is part of what makes a run the same.
        std::fs::remove_dir_all(&lake).unwrap();
        let done = killed_after(&world, moment);
        assert_eq!(done, commits[..moment]);
        let rest = run(&world);
        assert!(
            rest.len() <= commits.len() - moment,
            "{rest:?} were committed after {done:?}"
        );
        let repeated = tables(&lake);
        for (table, rows) in &clean {
            assert_eq!(
                &repeated[table], rows,
                "{table}, killed after commit {moment}: {done:?}"
            );
        }
    }
}
