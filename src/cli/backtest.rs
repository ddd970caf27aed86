//! `trueup rules backtest` and `rules calibrate`: a rule over past days. Nothing is written.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde_json::{Value, json};

use super::args::{CalibrateArgs, Global, ReplayArgs};
use super::between::explained;
use super::context::{Context, configuration, rules};
use super::detect::preflight;
use super::export::source;
use super::output::{cell, rows, say};
use super::progress::Bars;
use super::{Exit, Failure};
use crate::detect::{
    Backtest, Beginnings, DayCount, DetectError, Issue, Judged, Request, RuleOutcome, Totals,
    World, as_today, replay,
};
use crate::rules::{Rule, RuleSet};
use crate::signals::{Group, Observed, group, load};

/// Everything that a replay needs, checked before anything is read.
struct Plan {
    context: Context,
    set: RuleSet,
    rule: Rule,
    source: Option<String>,
    moments: Vec<DateTime<Utc>>,
}

/// What one variant of the rule came to.
#[derive(Default)]
struct Replayed {
    backtest: Backtest,
    days: Vec<(NaiveDate, DayCount, Vec<String>)>,
    /// Whether a source could not be judged on a day.
    has_gaps: bool,
    /// Sources that the rule does not judge, and why.
    skipped: BTreeSet<String>,
}

pub(super) async fn backtest(
    global: &Global,
    args: &ReplayArgs,
    now: DateTime<Utc>,
) -> Result<Exit, Failure> {
    let plan = plan(global, args, now).await?;
    let variants = [plan.rule.clone()];
    let replayed = over_days(&plan, &variants, &Bars::new(global)).await?;
    let decided = resolutions(&plan).await?;
    let mut values = Vec::new();
    for one in &replayed {
        for (day, count, notes) in &one.days {
            let mut value = object(count)?;
            value["day"] = json!(day.to_string());
            value["notes"] = json!(notes);
            values.push(value);
        }
        let mut total = object(&totals(one, &decided)?)?;
        total["day"] = json!("total");
        total["as_today"] = json!(as_today(&plan.rule));
        values.push(total);
    }
    let columns = [
        "day",
        "opened",
        "open",
        "entities",
        "money",
        "precision",
        "notes",
    ];
    print(global, &columns, &values)?;
    Ok(tell(&plan, &replayed))
}

pub(super) async fn calibrate(
    global: &Global,
    args: &CalibrateArgs,
    now: DateTime<Utc>,
) -> Result<Exit, Failure> {
    let plan = plan(global, &args.replay, now).await?;
    let mut variants = Vec::new();
    for value in &args.values {
        let mut rule = plan.rule.clone();
        assign(&mut rule, &args.param, value)?;
        variants.push(rule);
    }
    let replayed = over_days(&plan, &variants, &Bars::new(global)).await?;
    let decided = resolutions(&plan).await?;
    let mut values = Vec::new();
    for (one, value) in replayed.iter().zip(&args.values) {
        let mut total = object(&totals(one, &decided)?)?;
        total["param"] = json!(args.param);
        total["value"] = json!(value);
        values.push(total);
    }
    let columns = [
        "value",
        "opened_per_day",
        "signals",
        "entities",
        "money",
        "confirmed",
        "refuted",
        "precision",
    ];
    print(global, &columns, &values)?;
    Ok(tell(&plan, &replayed))
}

async fn plan(global: &Global, args: &ReplayArgs, now: DateTime<Utc>) -> Result<Plan, Failure> {
    if args.from >= args.to {
        let reason = format!("--to {} must be later than --from {}", args.to, args.from);
        return Err(Failure::new(Exit::Usage, reason));
    }
    // Settings have a dot in their keys, parameters have none.
    let is_setting = |assignment: &String| {
        let key = assignment.split('=').next().unwrap_or_default();
        key.contains('.') || key.len() == assignment.len()
    };
    let (settings, assigned): (Vec<String>, Vec<String>) =
        global.set.iter().cloned().partition(is_setting);
    let config = configuration(&Global {
        set: settings,
        ..global.clone()
    })?;
    source(&config, args.source.as_deref())?;
    let set = rules(&config).await?;
    let mut rule = super::rules::find(&set, &args.rule)?.clone();
    for (name, value) in assigned.iter().filter_map(|text| text.split_once('=')) {
        assign(&mut rule, name.trim(), value)?;
    }
    let six = NaiveTime::from_hms_opt(6, 0, 0).unwrap_or_default();
    let time = config.as_of.map_or(six, |as_of| as_of.time());
    let moments = args
        .from
        .iter_days()
        .take_while(|day| *day < args.to)
        .map(|day| day.and_time(time).and_utc())
        .collect();
    let context = Context::of_lake(config, now).await?;
    preflight(&context, &set).await?;
    Ok(Plan {
        context,
        set,
        rule,
        source: args.source.clone(),
        moments,
    })
}

/// Gives a parameter of the rule another value.
fn assign(rule: &mut Rule, name: &str, text: &str) -> Result<(), Failure> {
    let text = text.trim().trim_matches(['"', '\'']);
    rule.assign(name, text)
        .map_err(|error| Failure::of(Exit::Usage, &error))
}

