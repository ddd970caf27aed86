//! What it costs to bring a whole world of Parquet files into an empty lake, and to find afterwards
//! that nothing changed.

mod support;

use support::{Clock, Result, World};
use trueup::export::Report;
use trueup::model::Run;

fn main() -> Result<()> {
    support::run(bench())
}

async fn bench() -> Result<()> {
    let Some(world) = World::open().await? else {
        return Ok(());
    };
    for _ in 0..world.runs {
        world.clear("")?;
        let clock = Clock::start();
        let report = world.export(&world.run).await?;
        clock.stop(
            "export",
            usage_records(&report)?,
            rows_written(&report)?,
            None,
        );
    }
    let records = world.count("usage_records").await?;
    for number in 0..world.runs {
        // A run of its own, as of another night.
        let run = Run::new("bench", world.run.as_of, number.to_string(), String::new());
        let clock = Clock::start();
        let report = world.export(&run).await?;
        clock.stop("export_unchanged", records, rows_written(&report)?, None);
    }
    Ok(())
}

fn usage_records(report: &Report) -> Result<usize> {
    let of_usage = report
        .tables
        .iter()
        .filter(|table| table.row.table_name == "usage_records");
    Ok(usize::try_from(
        of_usage.map(|table| table.row.rows_read).sum::<i64>(),
    )?)
}

fn rows_written(report: &Report) -> Result<usize> {
    Ok(usize::try_from(
        report
            .tables
            .iter()
            .map(|table| table.row.rows_written)
            .sum::<i64>(),
    )?)
}
