//! `rules …`: rules as code.

use chrono::NaiveDate;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use crate::rules::Stage;

/// `rules …`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RulesCommand {
    /// Every rule
    List,
    /// One rule: what it means, its parameters, its query
    Show {
        /// The rule's id
        rule: String,
    },
    /// Lint and plan every rule, before any scan
    Check,
    /// Run the cases of every rule, or of those named
    Test {
        /// Rule ids
        rules: Vec<String>,
    },
    /// Write the three files of a new rule: one that runs, to be rewritten
    #[command(after_help = "Example: trueup rules new large-refund --stage invoice")]
    New(NewRuleArgs),
    /// What a rule would have raised, day by day, on what was known then; writes nothing
    #[command(after_help = BACKTEST_HELP)]
    Backtest(ReplayArgs),
    /// The same for several values of one parameter: what each would have raised
    #[command(
        after_help = "Example: trueup rules calibrate usage-spike --param z --values 3,4,6 \
            --from 2026-05-01 --to 2026-06-01"
    )]
    Calibrate(CalibrateArgs),
}

const BACKTEST_HELP: &str = "\
Example: trueup rules backtest negative-usage --from 2026-05-01 --to 2026-06-01 \
--set allow_corrections=true

--set without a dot in its key gives a parameter of the rule another value.";

/// `rules backtest`
#[derive(Debug, Args)]
pub(in crate::cli) struct ReplayArgs {
    /// The rule's id
    #[arg(value_name = "ID")]
    pub(in crate::cli) rule: String,
    /// The first day
    #[arg(long, value_name = "DATE")]
    pub(in crate::cli) from: NaiveDate,
    /// The day after the last
    #[arg(long, value_name = "DATE")]
    pub(in crate::cli) to: NaiveDate,
    /// Only this source
    #[arg(long)]
    pub(in crate::cli) source: Option<String>,
}

/// `rules calibrate`
#[derive(Debug, Args)]
pub(in crate::cli) struct CalibrateArgs {
    /// Rule and days.
    #[command(flatten)]
    pub(in crate::cli) replay: ReplayArgs,
    /// The parameter
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) param: String,
    /// Its values, separated by commas
    #[arg(
        long,
        required = true,
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    pub(in crate::cli) values: Vec<String>,
}

/// `rules new`
#[derive(Debug, Args)]
pub(in crate::cli) struct NewRuleArgs {
    /// Its id: lower-case words and digits joined by `-`
    #[arg(value_name = "ID")]
    pub(in crate::cli) rule: String,
    /// Where on the way from usage to invoice it looks
    #[arg(long, value_parser = stage_parser())]
    pub(in crate::cli) stage: Stage,
    /// The folder of your rules
    #[arg(long, default_value = "rules/")]
    pub(in crate::cli) dir: std::path::PathBuf,
}

fn stage_parser() -> impl TypedValueParser<Value = Stage> {
    PossibleValuesParser::new(Stage::ALL.iter().map(|stage| stage.as_str()))
        .try_map(|word| Stage::named(&word).ok_or("not a stage"))
}
