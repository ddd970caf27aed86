//! Which file is read, and what is said or done where there is none.

use std::fs;

use super::{none, set};
use crate::config::{Config, ConfigError, Overrides, Place, Problem};

#[test]
fn the_file_is_the_argument_else_the_flag_else_the_variable() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let file = folder.path().join(name);
        fs::write(&file, format!("[reporting]\ncurrency = '{name}'\n")).unwrap();
        file
    };
    let (by_path, by_flag, by_variable) = (file("USD"), file("EUR"), file("JPY"));
    let variable = by_variable.to_string_lossy().into_owned();
    let env = |name: &str| (name == "TRUEUP_CONFIG").then(|| variable.clone());
    let flag = Overrides {
        config: Some(by_flag),
        ..Overrides::default()
    };
    let currency = |path, overrides: &Overrides| {
        Config::load(path, overrides, &env)
            .unwrap()
            .reporting
            .currency
    };
    assert_eq!(currency(Some(by_path.as_path()), &flag), "USD");
    assert_eq!(currency(None, &flag), "EUR");
    assert_eq!(currency(None, &Overrides::default()), "JPY");
}

#[test]
fn an_absent_file_is_an_error_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent.toml");
    let error = Config::load(Some(&absent), &Overrides::default(), &none).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{}: the configuration cannot be read", absent.display())
    );
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(
        ConfigError::new(&Place::Nowhere, "", Problem::NoFile).to_string(),
        "no configuration file: looked for ./trueup.toml; \
         write one with `trueup init`, or name one with `--config FILE`"
    );
}

#[test]
fn without_a_file_the_command_line_is_enough() {
    let config = Config::without_file(&set(&["lake.url=memory:"]), &none).unwrap();
    assert_eq!(
        (config.file, config.lake.url.as_str()),
        (None, "memory:///")
    );
}
