//! `trueup simulate`: a billing world with known errors, to try rules and sizes on; and the score of
//! a run over one.

use std::io::ErrorKind;
use std::path::Path;

use chrono::{DateTime, Utc};

use super::args::{Format, Global, ScoreArgs, SimulateArgs, SimulateCommand};
use super::context::{Context, configuration_or_lake};
use super::output::{format, rows, say, table, write};
use super::{Exit, Failure};
use crate::simulate::score::{
    FAULT_HEADINGS, RULE_HEADINGS, Scorecard, WORLD_HEADINGS, fault_cells, load, markdown, placed,
    rule_cells, score as scored, world_cells,
};
use crate::simulate::{Options, SimulateError, simulate as make_world};

pub(super) async fn simulate(
    global: &Global,
    args: &SimulateArgs,
    now: DateTime<Utc>,
) -> Result<Exit, Failure> {
    match &args.command {
        Some(SimulateCommand::Score(args)) => score(global, args, now).await,
        None => make(args),
    }
}

fn make(args: &SimulateArgs) -> Result<Exit, Failure> {
    let Some(folder) = &args.out else {
        let missing = "simulate: name a new folder with --out";
        return Err(Failure::new(Exit::Usage, missing));
    };
    let options = Options {
        folder: folder.clone(),
        subscriptions: args.subscriptions,
        months: args.months,
        seed: args.seed,
        faults: (!args.clean).then(|| args.faults.clone()),
        instances: args.instances,
    };
    let made = make_world(&options).map_err(|error| {
        let exit = match error {
            SimulateError::Exists { .. } | SimulateError::UnknownFault { .. } => Exit::Usage,
            _ => Exit::Internal,
        };
        Failure::of(exit, &error)
    })?;
    let folder = options.folder.display();
    say(&format!(
        "made {} subscriptions, {} usage records and {} labels; \
         next: trueup run --config {folder}/trueup.toml",
        made.subscriptions, made.usage_records, made.labels
    ));
    Ok(Exit::Done)
}

async fn score(global: &Global, args: &ScoreArgs, now: DateTime<Utc>) -> Result<Exit, Failure> {
    let (files, lakes) = (args.labels.len(), args.lake.len());
    if files != lakes {
        let uneven = format!("{files} files of labels and {lakes} lakes: name one lake for each");
        return Err(Failure::new(Exit::Usage, uneven));
    }
    let mut worlds = Vec::new();
    for (labels, lake) in args.labels.iter().zip(&args.lake) {
        let own = Global {
            lake: Some(lake.clone()),
            ..global.clone()
        };
        let context = Context::of_lake(configuration_or_lake(&own)?, now).await?;
        let world = load(labels, &context.lake, &context.sessions.session()).await;
        worlds.push(world.map_err(|error| Failure::of(Exit::Failed, &error))?);
    }
    let card = scored(&worlds);
    if let Some(page) = &args.markdown {
        place(page, &card)?;
    }
    show(global, &card)?;
    Ok(Exit::Done)
}

/// Puts the tables on a page, between the marks if it has them.
fn place(page: &Path, card: &Scorecard) -> Result<(), Failure> {
    let refuse =
        |error: std::io::Error| Failure::new(Exit::Usage, format!("{}: {error}", page.display()));
    let text = match std::fs::read_to_string(page) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(refuse(error)),
    };
    std::fs::write(page, placed(text.as_deref(), &markdown(card))).map_err(refuse)
}

fn show(global: &Global, card: &Scorecard) -> Result<(), Failure> {
    match format(global) {
        Format::Table => {
            let faults = card.faults.iter().chain([&card.total]).map(fault_cells);
            let worlds = card.worlds.iter().map(world_cells);
            let alarming = card
                .rules
                .iter()
                .filter(|rule| rule.beside + rule.elsewhere > 0);
            write(&format!(
                "{}\n{}\n{}\n",
                table(&FAULT_HEADINGS, faults),
                table(&WORLD_HEADINGS, worlds),
                table(&RULE_HEADINGS, alarming.map(rule_cells)),
            ))
        }
        Format::Json => {
            let text = serde_json::to_string(card).map_err(Failure::internal)?;
            write(&format!("{text}\n"))
        }
        Format::Csv => rows(global, &FAULT_HEADINGS, &card.faults, fault_cells),
    }
}
