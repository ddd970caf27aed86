//! What can be typed. Plain data: nothing is opened or checked here beyond its form.

use chrono::NaiveDate;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::model::Severity;
use crate::rules::Stage;

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

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub(super) struct Global {
    /// Configuration file [default: ./trueup.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<String>,
    /// Where the lake is: a folder, s3://…, gs://…, az://…
    #[arg(long, global = true, value_name = "URL")]
    pub(super) lake: Option<String>,
    /// The moment to judge at [default: the configuration's, else now]
    #[arg(long, global = true, value_name = "RFC3339")]
    pub(super) as_of: Option<String>,
    /// Overrides a setting, such as --set engine.memory="8GiB"
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// How data is printed [default: table on a terminal, json otherwise]
    #[arg(long, global = true, value_enum)]
    pub(super) format: Option<Format>,
    /// More talk on stderr; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Only errors on stderr
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// How log lines are written
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(super) log_format: LogFormat,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub(super) color: Color,
}

/// How data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// One JSON object a line.
    Json,
    /// With a header line.
    Csv,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal.
    Auto,
    /// Never.
    Never,
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

/// `init`
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// Sources as NAME or NAME=PATH
    #[arg(value_name = "NAME[=PATH]", required = true)]
    pub(super) sources: Vec<String>,
    /// Overwrite a configuration that is there
    #[arg(long)]
    pub(super) force: bool,
}

/// `run`
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Read every file again, changed or not
    #[arg(long)]
    pub(super) full: bool,
    /// End with code 10 where a signal is at least so grave
    #[arg(long, value_name = "SEVERITY")]
    pub(super) fail_on: Option<Severity>,
}

/// `export`
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Only this source
    #[arg(long)]
    pub(super) source: Option<String>,
    /// Only this table
    #[arg(long)]
    pub(super) table: Option<String>,
    /// Read every file again, changed or not
    #[arg(long)]
    pub(super) full: bool,
}

/// `detect`
#[derive(Debug, Args)]
pub(super) struct DetectArgs {
    /// Only this rule; may be repeated
    #[arg(long = "rule", value_name = "RULE")]
    pub(super) rules: Vec<String>,
    /// Only this source
    #[arg(long)]
    pub(super) source: Option<String>,
    /// Show what would be opened, changed and resolved; write nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// End with code 10 where a signal is at least so grave
    #[arg(long, value_name = "SEVERITY")]
    pub(super) fail_on: Option<Severity>,
}

/// `signals …`
#[derive(Debug, Subcommand)]
pub(super) enum SignalsCommand {
    /// Open signals, gravest and dearest first
    List(ListArgs),
    /// Everything about one signal: records, money, steps, history
    Show(ShowArgs),
}

/// `signals list`
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// At least so grave
    #[arg(long)]
    pub(super) severity: Option<Severity>,
    /// In this state: unhandled, in_progress, snoozed, resolved
    #[arg(long)]
    pub(super) status: Option<String>,
    /// Of this rule
    #[arg(long)]
    pub(super) rule: Option<String>,
    /// Of this source
    #[arg(long)]
    pub(super) source: Option<String>,
    /// Of this customer
    #[arg(long)]
    pub(super) customer: Option<String>,
    /// Resolved and suppressed ones too
    #[arg(long)]
    pub(super) all: bool,
}

/// `signals show`
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The signal's id, or enough of its beginning
    pub(super) signal: String,
    /// Show so many affected records
    #[arg(long, default_value_t = 20)]
    pub(super) entities: usize,
}

/// `explain`
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The signal's id, or enough of its beginning
    pub(super) signal: String,
    /// Show so many affected records
    #[arg(long, default_value_t = 20)]
    pub(super) records: usize,
}

