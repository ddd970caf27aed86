//! The options of every command.

use clap::{Args, ValueEnum};

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct Global {
    /// Configuration file [default: ./trueup.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(in crate::cli) config: Option<String>,
    /// Where the lake is: a folder, s3://…, gs://…, az://…
    #[arg(long, global = true, value_name = "URL")]
    pub(in crate::cli) lake: Option<String>,
    /// The moment to judge at [default: the configuration's, else now]
    #[arg(long, global = true, value_name = "RFC3339")]
    pub(in crate::cli) as_of: Option<String>,
    /// Overrides a setting, such as --set engine.memory="8GiB"
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    pub(in crate::cli) set: Vec<String>,
    /// How data is printed [default: table on a terminal, json otherwise]
    #[arg(long, global = true, value_enum)]
    pub(in crate::cli) format: Option<Format>,
    /// More talk on stderr; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(in crate::cli) verbose: u8,
    /// Only errors on stderr
    #[arg(short, long, global = true)]
    pub(in crate::cli) quiet: bool,
    /// How errors, notes and log lines are written
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(in crate::cli) log_format: LogFormat,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub(in crate::cli) color: Color,
}

/// How data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    /// For people.
    Table,
    /// One JSON object a line.
    Json,
    /// With a header line.
    Csv,
}

/// How errors, notes and log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Color {
    /// On a terminal.
    Auto,
    /// Everywhere.
    Always,
    /// Never.
    Never,
}
