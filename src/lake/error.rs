//! What can go wrong between trueup and its tables.

use deltalake::DeltaTableError;

/// A failure of the lake; every variant names the table or place it is about.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The URL's scheme is not one the build knows.
    #[error("cannot open `{url}`: {reason}")]
    Place {
        /// The URL as configured.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The object store refused or could not be built.
    #[error("cannot reach `{url}`")]
    Store {
        /// The URL as configured.
        url: String,
        /// What the store said.
        #[source]
        source: object_store::Error,
    },
    /// The store ignores conditional writes, so two runs could overwrite each other.
    #[error(
        "`{url}` ignores conditional writes (If-None-Match): two runs could lose each other's data"
    )]
    UnsafeStore {
        /// The URL as configured.
        url: String,
    },
    /// A table could not be opened or created.
    #[error("cannot open table {table}")]
    Open {
        /// The table.
        table: &'static str,
        /// What delta-rs said.
        #[source]
        source: Box<DeltaTableError>,
    },
    /// A table in the lake is not the one this version declares.
    #[error(
        "table {table} in the lake does not fit this version of trueup: {difference}; \
         point `lake.url` at another place, or migrate the table"
    )]
    Schema {
        /// The table.
        table: &'static str,
        /// The first difference.
        difference: String,
    },
    /// A commit failed.
    #[error("cannot commit to table {table}")]
    Commit {
        /// The table.
        table: &'static str,
        /// What delta-rs said.
        #[source]
        source: Box<DeltaTableError>,
    },
    /// Other writers kept winning.
    #[error("table {table} was changed by others {attempts} times while this run tried to commit")]
    Contended {
        /// The table.
        table: &'static str,
        /// How often it was tried.
        attempts: u32,
    },
    /// A partition value is missing, which would make the table unreadable.
    #[error(
        "refusing to write {rows} row(s) of {table} without a value in partition column {column}"
    )]
    EmptyPartition {
        /// The table.
        table: &'static str,
        /// The partition column.
        column: &'static str,
        /// How many rows.
        rows: usize,
    },
    /// A query over the table failed.
    #[error("cannot read table {table}")]
    Read {
        /// The table.
        table: &'static str,
        /// What the engine said.
        #[source]
        source: Box<datafusion::error::DataFusionError>,
    },
    /// Rows could not be brought into the table's shape.
    #[error("rows do not have the shape of table {table}")]
    Shape {
        /// The table.
        table: &'static str,
        /// What Arrow said.
        #[source]
        source: datafusion::arrow::error::ArrowError,
    },
}

impl LakeError {
    pub(crate) fn read(table: &'static str) -> impl Fn(datafusion::error::DataFusionError) -> Self {
        move |source| Self::Read {
            table,
            source: Box::new(source),
        }
    }

    pub(crate) fn shape(
        table: &'static str,
    ) -> impl Fn(datafusion::arrow::error::ArrowError) -> Self {
        move |source| Self::Shape { table, source }
    }

    pub(crate) fn open(table: &'static str) -> impl Fn(DeltaTableError) -> Self {
        move |source| Self::Open {
            table,
            source: Box::new(source),
        }
    }
}
