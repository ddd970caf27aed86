//! Spans of time as people write them: `45 days`, `26 hours`, `6h`.

use std::time::Duration;

/// A text that is not a span of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a span of time such as `45 days` or `6h`")]
pub struct SpanError {
    text: String,
}

/// Reads a span such as `45 days`, `1 day 12 hours` or `6h`.
pub fn parse_span(text: &str) -> Result<Duration, SpanError> {
    humantime::parse_duration(text.trim()).map_err(|_| SpanError {
        text: text.to_owned(),
    })
}

/// A span in its largest whole unit: `45 days`, `26 hours`.
pub fn format_span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (count, unit) = match seconds {
        0 => (0, "second"),
        _ if seconds.is_multiple_of(86_400) => (seconds / 86_400, "day"),
        _ if seconds.is_multiple_of(3_600) => (seconds / 3_600, "hour"),
        _ if seconds.is_multiple_of(60) => (seconds / 60, "minute"),
        _ => (seconds, "second"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        assert_eq!(parse_span("45 days").unwrap().as_secs(), 45 * 86_400);
        assert_eq!(parse_span("6h").unwrap().as_secs(), 6 * 3_600);
        assert_eq!(parse_span("1 day 12 hours").unwrap().as_secs(), 36 * 3_600);
        assert!(parse_span("soon").is_err());
    }

    #[test]
    fn writes_the_largest_whole_unit() {
        for text in [
            "45 days",
            "1 day",
            "26 hours",
            "90 minutes",
            "0 seconds",
            "61 seconds",
        ] {
            assert_eq!(format_span(parse_span(text).unwrap()), text);
        }
    }
}