/// `rules …`
#[derive(Debug, Subcommand)]
pub(super) enum RulesCommand {
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
pub(super) struct ReplayArgs {
    /// The rule's id
    #[arg(value_name = "ID")]
    pub(super) rule: String,
    /// The first day
    #[arg(long, value_name = "DATE")]
    pub(super) from: NaiveDate,
    /// The day after the last
    #[arg(long, value_name = "DATE")]
    pub(super) to: NaiveDate,
    /// Only this source
    #[arg(long)]
    pub(super) source: Option<String>,
}

/// `rules calibrate`
#[derive(Debug, Args)]
pub(super) struct CalibrateArgs {
    /// Rule and days.
    #[command(flatten)]
    pub(super) replay: ReplayArgs,
    /// The parameter
    #[arg(long, value_name = "NAME")]
    pub(super) param: String,
    /// Its values, separated by commas
    #[arg(
        long,
        required = true,
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    pub(super) values: Vec<String>,
}

/// `rules new`
#[derive(Debug, Args)]
pub(super) struct NewRuleArgs {
    /// Its id: lower-case words and digits joined by `-`
    #[arg(value_name = "ID")]
    pub(super) rule: String,
    /// Where on the way from usage to invoice it looks
    #[arg(long, value_parser = stage_parser())]
    pub(super) stage: Stage,
    /// The folder of your rules
    #[arg(long, default_value = "rules/")]
    pub(super) dir: std::path::PathBuf,
}

fn stage_parser() -> impl TypedValueParser<Value = Stage> {
    PossibleValuesParser::new(Stage::ALL.iter().map(|stage| stage.as_str()))
        .try_map(|word| Stage::named(&word).ok_or("not a stage"))
}

/// `rate`
#[derive(Debug, Args)]
pub(super) struct RateArgs {
    /// The price as JSON (columns of `prices`), or @FILE
    #[arg(long, required_unless_present = "batch")]
    pub(super) price: Option<String>,
    /// Quantities to rate
    #[arg(value_name = "QUANTITY", allow_negative_numbers = true)]
    pub(super) quantities: Vec<String>,
    /// Read JSON lines from stdin, write one line for each
    #[arg(long, conflicts_with_all = ["price", "quantities"])]
    pub(super) batch: bool,
}

/// `simulate`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct SimulateArgs {
    #[command(subcommand)]
    pub(super) command: Option<SimulateCommand>,
    /// The folder to write; it must not hold a world yet
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<std::path::PathBuf>,
    /// Subscriptions
    #[arg(long, default_value_t = 1000)]
    pub(super) subscriptions: u64,
    /// Months of usage and invoices
    #[arg(long, default_value_t = 6)]
    pub(super) months: u32,
    /// The same seed makes the same world
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Only these errors, separated by commas; all where not given
    #[arg(long, value_delimiter = ',', value_name = "ID")]
    pub(super) faults: Vec<String>,
    /// No errors at all
    #[arg(long, conflicts_with = "faults")]
    pub(super) clean: bool,
}

/// `simulate …`
#[derive(Debug, Subcommand)]
pub(super) enum SimulateCommand {
    /// How much of what is known to be wrong a run found
    #[command(
        after_help = "Example: trueup simulate score --labels world/labels.jsonl --lake world/lake"
    )]
    Score(ScoreArgs),
}

/// `simulate score`
#[derive(Debug, Args)]
pub(super) struct ScoreArgs {
    /// What was made wrong, one file for each world
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub(super) labels: Vec<std::path::PathBuf>,
    /// The lakes of the runs over those worlds, in the same order
    #[arg(long, value_name = "URL", required = true, num_args = 1..)]
    pub(super) lake: Vec<String>,
    /// Writes the tables into this Markdown page
    #[arg(long, value_name = "FILE")]
    pub(super) markdown: Option<std::path::PathBuf>,
}

/// `sql`
#[derive(Debug, Args)]
pub(super) struct SqlArgs {
    /// One SELECT; without it, queries are read from stdin, each ended by `;`
    pub(super) query: Option<String>,
}

/// `maintain`
#[derive(Debug, Args)]
pub(super) struct MaintainArgs {
    /// Keep files of versions younger than this
    #[arg(long, default_value = "30 days")]
    pub(super) retain: String,
    /// Do it
    #[arg(long)]
    pub(super) yes: bool,
}
