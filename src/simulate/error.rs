//! Why a world could not be made.

use std::io;
use std::path::PathBuf;

use datafusion::arrow::error::ArrowError;
use datafusion::parquet::errors::ParquetError;

/// Why a world could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The folder holds a world already.
    #[error("{} holds a world already: name a new folder", .path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// A fault of that name is not known.
    #[error("no fault is called `{name}`{hint}")]
    UnknownFault {
        /// The name as given.
        name: String,
        /// The nearest known one, in words.
        hint: String,
    },
    /// A file or folder could not be made or written.
    #[error("cannot write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A Parquet file refused its rows.
    #[error("cannot write rows to {}", .path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ParquetError,
    },
    /// Columns do not make a batch.
    #[error("columns of {table} do not fit together")]
    Batch {
        /// The table.
        table: &'static str,
        /// Why.
        #[source]
        source: ArrowError,
    },
    /// A cell is not of its column's kind.
    #[error("a cell of {table} does not fit its column {column}")]
    Cell {
        /// The table.
        table: &'static str,
        /// The column's place.
        column: usize,
    },
    /// A label could not be put into JSON.
    #[error("cannot write a label")]
    Label(#[source] serde_json::Error),
}
