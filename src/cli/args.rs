//! What can be typed. Plain data: nothing is opened, and nothing is checked beyond its form and that
//! the command has a use for it.

mod fit;
mod global;
mod look;
mod rules;
mod simulate;
mod work;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

pub(super) use global::{Color, Format, Global, LogFormat};
pub(super) use look::{ExplainArgs, ListArgs, RateArgs, ShowArgs, SignalsCommand, SqlArgs};
pub(super) use rules::{CalibrateArgs, NewRuleArgs, ReplayArgs, RulesCommand};
pub(super) use simulate::{ScoreArgs, SimulateArgs, SimulateCommand};
pub(super) use work::{DetectArgs, ExportArgs, InitArgs, MaintainArgs, RunArgs};

/// Finds usage-billing errors before an invoice reaches a customer.
#[derive(Debug, Parser)]
#[command(name = "trueup", version, after_long_help = super::after_help())]
pub(super) struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub(super) global: Global,
    /// The command.
    #[command(subcommand)]
    pub(super) command: Command,
}

impl Cli {
    /// Reads the arguments, the program's name first.
    ///
    /// # Errors
    /// What clap says; and an option that the command has no use for: it is refused, not ignored.
    pub(super) fn read(arguments: &[OsString], color: Color) -> Result<Self, clap::Error> {
        let color = match color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        let mut command = Self::command().color(color);
        let mut matches = command.try_get_matches_from_mut(arguments)?;
        let cli = Self::from_arg_matches_mut(&mut matches);
        let cli = cli.map_err(|error| error.format(&mut command))?;
        match cli.misfit() {
            None => Ok(cli),
            Some(reason) => Err(command.error(ErrorKind::ArgumentConflict, reason)),
        }
    }
}

/// The value of an option among arguments that may not be a command line at all.
pub(super) fn typed<T: ValueEnum>(arguments: &[OsString], option: &str) -> Option<T> {
    let mut words = arguments.iter().filter_map(|word| word.to_str());
    let mut found = None;
    while let Some(word) = words.next() {
        found = match word.strip_prefix(option) {
            Some("") => words.next(),
            Some(rest) => rest.strip_prefix('='),
            None => continue,
        };
    }
    T::from_str(found?, false).ok()
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write a commented trueup.toml for the sources that you name
    #[command(
        after_help = "Example: trueup init acme-billing=./billing product-events=s3://acme/usage"
    )]
    Init(InitArgs),
    /// The nightly job: export, roll up, detect, write signals
    #[command(after_help = "Example: trueup run --config trueup.toml --fail-on high")]
    Run(RunArgs),
    /// Pull what changed since the last export into the lake
    #[command(after_help = "Example: trueup export --source acme-billing --table invoices --full")]
    Export(ExportArgs),
    /// Run rules over the lake and write signals
    #[command(after_help = "Example: trueup detect --rule tier-miscalculation --dry-run")]
    Detect(DetectArgs),
    /// List signals or show one
    #[command(subcommand)]
    Signals(SignalsCommand),
    /// Why a signal is there: what was billed, what was due, the change between them, what to do
    #[command(after_help = "Example: trueup explain sig_0f3a --format table")]
    Explain(ExplainArgs),
    /// List, show, check and test rules, and begin new ones
    #[command(subcommand)]
    Rules(RulesCommand),
    /// What should this cost? A price and quantities in, amounts with their tiers out
    #[command(after_help = RATE_HELP)]
    Rate(RateArgs),
    /// Make a billing world with known errors, of any size
    #[command(after_help = "Example: trueup simulate --out world --subscriptions 500 --seed 7")]
    Simulate(SimulateArgs),
    /// Read-only SQL over every table of the lake and the views of rules; without a query, a prompt
    #[command(
        after_help = "Example: trueup sql \"select severity, count(*) from signals group by 1\"\n\n\
            $as_of, $window_start and $window_end are those of the rule that looks back furthest."
    )]
    Sql(SqlArgs),
    /// Compact, checkpoint and vacuum the lake's tables; shows the plan first
    #[command(after_help = "Example: trueup maintain --retain \"30 days\" --yes")]
    Maintain(MaintainArgs),
}

const RATE_HELP: &str = r#"Examples:
  trueup rate --price '{"charge_model":"per_unit","currency":"USD","unit_price":"0.02"}' 100 250.5
  trueup rate --price @price.json 1000
  trueup rate --batch < lines.jsonl"#;
