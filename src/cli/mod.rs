//! The command line: parses, hands values from stage to stage, prints, and answers with a code.
//!
//! clap's types and all printing stay in this module; work is done by the stages.

mod args;
mod backtest;
mod between;
mod context;
mod detect;
pub mod exit;
mod explain;
mod export;
mod init;
mod maintain;
mod output;
mod progress;
mod rate;
mod record;
mod rules;
mod run;
mod signals;
mod simulate;
mod sql;
mod summary;
mod talk;
mod wording;

use std::ffi::OsString;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::CommandFactory;

use args::{Cli, Color, Command, LogFormat, typed};
use exit::{EXIT_CODES, Exit};

use crate::model::text::hint;

/// Parses the arguments and runs the command; `now` is the only reading of the clock.
pub fn main(arguments: impl IntoIterator<Item = OsString>, now: DateTime<Utc>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // Of a command line that is none, these two are still obeyed: they say how to answer.
    let color = typed(&arguments, "--color").unwrap_or(Color::Auto);
    let cli = match Cli::read(&arguments, color) {
        Ok(cli) => cli,
        // Help and version are answers, everything else is wrong use.
        Err(answer) if !answer.use_stderr() => {
            let _ = answer.print();
            return Exit::Done.into();
        }
        Err(error) => {
            match typed(&arguments, "--log-format") {
                Some(LogFormat::Json) => {
                    talk::start_errors(LogFormat::Json);
                    output::complain(error.to_string().trim_end());
                }
                _ => {
                    let _ = error.print();
                }
            }
            return Exit::Usage.into();
        }
    };
    talk::start_log(&cli.global);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(8 * 1024 * 1024)
        .build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(dispatch(cli, now));
            // A query that ran out of time may never end: it must not keep the process.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(Failure::internal(error)),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::complain(&failure.text);
            failure.exit.into()
        }
    }
}

/// A command that could not do its work, and the code that says so.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    text: String,
}

impl Failure {
    fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self {
            exit,
            text: text.into(),
        }
    }

    fn of(exit: Exit, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::new(exit, crate::export::describe(error))
    }

    fn internal(error: impl std::error::Error + 'static) -> Self {
        Self::of(Exit::Internal, &error)
    }

    /// A name that is not known, with the known one that is nearest.
    fn unknown<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let text = format!("there is no {what} `{name}`{}", hint(name, known));
        Self::new(Exit::Usage, text)
    }
}

async fn dispatch(cli: Cli, now: DateTime<Utc>) -> Result<Exit, Failure> {
    let global = cli.global;
    match cli.command {
        Command::Init(args) => init::init(&global, &args),
        Command::Run(args) => run::run(&global, &args, now).await,
        Command::Export(args) => export::export(&global, &args, now).await,
        Command::Detect(args) => detect::detect(&global, &args, now).await,
        Command::Signals(command) => signals::signals(&global, &command, now).await,
        Command::Explain(args) => explain::explain(&global, &args, now).await,
        Command::Rules(command) => rules::rules(&global, &command, now).await,
        Command::Rate(args) => rate::rate(&global, &args),
        Command::Simulate(args) => simulate::simulate(&global, &args, now).await,
        Command::Sql(args) => sql::sql(&global, &args, now).await,
        Command::Maintain(args) => maintain::maintain(&global, &args, now).await,
    }
}

/// What `--help` adds: the exit codes.
fn after_help() -> String {
    let codes: Vec<String> = EXIT_CODES
        .iter()
        .map(|(code, meaning)| format!("  {code:>3}  {meaning}"))
        .collect();
    format!("Exit codes:\n{}", codes.join("\n"))
}

/// The names of all commands, for documents that are checked against them.
pub fn command_names() -> Vec<String> {
    Cli::command()
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect()
}

/// Whether these arguments, the program's name first, are a command line.
///
/// # Errors
/// What the program would say.
pub fn check_arguments(arguments: &[OsString]) -> Result<(), String> {
    match Cli::read(arguments, Color::Never) {
        Err(error) if error.use_stderr() => Err(error.to_string()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_names_every_exit_code() {
        let help = Cli::command().render_long_help().to_string();
        for (code, meaning) in EXIT_CODES {
            assert!(help.contains(&format!("{code:>3}  {meaning}")), "{code}");
        }
    }
}
