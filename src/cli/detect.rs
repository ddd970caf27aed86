//! `trueup detect`: rules over the lake as it is; and what `run` shares with it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::json;

use super::args::{DetectArgs, Global};
use super::between::{explained, remediations};
use super::context::{Context, configuration, rules};
use super::export::{has_usage_to_roll_up, roll_up, source};
use super::output::{caution, cell, rows, say};
use super::progress::Bars;
use super::record::{failed_sources, judged, or_failed};
use super::summary::{Outcome, ending, exit, print, unjudged};
use super::{Exit, Failure};
use crate::detect::{Depth, Detection, Request, RuleOutcome, check, detect as detect_all};
use crate::model::signal::SignalRow;
use crate::model::{Decimal, RuleRunRow, Run, Severity, Verdict};
use crate::rules::RuleSet;
use crate::signals::{
    Grouped, Moment, Observed, Results, Transition, entities, group, load, lookup, transitions,
    write,
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
    let scope = Scope {
        rules: &args.rules,
        source: args.source.as_deref(),
    };
    if args.dry_run {
        if has_usage_to_roll_up(&context).await? {
            caution(NOT_ROLLED_UP);
        }
        let planned = plan(&context, &run, &set, scope, &bars).await?;
        return show(global, &planned, args.fail_on);
    }
    let work = async {
        let refreshed = roll_up(&context, &run, scope.source).await?;
        let failures = failed_sources(&refreshed.failed);
        judge(&context, &run, &set, scope, failures, &bars).await
    };
    let outcome = or_failed(&context, &run, work).await?;
    print(global, &run, &outcome, None)?;
    Ok(exit(&outcome, args.fail_on))
}

/// Why a dry run may answer otherwise than the run.
const NOT_ROLLED_UP: &str = "warning: usage_daily is behind usage_records: a run would roll that \
                             usage up first, a dry run judges the rollup as it is";

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

/// Detects, groups, and writes everything down, also what failed before.
pub(super) async fn judge(
    context: &Context,
    run: &Run,
    set: &RuleSet,
    scope: Scope<'_>,
    failures: Vec<String>,
    bars: &Bars,
) -> Result<Outcome, Failure> {
    let mut detection = ask(context, run, set, scope, bars).await?;
    explained(&detection.world, set, run.as_of, &mut detection.outcomes).await?;
    let grouped = form(context, &detection)?;
    let moment = Moment {
        run_id: &run.id,
        as_of: run.as_of,
    };
    let platforms = platforms(context);
    let failed = |error: &(dyn std::error::Error + 'static)| Failure::of(Exit::Failed, error);
    let known = lookup(detection.world.ctx(), &grouped)
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
        failures,
        rule_runs,
        written,
        open,
        versions: detection.versions.clone(),
        reporting: context.config.reporting.currency.clone(),
    };
    judged(context, run, &outcome).await?;
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
    let exchange = context.exchange();
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

/// What a run would do.
struct Planned {
    transitions: Vec<Transition>,
    /// The signals as they are known now.
    known: BTreeMap<String, SignalRow>,
    rule_runs: Vec<RuleRunRow>,
}

async fn plan(
    context: &Context,
    run: &Run,
    set: &RuleSet,
    scope: Scope<'_>,
    bars: &Bars,
) -> Result<Planned, Failure> {
    let mut detection = ask(context, run, set, scope, bars).await?;
    explained(&detection.world, set, run.as_of, &mut detection.outcomes).await?;
    let grouped = form(context, &detection)?;
    let known = load(&context.lake, &context.sessions.session()).await;
    let known = known.map_err(|error| Failure::of(Exit::Failed, &error))?;
    let moment = Moment {
        run_id: &run.id,
        as_of: run.as_of,
    };
    Ok(Planned {
        transitions: transitions(&known, &grouped, &platforms(context), moment),
        known,
        rule_runs: rule_runs(context, run, &detection.outcomes, &grouped)?,
    })
}

/// Shows what a run would do, and answers with its code.
fn show(global: &Global, planned: &Planned, fail_on: Option<Severity>) -> Result<Exit, Failure> {
    let change = |transition: &Transition| {
        let event = transition.events.first();
        let kind = event.and_then(|event| event.kind.clone());
        kind.unwrap_or_else(|| "unchanged".to_owned())
    };
    let changes = planned.transitions.iter();
    let values: Vec<_> = changes
        .map(|t| json!({ "change": change(t), "signal": t.row }))
        .collect();
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
        let signal = columns.iter().map(|column| cell(&value["signal"][*column]));
        std::iter::once(cell(&value["change"]))
            .chain(signal)
            .collect()
    })?;
    let (count, reasons) = unjudged(&planned.rule_runs);
    say(&format!("dry run: nothing was written{reasons}"));
    Ok(ending(&planned.open(), false, count > 0, fail_on))
}

impl Planned {
    /// The signals that would be open afterwards.
    fn open(&self) -> Vec<SignalRow> {
        let mut after = self.known.clone();
        let changed = self.transitions.iter().map(|transition| &transition.row);
        after.extend(changed.map(|row| (row.signal_id.clone(), row.clone())));
        after.into_values().filter(SignalRow::is_open).collect()
    }
}
