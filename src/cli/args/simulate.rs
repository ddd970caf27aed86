//! `simulate …`: made-up worlds and the score of a run over them.

use clap::{Args, Subcommand};

/// `simulate`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct SimulateArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<SimulateCommand>,
    /// The folder to write; it must not hold a world yet
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) out: Option<std::path::PathBuf>,
    /// Subscriptions
    #[arg(long, default_value_t = 1000)]
    pub(in crate::cli) subscriptions: u64,
    /// Months of usage and invoices
    #[arg(long, default_value_t = 6)]
    pub(in crate::cli) months: u32,
    /// The same seed makes the same world
    #[arg(long, default_value_t = 1)]
    pub(in crate::cli) seed: u64,
    /// Only these errors, separated by commas; all where not given
    #[arg(long, value_delimiter = ',', value_name = "ID")]
    pub(in crate::cli) faults: Vec<String>,
    /// So many of each error, as far as the world has room; a few, and more in larger worlds, where not given
    #[arg(long, value_name = "N", conflicts_with = "clean", value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) instances: Option<u64>,
    /// No errors at all
    #[arg(long, conflicts_with = "faults")]
    pub(in crate::cli) clean: bool,
}

/// `simulate …`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum SimulateCommand {
    /// How much of what is known to be wrong a run found
    #[command(
        after_help = "Example: trueup simulate score --labels world/labels.jsonl --lake world/lake"
    )]
    Score(ScoreArgs),
}

/// `simulate score`
#[derive(Debug, Args)]
pub(in crate::cli) struct ScoreArgs {
    /// What was made wrong, one file for each world
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub(in crate::cli) labels: Vec<std::path::PathBuf>,
    /// The lakes of the runs over those worlds, in the same order
    #[arg(long, value_name = "URL", required = true, num_args = 1..)]
    pub(in crate::cli) lake: Vec<String>,
    /// Writes the tables into this Markdown page
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) markdown: Option<std::path::PathBuf>,
}
