//! `trueup rules`: rules as code.

use serde_json::{Value, json};

use super::args::{Format, Global, RulesCommand};
use super::context::{configuration, rules as load_rules, sessions};
use super::output::{format, rows, say, write};
use super::{Exit, Failure};
use crate::config::{Config, Overrides};
use crate::detect::{Depth, cases, check};
use crate::model::span::format_span;
use crate::model::text::nearest;
use crate::rules::{Rule, RuleSet, lint};

pub(super) async fn rules(global: &Global, command: &RulesCommand) -> Result<Exit, Failure> {
    let config = settings(global)?;
    let set = load_rules(&config).await?;
    match command {
        RulesCommand::List => list(global, &set),
        RulesCommand::Show { rule } => show(global, find(&set, rule)?),
        RulesCommand::Check => check_all(global, &config, &set).await,
        RulesCommand::Test { rules } => {
            for id in rules {
                find(&set, id)?;
            }
            test(global, &config, &set, rules).await
        }
    }
}

/// The configuration if there is one: the embedded rules can be looked at without.
fn settings(global: &Global) -> Result<Config, Failure> {
    let env = crate::config::environment();
    let has_file = global.config.is_some()
        || env(crate::config::CONFIG_VARIABLE).is_some()
        || std::path::Path::new(crate::config::DEFAULT_FILE).exists();
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
    set.rule(id).ok_or_else(|| {
        let hint = nearest(id, set.ids());
        let hint = hint
            .map(|id| format!("; did you mean `{id}`?"))
            .unwrap_or_default();
        Failure::new(Exit::Usage, format!("there is no rule `{id}`{hint}"))
    })
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
            .map(|key| value[*key].as_str().unwrap_or_default().to_owned())
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
        write(&format!("{value}\n"))?;
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

async fn check_all(global: &Global, config: &Config, set: &RuleSet) -> Result<Exit, Failure> {
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
        say(
            global,
            &format!(
                "{} rules and {} views are sound",
                set.rules.len(),
                set.views.len()
            ),
        );
        return Ok(Exit::Done);
    }
    Err(Failure::new(Exit::Usage, problems.join("\n")))
}

async fn test(
    global: &Global,
    config: &Config,
    set: &RuleSet,
    only: &[String],
) -> Result<Exit, Failure> {
    let results = cases::run_all(set, only, &sessions(config)?).await;
    let failed: Vec<&String> = results
        .values()
        .filter_map(|result| result.as_ref().err())
        .collect();
    for (id, result) in &results {
        say(
            global,
            &format!("{} {id}", if result.is_ok() { "ok    " } else { "FAILED" }),
        );
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
