//! `trueup init`: a commented configuration to start from.

use std::path::PathBuf;

use super::args::{Global, InitArgs};
use super::output::say;
use super::{Exit, Failure};
use crate::config::{DEFAULT_FILE, InitSource, init_template};

pub(super) fn init(global: &Global, args: &InitArgs) -> Result<Exit, Failure> {
    let sources: Vec<InitSource> = args
        .sources
        .iter()
        .map(|text| InitSource::parse(text).map_err(|error| Failure::of(Exit::Usage, &error)))
        .collect::<Result<_, _>>()?;
    let path = PathBuf::from(global.config.as_deref().unwrap_or(DEFAULT_FILE));
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    // Refused by the file system itself, so that two at once cannot overwrite each other.
    let options = if args.force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let written = options.open(&path).and_then(|mut file| {
        std::io::Write::write_all(&mut file, init_template(&sources).as_bytes())
    });
    match written {
        Ok(()) => {
            let path = path.display();
            say(&format!("wrote {path}; next: trueup run --config {path}"));
            Ok(Exit::Done)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(Failure::new(
            Exit::Usage,
            format!("{} is there already; --force overwrites it", path.display()),
        )),
        Err(error) => Err(Failure::new(
            Exit::Usage,
            format!("{}: {error}", path.display()),
        )),
    }
}
