//! The commands that set up, fill and keep the lake: `init`, `run`, `export`, `detect`, `maintain`.

use clap::Args;

use crate::model::Severity;

/// `init`
#[derive(Debug, Args)]
pub(in crate::cli) struct InitArgs {
    /// Sources as NAME or NAME=PATH
    #[arg(value_name = "NAME[=PATH]", required = true)]
    pub(in crate::cli) sources: Vec<String>,
    /// Overwrite a configuration that is there
    #[arg(long)]
    pub(in crate::cli) force: bool,
}

/// `run`
#[derive(Debug, Args)]
pub(in crate::cli) struct RunArgs {
    /// Read every file again, changed or not
    #[arg(long)]
    pub(in crate::cli) full: bool,
    /// End with code 10 where a signal is at least so grave
    #[arg(long, value_name = "SEVERITY")]
    pub(in crate::cli) fail_on: Option<Severity>,
}

/// `export`
#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    /// Only this source
    #[arg(long)]
    pub(in crate::cli) source: Option<String>,
    /// Only this table
    #[arg(long)]
    pub(in crate::cli) table: Option<String>,
    /// Read every file again, changed or not
    #[arg(long)]
    pub(in crate::cli) full: bool,
}

/// `detect`
#[derive(Debug, Args)]
pub(in crate::cli) struct DetectArgs {
    /// Only this rule; may be repeated
    #[arg(long = "rule", value_name = "RULE")]
    pub(in crate::cli) rules: Vec<String>,
    /// Only this source
    #[arg(long)]
    pub(in crate::cli) source: Option<String>,
    /// Show what would be opened, changed and resolved; write nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// End with code 10 where a signal is at least so grave
    #[arg(long, value_name = "SEVERITY")]
    pub(in crate::cli) fail_on: Option<Severity>,
}

/// `maintain`
#[derive(Debug, Args)]
pub(in crate::cli) struct MaintainArgs {
    /// Keep files of versions younger than this
    #[arg(long, default_value = "30 days")]
    pub(in crate::cli) retain: String,
    /// Do it
    #[arg(long)]
    pub(in crate::cli) yes: bool,
}
