//! The configuration as its users meet it: what a file means, and the exact text of each mistake.

mod loading;
mod meaning;
mod mistakes;
mod overrides;
mod sections;

use std::path::Path;

use super::{Config, ConfigError, Overrides};

fn none(_: &str) -> Option<String> {
    None
}

fn read_with(text: &str, overrides: &Overrides) -> Result<Config, ConfigError> {
    Config::from_text(text, Path::new("trueup.toml"), overrides, &none)
}

fn read(text: &str) -> Result<Config, ConfigError> {
    read_with(text, &Overrides::default())
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    assert_eq!(read(text).unwrap_err().to_string(), expected);
}

fn set(assignments: &[&str]) -> Overrides {
    let set = assignments.iter().map(|text| (*text).to_owned()).collect();
    Overrides {
        set,
        ..Overrides::default()
    }
}
