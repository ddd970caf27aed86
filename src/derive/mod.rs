//! Derived tables: the daily rollup of usage, and the records that repeat one another.
//!
//! Only the days whose records changed are rebuilt, plus the days whose records turn out to repeat
//! (or no longer repeat) a record of a changed day:
//! ```text
//! changed days ─► key hashes ─► hashes met twice ─► verified repeats ─► affected days ─► rollup
//!                 (usage_keys)   here or elsewhere   (usage_duplicates)                (usage_daily)
//! ```
//! Every table remembers, as its transaction number, the version of `usage_records` it was built from.
//! A day that cannot be rolled up for one source is left out for that source alone, and the rollup's
//! number goes under a name that says so: until all is whole again, a refresh also takes up the days
//! on which the rollup lacks a source that has records, and no other day that did not change.

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
/// The same where the rollup lacks days of some sources.
const LACKING: &str = "derive-lacking";
/// Name of the writer of all groups of days but the last.
const PART: &str = "derive-part";

/// What a refresh rebuilt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// Days whose usage records changed since the last refresh, or that failed in it.
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

impl Tables {
    fn declared() -> Result<Self, DeriveError> {
        let declared = |name: &'static str| table(name).ok_or(DeriveError::Undeclared(name));
        Ok(Self {
            usage: declared("usage_records")?,
            keys: declared("usage_keys")?,
            duplicates: declared("usage_duplicates")?,
            daily: declared("usage_daily")?,
        })
    }
}

/// Brings the derived tables up to the newest version of `usage_records`.
pub async fn refresh(
    lake: &Lake,
    sessions: &Sessions,
    run_id: &str,
) -> Result<Refreshed, DeriveError> {
    let tables = Tables::declared()?;
    let Some(source) = lake.existing(tables.usage).await? else {
        return Ok(Refreshed::default());
    };
    let version = source.version().unwrap_or(0);
    let built = built_from(lake, &tables).await?;
    if built.is_some_and(|built| built.version == version && built.lacking.is_none()) {
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
        Some(built) => changed_days(&tables, &source, built.version).await?,
        None => None,
    };
    let full = changed.is_none();
    let lacking = built.and_then(|built| built.lacking);
    let changed = match changed {
        Some(mut days) => {
            if lacking.is_some() {
                days.extend(days::lacking(&ctx).await?);
            }
            days
        }
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
    let numbered = |name: &str| Writer {
        name: name.to_owned(),
        run_id,
        number: Some(number),
    };
    let writers = Writers {
        part: Writer::new(PART, run_id),
        whole: numbered(WRITER),
        // Under a number that is there already nothing would be written.
        lacking: if lacking.is_some_and(|tried| tried >= version) {
            Writer::new(PART, run_id)
        } else {
            numbered(LACKING)
        },
    };
    let (part, whole) = (&writers.part, &writers.whole);
    keys::write(lake, &ctx, tables.keys, &new_keys, part, whole).await?;
    let failed = daily::rebuild(
        lake,
        sessions,
        &pinned,
        tables.daily,
        &affected,
        &repeats,
        &writers,
    )
    .await?;
    // Last: as long as it is the old one, a day that lost its repeat is known to be one to build again.
    let rows = repeats.rows.clone();
    replace(lake, &ctx, tables.duplicates, whole, &affected, rows).await?;
    Ok(Refreshed {
        days_changed: changed.len(),
        days_rebuilt: affected.len(),
        duplicates: repeats.count(),
        failed,
    })
}

/// Whether a refresh would change anything.
///
/// # Errors
/// A table of the lake that cannot be read.
pub async fn is_behind(lake: &Lake) -> Result<bool, DeriveError> {
    let tables = Tables::declared()?;
    let Some(source) = lake.existing(tables.usage).await? else {
        return Ok(false);
    };
    let Some(built) = built_from(lake, &tables).await? else {
        return Ok(true);
    };
    // A commit that only merged files changed no day.
    let days = changed_days(&tables, &source, built.version).await?;
    Ok(built.lacking.is_some() || days.is_none_or(|days| !days.is_empty()))
}

/// Who writes the rollup.
struct Writers<'a> {
    /// All groups of days but the last.
    part: Writer<'a>,
    /// The last, where nothing is missing.
    whole: Writer<'a>,
    /// The last, where days of some sources are.
    lacking: Writer<'a>,
}

/// How far the derived tables have come, in versions of `usage_records`.
#[derive(Clone, Copy)]
struct Built {
    /// What all of them are built from, but for the days that the rollup lacks.
    version: u64,
    /// What the rollup is built from where it lacks days of some sources.
    lacking: Option<u64>,
}

/// How far the derived tables have come; `None` if any of them never was built.
async fn built_from(lake: &Lake, tables: &Tables) -> Result<Option<Built>, DeriveError> {
    let mut version = u64::MAX;
    for def in [tables.keys, tables.duplicates] {
        match numbered_by(lake, def, WRITER).await? {
            Some(built) => version = version.min(built),
            None => return Ok(None),
        }
    }
    let whole = numbered_by(lake, tables.daily, WRITER).await?;
    let lacking = numbered_by(lake, tables.daily, LACKING).await?;
    let newest = whole.max(lacking);
    Ok(newest.map(|daily| Built {
        version: version.min(daily),
        lacking: lacking.filter(|_| lacking > whole),
    }))
}

/// The version of `usage_records` that the table was last built from under this name.
async fn numbered_by(
    lake: &Lake,
    def: &'static TableDef,
    writer: &str,
) -> Result<Option<u64>, DeriveError> {
    let Some(table) = lake.existing(def).await? else {
        return Ok(None);
    };
    let number = last_number(def, &table, writer).await?;
    Ok(number.map(|number| u64::try_from(number - 1).unwrap_or(0)))
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
