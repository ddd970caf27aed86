//! One rule, all sources that it can judge: one query for all of them as long as it does not fail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use datafusion::arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionContext;

use super::inputs::Inputs;
use super::world::World;
use super::{DetectError, Request, RuleOutcome, SourceOutcome, apart, before, findings};
use crate::model::{Finding, Verdict};
use crate::rules::{ParamValue, Rule};
use crate::session::{
    Bounded, Parameters, Workers, interval, is_exhausted, plan_read_only, spilling,
};

pub(super) async fn evaluate<'a>(
    request: &Request<'a>,
    workers: &Workers,
    world: &World,
    inputs: &Inputs,
    rule: &'a Rule,
) -> Result<RuleOutcome<'a>, DetectError> {
    let as_of = request.run.as_of;
    let window = window(rule, as_of);
    let started_at = request.run.now();
    let begun = Instant::now();
    let sources: BTreeMap<String, SourceOutcome> = request
        .sources
        .iter()
        .filter(|source| request.only_source.is_none_or(|only| only == source.name))
        .map(|source| {
            let obstacle = inputs.obstacle(rule, source, request.sources, as_of);
            let judged = SourceOutcome {
                verdict: Verdict::Clean,
                reason: None,
            };
            (source.name.clone(), obstacle.unwrap_or(judged))
        })
        .collect();
    let judged: Vec<String> = sources
        .iter()
        .filter(|(_, source)| source.verdict == Verdict::Clean)
        .map(|(name, _)| name.clone())
        .collect();
    let mut outcome = RuleOutcome {
        rule,
        sources,
        findings: Vec::new(),
        window,
        elapsed: Duration::ZERO,
        rows_scanned: 0,
        started_at,
    };
    if judged.is_empty() {
        return Ok(outcome);
    }
    world
        .define_window(&request.rules.views_behind(rule), as_of, window)
        .await?;
    match ask(request, workers, world, rule, &judged).await {
        // Only asking each of them tells whose data it is; it may be that of one not judged here.
        Answer::Failed(_) => apart::judge(request, workers, world, &judged, &mut outcome).await?,
        answer => enter(answer, &judged, &mut outcome),
    }
    outcome.elapsed = begun.elapsed();
    Ok(outcome)
}

/// `[as_of - window, as_of - settle)`.
pub(super) fn window(rule: &Rule, as_of: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
    (before(as_of, rule.window), before(as_of, rule.settle))
}

/// The values of a rule's placeholders.
pub(super) fn parameters(rule: &Rule, as_of: DateTime<Utc>) -> Parameters {
    let (start, end) = window(rule, as_of);
    let mut parameters = Parameters::of_window(as_of, start, end);
    for (name, param) in &rule.params {
        match &param.value {
            ParamValue::Decimal(value) => parameters.set_decimal(name, *value),
            ParamValue::Integer(value) => parameters.set(name, (*value).into()),
            ParamValue::Duration(value) => parameters.set(name, interval(*value)),
            ParamValue::Text(value) => parameters.set(name, value.as_str().into()),
            ParamValue::Boolean(value) => parameters.set(name, (*value).into()),
        }
    }
    parameters
}

/// What came of a query.
pub(super) enum Answer {
    /// What it found, and how many rows its scans read.
    Found(Vec<Finding>, u64),
    /// It failed on what it read.
    Failed(String),
    /// It came to no end, whatever it read.
    None(Verdict, String),
}

/// Puts the rule's question about these sources to a world whose views are defined.
pub(super) async fn ask(
    request: &Request<'_>,
    workers: &Workers,
    world: &World,
    rule: &Rule,
    asked: &[String],
) -> Answer {
    let (ctx, sql) = (world.ctx().clone(), rule.sql.clone());
    let parameters = parameters(rule, request.run.as_of);
    let query = async move {
        let (sql, parameters) = (sql.as_str(), &parameters);
        spilling(&ctx, |ctx| attempt(ctx, sql, parameters)).await
    };
    match workers.run(request.timeout, query).await {
        Bounded::Done(Ok((batches, scanned))) => match findings::read(&batches) {
            Ok(found) => match findings::fault(&found, asked, request.sources, world) {
                None => Answer::Found(found, scanned),
                Some(reason) => Answer::Failed(format!("a row of its answer {reason}")),
            },
            Err(reason) => Answer::Failed(format!("a row of its answer cannot be read: {reason}")),
        },
        Bounded::Done(Err(error)) if is_exhausted(&error) => {
            Answer::None(Verdict::Error, first_line(&error))
        }
        Bounded::Done(Err(error)) => Answer::Failed(first_line(&error)),
        Bounded::Panicked(reason) => Answer::None(Verdict::Error, reason),
        Bounded::TimedOut => Answer::None(
            Verdict::Timeout,
            format!(
                "no answer within {} s; engine.timeout allows more",
                request.timeout.as_secs()
            ),
        ),
    }
}

/// Enters what came of asking for these sources; rows of other configured ones are left out.
pub(super) fn enter(answer: Answer, asked: &[String], outcome: &mut RuleOutcome<'_>) {
    let (verdict, reason) = match answer {
        Answer::Found(found, scanned) => {
            outcome.rows_scanned += scanned;
            for finding in found {
                if asked.contains(&finding.source)
                    && let Some(source) = outcome.sources.get_mut(&finding.source)
                {
                    source.verdict = Verdict::Fired;
                    outcome.findings.push(finding);
                }
            }
            return;
        }
        Answer::Failed(reason) => (Verdict::Error, reason),
        Answer::None(verdict, reason) => (verdict, reason),
    };
    for name in asked {
        let unjudged = SourceOutcome {
            verdict,
            reason: Some(reason.clone()),
        };
        outcome.sources.insert(name.clone(), unjudged);
    }
}

async fn attempt(
    ctx: SessionContext,
    sql: &str,
    parameters: &Parameters,
) -> Result<(Vec<RecordBatch>, u64), DataFusionError> {
    let query = plan_read_only(&ctx, sql)
        .await?
        .with_param_values(parameters.values())?;
    let tasks = Arc::new(query.task_ctx());
    let plan = query.create_physical_plan().await?;
    let batches = collect(Arc::clone(&plan), tasks).await?;
    Ok((batches, scanned(plan.as_ref())))
}

/// Rows that came out of the leaves of the plan.
fn scanned(plan: &dyn ExecutionPlan) -> u64 {
    let children = plan.children();
    if children.is_empty() {
        let rows = plan.metrics().and_then(|metrics| metrics.output_rows());
        return rows.unwrap_or(0) as u64;
    }
    children
        .into_iter()
        .map(|child| scanned(child.as_ref()))
        .sum()
}

/// What the engine said, without where in the engine.
pub(super) fn first_line(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    text.lines().next().unwrap_or_default().to_owned()
}
