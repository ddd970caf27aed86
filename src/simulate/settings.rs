//! The configuration with which a world is judged, and the files around it.

use std::path::Path;

use super::catalogue::{EVENTS, SOURCES};
use super::error::SimulateError;
use super::sink::lacking;
use super::time::stamp;
use super::world::World;

/// What other currencies are worth in the reporting currency.
pub(super) const RATES: [(&str, &str); 3] = [("EUR", "1.08"), ("JPY", "0.0064"), ("KWD", "3.25")];

const PLATFORMS: [&str; 4] = ["zuora", "stripe", "chargebee", "metering"];

/// Writes `trueup.toml`.
pub(super) fn write(folder: &Path, world: &World) -> Result<(), SimulateError> {
    let path = folder.join("trueup.toml");
    let done = std::fs::write(&path, text(world));
    done.map_err(|source| SimulateError::Write { path, source })
}

fn text(world: &World) -> String {
    let rates: Vec<String> = RATES
        .iter()
        .map(|(currency, rate)| format!("{currency} = \"{rate}\""))
        .collect();
    let mut text = format!(
        "# A simulated world of {} months, seed {}. What is wrong in it: labels.jsonl.\n\
         as_of = \"{}\"\n\n\
         [lake]\nurl = \"./lake\"\n\n\
         [reporting]\ncurrency = \"USD\"\n\
         rates = {{ {} }}\n",
        world.timeline.months,
        world.seed,
        stamp(world.timeline.as_of),
        rates.join(", "),
    );
    for (source, name) in SOURCES.iter().enumerate() {
        let role = if source == EVENTS {
            "metering"
        } else {
            "billing"
        };
        let without: Vec<String> = lacking(source)
            .iter()
            .map(|table| format!("\"{table}\""))
            .collect();
        text.push_str(&format!(
            "\n[[sources]]\nname = \"{name}\"\nkind = \"files\"\nrole = \"{role}\"\n\
             platform = \"{}\"\npath = \"data/{name}/\"\nwithout = [{}]\n",
            PLATFORMS[source],
            without.join(", "),
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_configured_with_what_it_lacks() {
        let text = text(&World::new(5, 3));
        assert!(text.contains("as_of = \"2026-06-03T06:00:00Z\""));
        assert!(text.contains("name = \"sim-zuora\""));
        assert!(text.contains("rates = { EUR = \"1.08\", JPY = "));
        assert!(text.contains("without = [\"bill_runs\", \"entity_links\"]"));
        assert_eq!(text.matches("role = \"billing\"").count(), 3);
        assert_eq!(text.matches("role = \"metering\"").count(), 1);
    }
}
