//! What the daily rollup costs: all days from nothing, and one day on which one record changed.

mod support;

use serde_json::json;
use support::{Clock, Cost, Result, World, defined, print, rounded};
use trueup::derive;
use trueup::lake::{Upsert, Writer, upsert};

/// A day in the middle of a billing period of every subscription.
const DAY: &str = "2026-03-15";

fn main() -> Result<()> {
    support::run(bench())
}

async fn bench() -> Result<()> {
    let Some(world) = World::open().await? else {
        return Ok(());
    };
    world.prepare().await?;
    let records = world.count("usage_records").await?;
    let rows = world.count("usage_daily").await?;

    let mut whole = Vec::new();
    for _ in 0..world.runs {
        world.clear("derived")?;
        let clock = Clock::start();
        let built = refresh(&world).await?;
        whole.push(clock.stop(
            "rollup",
            records,
            rows,
            Some(format!("{} repeats", built.duplicates)),
        ));
    }
    let mut one_day = Vec::new();
    for _ in 0..world.runs {
        add_to_a_record(&world, "1").await?;
        let clock = Clock::start();
        let built = refresh(&world).await?;
        let check = format!("{} days rebuilt", built.days_rebuilt);
        one_day.push(clock.stop("rollup_one_day", records, built.days_rebuilt, Some(check)));
    }
    // The other benches find the lake as it was.
    add_to_a_record(&world, &format!("-{}", world.runs)).await?;
    refresh(&world).await?;

    let share = |of: fn(&Cost) -> Option<f64>| {
        let (part, all) = (middle(&one_day, of)?, middle(&whole, of)?);
        (all > 0.0).then(|| rounded(part / all))
    };
    print(&json!({
        "engine": "trueup",
        "bench": "rollup_one_day_share",
        "records": records,
        "wall": share(|cost: &Cost| Some(cost.wall)),
        "cpu": share(|cost: &Cost| cost.cpu),
    }));
    Ok(())
}

async fn refresh(world: &World) -> Result<derive::Refreshed> {
    Ok(derive::refresh(&world.lake, &world.sessions, &world.run.id).await?)
}

/// Changes the quantity of one record of the day.
async fn add_to_a_record(world: &World, amount: &str) -> Result<()> {
    let sql = format!(
        "select * replace (cast(quantity + {amount} as decimal(38, 12)) as quantity)
         from usage_records
         where source = 'billing' and usage_date = date '{DAY}'
         order by usage_id
         limit 1"
    );
    let batches = world.query(&sql).await?.collect().await?;
    let rows = batches.into_iter().find(|batch| batch.num_rows() > 0);
    let rows = rows.ok_or_else(|| format!("the world has no usage on {DAY}"))?;
    let change = Upsert {
        rows,
        volatile: &[],
        new_since: None,
    };
    let writer = Writer::new("bench", &world.run.id);
    let ctx = world.sessions.session();
    let (tally, _) = upsert(
        &world.lake,
        &ctx,
        defined("usage_records")?,
        &writer,
        change,
    )
    .await?;
    if tally.written == 1 {
        Ok(())
    } else {
        Err(format!("no record was changed: {tally:?}").into())
    }
}

fn middle(costs: &[Cost], of: fn(&Cost) -> Option<f64>) -> Option<f64> {
    let mut values: Vec<f64> = costs.iter().filter_map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
