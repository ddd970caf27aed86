//! When a rule is due. The clock is the caller's: every question takes the time as an argument.

use std::time::Duration;

use chrono::{DateTime, NaiveTime, Timelike, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds};

use crate::model::span::parse_span;

/// When a rule is due, in UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Each time a span has passed, counted from 1970-01-01T00:00Z so that runs stay aligned.
    Every(Duration),
    /// At the times of a cron expression.
    Cron(Box<Cron>),
}

/// A text that is not a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a schedule: write `every 15 minutes`, `hourly`, `daily at 02:00` \
     or a cron expression of five fields"
)]
pub struct ScheduleError {
    text: String,
}

impl Schedule {
    /// Reads `every N minutes`, `hourly`, `daily at HH:MM` or a cron expression of five fields.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let trimmed = text.trim();
        let parsed = if let Some(span) = trimmed.strip_prefix("every ") {
            every(span)
        } else if trimmed == "hourly" {
            cron("0 * * * *")
        } else if let Some(time) = trimmed.strip_prefix("daily at ") {
            daily(time)
        } else {
            cron(trimmed)
        };
        parsed.ok_or_else(|| ScheduleError {
            text: text.to_owned(),
        })
    }

    /// The latest time at or before `at` for which a run is due.
    pub fn last_due(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let second = at.timestamp();
        match self {
            Self::Every(span) => {
                let step = i64::try_from(span.as_secs())
                    .ok()
                    .filter(|step| *step > 0)?;
                DateTime::from_timestamp(second - second.rem_euclid(step), 0)
            }
            Self::Cron(cron) => {
                let whole = DateTime::<Utc>::from_timestamp(second, 0)?;
                cron.find_previous_occurrence(&whole, true).ok()
            }
        }
    }

    /// Whether a run is due at `as_of` when the last one was at `last_run`; the first always is.
    pub fn is_due(&self, last_run: Option<DateTime<Utc>>, as_of: DateTime<Utc>) -> bool {
        match (last_run, self.last_due(as_of)) {
            (None, _) => true,
            (Some(ran), Some(due)) => ran < due,
            (Some(_), None) => false,
        }
    }
}

/// Whole minutes only: nothing looks at a schedule more often.
fn every(text: &str) -> Option<Schedule> {
    let span = parse_span(text).ok()?;
    let whole = span.as_secs() >= 60 && span.as_secs().is_multiple_of(60);
    (whole && span.subsec_nanos() == 0).then_some(Schedule::Every(span))
}

fn daily(text: &str) -> Option<Schedule> {
    let time = NaiveTime::parse_from_str(text.trim(), "%H:%M").ok()?;
    cron(&format!("{} {} * * *", time.minute(), time.hour()))
}

fn cron(text: &str) -> Option<Schedule> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).build();
    parser
        .parse(text)
        .ok()
        .map(|cron| Schedule::Cron(Box::new(cron)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn last_due(schedule: &str, at: &str) -> String {
        let due = Schedule::parse(schedule)
            .unwrap()
            .last_due(time(at))
            .unwrap();
        due.format("%FT%TZ").to_string()
    }

    #[test]
    fn finds_the_time_that_was_due_last() {
        assert_eq!(
            last_due("hourly", "2026-03-04T12:34:56Z"),
            "2026-03-04T12:00:00Z"
        );
        assert_eq!(
            last_due("every 15 minutes", "2026-03-04T12:34:56Z"),
            "2026-03-04T12:30:00Z"
        );
        assert_eq!(
            last_due("daily at 02:00", "2026-03-04T01:59:59Z"),
            "2026-03-03T02:00:00Z"
        );
        assert_eq!(
            last_due("daily at 02:00", "2026-03-04T02:00:00Z"),
            "2026-03-04T02:00:00Z"
        );
        assert_eq!(
            last_due("30 6 1 * *", "2026-03-04T12:00:00Z"),
            "2026-03-01T06:30:00Z"
        );
    }

    #[test]
    fn is_due_once_per_time() {
        let hourly = Schedule::parse("hourly").unwrap();
        let now = time("2026-03-04T12:34:00Z");
        assert!(hourly.is_due(None, now));
        assert!(hourly.is_due(Some(time("2026-03-04T11:59:00Z")), now));
        assert!(!hourly.is_due(Some(time("2026-03-04T12:00:00Z")), now));
    }

    #[test]
    fn refuses_what_nobody_can_follow() {
        let wrong = [
            "",
            "sometimes",
            "every 10 seconds",
            "every now",
            "daily at 25:00",
            "* * * *",
        ];
        for text in wrong {
            assert!(Schedule::parse(text).is_err(), "{text}");
        }
    }
}
