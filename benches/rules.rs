//! What the rule pack costs over a lake that is rolled up, and what rating costs in SQL: one amount
//! for every usage record, twice.

mod support;

use datafusion::arrow::util::display::array_value_to_string;
use serde_json::json;
use support::{Clock, Result, World, print, rounded};
use trueup::detect::{self, Detection};
use trueup::rules;
use trueup::session::Workers;

/// The tiers of the world's prices, as `benches/world.py` has them.
const TIERS: &str = r#"[
    {"up_to": "1000", "unit_price": "0.12", "flat_fee": "0"},
    {"up_to": "5000", "unit_price": "0.09", "flat_fee": "5"},
    {"up_to": "20000", "unit_price": "0.07", "flat_fee": "0"},
    {"up_to": null, "unit_price": "0.05", "flat_fee": "20"}
]"#;

fn main() -> Result<()> {
    support::run(bench())
}

async fn bench() -> Result<()> {
    let Some(world) = World::open().await? else {
        return Ok(());
    };
    world.prepare().await?;
    let records = world.count("usage_records").await?;
    for _ in 0..world.runs {
        let clock = Clock::start();
        let amounts = rate_every_record(&world).await?;
        clock.stop("rating", records, records, Some(amounts));
    }

    let rules = rules::embedded()?;
    let workers = Workers::new(world.sessions.threads())?;
    let request = detect::Request {
        lake: &world.lake,
        sessions: &world.sessions,
        run: &world.run,
        sources: &world.config.sources,
        rules: &rules,
        only_rules: &[],
        only_source: None,
        timeout: world.config.engine.timeout,
    };
    for number in 1..=world.runs {
        let clock = Clock::start();
        let detection =
            detect::detect(&request, &workers, &|_: usize, _: usize, _: &str| {}).await?;
        let findings: usize = detection
            .outcomes
            .iter()
            .map(|outcome| outcome.findings.len())
            .sum();
        clock.stop("rules", records, findings, None);
        if number == world.runs {
            rule_by_rule(&detection);
        }
    }
    Ok(())
}

/// The sums of all amounts under a graduated and a volume price, on 500 times each quantity, so that
/// all four tiers are met.
async fn rate_every_record(world: &World) -> Result<String> {
    let total = |model: &str| {
        format!(
            "cast(sum(cast(rate(named_struct('charge_model', '{model}', 'currency', 'USD', 'tiers', \
             tiers('{TIERS}')), q) as decimal(76, 12))) as decimal(38, 2))"
        )
    };
    let sql = format!(
        "select {} as graduated, {} as volume
         from (select cast(quantity * 500 as decimal(38, 12)) as q from usage_records)",
        total("graduated"),
        total("volume")
    );
    let batches = world.query(&sql).await?.collect().await?;
    let batch = batches.first().ok_or("the rating query returned nothing")?;
    let graduated = array_value_to_string(batch.column(0), 0)?;
    Ok(format!(
        "{graduated} {}",
        array_value_to_string(batch.column(1), 0)?
    ))
}

/// Where the time goes, and that every rule was judged.
fn rule_by_rule(detection: &Detection<'_>) {
    for outcome in &detection.outcomes {
        let verdicts: Vec<String> = outcome
            .sources
            .iter()
            .map(|(source, outcome)| format!("{source}: {}", outcome.verdict))
            .collect();
        print(&json!({
            "engine": "trueup",
            "bench": format!("rule {}", outcome.rule.id),
            "wall_s": rounded(outcome.elapsed.as_secs_f64()),
            "rows": outcome.findings.len(),
            "rows_scanned": outcome.rows_scanned,
            "check": verdicts.join(", "),
        }));
    }
}
