//! The queries for facts, and how they are put: tables and views registered, one query for all lines.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::MemTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::{DataFrame, SessionContext};
use serde::de::DeserializeOwned;

use super::ExplainError;
use super::shift::Period;
use crate::lake::from_batches;
use crate::rules::RuleSet;
use crate::session::{Parameters, micros, plan_read_only, spilling};

/// One set of facts.
pub(super) struct FactSet {
    pub(super) file: &'static str,
    pub(super) sql: &'static str,
}

macro_rules! fact_set {
    ($file:literal) => {
        FactSet {
            file: concat!("queries/facts/", $file),
            sql: include_str!(concat!("../../queries/facts/", $file)),
        }
    };
}

/// The lines themselves.
pub(super) const LINES: FactSet = fact_set!("lines.sql");
/// Prices that may have been applied.
pub(super) const OFFERS: FactSet = fact_set!("offers.sql");
/// The records of the period, counted in several ways.
pub(super) const RECORDS: FactSet = fact_set!("records.sql");
/// The usage of other periods.
pub(super) const SPANS: FactSet = fact_set!("spans.sql");
/// The usage of others.
pub(super) const NEIGHBOURS: FactSet = fact_set!("neighbours.sql");
/// Other lines and adjustments.
pub(super) const BESIDE: FactSet = fact_set!("beside.sql");

/// All of them.
const FACTS: [FactSet; 6] = [LINES, OFFERS, RECORDS, SPANS, NEIGHBOURS, BESIDE];

/// The tables that are made here.
const WRONG_LINES: &str = "wrong_lines";
const WRONG_TERMS: &str = "wrong_terms";
const SPAN_TABLE: &str = "spans";

/// A session in which the queries for facts can be put.
pub(super) struct Desk<'a> {
    ctx: &'a SessionContext,
    parameters: Parameters,
    /// The views that were defined here.
    defined: Vec<String>,
}

impl<'a> Desk<'a> {
    /// Defines the views that are not there yet, and the lines that are wrong.
    pub(super) async fn new(
        ctx: &'a SessionContext,
        set: &RuleSet,
        as_of: DateTime<Utc>,
        wanted: &BTreeSet<(String, String)>,
    ) -> std::result::Result<Self, ExplainError> {
        let mut desk = Self {
            ctx,
            parameters: Parameters::of_window(as_of, as_of, as_of),
            defined: Vec::new(),
        };
        desk.prepare(set, wanted)
            .await
            .map_err(|source| failed(&LINES, source))?;
        Ok(desk)
    }

    async fn prepare(&mut self, set: &RuleSet, wanted: &BTreeSet<(String, String)>) -> Result<()> {
        for view in set.views_named(FACTS.iter().map(|facts| facts.sql)) {
            let name = view.name.as_str();
            if !self.ctx.table_exist(name)? {
                let query = plan_read_only(self.ctx, &view.sql).await?;
                let query = query.with_param_values(self.parameters.values())?;
                // What does not fit into memory is read again by each who asks for it.
                let held = if view.materialise {
                    query.clone().cache().await.ok()
                } else {
                    None
                };
                let table = held.unwrap_or(query).into_view();
                self.ctx.register_table(name, table)?;
                self.defined.push(view.name.clone());
            }
        }
        let sources = wanted.iter().map(|(source, _)| Some(source.as_str()));
        let lines = wanted.iter().map(|(_, line)| Some(line.as_str()));
        self.register(
            WRONG_LINES,
            vec![text("source", sources), text("line_id", lines)],
        )
    }

    /// Reads the lines and keeps them as a table for the next queries.
    pub(super) async fn keep_lines<T: DeserializeOwned>(
        &self,
    ) -> std::result::Result<Vec<T>, ExplainError> {
        let rows = self.kept().await.map_err(|source| failed(&LINES, source))?;
        from_batches(&rows).map_err(|source| failed(&LINES, source.into()))
    }

    async fn kept(&self) -> Result<Vec<RecordBatch>> {
        let rows = self.planned(self.ctx, &LINES).await?.cache().await?;
        self.ctx.deregister_table(WRONG_TERMS)?;
        self.ctx
            .register_table(WRONG_TERMS, rows.clone().into_view())?;
        rows.collect().await
    }

    /// Bounds the days that the next queries look at: those of these periods.
    pub(super) fn look_at(&mut self, as_of: DateTime<Utc>, periods: impl Iterator<Item = Period>) {
        let widest = periods.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let (earliest, latest) = widest.unwrap_or((as_of, as_of));
        self.parameters = Parameters::of_window(as_of, earliest, latest);
    }

    /// Registers the periods to count.
    pub(super) fn set_spans(
        &self,
        spans: &[(&str, &str, String, Period)],
    ) -> std::result::Result<(), ExplainError> {
        let columns = vec![
            text("source", spans.iter().map(|span| Some(span.0))),
            text("line_id", spans.iter().map(|span| Some(span.1))),
            text("measure", spans.iter().map(|span| Some(span.2.as_str()))),
            moments("span_start", spans.iter().map(|span| span.3.0)),
            moments("span_end", spans.iter().map(|span| span.3.1)),
        ];
        self.register(SPAN_TABLE, columns)
            .map_err(|source| failed(&SPANS, source))
    }

    /// Puts a query.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        set: &FactSet,
    ) -> std::result::Result<Vec<T>, ExplainError> {
        let rows = spilling(self.ctx, |ctx| self.collect(ctx, set)).await;
        let rows = rows.map_err(|source| failed(set, source))?;
        from_batches(&rows).map_err(|source| failed(set, source.into()))
    }

    async fn collect(&self, ctx: SessionContext, set: &FactSet) -> Result<Vec<RecordBatch>> {
        self.planned(&ctx, set).await?.collect().await
    }

    async fn planned(&self, ctx: &SessionContext, set: &FactSet) -> Result<DataFrame> {
        plan_read_only(ctx, set.sql)
            .await?
            .with_param_values(self.parameters.values())
    }

    /// Takes the tables and views that were made here out of the session.
    pub(super) fn clear(&self) -> std::result::Result<(), ExplainError> {
        let tables = [WRONG_LINES, WRONG_TERMS, SPAN_TABLE];
        let views = self.defined.iter().map(String::as_str);
        for name in tables.into_iter().chain(views) {
            let cleared = self.ctx.deregister_table(name);
            cleared.map_err(|source| failed(&LINES, source))?;
        }
        Ok(())
    }

    fn register(&self, name: &str, columns: Vec<(Field, ArrayRef)>) -> Result<()> {
        let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
        let table = MemTable::try_new(schema, vec![vec![batch]])?;
        self.ctx.deregister_table(name)?;
        self.ctx.register_table(name, Arc::new(table))?;
        Ok(())
    }
}

fn failed(set: &FactSet, source: DataFusionError) -> ExplainError {
    ExplainError::Facts {
        facts: set.file,
        source: Box::new(source),
    }
}

fn text<'t>(name: &str, values: impl Iterator<Item = Option<&'t str>>) -> (Field, ArrayRef) {
    let array: StringArray = values.collect();
    (
        Field::new(name, DataType::Utf8, true),
        Arc::new(array) as ArrayRef,
    )
}

fn moments(name: &str, values: impl Iterator<Item = DateTime<Utc>>) -> (Field, ArrayRef) {
    let array: TimestampMicrosecondArray = values.map(|at| Some(at.timestamp_micros())).collect();
    let array = array.with_timezone("UTC");
    let kind = micros(DateTime::<Utc>::UNIX_EPOCH).data_type();
    (Field::new(name, kind, true), Arc::new(array) as ArrayRef)
}
