//! The values that pass between a source and its caller.
//!
//! They carry no behaviour beyond naming things, so that every connector can share them.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;

/// The table that rows are decoded into.
#[derive(Clone, Debug)]
pub struct TableSpec {
    /// Name of the table.
    pub name: String,
    /// Its columns, `source` and `attributes` among them; a column that is not nullable is required.
    pub schema: SchemaRef,
    /// The columns that identify a row: required too.
    pub key: Vec<String>,
}

impl TableSpec {
    /// Whether a row without this column is refused.
    pub(super) fn requires(&self, column: &str, nullable: bool) -> bool {
        !nullable || self.key.iter().any(|key| key == column)
    }

    /// Whether an input column of this name is read into the table's own column: `source` and
    /// `usage_date` are filled by us, whatever the input says.
    pub(super) fn reads(&self, column: &str) -> bool {
        !matches!(column, "source" | "usage_date") && self.schema.index_of(column).is_ok()
    }
}

/// How a text file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As it is.
    None,
    /// gzip, one or several members.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// What kind of file it is, told from its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a header line.
    Csv(Compression),
    /// One JSON object per line.
    Jsonl(Compression),
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// The format that a file name stands for, if any.
    pub fn of(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let (stem, compression) = if let Some(stem) = name.strip_suffix(".gz") {
            (stem, Compression::Gzip)
        } else if let Some(stem) = name.strip_suffix(".zst") {
            (stem, Compression::Zstd)
        } else {
            (name.as_str(), Compression::None)
        };
        match stem.rsplit_once('.')?.1 {
            "csv" => Some(Self::Csv(compression)),
            "jsonl" | "ndjson" => Some(Self::Jsonl(compression)),
            "parquet" if compression == Compression::None => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// A file that holds rows of one table.
#[derive(Clone, Debug, PartialEq)]
pub struct InputFile {
    /// The table that its rows belong to.
    pub table: String,
    /// Its path as shown to people, relative to the source's path.
    pub path: String,
    /// Where the store keeps it.
    pub location: object_store::path::Path,
    /// Bytes.
    pub size: u64,
    /// Changes when the content does: the store's e-tag, else the time of last modification.
    pub version: String,
    /// How to read it.
    pub format: Format,
}

/// A batch of rows, and those that could not become one.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// Rows in the schema that was asked for.
    pub batch: RecordBatch,
    /// Where each of them stands.
    pub places: Places,
    /// Rows that were refused.
    pub rejects: Vec<Reject>,
    /// Input rows behind this value: rows of `batch` plus `rejects`.
    pub rows_read: u64,
    /// Columns of the input that the table does not have, under a name that is nearly that of one
    /// the input lacks: the name that is there → the one that may be meant.
    pub misspelt: BTreeMap<String, String>,
}

impl Decoded {
    /// Adds rows that were refused before those of this value.
    pub fn refuse(&mut self, mut rejects: Vec<Reject>) {
        self.rows_read += rejects.len() as u64;
        rejects.append(&mut self.rejects);
        self.rejects = rejects;
    }
}

/// Where the rows of a batch stand: of every row, so a line stays a number until it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Places {
    /// At these lines of the file that was read, in Parquet at these rows; counted from 1.
    Lines(Vec<u64>),
    /// Where the texts say.
    Texts(Vec<String>),
}

impl Places {
    /// The place of a row that was read from `file`; the file alone where there is no such row.
    pub fn of(&self, row: usize, file: &str) -> String {
        let place = match self {
            Self::Lines(lines) => lines.get(row).map(|line| format!("{file}:{line}")),
            Self::Texts(texts) => texts.get(row).cloned(),
        };
        place.unwrap_or_else(|| file.to_owned())
    }

    /// Forgets the rows that are not kept.
    pub(super) fn retain(&mut self, is_kept: impl Fn(usize) -> bool) {
        let mut row = 0;
        let mut next = || {
            row += 1;
            is_kept(row - 1)
        };
        match self {
            Self::Lines(lines) => lines.retain(|_| next()),
            Self::Texts(texts) => texts.retain(|_| next()),
        }
    }
}

/// An input row that could not become a canonical row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Where it stands, such as `usage_records/2026-01-01.csv:17`.
    pub origin: String,
    /// The kind of problem: `missing_key`, `bad_number`, `bad_timestamp`, `bad_date`,
    /// `bad_boolean`, `bad_tiers`, `bad_period`, `unknown_value`, `bad_json` or `bad_row`.
    pub reason_code: String,
    /// The problem in words, naming the column.
    pub reason: String,
    /// The row as it came.
    pub raw: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_stay_with_their_rows() {
        let mut lines = Places::Lines(vec![2, 3, 5]);
        lines.retain(|row| row != 1);
        assert_eq!(lines, Places::Lines(vec![2, 5]));
        assert_eq!(lines.of(1, "a.csv"), "a.csv:5");
        assert_eq!(lines.of(2, "a.csv"), "a.csv");
        let texts = Places::Texts(vec!["b.csv:7".to_owned()]);
        assert_eq!(texts.of(0, "a.csv"), "b.csv:7");
    }

    #[test]
    fn a_format_is_told_from_the_name() {
        assert_eq!(Format::of("a.csv"), Some(Format::Csv(Compression::None)));
        assert_eq!(Format::of("A.CSV.GZ"), Some(Format::Csv(Compression::Gzip)));
        assert_eq!(
            Format::of("a.b.jsonl.zst"),
            Some(Format::Jsonl(Compression::Zstd))
        );
        assert_eq!(Format::of("a.parquet"), Some(Format::Parquet));
        assert_eq!(Format::of("a.parquet.gz"), None);
        assert_eq!(Format::of("readme.md"), None);
        assert_eq!(Format::of("csv"), None);
    }
}
