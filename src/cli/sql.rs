//! `trueup sql`: read-only SQL over every table of the lake and the views that rules share.

use std::io::{BufRead, IsTerminal};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use serde_json::{Map, Value};

use super::args::{Format, Global, SqlArgs};
use super::context::{Context, configuration_or_lake, rules};
use super::output::{complain, format, say, write};
use super::{Exit, Failure};
use crate::detect::{World, widest_window};
use crate::lake::{TABLES, from_batches};
use crate::rules::{RuleSet, View};
use crate::session::{Parameters, plan_read_only};

pub(super) async fn sql(
    global: &Global,
    args: &SqlArgs,
    now: DateTime<Utc>,
) -> Result<Exit, Failure> {
    let context = Context::of_lake(configuration_or_lake(global)?, now).await?;
    let rules = rules(&context.config).await?;
    let desk = Desk::new(&context, &rules).await?;
    match &args.query {
        Some(query) => {
            desk.answer(global, query).await?;
            Ok(Exit::Done)
        }
        None => prompt(global, &desk, &rules).await,
    }
}

/// What queries are put to.
struct Desk {
    ctx: SessionContext,
    parameters: Parameters,
}

impl Desk {
    async fn new(context: &Context, rules: &RuleSet) -> Result<Self, Failure> {
        let sources = &context.config.sources;
        let world = World::of_lake(&context.lake, &context.sessions, sources).await;
        let world = world.map_err(|error| Failure::of(Exit::Failed, &error))?;
        let as_of = context.as_of;
        let window = widest_window(&rules.rules, as_of);
        // Nothing is computed before a query asks for it.
        let lazy = |view: &View| View {
            materialise: false,
            ..view.clone()
        };
        let views: Vec<View> = rules.views.iter().map(lazy).collect();
        let views: Vec<&View> = views.iter().collect();
        let defined = world.define_views(&views, as_of, window).await;
        defined.map_err(|error| Failure::of(Exit::Usage, &error))?;
        Ok(Self {
            ctx: world.ctx().clone(),
            parameters: Parameters::of_window(as_of, window.0, window.1),
        })
    }

    async fn answer(&self, global: &Global, query: &str) -> Result<(), Failure> {
        let rows = self.rows(query.trim().trim_end_matches(';')).await;
        let rows = rows.map_err(|error| Failure::new(Exit::Usage, error.strip_backtrace()))?;
        print(global, &rows)
    }

    async fn rows(&self, query: &str) -> Result<Vec<RecordBatch>, DataFusionError> {
        let query = plan_read_only(&self.ctx, query).await?;
        let query = query.with_param_values(self.parameters.values())?;
        let schema = Arc::clone(query.schema().inner());
        let mut rows = query.collect().await?;
        if rows.is_empty() {
            // The columns are an answer too.
            rows.push(RecordBatch::new_empty(schema));
        }
        Ok(rows)
    }
}

async fn prompt(global: &Global, desk: &Desk, rules: &RuleSet) -> Result<Exit, Failure> {
    let is_person = std::io::stdin().is_terminal();
    if is_person {
        let tables: Vec<&str> = TABLES.iter().map(|def| def.name).collect();
        let views: Vec<&str> = rules.views.iter().map(|view| view.name.as_str()).collect();
        say(&format!(
            "tables: {}\nviews: {}\nend a query with ; and the session with ctrl-d",
            tables.join(", "),
            views.join(", ")
        ));
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
        if let Err(failure) = desk.answer(global, &query).await {
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
        desk.answer(global, &query).await?;
    }
    Ok(exit)
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
                let batch = flat(batch).map_err(Failure::internal)?;
                writer.write(&batch).map_err(Failure::internal)?;
            }
            drop(writer);
            write(&String::from_utf8_lossy(&text))
        }
    }
}

/// The same rows without lists and structs, which CSV has none of: they become JSON text.
fn flat(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if !column.data_type().is_nested() {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
            continue;
        }
        let alone = batch.project(&[fields.len()])?;
        let values: Vec<Map<String, Value>> = from_batches(&[alone])?;
        let texts = values.iter().map(|row| {
            let value = row.get(field.name()).filter(|value| !value.is_null());
            value.map(Value::to_string)
        });
        let texts: ArrayRef = Arc::new(texts.collect::<StringArray>());
        fields.push(Arc::new(Field::new(field.name(), DataType::Utf8, true)));
        columns.push(texts);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}
