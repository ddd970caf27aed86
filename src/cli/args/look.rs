//! The commands that look: `signals`, `explain`, `sql`, and the calculator `rate`.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use crate::model::Severity;
use crate::model::signal::status;

/// `signals …`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum SignalsCommand {
    /// Open signals, gravest and dearest first
    List(ListArgs),
    /// Everything about one signal: records, money, steps, history
    Show(ShowArgs),
}

/// `signals list`
#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// At least so grave
    #[arg(long)]
    pub(in crate::cli) severity: Option<Severity>,
    /// In this state
    #[arg(long, value_parser = status_parser())]
    pub(in crate::cli) status: Option<String>,
    /// Of this rule
    #[arg(long)]
    pub(in crate::cli) rule: Option<String>,
    /// Of this source
    #[arg(long)]
    pub(in crate::cli) source: Option<String>,
    /// Of this customer
    #[arg(long)]
    pub(in crate::cli) customer: Option<String>,
    /// Resolved and suppressed ones too
    #[arg(long)]
    pub(in crate::cli) all: bool,
}

fn status_parser() -> PossibleValuesParser {
    PossibleValuesParser::new([
        status::UNHANDLED,
        status::IN_PROGRESS,
        status::SNOOZED,
        status::RESOLVED,
    ])
}

/// `signals show`
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// The signal's id, or enough of its beginning
    pub(in crate::cli) signal: String,
    /// Show so many affected records
    #[arg(long, default_value_t = 20)]
    pub(in crate::cli) entities: usize,
}

/// `explain`
#[derive(Debug, Args)]
pub(in crate::cli) struct ExplainArgs {
    /// The signal's id, or enough of its beginning
    pub(in crate::cli) signal: String,
    /// Show so many affected records
    #[arg(long, default_value_t = 20)]
    pub(in crate::cli) records: usize,
}

/// `sql`
#[derive(Debug, Args)]
pub(in crate::cli) struct SqlArgs {
    /// One SELECT; without it, queries are read from stdin, each ended by `;`
    pub(in crate::cli) query: Option<String>,
}

/// `rate`
#[derive(Debug, Args)]
pub(in crate::cli) struct RateArgs {
    /// The price as JSON (columns of `prices`), or @FILE
    #[arg(long, required_unless_present = "batch")]
    pub(in crate::cli) price: Option<String>,
    /// Quantities to rate
    #[arg(value_name = "QUANTITY", allow_negative_numbers = true)]
    pub(in crate::cli) quantities: Vec<String>,
    /// Read JSON lines from stdin, write one line for each
    #[arg(long, conflicts_with_all = ["price", "quantities"])]
    pub(in crate::cli) batch: bool,
}
