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

/// The shortest way to write a span.
pub fn format_span(span: Duration) -> String {
    humantime::format_duration(span).to_string()
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
}
