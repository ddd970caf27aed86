//! Whether a command has a use for the options that it was given: what would be ignored is refused.

use super::{Cli, Command, Format, RulesCommand, SignalsCommand, SimulateCommand};

const CONFIG: &str = "--config";
const LAKE: &str = "--lake";
const AS_OF: &str = "--as-of";
const SET: &str = "--set";
const FORMAT: &str = "--format";

const ALL: &[&str] = &[CONFIG, LAKE, AS_OF, SET, FORMAT];
/// Of commands that look at the lake as it is, whatever the moment.
const LOOKING: &[&str] = &[CONFIG, LAKE, SET, FORMAT];

impl Cli {
    /// What was typed and would be ignored.
    pub(super) fn misfit(&self) -> Option<String> {
        let (command, heeded) = self.command.heeds();
        let global = &self.global;
        let given = [
            (CONFIG, global.config.is_some()),
            (LAKE, global.lake.is_some()),
            (AS_OF, global.as_of.is_some()),
            (SET, !global.set.is_empty()),
            (FORMAT, global.format.is_some()),
        ];
        let ignored = given
            .into_iter()
            .find(|(option, is_given)| *is_given && !heeded.contains(option));
        if let Some((option, _)) = ignored {
            return Some(format!("`trueup {command}` has no use for {option}"));
        }
        let batch = matches!(&self.command, Command::Rate(args) if args.batch);
        if batch && matches!(global.format, Some(Format::Table | Format::Csv)) {
            return Some("--batch answers in JSON lines, whatever the --format".to_owned());
        }
        None
    }
}

impl Command {
    /// The command's name, and which of the options that decide data it heeds. How much is said on
    /// stderr, and in which form, is a matter of every command.
    fn heeds(&self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Init(_) => ("init", &[CONFIG]),
            Self::Run(_) => ("run", ALL),
            Self::Export(_) => ("export", ALL),
            Self::Detect(_) => ("detect", ALL),
            Self::Signals(SignalsCommand::List(_)) => ("signals list", LOOKING),
            Self::Signals(SignalsCommand::Show(_)) => ("signals show", LOOKING),
            Self::Explain(_) => ("explain", LOOKING),
            Self::Rules(command) => command.heeds(),
            Self::Rate(_) => ("rate", &[FORMAT]),
            Self::Simulate(args) => match args.command {
                Some(SimulateCommand::Score(_)) => ("simulate score", LOOKING),
                None => ("simulate", &[]),
            },
            Self::Sql(_) => ("sql", ALL),
            Self::Maintain(_) => ("maintain", LOOKING),
        }
    }
}

impl RulesCommand {
    fn heeds(&self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::List => ("rules list", &[CONFIG, SET, FORMAT]),
            Self::Show { .. } => ("rules show", &[CONFIG, SET, FORMAT]),
            Self::Check => ("rules check", &[CONFIG, SET]),
            Self::Test { .. } => ("rules test", &[CONFIG, SET]),
            Self::New(_) => ("rules new", &[CONFIG, SET]),
            Self::Backtest(_) => ("rules backtest", ALL),
            Self::Calibrate(_) => ("rules calibrate", ALL),
        }
    }
}
