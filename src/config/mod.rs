//! Configuration: from `trueup.toml`, the environment and the command line to checked settings.
//!
//! Four passes, each with its own file, and errors surface at the earliest one:
//!
//! 1. `parse` turns TOML text into a tree whose every value knows where it was written;
//! 2. `overrides` lays the environment and the command line over that tree, before any default exists;
//! 3. `raw` takes optional fields of the right type out of it and refuses every key nobody asked for;
//! 4. `resolve` checks values, anchors paths and fills the defaults, once.
//!
//! Nothing is ever ignored: a key is used, or it is an error that names the file, the line and the
//! nearest valid key. This is also the only module that reads the environment. It opens no lake and
//! no source: whether those can be reached is for their own layers to find out.

mod columns;
mod environment;
mod error;
mod hash;
mod location;
mod overrides;
mod parse;
mod raw;
mod resolve;
mod section;
mod settings;
mod template;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use columns::canonical_columns;
pub use environment::environment;
pub use error::{ConfigError, Place, Position, Problem};
pub use overrides::Overrides;
pub use settings::{
    CANONICAL_TABLES, Config, Engine, LakeConfig, Reporting, Role, RuleOverride, Rules, Source,
    SourceKind, Suppression, TableMapping,
};
pub use template::{InitSource, init_template};

/// The file that is read where none is named.
pub const DEFAULT_FILE: &str = "trueup.toml";

/// The variable that names the configuration file.
pub const CONFIG_VARIABLE: &str = "TRUEUP_CONFIG";

/// The variable that says where the lake is.
pub const LAKE_VARIABLE: &str = "TRUEUP_LAKE_URL";

impl Config {
    /// Reads the configuration: of `path`, else the file that the overrides name, else the one that
    /// `TRUEUP_CONFIG` names, else `./trueup.toml`.
    ///
    /// # Errors
    /// Where the file is absent or unreadable, or holds anything that is not a valid setting.
    pub fn load(
        path: Option<&Path>,
        overrides: &Overrides,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let named = path
            .or(overrides.config.as_deref())
            .map(Path::to_path_buf)
            .or_else(|| {
                env(CONFIG_VARIABLE)
                    .filter(|name| !name.is_empty())
                    .map(PathBuf::from)
            });
        let is_named = named.is_some();
        let file = named.unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        match fs::read_to_string(&file) {
            Ok(text) => Self::from_text(&text, &file, overrides, env),
            Err(error) if !is_named && error.kind() == io::ErrorKind::NotFound => {
                Err(ConfigError::new(&Place::Nowhere, "", Problem::NoFile))
            }
            Err(error) => {
                let place = Place::File {
                    path: file,
                    at: None,
                };
                Err(ConfigError::new(&place, "", Problem::Unreadable(error)))
            }
        }
    }

    /// The configuration of a command that needs no file: defaults, the environment and the command
    /// line. It has no sources, so it must not serve a command that judges them.
    ///
    /// # Errors
    /// Where an override is not a valid setting.
    pub fn without_file(
        overrides: &Overrides,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut tree = parse::Table::new();
        overrides::apply(&mut tree, overrides, env)?;
        resolve::resolve(raw::read(tree, Place::Nowhere)?, None)
    }

    fn from_text(
        text: &str,
        file: &Path,
        overrides: &Overrides,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut tree = parse::document(text, file)?;
        overrides::apply(&mut tree, overrides, env)?;
        let whole = Place::File {
            path: file.to_path_buf(),
            at: None,
        };
        resolve::resolve(raw::read(tree, whole)?, Some(file.to_path_buf()))
    }
}

#[cfg(test)]
mod tests;
