//! `trueup detect`: rules over the lake as it is; and what `run` shares with it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;

use super::args::{DetectArgs, Global};
use super::between::{explained, remediations};
use super::context::{Context, configuration, rules};
use super::export::source;
use super::output::rows;
use super::progress::Bars;
use super::summary::{Outcome, exit, print};
use super::{Exit, Failure};
use crate::derive::refresh;
use crate::detect::{Depth, Detection, Request, RuleOutcome, World, check, detect as detect_all};
use crate::lake::{Upsert, Writer, table, to_batch, upsert};
use crate::model::{Decimal, RuleRunRow, Run, Verdict};
use crate::rules::RuleSet;
use crate::signals::{
    Exchange, Grouped, Moment, Observed, Results, Transition, entities, group, load, lookup,
    transitions, write,
};

pub(super) async fn detect(
    global: &Global,
    args: &DetectArgs,
    now: DateTime<Utc>,
) -> Result<Exit, Failure> {
    let config = configuration(global)?;
    source(&config, args.source.as_deref())?;
    let set = rules(&config).await?;
    for id in &args.rules {
        super::rules::find(&set, id)?;
    }
    let context = Context::open(config, now).await?;
    preflight(&context, &set).await?;
    let mut run = context.run("detect", &set);
    if !args.rules.is_empty() || args.source.is_some() {
        let source = args.source.as_deref().unwrap_or_default();
        run = run.of_part(std::iter::once(source).chain(args.rules.iter().map(String::as_str)));
    }
    let bars = Bars::new(global);
    if !args.dry_run {
        let refreshed = refresh(&context.lake, &context.sessions, &run.id).await;
        refreshed.map_err(|error| Failure::of(Exit::Failed, &error))?;
    }
    let scope = Scope {
        rules: &args.rules,
        source: args.source.as_deref(),
    };
    if args.dry_run {
        return dry_run(global, &context, &run, &set, scope, &bars).await;
    }
    let outcome = judge(&context, &run, &set, scope, &bars).await?;
    print(global, &run, &outcome, None)?;
    Ok(exit(&outcome, false, args.fail_on))
}

/// Which rules and sources.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) rules: &'a [String],
    pub(super) source: Option<&'a str>,
}

/// Plans every rule before anything is read.
pub(super) async fn preflight(context: &Context, set: &RuleSet) -> Result<(), Failure> {
    let problems = check(set, &context.sessions, Depth::Names)
        .await
        .map_err(Failure::internal)?;
    if problems.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Err(Failure::new(Exit::Usage, lines.join("\n")))
}

/// Detects, groups, and writes everything down.
pub(super) async fn judge(
    context: &Context,
    run: &Run,
    set: &RuleSet,
    scope: Scope<'_>,
    bars: &Bars,
) -> Result<Outcome, Failure> {
    let mut detection = ask(context, run, set, scope, bars).await?;
    explained(context, set, &mut detection).await?;
    let grouped = form(context, &detection)?;
    let moment = Moment {
        run_id: &run.id,
        as_of: run.as_of,
    };
    let platforms = platforms(context);
    let failed = |error: &(dyn std::error::Error + 'static)| Failure::of(Exit::Failed, error);
    let world = World::of_lake(&context.lake, &context.sessions, &context.config.sources).await;
    let world = world.map_err(|error| failed(&error))?;
    let known = lookup(world.ctx(), &grouped)
        .await
        .map_err(|error| failed(&error))?;
    let groups = || grouped.iter().flat_map(|rule| &rule.groups);
    let records = groups()
        .flat_map(|group| {
            let platform = platforms.get(&group.source).map(String::as_str);
            entities(group, &known, platform, moment)
        })
        .collect();
    let remediations = remediations(&grouped, run.as_of);
    let rule_runs = rule_runs(context, run, &detection.outcomes, &grouped)?;
    let results = Results {
        grouped: &grouped,
        platforms: &platforms,
        entities: records,
        remediations,
        rule_runs: rule_runs.clone(),
    };
    let written = write(&context.lake, &context.sessions, results, moment).await;
    let written = written.map_err(|error| failed(&error))?;
    let open = crate::signals::list(
        &context.lake,
        &context.sessions.session(),
        &Default::default(),
    )
    .await;
    let open = open.map_err(|error| failed(&error))?;
    let outcome = Outcome {
        rule_runs,
        written,
        open,
        versions: detection.versions.clone(),
        reporting: context.config.reporting.currency.clone(),
    };
    record(context, run, &outcome).await?;
    Ok(outcome)
}

async fn ask<'a>(
    context: &'a Context,
    run: &'a Run,
    set: &'a RuleSet,
    scope: Scope<'a>,
    bars: &Bars,
) -> Result<Detection<'a>, Failure> {
    let request = Request {
        lake: &context.lake,
        sessions: &context.sessions,
        run,
        sources: &context.config.sources,
        rules: set,
        only_rules: scope.rules,
        only_source: scope.source,
        timeout: context.config.engine.timeout,
    };
    let workers = context.workers()?;
    let detection = detect_all(&request, &workers, &|done, of, rule| {
        bars.rule(done, of, rule)
    })
    .await;
    bars.clear();
    detection.map_err(|error| Failure::of(Exit::Failed, &error))
}

