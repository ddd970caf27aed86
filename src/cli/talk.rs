//! How errors, notes and log lines reach stderr: all by way of the log, so that its level and its
//! form hold for all of them. As text, what is said to people is the bare sentence; as JSON it is an
//! event like the others.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::args::{Color, Global, LogFormat};
use super::output::use_colour;

/// The target of what is said to people.
pub(super) const TALK: &str = "talk";

/// Starts the log as the options say.
pub(super) fn start_log(global: &Global) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        // What is said to people is said without being asked for.
        (_, 0) => "error,trueup=warn,talk=info",
        (_, 1) => "error,trueup=info,talk=info",
        (_, 2) => "warn,trueup=debug,talk=info",
        _ => "debug",
    };
    start(level, global.log_format, global.color);
}

/// Starts a log for errors about the options themselves.
pub(super) fn start_errors(format: LogFormat) {
    start("error", format, Color::Never);
}

fn start(level: &str, format: LogFormat, color: Color) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(level))
        .with_writer(std::io::stderr)
        .with_ansi(use_colour(color));
    // A second call in the same process keeps the first log.
    let _ = match format {
        LogFormat::Text => builder
            .event_format(Sentences(Format::default()))
            .try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

/// Events as log lines, but what is said to people as the sentence that it is.
struct Sentences(Format);

impl<S, N> FormatEvent<S, N> for Sentences
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        if metadata.target() != TALK {
            return self.0.format_event(context, writer, event);
        }
        let mut sentence = Sentence::default();
        event.record(&mut sentence);
        // Who complains is only of interest among the messages of other programs.
        let speaker = match *metadata.level() {
            Level::ERROR | Level::WARN => "trueup: ",
            _ => "",
        };
        writeln!(writer, "{speaker}{}", sentence.0)
    }
}

/// The message of an event.
#[derive(Default)]
struct Sentence(String);

impl Visit for Sentence {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            // Writing to a string cannot fail.
            let _ = write!(self.0, "{value:?}");
        }
    }
}
