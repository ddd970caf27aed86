//! Derived tables: the daily rollup of usage, and the records that repeat one another.
//!
//! Only the days whose records changed are rebuilt, plus the days whose records turn out to repeat
//! (or no longer repeat) a record of a changed day:
//! ```text
//! changed days ─► key hashes ─► hashes met twice ─► verified repeats ─► affected days ─► rollup
//!                 (usage_keys)   here or elsewhere   (usage_duplicates)                (usage_daily)
//! ```
//! Every table remembers, as its transaction number, the version of `usage_records` it was built from.
//! A day that cannot be rolled up for one source is left out for that source alone, and the rollup
//! stays one of the older version: the next refresh takes up every day that changed since.

mod daily;
mod days;
mod keys;
mod repeats;

use std::collections::{BTreeMap, BTreeSet};

use datafusion::error::DataFusionError;
use deltalake::DeltaTable;

use crate::lake::{
    Change, Lake, LakeError, TableDef, Writer, changed_partitions, commit, last_number, table,
};
use crate::session::{Pinned, Sessions};

pub use days::Day;
use keys::{DayKeys, KeySet};

/// Name of the writer whose transaction number is the version built from, plus one.
const WRITER: &str = "derive";
/// Name of the writer of all groups of days but the last.
const PART: &str = "derive-part";

/// What a refresh rebuilt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// Days whose usage records changed since the last refresh.
    pub days_changed: usize,
    /// Days that were rolled up again.
    pub days_rebuilt: usize,
    /// Records on those days that repeat an earlier one.
    pub duplicates: usize,
    /// Sources with a day that could not be rolled up, and why. Their rollup lacks that day and is
    /// not to be judged on; every refresh tries it again.
    pub failed: BTreeMap<String, String>,
}

/// A failure to rebuild a derived table.
#[derive(Debug, thiserror::Error)]
pub enum DeriveError {
    /// A table could not be read or committed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A query over the usage of one or more days failed.
    #[error("cannot roll up usage: {what}")]
    Query {
        /// Which step.
        what: String,
        /// What the engine said.
        #[source]
        source: Box<DataFusionError>,
    },
    /// The lake lacks a table this version declares.
    #[error("table {0} is not declared")]
    Undeclared(&'static str),
}

impl DeriveError {
    fn query(what: impl Into<String>) -> impl FnOnce(DataFusionError) -> Self {
        let what = what.into();
        move |source| Self::Query {
            what,
            source: Box::new(source),
        }
    }
}

struct Tables {
    usage: &'static TableDef,
    keys: &'static TableDef,
    duplicates: &'static TableDef,
    daily: &'static TableDef,
}

/// Brings the derived tables up to the newest version of `usage_records`.
pub async fn refresh(
    lake: &Lake,
    sessions: &Sessions,
    run_id: &str,
) -> Result<Refreshed, DeriveError> {
    let declared = |name: &'static str| table(name).ok_or(DeriveError::Undeclared(name));
    let tables = Tables {
        usage: declared("usage_records")?,
        keys: declared("usage_keys")?,
        duplicates: declared("usage_duplicates")?,
        daily: declared("usage_daily")?,
    };
    let Some(source) = lake.existing(tables.usage).await? else {
        return Ok(Refreshed::default());
    };
    let version = source.version().unwrap_or(0);
    let built = built_from(lake, &tables).await?;
    if built == Some(version) {
        return Ok(Refreshed::default());
    }
    let ctx = sessions.session();
    let defs = [tables.usage, tables.keys, tables.duplicates, tables.daily];
    let pinned = Pinned::new(lake, &ctx, defs).await?;
    if pinned.versions().get(tables.usage.name) != Some(&version) {
        tracing::debug!(
            "usage_records moved on while its rollup was planned; the next run takes it up"
        );
    }
    pinned
        .register(&ctx)
        .map_err(DeriveError::query("register tables"))?;

    let present = days::all(&ctx, "usage_records").await?;
    let changed = match built {
        Some(built) => changed_days(&tables, &source, built).await?,
        None => None,
    };
    let full = changed.is_none();
    let changed = match changed {
        Some(days) => days,
        // A full build also clears days that only the old rollup knows.
        None => present
            .union(&days::all(&ctx, "usage_daily").await?)
            .copied()
            .collect(),
    };
    if changed.is_empty() {
        return Ok(Refreshed::default());
    }
    tracing::info!(days = changed.len(), full, "rolling up usage");

    let new_keys = keys::of_days(sessions, &pinned, &changed).await?;
    let elsewhere = if full { None } else { Some((&ctx, &changed)) };
    let suspects = suspects(elsewhere, &new_keys).await?;
    let repeats = repeats::find(&ctx, &changed, full, &new_keys, suspects).await?;
    let affected: BTreeSet<Day> = changed.union(&repeats.affected).copied().collect();

    let number = i64::try_from(version).unwrap_or(i64::MAX - 1) + 1;
    let last = Writer {
        name: WRITER.to_owned(),
        run_id,
        number: Some(number),
    };
    let part = Writer::new(PART, run_id);
    keys::write(lake, &ctx, tables.keys, &new_keys, &part, &last).await?;
    let rows = repeats.rows.clone();
    replace(lake, &ctx, tables.duplicates, &last, &affected, rows).await?;
    let failed = daily::rebuild(
        lake,
        sessions,
        &pinned,
        tables.daily,
        &affected,
        &repeats,
        (&part, &last),
    )
    .await?;
    Ok(Refreshed {
        days_changed: changed.len(),
        days_rebuilt: affected.len(),
        duplicates: repeats.count(),
        failed,
    })
}

/// The version of `usage_records` that all derived tables are built from; `None` if any never was.
async fn built_from(lake: &Lake, tables: &Tables) -> Result<Option<u64>, DeriveError> {
    let mut oldest = u64::MAX;
    for def in [tables.keys, tables.duplicates, tables.daily] {
        let Some(table) = lake.existing(def).await? else {
            return Ok(None);
        };
        match last_number(def, &table, WRITER).await? {
            Some(number) => oldest = oldest.min(u64::try_from(number - 1).unwrap_or(0)),
            None => return Ok(None),
        }
    }
    Ok(Some(oldest))
}

async fn changed_days(
    tables: &Tables,
    source: &DeltaTable,
    built: u64,
) -> Result<Option<BTreeSet<Day>>, DeriveError> {
    let partitions = changed_partitions(tables.usage, source, built).await?;
    Ok(partitions.and_then(|partitions| partitions.iter().map(|text| Day::parse(text)).collect()))
}

/// Hashes that occur more than once, among the changed days or between them and the others.
async fn suspects(
    elsewhere: Option<(&datafusion::prelude::SessionContext, &BTreeSet<Day>)>,
    new_keys: &DayKeys,
) -> Result<KeySet, DeriveError> {
    let mut suspects = keys::met_twice(new_keys);
    if let Some((ctx, changed)) = elsewhere {
        suspects.extend(keys::met_elsewhere(ctx, changed, new_keys).await?);
    }
    Ok(suspects)
}

/// Replaces the content of these days.
async fn replace(
    lake: &Lake,
    ctx: &datafusion::prelude::SessionContext,
    def: &'static TableDef,
    writer: &Writer<'_>,
    days: &BTreeSet<Day>,
    rows: Vec<datafusion::arrow::array::RecordBatch>,
) -> Result<(), DeriveError> {
    let predicate = Day::predicate(days);
    commit(lake, ctx, def, writer, async |_| {
        Ok(Some(Change::Replace {
            predicate: predicate.clone(),
            rows: rows.clone(),
        }))
    })
    .await?;
    Ok(())
}
