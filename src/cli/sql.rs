//! `trueup sql`: read-only SQL over every table of the lake.

use std::io::{BufRead, IsTerminal};

use chrono::{DateTime, Utc};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::SessionContext;

use super::args::{Format, Global, SqlArgs};
use super::context::{Context, configuration_or_lake};
use super::output::{complain, format, say, write};
use super::{Exit, Failure};
use crate::lake::TABLES;
use crate::session::{Pinned, plan_read_only};

pub(super) async fn sql(
    global: &Global,
    args: &SqlArgs,
    now: DateTime<Utc>,
) -> Result<Exit, Failure> {
    let context = Context::open(configuration_or_lake(global)?, now).await?;
    let ctx = context.sessions.session();
    let pinned = Pinned::new(&context.lake, &ctx, TABLES.iter()).await;
    let pinned = pinned.map_err(|error| Failure::of(Exit::Failed, &error))?;
    pinned.register(&ctx).map_err(Failure::internal)?;
    match &args.query {
        Some(query) => {
            answer(global, &ctx, query).await?;
            Ok(Exit::Done)
        }
        None => prompt(global, &ctx).await,
    }
}

async fn prompt(global: &Global, ctx: &SessionContext) -> Result<Exit, Failure> {
    let is_person = std::io::stdin().is_terminal();
    if is_person {
        let names: Vec<&str> = TABLES.iter().map(|def| def.name).collect();
        say(
            global,
            &format!(
                "tables: {}\nend a query with ; and the session with ctrl-d",
                names.join(", ")
            ),
        );
    }
    let mut query = String::new();
    let mut exit = Exit::Done;
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| Failure::new(Exit::Usage, format!("stdin: {error}")))?;
        query.push_str(&line);
        query.push('\n');
        if !line.trim_end().ends_with(';') {
            continue;
        }
        if let Err(failure) = answer(global, ctx, &query).await {
            // At a prompt a mistake is corrected; in a script it is an error.
            if !is_person {
                return Err(failure);
            }
            complain(&failure.text);
            exit = failure.exit;
        }
        query.clear();
    }
    if !query.trim().is_empty() {
        answer(global, ctx, &query).await?;
    }
    Ok(exit)
}

async fn answer(global: &Global, ctx: &SessionContext, query: &str) -> Result<(), Failure> {
    let wrong = |error: datafusion::error::DataFusionError| {
        Failure::new(Exit::Usage, error.strip_backtrace())
    };
    let query = query.trim().trim_end_matches(';');
    let rows = plan_read_only(ctx, query)
        .await
        .map_err(wrong)?
        .collect()
        .await
        .map_err(wrong)?;
    print(global, &rows)
}

fn print(global: &Global, rows: &[RecordBatch]) -> Result<(), Failure> {
    match format(global) {
        Format::Table => {
            let text = pretty_format_batches(rows).map_err(Failure::internal)?;
            write(&format!("{text}\n"))
        }
        Format::Json => {
            let mut text = Vec::new();
            let mut writer = LineDelimitedWriter::new(&mut text);
            for batch in rows {
                writer.write(batch).map_err(Failure::internal)?;
            }
            writer.finish().map_err(Failure::internal)?;
            write(&String::from_utf8_lossy(&text))
        }
        Format::Csv => {
            let mut text = Vec::new();
            let mut writer = datafusion::arrow::csv::Writer::new(&mut text);
            for batch in rows {
                writer.write(batch).map_err(Failure::internal)?;
            }
            drop(writer);
            write(&String::from_utf8_lossy(&text))
        }
    }
}
