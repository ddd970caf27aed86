//! `trueup rules`: rules as code.

use std::io::Write;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::args::{Format, Global, NewRuleArgs, RulesCommand};
use super::backtest::{backtest, calibrate};
use super::context::{configuration, rules as load_rules, sessions};
use super::output::{cell, format, rows, say, write};
use super::{Exit, Failure};
use crate::config::{Config, Overrides};
use crate::detect::{Depth, cases, check};
use crate::explain::explain_findings;
use crate::model::span::format_span;
use crate::rules::{Rule, RuleSet, lint, retired, stages, starter};

pub(super) async fn rules(
    global: &Global,
    command: &RulesCommand,
    now: DateTime<Utc>,
) -> Result<Exit, Failure> {
    match command {
        RulesCommand::List => {
            let (_, set) = configured(global).await?;
            list(global, &set)
        }
        RulesCommand::Show { rule } => {
            let (_, set) = configured(global).await?;
            show(global, find(&set, rule)?)
        }
        RulesCommand::Check => {
            let (config, set) = configured(global).await?;
            check_all(&config, &set).await
        }
        RulesCommand::New(args) => begin(settings(global)?, args).await,
        RulesCommand::Test { rules } => {
            let (config, set) = configured(global).await?;
            for id in rules {
                find(&set, id)?;
            }
            test(&config, &set, rules).await
        }
        RulesCommand::Backtest(args) => backtest(global, args, now).await,
        RulesCommand::Calibrate(args) => calibrate(global, args, now).await,
    }
}

async fn configured(global: &Global) -> Result<(Config, RuleSet), Failure> {
    let config = settings(global)?;
    let set = load_rules(&config).await?;
    Ok((config, set))
}

/// The configuration if there is one: the embedded rules can be looked at without.
fn settings(global: &Global) -> Result<Config, Failure> {
    let env = crate::config::environment();
    let has_file = global.config.is_some()
        || env(crate::config::CONFIG_VARIABLE).is_some()
        || Path::new(crate::config::DEFAULT_FILE).exists();
    if has_file {
        return configuration(global);
    }
    let overrides = Overrides {
        lake: Some("memory:///".to_owned()),
        set: global.set.clone(),
        ..Overrides::default()
    };
    Config::without_file(&overrides, &env).map_err(|error| Failure::of(Exit::Usage, &error))
}

pub(super) fn find<'a>(set: &'a RuleSet, id: &str) -> Result<&'a Rule, Failure> {
    if set.disabled.iter().any(|disabled| disabled == id) {
        let reason = format!("rule `{id}` is switched off: rules.override.{id}.enabled = false");
        return Err(Failure::new(Exit::Usage, reason));
    }
    set.rule(id)
        .ok_or_else(|| Failure::unknown("rule", id, set.ids()))
}

fn list(global: &Global, set: &RuleSet) -> Result<Exit, Failure> {
    let values: Vec<Value> = set.rules.iter().map(describe).collect();
    rows(
        global,
        &["rule", "stage", "severity", "status", "schedule", "title"],
        &values,
        |value| {
            [
                "rule_id", "stage", "severity", "status", "schedule", "title",
            ]
            .iter()
            .map(|key| cell(&value[*key]))
            .collect()
        },
    )?;
    Ok(Exit::Done)
}

fn describe(rule: &Rule) -> Value {
    let params: serde_json::Map<String, Value> = rule
        .params
        .iter()
        .map(|(name, param)| {
            (
                name.clone(),
                json!({ "value": param.value.to_string(), "help": param.help }),
            )
        })
        .collect();
    json!({
        "rule_id": rule.id, "version": rule.version, "stage": rule.stage.as_str(),
        "severity": rule.severity, "status": rule.status.as_str(), "schedule": rule.schedule,
        "title": rule.title, "description": rule.description, "category": rule.category,
        "owner": rule.owner, "platforms": rule.platforms, "reads": rule.reads,
        "window": format_span(rule.window), "settle": format_span(rule.settle),
        "max_staleness": rule.max_staleness.map(format_span), "group_by": rule.group_by,
        "quiet_when": rule.quiet_when, "known_gaps": rule.known_gaps, "params": params,
        "origin": rule.sql_origin,
    })
}