/// Day by day, every variant on the same tables.
async fn over_days(plan: &Plan, variants: &[Rule], bars: &Bars) -> Result<Vec<Replayed>, Failure> {
    let failed = |error: DetectError| Failure::of(Exit::Failed, &error);
    let context = &plan.context;
    let sources = &context.config.sources;
    let history = World::of_lake(&context.lake, &context.sessions, sources).await;
    let history = history.map_err(failed)?;
    let beginnings = history.beginnings().await.map_err(failed)?;
    let workers = context.workers()?;
    let mut run = context.run("backtest", &plan.set);
    let only = [plan.rule.id.clone()];
    let mut replayed: Vec<Replayed> = variants.iter().map(|_| Replayed::default()).collect();
    for (done, at) in plan.moments.iter().enumerate() {
        bars.day(done, plan.moments.len(), &at.date_naive().to_string());
        run.as_of = *at;
        let request = Request {
            lake: &context.lake,
            sessions: &context.sessions,
            run: &run,
            sources,
            rules: &plan.set,
            only_rules: &only,
            only_source: plan.source.as_deref(),
            timeout: context.config.engine.timeout,
        };
        let known = history.as_known(&context.sessions, &plan.rule, *at).await;
        let known = known.map_err(failed)?;
        let outcomes = replay(&request, &workers, &known, variants).await;
        let mut outcomes = outcomes.map_err(failed)?;
        // Grouped by what explains them, with what was known then.
        explained(&known, &plan.set, *at, &mut outcomes).await?;
        for (one, outcome) in replayed.iter_mut().zip(outcomes) {
            one.enter(plan, &beginnings, *at, outcome)?;
        }
    }
    bars.clear();
    Ok(replayed)
}

impl Replayed {
    fn enter(
        &mut self,
        plan: &Plan,
        beginnings: &Beginnings,
        at: DateTime<Utc>,
        outcome: RuleOutcome<'_>,
    ) -> Result<(), Failure> {
        let config = &plan.context.config;
        let (mut unjudged, mut notes) = (BTreeSet::new(), Vec::new());
        for (name, judged) in &outcome.sources {
            let reason = judged.reason.as_deref().unwrap_or("no reason recorded");
            if judged.verdict.is_inconclusive() {
                unjudged.insert(name.clone());
                notes.push(format!("{name} was not judged: {reason}"));
            } else if judged.verdict.is_judged() {
                let source = config.sources.iter().find(|source| source.name == *name);
                let empty = source.map(|source| beginnings.empty_for(&plan.rule, source, at));
                for table in empty.unwrap_or_default() {
                    notes.push(format!("{name} has no {table} yet"));
                }
            } else {
                self.skipped
                    .insert(format!("{name} is not judged: {reason}"));
            }
        }
        self.has_gaps |= !unjudged.is_empty();
        let exchange = plan.context.exchange();
        let observed = Observed {
            rule: outcome.rule,
            findings: outcome.findings,
            judged: BTreeSet::new(),
            window: outcome.window,
        };
        // What is suppressed today is counted: it is part of what the rule raises.
        let grouped = group(observed, &exchange, &[], at.date_naive());
        let grouped = grouped.map_err(Failure::internal)?;
        let issues = grouped.groups.iter().map(issue).collect();
        let count = self.backtest.day(&Judged { issues, unjudged });
        let count = count.map_err(Failure::internal)?;
        self.days.push((at.date_naive(), count, notes));
        Ok(())
    }
}

fn issue(group: &Group<'_>) -> Issue {
    let mut money = group.unconverted.clone();
    if let Some((currency, impact)) = group.currency.clone().zip(group.impact) {
        money.insert(currency, impact);
    }
    let entities = group.findings.iter().map(|finding| {
        let kind = finding.entity_type.clone();
        (finding.source.clone(), kind, finding.entity_id.clone())
    });
    Issue {
        signal_id: group.signal_id.clone(),
        source: group.source.clone(),
        entities: entities.collect(),
        money,
    }
}

/// What people decided about the rule's signals.
async fn resolutions(plan: &Plan) -> Result<BTreeMap<String, String>, Failure> {
    let context = &plan.context;
    let known = load(&context.lake, &context.sessions.session()).await;
    let known = known.map_err(|error| Failure::of(Exit::Failed, &error))?;
    let of_rule = known
        .into_values()
        .filter(|signal| signal.rule_id == plan.rule.id);
    Ok(of_rule
        .filter_map(|signal| Some((signal.signal_id, signal.resolution?)))
        .collect())
}

fn totals(one: &Replayed, decided: &BTreeMap<String, String>) -> Result<Totals, Failure> {
    one.backtest.totals(decided).map_err(Failure::internal)
}

fn object(counts: &impl serde::Serialize) -> Result<Value, Failure> {
    serde_json::to_value(counts).map_err(Failure::internal)
}

fn print(global: &Global, columns: &[&str], values: &[Value]) -> Result<(), Failure> {
    rows(global, columns, values, |value| {
        columns.iter().map(|column| cell(&value[*column])).collect()
    })
}

/// What the figures rest on, and the code.
fn tell(plan: &Plan, replayed: &[Replayed]) -> Exit {
    let skipped: BTreeSet<&String> = replayed.iter().flat_map(|one| &one.skipped).collect();
    for reason in skipped {
        say(reason);
    }
    let today = as_today(&plan.rule);
    if !today.is_empty() {
        let tables = today.join(", ");
        say(&format!("as they are today, not as they were: {tables}"));
    }
    say("nothing was written");
    if replayed.iter().any(|one| one.has_gaps) {
        return Exit::Inconclusive;
    }
    Exit::Done
}
