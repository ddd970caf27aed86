//! Exit codes: a contract with orchestrators. This is the only table of them.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// An internal error.
    Internal,
    /// Wrong use or configuration.
    Usage,
    /// Signals at or above `--fail-on`.
    Signals,
    /// Something could not be judged.
    Inconclusive,
    /// A source or the lake failed.
    Failed,
}

/// Every exit code and what it means, as `--help` and the README show it.
pub const EXIT_CODES: &[(u8, &str)] = &[
    (0, "done; for `gate`: release"),
    (1, "an internal error; trying again may help"),
    (2, "wrong use or configuration (file, key and line named)"),
    (
        10,
        "done, with signals at or above `--fail-on` (only with that flag)",
    ),
    (20, "gate: at least one invoice held"),
    (
        30,
        "inconclusive: data missing or stale, or a rule could not be judged. Never 0",
    ),
    (
        40,
        "a source or the lake failed; what was done is committed, what was not is named",
    ),
    (99, "nothing was due"),
];

impl Exit {
    /// The code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Signals => 10,
            Self::Inconclusive => 30,
            Self::Failed => 40,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_has_a_documented_code() {
        let all = [
            Exit::Done,
            Exit::Internal,
            Exit::Usage,
            Exit::Signals,
            Exit::Inconclusive,
            Exit::Failed,
        ];
        for exit in all {
            assert!(
                EXIT_CODES.iter().any(|(code, _)| *code == exit.code()),
                "{exit:?}"
            );
        }
    }
}
