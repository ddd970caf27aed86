//! The `trueup` binary: reads the clock once and hands over to the library.

use std::process::ExitCode;

#[expect(clippy::disallowed_methods, reason = "the one reading of the clock")]
fn main() -> ExitCode {
    trueup::cli::main(std::env::args_os(), chrono::Utc::now())
}