fn form<'a>(context: &Context, detection: &Detection<'a>) -> Result<Vec<Grouped<'a>>, Failure> {
    let reporting = &context.config.reporting;
    let exchange = Exchange {
        currency: &reporting.currency,
        rates: &reporting.rates,
    };
    let today = context.as_of.date_naive();
    detection
        .outcomes
        .iter()
        .map(|outcome| {
            let judged: BTreeSet<String> = outcome
                .sources
                .iter()
                .filter(|(_, source)| source.verdict.is_judged())
                .map(|(name, _)| name.clone())
                .collect();
            let (rule, findings, window) = (outcome.rule, outcome.findings.clone(), outcome.window);
            let observed = Observed {
                rule,
                findings,
                judged,
                window,
            };
            group(observed, &exchange, &context.config.suppress, today)
        })
        .collect::<Result<_, _>>()
        .map_err(Failure::internal)
}

fn platforms(context: &Context) -> BTreeMap<String, String> {
    let sources = context.config.sources.iter();
    sources
        .map(|source| (source.name.clone(), source.platform.clone()))
        .collect()
}

/// A row for every rule and source, whatever came out.
fn rule_runs(
    context: &Context,
    run: &Run,
    outcomes: &[RuleOutcome<'_>],
    grouped: &[Grouped<'_>],
) -> Result<Vec<RuleRunRow>, Failure> {
    let reporting = &context.config.reporting.currency;
    let mut result = Vec::new();
    for (outcome, grouped) in outcomes.iter().zip(grouped) {
        for (source, judged) in &outcome.sources {
            // Money without a rate is not added to other money.
            let money = grouped
                .groups
                .iter()
                .filter(|group| {
                    group.source == *source && group.currency.as_ref() == Some(reporting)
                })
                .filter_map(|group| group.impact);
            let impact = sum(money).map_err(|()| {
                let rule = &outcome.rule.id;
                Failure::new(
                    Exit::Internal,
                    format!("the money that {rule} found is too much to add up"),
                )
            })?;
            let findings = outcome
                .findings
                .iter()
                .filter(|finding| finding.source == *source)
                .count();
            let milliseconds = i64::try_from(outcome.elapsed.as_millis()).unwrap_or(i64::MAX);
            result.push(RuleRunRow {
                run_id: run.id.clone(),
                rule_id: outcome.rule.id.clone(),
                rule_version: i32::try_from(outcome.rule.version).unwrap_or(i32::MAX),
                source: source.clone(),
                status: judged.verdict.as_str(),
                reason: judged.reason.clone(),
                findings: i64::try_from(findings).unwrap_or(i64::MAX),
                impact,
                duration_ms: if judged.verdict == Verdict::Skipped {
                    0
                } else {
                    milliseconds
                },
                rows_scanned: i64::try_from(outcome.rows_scanned).unwrap_or(i64::MAX),
                started_at: outcome.started_at,
            });
        }
    }
    Ok(result)
}

/// The sum of amounts, if there is any.
fn sum(mut amounts: impl Iterator<Item = Decimal>) -> Result<Option<Decimal>, ()> {
    let Some(first) = amounts.next() else {
        return Ok(None);
    };
    let add = |sum: Decimal, amount| sum.checked_add(amount);
    amounts.try_fold(first, add).map(Some).ok_or(())
}

#[derive(Serialize)]
struct RunRow<'a> {
    run_id: &'a str,
    kind: &'a str,
    as_of: DateTime<Utc>,
    started_at: DateTime<Utc>,
    finished_at: DateTime<Utc>,
    status: &'a str,
    trueup_version: &'a str,
    config_hash: &'a str,
    rules_lock_hash: &'a str,
    input_versions: String,
    counts: String,
    error: Option<String>,
}

/// The run's own row, written when everything else is.
async fn record(context: &Context, run: &Run, outcome: &Outcome) -> Result<(), Failure> {
    let Some(def) = table("runs") else {
        return Ok(());
    };
    let status = if outcome.inconclusive().next().is_some() {
        "inconclusive"
    } else {
        "ok"
    };
    let row = RunRow {
        run_id: &run.id,
        kind: run.kind,
        as_of: run.as_of,
        started_at: run.as_of,
        finished_at: run.now(),
        status,
        trueup_version: env!("CARGO_PKG_VERSION"),
        config_hash: &run.config_hash,
        rules_lock_hash: &run.rules_hash,
        input_versions: json!(outcome.versions).to_string(),
        counts: outcome.counts().to_string(),
        error: None,
    };
    let failed = |error| Failure::of(Exit::Failed, &error);
    // The versions of result tables move with every run; what was judged does not.
    let volatile = &["finished_at", "input_versions"];
    let rows = to_batch(def, &[row]).map_err(failed)?;
    let change = Upsert {
        rows,
        volatile,
        new_since: None,
    };
    let writer = Writer::new("runs", &run.id);
    let session = context.sessions.session();
    upsert(&context.lake, &session, def, &writer, change)
        .await
        .map_err(failed)?;
    Ok(())
}

async fn dry_run(
    global: &Global,
    context: &Context,
    run: &Run,
    set: &RuleSet,
    scope: Scope<'_>,
    bars: &Bars,
) -> Result<Exit, Failure> {
    let mut detection = ask(context, run, set, scope, bars).await?;
    explained(context, set, &mut detection).await?;
    let grouped = form(context, &detection)?;
    let failed = |error: crate::signals::SignalsError| Failure::of(Exit::Failed, &error);
    let known = load(&context.lake, &context.sessions.session())
        .await
        .map_err(failed)?;
    let moment = Moment {
        run_id: &run.id,
        as_of: run.as_of,
    };
    let planned = transitions(&known, &grouped, &platforms(context), moment);
    let change = |transition: &Transition| {
        let event = transition
            .events
            .first()
            .and_then(|event| event.kind.clone());
        event.unwrap_or_else(|| "unchanged".to_owned())
    };
    let values: Vec<_> = planned
        .iter()
        .map(|t| json!({ "change": change(t), "signal": t.row }))
        .collect();
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    };
    let columns = [
        "signal_id",
        "severity",
        "source",
        "rule_id",
        "entity_count",
        "impact",
        "currency",
        "title",
    ];
    let mut headings = vec!["change"];
    headings.extend(columns);
    rows(global, &headings, &values, |value| {
        let signal = columns.iter().map(|column| text(&value["signal"][*column]));
        std::iter::once(text(&value["change"]))
            .chain(signal)
            .collect()
    })?;
    let rule_runs = rule_runs(context, run, &detection.outcomes, &grouped)?;
    let unjudged = super::summary::unjudged(&rule_runs);
    super::output::say(
        global,
        &format!("dry run: nothing was written{}", unjudged.1),
    );
    Ok(if unjudged.0 > 0 {
        Exit::Inconclusive
    } else {
        Exit::Done
    })
}
