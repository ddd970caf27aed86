//! A rule's cases: `.slt` scripts against empty canonical tables.
//!
//! The script inserts rows and queries `findings`, the rule itself as it runs in production: the same
//! text, the same parameters, the same views. `set as_of = '…'`, `set param.NAME = '…'` and `reset`
//! are ours; everything else is plain SQL. A rule that is explained has its explanations in `findings`
//! too, made by the stage that the caller hands in.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field, Schema};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::datasource::MemTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::{DataFrame, SessionContext};
use futures::future::BoxFuture;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

use super::evaluate::{parameters, window};
use super::explained;
use super::world::register_sources;
use crate::lake::{TABLES, Zone};
use crate::model::{Decimal, Finding};
use crate::rules::{Rule, RuleSet};
use crate::session::{Parameters, Sessions, plan_read_only};

const AS_OF: &str = "2026-03-04T12:00:00Z";
const SOURCES: &[(&str, &str, &str)] = &[
    ("billing", "billing", "stripe"),
    ("metering", "metering", "metering"),
];
pub(super) const DUPLICATES: &str = include_str!("../../queries/derived/usage_duplicates.sql");
pub(super) const RECORDS: &str = include_str!("../../queries/derived/records.sql");
pub(super) const DAILY: &str = include_str!("../../queries/derived/usage_daily.sql");

/// The stage that explains the findings of a rule, over the tables of a session.
pub type Explainer = for<'a> fn(
    &'a SessionContext,
    &'a RuleSet,
    &'a Rule,
    DateTime<Utc>,
    Vec<Finding>,
) -> BoxFuture<'a, Result<Vec<Finding>>>;

/// Runs a rule's cases; the error says which line, what was expected and what came.
pub async fn run(
    rule: &Rule,
    rules: &RuleSet,
    sessions: &Sessions,
    explain: Explainer,
) -> std::result::Result<(), String> {
    let Some(script) = &rule.cases else {
        return Err(format!("{}: the rule has no cases", rule.cases_origin()));
    };
    let mut runner = Runner::new(|| async { CaseDb::new(rule, rules, sessions, explain) });
    let origin = rule.cases_origin();
    let result = runner.run_script_with_name_async(script, origin).await;
    result.map_err(|error| error.display(false).to_string())
}

struct CaseDb<'a> {
    rule: Rule,
    rules: &'a RuleSet,
    sessions: &'a Sessions,
    explain: Explainer,
    ctx: SessionContext,
    as_of: DateTime<Utc>,
    defaults: Rule,
    /// Whether the derived tables and `findings` are those of the rows inserted so far.
    is_derived: bool,
}

impl<'a> CaseDb<'a> {
    fn new(
        rule: &Rule,
        rules: &'a RuleSet,
        sessions: &'a Sessions,
        explain: Explainer,
    ) -> Result<Self> {
        // Cases state what the rule does by itself, whatever is configured.
        let mut rule = rule.clone();
        for param in rule.params.values_mut() {
            param.value = param.default.clone();
        }
        Ok(Self {
            rule: rule.clone(),
            defaults: rule,
            rules,
            sessions,
            explain,
            ctx: empty_world(sessions)?,
            as_of: moment(AS_OF)?,
            is_derived: false,
        })
    }

