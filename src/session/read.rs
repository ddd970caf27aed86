//! A table of the lake read into typed rows, always in the same way and with the same errors.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;
use datafusion::error::{DataFusionError, Result as QueryResult};
use datafusion::prelude::SessionContext;
use serde::de::DeserializeOwned;

use super::{Parameters, Pinned, plan_read_only};
use crate::lake::{Lake, LakeError, TableDef, from_batches};

/// A failure to read a table.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The table could not be opened.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The query failed.
    #[error("cannot read table {table}")]
    Query {
        /// The table.
        table: &'static str,
        /// What the engine said.
        #[source]
        source: Box<DataFusionError>,
    },
    /// A row is not what this version expects of the table.
    #[error("table {table} holds rows that cannot be read")]
    Row {
        /// The table.
        table: &'static str,
        /// What Arrow said.
        #[source]
        source: ArrowError,
    },
}

/// What the query gives over the table's newest version; a table that does not exist yet is empty.
/// The session holds the table only as long as the query runs.
pub async fn rows<T: DeserializeOwned>(
    lake: &Lake,
    ctx: &SessionContext,
    def: &'static TableDef,
    sql: &str,
    parameters: &Parameters,
) -> Result<Vec<T>, ReadError> {
    let table = def.name;
    let failed = |source| ReadError::Query {
        table,
        source: Box::new(source),
    };
    let pinned = Pinned::new(lake, ctx, [def]).await?;
    pinned.register(ctx).map_err(failed)?;
    let batches = ask(ctx, sql, parameters).await;
    ctx.deregister_table(table).map_err(failed)?;
    let batches = batches.map_err(failed)?;
    from_batches(&batches).map_err(|source| ReadError::Row { table, source })
}

async fn ask(
    ctx: &SessionContext,
    sql: &str,
    parameters: &Parameters,
) -> QueryResult<Vec<RecordBatch>> {
    let query = plan_read_only(ctx, sql).await?;
    query
        .with_param_values(parameters.values())?
        .collect()
        .await
}
