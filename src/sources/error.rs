//! What stops a source: errors of a whole file or folder. A bad row is a `Reject`, never an error.
//!
//! Messages are fragments that read after "failed to"; causes are kept as `source`. The errors are
//! `Clone` because a reader both sends its error down the channel and returns it.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;

/// Why a source could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SourceError {
    /// The folder could not be listed.
    #[error("list the files of `{name}` under `{root}`")]
    List {
        /// The configured connection.
        name: String,
        /// The folder.
        root: String,
        /// What the store said.
        source: Arc<object_store::Error>,
    },
    /// The folder does not exist or holds nothing.
    #[error("find any file of `{name}` under `{root}`: the folder is missing or empty")]
    Empty {
        /// The configured connection.
        name: String,
        /// The folder.
        root: String,
    },
    /// A table's file pattern is not a glob.
    #[error("understand the file pattern `{pattern}` of `{name}`, table {table}")]
    Pattern {
        /// The configured connection.
        name: String,
        /// The mapped table.
        table: String,
        /// The pattern as configured.
        pattern: String,
        /// What is wrong with it.
        source: Arc<globset::Error>,
    },
    /// The store refused to hand out a file.
    #[error("open {file}")]
    Open {
        /// The file.
        file: String,
        /// What the store said.
        source: Arc<object_store::Error>,
    },
    /// A file broke off or is not what its name says.
    #[error("read {file}")]
    Read {
        /// The file.
        file: String,
        /// The cause.
        source: Arc<std::io::Error>,
    },
    /// A Parquet file could not be decoded, or Arrow refused a conversion.
    #[error("decode {place}")]
    Decode {
        /// The file, or the row where the batch starts.
        place: String,
        /// The cause.
        source: Arc<ArrowError>,
    },
    /// A CSV file without a header line.
    #[error("read {file}: there is no header line")]
    NoHeader {
        /// The file.
        file: String,
    },
    /// A CSV header that is not UTF-8 or not well-formed.
    #[error("read {file}: the header line {reason}")]
    BadHeader {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A CSV header that names a column twice.
    #[error("read {file}: the header names `{column}` twice")]
    RepeatedColumn {
        /// The file.
        file: String,
        /// The repeated name.
        column: String,
    },
    /// None of the header's names is a column of the table.
    #[error(
        "read {file}: none of its columns ({found}) is a column of {table}; \
         fields are separated by commas, and another layout is mapped with SQL"
    )]
    ForeignHeader {
        /// The file.
        file: String,
        /// The table it was read for.
        table: String,
        /// The header as read.
        found: String,
    },
    /// A float where an exact number is needed.
    #[error(
        "read column `{column}` at {place}: {found} cannot hold an exact decimal; \
         cast it in the table's SQL, as in CAST({column} AS DECIMAL(38, 12))"
    )]
    Float {
        /// The file and row, or the connection.
        place: String,
        /// The column.
        column: String,
        /// Its type.
        found: DataType,
    },
    /// A column of a type that has no meaning for the canonical column.
    #[error("read column `{column}` at {place}: {found} cannot become {wanted}; cast it in SQL")]
    WrongType {
        /// The file and row, or the connection.
        place: String,
        /// The column.
        column: String,
        /// Its type.
        found: DataType,
        /// The canonical type.
        wanted: DataType,
    },
    /// A nested tier column with a field that no tier has.
    #[error("read column `{column}` at {place}: a tier has no `{key}`")]
    UnknownTierField {
        /// The file and row, or the connection.
        place: String,
        /// The column.
        column: String,
        /// The unknown field.
        key: String,
    },
    /// The reading task ended abnormally.
    #[error("finish reading {file}")]
    Task {
        /// The file.
        file: String,
        /// What the runtime said.
        source: Arc<tokio::task::JoinError>,
    },
    /// Nobody takes the rows any more.
    #[error("hand on the rows of {file}: the receiver has gone")]
    Stopped {
        /// The file.
        file: String,
    },
}
