//! Printing: data to stdout, talk to stderr by way of the log. A reader that goes away is no error.

use std::io::{IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::Value;

use super::args::{Color, Format, Global};
use super::talk::TALK;
use super::{Exit, Failure};

/// Says to stderr why a command could not do its work.
pub(super) fn complain(text: &str) {
    tracing::error!(target: TALK, "{text}");
}

/// Says to stderr what a person should know; a quiet command keeps it to itself.
pub(super) fn caution(text: &str) {
    tracing::warn!(target: TALK, "{text}");
}

/// Says something to a person on stderr; a quiet command keeps it to itself.
pub(super) fn say(text: &str) {
    tracing::info!(target: TALK, "{text}");
}

/// Writes text to stdout.
pub(super) fn write(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let result = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::internal(error))
        }
        _ => Ok(()),
    }
}

/// The format asked for, else a table on a terminal and JSON lines elsewhere.
pub(super) fn format(global: &Global) -> Format {
    let fallback = if std::io::stdout().is_terminal() {
        Format::Table
    } else {
        Format::Json
    };
    global.format.unwrap_or(fallback)
}

pub(super) fn use_colour(color: Color) -> bool {
    match color {
        Color::Always => true,
        Color::Auto => std::io::stderr().is_terminal(),
        Color::Never => false,
    }
}

/// Rows under headings for people; the same values as JSON lines or CSV for programs.
pub(super) fn rows<T: Serialize>(
    global: &Global,
    headings: &[&str],
    values: &[T],
    cells: impl Fn(&T) -> Vec<String>,
) -> Result<(), Failure> {
    match format(global) {
        Format::Table => write(&format!("{}\n", table(headings, values.iter().map(cells)))),
        Format::Json => {
            let lines: Result<String, _> = values
                .iter()
                .map(|value| serde_json::to_string(value).map(|line| line + "\n"))
                .collect();
            write(&lines.map_err(Failure::internal)?)
        }
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            let header = writer.write_record(headings);
            header.map_err(Failure::internal)?;
            for value in values {
                writer
                    .write_record(cells(value))
                    .map_err(Failure::internal)?;
            }
            let bytes = writer
                .into_inner()
                .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
            write(&String::from_utf8_lossy(&bytes))
        }
    }
}

/// A JSON value as a cell: text as it is, money by currency as `12.5 USD`, lists item after item.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join("; "),
        Value::Object(money) => {
            let amounts = money
                .iter()
                .map(|(currency, amount)| format!("{} {currency}", cell(amount)));
            amounts.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// A table for people.
pub(super) fn table(headings: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(headings);
    for row in rows {
        table.add_row(row);
    }
    table
}