fn show(global: &Global, rule: &Rule) -> Result<Exit, Failure> {
    let value = describe(rule);
    if format(global) != Format::Table {
        let columns: Vec<&str> = value
            .as_object()
            .map(|columns| columns.keys().map(String::as_str).collect())
            .unwrap_or_default();
        rows(global, &columns, &[&value], |value| {
            let cells = columns.iter().map(|name| written(&value[*name]));
            cells.collect()
        })?;
        return Ok(Exit::Done);
    }
    let mut text = format!(
        "{} (version {}, {})\n{}\n\n",
        rule.id, rule.version, rule.status, rule.title
    );
    text.push_str(&format!("{}\n\n", rule.description));
    for key in [
        "stage",
        "category",
        "severity",
        "schedule",
        "window",
        "settle",
        "max_staleness",
        "owner",
    ] {
        if let Some(word) = value[key].as_str() {
            text.push_str(&format!("{key:14} {word}\n"));
        }
    }
    text.push_str(&format!(
        "{:14} {}\n{:14} {}\n",
        "reads",
        rule.reads.join(", "),
        "groups by",
        rule.group_by.join(", ")
    ));
    for (name, param) in &rule.params {
        text.push_str(&format!(
            "{:14} {name} = {}: {}\n",
            "parameter", param.value, param.help
        ));
    }
    for (title, sentences) in [
        ("stays quiet when", &rule.quiet_when),
        ("cannot see", &rule.known_gaps),
    ] {
        text.push_str(&format!("\n{title}\n"));
        sentences
            .iter()
            .for_each(|sentence| text.push_str(&format!("  - {sentence}\n")));
    }
    text.push_str("\nwhat to do\n");
    for (at, step) in rule.remediation.iter().enumerate() {
        let when = step
            .when
            .as_deref()
            .map(|when| format!(" (when {when})"))
            .unwrap_or_default();
        text.push_str(&format!(
            "  {}. [{}]{when} {}\n",
            at + 1,
            step.target,
            step.action
        ));
    }
    text.push_str(&format!(
        "\n-- {}\n{}\n",
        rule.sql_origin,
        rule.sql.trim_end()
    ));
    write(&text)?;
    Ok(Exit::Done)
}

/// A value of a rule as a cell; what is no list of texts stays JSON.
fn written(value: &Value) -> String {
    match value {
        Value::Object(_) => value.to_string(),
        other => cell(other),
    }
}

async fn check_all(config: &Config, set: &RuleSet) -> Result<Exit, Failure> {
    let mut problems: Vec<String> = set
        .rules
        .iter()
        .flat_map(lint)
        .map(|error| error.to_string())
        .collect();
    let planned = check(set, &sessions(config)?, Depth::Physical)
        .await
        .map_err(Failure::internal)?;
    problems.extend(planned.iter().map(ToString::to_string));
    if problems.is_empty() {
        let (rules, views) = (set.rules.len(), set.views.len());
        say(&format!("{rules} rules and {views} views are sound"));
        return Ok(Exit::Done);
    }
    Err(Failure::new(Exit::Usage, problems.join("\n")))
}

async fn test(config: &Config, set: &RuleSet, only: &[String]) -> Result<Exit, Failure> {
    let sessions = sessions(config)?;
    let mut results = cases::run_all(set, only, &sessions, explain_findings).await;
    // A script that runs may still prove nothing.
    for (id, result) in results.iter_mut().filter(|(_, result)| result.is_ok()) {
        let unproven: Vec<String> = set.rule(id).map(unproven).unwrap_or_default();
        if !unproven.is_empty() {
            *result = Err(unproven.join("\n"));
        }
    }
    let failed: Vec<&String> = results
        .values()
        .filter_map(|result| result.as_ref().err())
        .collect();
    for (id, result) in &results {
        let word = if result.is_ok() { "ok    " } else { "FAILED" };
        say(&format!("{word} {id}"));
    }
    if failed.is_empty() {
        return Ok(Exit::Done);
    }
    let texts: Vec<&str> = failed.iter().map(|text| text.as_str()).collect();
    Err(Failure::new(
        Exit::Usage,
        format!("cases failed:\n{}", texts.join("\n\n")),
    ))
}

