//! One run of trueup: the moment it judges, and its own clock that starts at that moment.

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

use super::identity::short_id;

/// One run: everything it writes bears its id.
#[derive(Clone, Debug)]
pub struct Run {
    /// The same moment, configuration and rules give the same id: the same run, tried again.
    pub id: String,
    /// What the run does: `run`, `detect`, `export`.
    pub kind: &'static str,
    /// The moment that is judged.
    pub as_of: DateTime<Utc>,
    /// SHA-256 of the settings that can change results.
    pub config_hash: String,
    /// SHA-256 of the rules.
    pub rules_hash: String,
    started: Instant,
}

impl Run {
    /// A run that judges `as_of`.
    pub fn new(
        kind: &'static str,
        as_of: DateTime<Utc>,
        config_hash: String,
        rules_hash: String,
    ) -> Self {
        let moment = as_of.to_rfc3339();
        let id = short_id("run", [kind, &moment, &config_hash, &rules_hash]);
        Self {
            id,
            kind,
            as_of,
            config_hash,
            rules_hash,
            started: Instant::now(),
        }
    }

    /// The same run over a part of the rules or sources: another run than the whole.
    pub fn of_part<'a>(self, part: impl IntoIterator<Item = &'a str>) -> Self {
        let parts: Vec<&str> = part.into_iter().collect();
        let id = short_id("run", [self.id.as_str(), &parts.join("/")]);
        Self { id, ..self }
    }

    /// The run's own time: `as_of` plus what has passed since the start.
    pub fn now(&self) -> DateTime<Utc> {
        let elapsed = TimeDelta::from_std(self.started.elapsed()).unwrap_or_default();
        self.as_of.checked_add_signed(elapsed).unwrap_or(self.as_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_moment_and_settings_are_the_same_run() {
        let run = |day: &str, config: &str| {
            Run::new(
                "run",
                day.parse().unwrap(),
                config.to_owned(),
                "rules".to_owned(),
            )
            .id
        };
        assert_eq!(
            run("2026-03-04T12:00:00Z", "a"),
            run("2026-03-04T12:00:00Z", "a")
        );
        assert_ne!(
            run("2026-03-04T12:00:00Z", "a"),
            run("2026-03-05T12:00:00Z", "a")
        );
        assert_ne!(
            run("2026-03-04T12:00:00Z", "a"),
            run("2026-03-04T12:00:00Z", "b")
        );
    }

    #[test]
    fn its_clock_starts_at_the_moment_it_judges() {
        let as_of = "2026-03-04T12:00:00Z".parse().unwrap();
        let run = Run::new("run", as_of, String::new(), String::new());
        assert!(run.now() >= as_of && run.now() < as_of + TimeDelta::hours(1));
    }
}
