//! What a table's log remembers of the commits made to it: whose, in which run, under which number.
//!
//! This file only reads; what it reads is written with the commit itself.

use deltalake::DeltaTable;
use deltalake::kernel::CommitInfo;
use futures::TryStreamExt;
use serde_json::Value;

use super::Writer;
use crate::lake::{Lake, LakeError, TableDef};

// The keys under which a commit records its origin and its size.
pub(super) const RUN_ID: &str = "trueup.run_id";
pub(super) const MARK: &str = "trueup.mark";
pub(super) const WRITER: &str = "trueup.writer";
pub(super) const ROWS: &str = "trueup.rows";

/// The number of the writer's last commit to the table.
pub async fn last_number(
    def: &'static TableDef,
    table: &DeltaTable,
    writer: &str,
) -> Result<Option<i64>, LakeError> {
    transaction(def, table, &application(writer)).await
}

/// The application under which the log counts the commits of a writer.
pub(super) fn application(writer: &str) -> String {
    format!("trueup:{writer}")
}

/// The number of the last commit under an application.
pub(super) async fn transaction(
    def: &'static TableDef,
    table: &DeltaTable,
    app: &str,
) -> Result<Option<i64>, LakeError> {
    let snapshot = table.snapshot().map_err(LakeError::open(def.name))?;
    let version = snapshot
        .transaction_version(table.log_store().as_ref(), app)
        .await;
    version.map_err(LakeError::open(def.name))
}

/// Rows that commits of this writer in this run brought into the table, as its log remembers them:
/// what a run that was killed had done before a second attempt finished it.
pub async fn rows_committed(
    def: &'static TableDef,
    table: &DeltaTable,
    writer: &Writer<'_>,
) -> Result<u64, LakeError> {
    let history: Vec<_> = table
        .history(Some(200))
        .try_collect()
        .await
        .map_err(LakeError::open(def.name))?;
    let text = |info: &CommitInfo, key: &str| {
        info.info
            .get(key)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let ours = history.iter().filter(|info| {
        text(info, RUN_ID).as_deref() == Some(writer.run_id)
            && text(info, WRITER).as_deref() == Some(writer.name.as_str())
    });
    Ok(ours.filter_map(|info| info.info.get(ROWS)?.as_u64()).sum())
}

/// The version of our commit, if it is in the log after all.
pub(super) async fn in_log(
    lake: &Lake,
    def: &'static TableDef,
    app: &str,
    number: i64,
    mark: &str,
) -> Result<Option<u64>, LakeError> {
    let table = lake.table(def).await?;
    if transaction(def, &table, app)
        .await?
        .is_none_or(|last| last < number)
    {
        return Ok(None);
    }
    let newest = table.version().unwrap_or(0);
    let history: Vec<_> = table
        .history(Some(50))
        .try_collect()
        .await
        .map_err(LakeError::open(def.name))?;
    let ours = |info: &CommitInfo| info.info.get(MARK).and_then(Value::as_str) == Some(mark);
    Ok(history
        .iter()
        .position(ours)
        .map(|back| newest.saturating_sub(back as u64)))
}