    async fn execute(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>> {
        let statement = sql.trim().trim_end_matches(';');
        let lower = statement.to_ascii_lowercase();
        let is_query = lower.starts_with("select") || lower.starts_with("with");
        self.is_derived &= is_query;
        if lower == "reset" {
            self.ctx = empty_world(self.sessions)?;
            self.rule = self.defaults.clone();
            self.as_of = moment(AS_OF)?;
            return Ok(DBOutput::StatementComplete(0));
        }
        if lower.starts_with("set ") {
            self.set(statement[4..].trim())?;
            return Ok(DBOutput::StatementComplete(0));
        }
        if lower.starts_with("insert") {
            self.ctx.sql(statement).await?.collect().await?;
            return Ok(DBOutput::StatementComplete(0));
        }
        self.derive().await?;
        let batches = plan_read_only(&self.ctx, statement)
            .await?
            .collect()
            .await?;
        output(&batches)
    }

    fn set(&mut self, assignment: &str) -> Result<()> {
        let wrong = || DataFusionError::Plan(format!("not understood: set {assignment}"));
        let (name, value) = assignment.split_once('=').ok_or_else(wrong)?;
        let (name, value) = (name.trim(), value.trim().trim_matches('\''));
        if name == "as_of" {
            self.as_of = moment(value)?;
            return Ok(());
        }
        let name = name.strip_prefix("param.").ok_or_else(wrong)?;
        let assigned = self.rule.assign(name, value);
        assigned.map_err(|error| DataFusionError::Plan(error.to_string()))
    }

    /// Everything that a run computes from the tables, over what the script has inserted so far.
    async fn derive(&mut self) -> Result<()> {
        if self.is_derived {
            return Ok(());
        }
        self.table("usage_duplicates", self.ctx.sql(DUPLICATES).await?)
            .await?;
        self.table("records", self.ctx.sql(RECORDS).await?).await?;
        self.table("repeats", self.ctx.table("usage_duplicates").await?)
            .await?;
        self.table("usage_daily", self.ctx.sql(DAILY).await?)
            .await?;
        let (start, end) = window(&self.rule, self.as_of);
        // As in a run: what is computed once holds the widest window, the rest the rule's own.
        let widest = Parameters::of_window(self.as_of, start, self.as_of);
        let own = Parameters::of_window(self.as_of, start, end);
        // Each view is computed by itself: one plan of all of them takes the planner far longer.
        for view in self.rules.views_behind(&self.rule) {
            let rows = plan_read_only(&self.ctx, &view.sql).await?;
            let bounds = if view.materialise { &widest } else { &own };
            self.table(&view.name, rows.with_param_values(bounds.values())?)
                .await?;
        }
        let bound = parameters(&self.rule, self.as_of);
        let findings = plan_read_only(&self.ctx, &self.rule.sql).await?;
        self.table("findings", findings.with_param_values(bound.values())?)
            .await?;
        if self.rule.explain.is_some() {
            self.explain_findings().await?;
        }
        self.is_derived = true;
        Ok(())
    }

    /// What a run does with the findings between detecting and grouping them.
    async fn explain_findings(&self) -> Result<()> {
        let found = self.ctx.table("findings").await?.collect().await?;
        if found.iter().all(|batch| batch.num_rows() == 0) {
            return Ok(());
        }
        let findings = explained::findings(&found)?;
        let (ctx, rule) = (&self.ctx, &self.rule);
        let findings = (self.explain)(ctx, self.rules, rule, self.as_of, findings).await?;
        let table = explained::table(&found, &findings)?;
        self.ctx.deregister_table("findings")?;
        self.ctx.register_table("findings", Arc::new(table))?;
        Ok(())
    }

    async fn table(&self, name: &str, rows: DataFrame) -> Result<()> {
        let rows = rows.cache().await?.into_view();
        self.ctx.deregister_table(name)?;
        self.ctx.register_table(name, rows)?;
        Ok(())
    }
}

/// Empty canonical and results tables, whose columns all may be left out.
fn empty_world(sessions: &Sessions) -> Result<SessionContext> {
    let ctx = sessions.session();
    for def in TABLES.iter().filter(|def| def.zone != Zone::Derived) {
        let fields: Vec<Field> = def
            .schema()
            .fields()
            .iter()
            .map(|field| field.as_ref().clone().with_nullable(true))
            .collect();
        let table = MemTable::try_new(Arc::new(Schema::new(fields)), vec![vec![]])?;
        ctx.register_table(def.name, Arc::new(table))?;
    }
    register_sources(&ctx, SOURCES)?;
    Ok(ctx)
}

fn moment(text: &str) -> Result<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text)
        .map(|at| at.to_utc())
        .map_err(|_| DataFusionError::Plan(format!("`{text}` is no RFC 3339 time")))
}

#[async_trait]
impl AsyncDB for CaseDb<'_> {
    type Error = DataFusionError;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>> {
        self.execute(sql).await
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &'static str {
        "trueup"
    }
}

fn output(batches: &[RecordBatch]) -> Result<DBOutput<DefaultColumnType>> {
    let columns = batches.first().map_or(0, RecordBatch::num_columns);
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells: Result<Vec<String>> = batch
                .columns()
                .iter()
                .map(|column| cell(column.as_ref(), row))
                .collect();
            rows.push(cells?);
        }
    }
    Ok(DBOutput::Rows {
        types: vec![DefaultColumnType::Text; columns],
        rows,
    })
}

fn cell(column: &dyn Array, row: usize) -> Result<String> {
    if column.is_null(row) {
        return Ok("NULL".to_owned());
    }
    let text = match column.data_type() {
        DataType::Decimal128(_, 12) => {
            Decimal::from_units(column.as_primitive::<Decimal128Type>().value(row)).to_string()
        }
        DataType::Timestamp(..) => {
            let text = array_value_to_string(column, row)?;
            let at = DateTime::parse_from_rfc3339(&text).map(|at| at.to_utc());
            at.map(|at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true))
                .unwrap_or(text)
        }
        _ => array_value_to_string(column, row)?,
    };
    Ok(if text.is_empty() {
        "(empty)".to_owned()
    } else {
        text
    })
}

/// Rules and the outcome of their cases.
pub type CaseResults = BTreeMap<String, std::result::Result<(), String>>;

/// Runs the cases of all rules, or of those named.
pub async fn run_all(
    rules: &RuleSet,
    only: &[String],
    sessions: &Sessions,
    explain: Explainer,
) -> CaseResults {
    let mut results = CaseResults::new();
    for rule in &rules.rules {
        if only.is_empty() || only.contains(&rule.id) {
            results.insert(rule.id.clone(), run(rule, rules, sessions, explain).await);
        }
    }
    results
}