/// What can be said against the rule's cases.
fn unproven(rule: &Rule) -> Vec<String> {
    let origin = rule.cases_origin();
    let faults = lint(rule).into_iter().filter(|fault| fault.file == origin);
    faults.map(|fault| fault.to_string()).collect()
}

/// Writes the files of a new rule; nothing that is there is overwritten.
async fn begin(mut config: Config, args: &NewRuleArgs) -> Result<Exit, Failure> {
    let refuse = |reason: String| Failure::new(Exit::Usage, reason);
    let id = &args.rule;
    let files = starter(id, args.stage).map_err(|error| refuse(error.to_string()))?;
    if args.dir.to_string_lossy().contains("://") {
        let reason = "--dir: a rule is written into a local folder; copy it from there";
        return Err(refuse(reason.to_owned()));
    }
    let retired = retired().map_err(Failure::internal)?;
    if let Some(reason) = retired.get(id) {
        let text = format!("`{id}` was a rule once, and its id is not used again: {reason}");
        return Err(refuse(text));
    }
    let dirs = config.rules.dirs.clone();
    // A folder that is still without rules, as before the first one, holds no id that could be taken.
    config
        .rules
        .dirs
        .retain(|dir| dir.contains("://") || holds_a_file(Path::new(dir)));
    let set = load_rules(&config).await?;
    if set.ids().any(|known| known == id.as_str()) {
        let place = set
            .rule(id)
            .map_or("switched off", |rule| rule.sql_origin.as_str());
        return Err(refuse(format!("there is a rule `{id}` already: {place}")));
    }
    let mut taken = stages().iter().flat_map(|stage| {
        let folder = args.dir.join(stage.as_str());
        ["sql", "toml", "slt"].map(|kind| folder.join(format!("{id}.{kind}")))
    });
    if let Some(path) = taken.find(|path| path.exists()) {
        let text = format!(
            "{} is there already; nothing is overwritten",
            path.display()
        );
        return Err(refuse(text));
    }
    for file in &files {
        let path = args.dir.join(&file.path);
        create(&path, &file.text)
            .map_err(|error| refuse(format!("{}: {error}", path.display())))?;
    }
    let written = std::fs::canonicalize(&args.dir).ok();
    let is_known = dirs
        .iter()
        .any(|dir| written.is_some() && std::fs::canonicalize(dir).ok() == written);
    say(&next_steps(args, is_known));
    Ok(Exit::Done)
}

fn holds_a_file(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .any(|path| path.is_file() || holds_a_file(&path))
}

fn create(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Refused by the file system itself, so that two at once cannot overwrite each other.
    std::fs::File::create_new(path)?.write_all(text.as_bytes())
}

fn next_steps(args: &NewRuleArgs, is_known: bool) -> String {
    let (id, dir) = (&args.rule, args.dir.display());
    let base = args.dir.join(args.stage.as_str()).join(id);
    let base = base.display();
    let mut steps = vec![
        "put your question, its meaning and its cases into the three files".to_owned(),
        "trueup rules check".to_owned(),
        format!("trueup rules test {id}"),
        format!("trueup detect --rule {id} --dry-run"),
    ];
    if !is_known {
        let step = format!("name the folder in trueup.toml, under [rules]: dirs = [\"{dir}\"]");
        steps.insert(0, step);
    }
    let steps = (1..)
        .zip(steps)
        .map(|(at, step)| format!("\n  {at}. {step}"));
    let steps: String = steps.collect();
    format!("wrote {base}.sql, .toml and .slt: a rule that runs as it is. Next:{steps}")
}
