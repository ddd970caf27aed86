//! The daily rollup, a day a task: one pass over one partition on one thread, days side by side.
//!
//! That costs half of one big GROUP BY, and a third of its memory: nothing is exchanged between cores.
//! Where the data of a day makes it fail, as a sum that does not fit, the sources of that day are
//! rolled up one by one: bad data of one must not keep the others from being judged.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::prelude::{SessionContext, col, lit};
use futures::{StreamExt, stream};

use super::days::Day;
use super::repeats::Repeats;
use super::{DeriveError, Writers, replace};
use crate::lake::{Lake, TableDef, conform, table};
use crate::session::{Pinned, Sessions};

const ROLLUP: &str = include_str!("../../queries/derived/usage_daily.sql");

/// Rows of the rollup to write in one commit.
const ROWS_PER_COMMIT: usize = 1_500_000;

/// One day, rolled up.
#[derive(Default)]
struct Rolled {
    rows: Vec<RecordBatch>,
    /// Sources whose rows are not among them, and why.
    failed: Vec<(String, String)>,
}

/// Rolls up these days; the sources for which that was not possible, with the reason.
pub(super) async fn rebuild(
    lake: &Lake,
    sessions: &Sessions,
    pinned: &Pinned,
    def: &'static TableDef,
    days: &BTreeSet<Day>,
    repeats: &Repeats,
    writers: &Writers<'_>,
) -> Result<BTreeMap<String, String>, DeriveError> {
    let ctx = sessions.session();
    let tasks = days.iter().map(|day| {
        let (sessions, pinned, day) = (sessions.clone(), pinned.clone(), *day);
        let repeats = repeats.by_day.get(&day).cloned().unwrap_or_default();
        async move {
            let task = tokio::spawn(async move { of_day(&sessions, &pinned, day, repeats).await });
            let rolled = match task.await {
                Ok(rolled) => rolled,
                Err(error) => Err(DataFusionError::External(Box::new(error))),
            };
            rolled
                .map(|rolled| (day, rolled))
                .map_err(DeriveError::query(format!("roll up {day}")))
        }
    });
    let mut finished = stream::iter(tasks).buffered(sessions.threads());
    let (mut group, mut rows, mut pending, mut done) =
        (BTreeSet::new(), Vec::new(), 0usize, 0usize);
    let mut failed = Failed::default();
    while let Some(result) = finished.next().await {
        let (day, rolled) = result?;
        failed.note(day, rolled.failed);
        group.insert(day);
        let batches = rolled.rows;
        pending += batches.iter().map(RecordBatch::num_rows).sum::<usize>();
        rows.extend(batches);
        done += 1;
        let is_last = done == days.len();
        if is_last || pending >= ROWS_PER_COMMIT {
            // The number says that all is done: without it the next refresh begins where this did.
            let writer = match (is_last, failed.first.is_empty()) {
                (false, _) => &writers.part,
                (true, true) => &writers.whole,
                (true, false) => &writers.lacking,
            };
            replace(lake, &ctx, def, writer, &group, std::mem::take(&mut rows)).await?;
            group.clear();
            pending = 0;
        }
    }
    Ok(failed.reasons())
}

/// Of each source, the first day that failed with its reason, and how many more there are.
#[derive(Default)]
struct Failed {
    first: BTreeMap<String, (Day, String, usize)>,
}

impl Failed {
    fn note(&mut self, day: Day, failed: Vec<(String, String)>) {
        for (source, reason) in failed {
            match self.first.entry(source) {
                Entry::Vacant(entry) => {
                    entry.insert((day, reason, 0));
                }
                Entry::Occupied(mut entry) => entry.get_mut().2 += 1,
            }
        }
    }

    fn reasons(self) -> BTreeMap<String, String> {
        let text = |(day, reason, more): (Day, String, usize)| match more {
            0 => format!("the usage of {day} cannot be rolled up: {reason}"),
            1 => format!("the usage of {day} and 1 more day cannot be rolled up: {reason}"),
            _ => format!("the usage of {day} and {more} more days cannot be rolled up: {reason}"),
        };
        self.first
            .into_iter()
            .map(|(source, failed)| (source, text(failed)))
            .collect()
    }
}

async fn of_day(
    sessions: &Sessions,
    pinned: &Pinned,
    day: Day,
    repeats: Vec<RecordBatch>,
) -> Result<Rolled, DataFusionError> {
    let ctx = sessions.single();
    pinned.register(&ctx)?;
    let duplicates = table("usage_duplicates")
        .ok_or_else(|| DataFusionError::Internal("usage_duplicates is not declared".into()))?;
    let has_repeats = !repeats.is_empty();
    let repeats = repeats
        .iter()
        .map(|batch| conform(duplicates, batch))
        .collect::<Result<Vec<_>, _>>()?;
    let repeats = MemTable::try_new(duplicates.schema(), vec![repeats])?;
    ctx.register_table("repeats", Arc::new(repeats))?;
    register_records(&ctx, day, has_repeats).await?;
    match roll_up(&ctx).await {
        Ok(rows) => Ok(Rolled {
            rows,
            ..Rolled::default()
        }),
        Err(error) if is_of_data(&error) => source_by_source(&ctx).await,
        Err(error) => Err(error),
    }
}

async fn roll_up(ctx: &SessionContext) -> Result<Vec<RecordBatch>, DataFusionError> {
    ctx.sql(ROLLUP).await?.collect().await
}

/// The sources of the day, each by itself.
async fn source_by_source(ctx: &SessionContext) -> Result<Rolled, DataFusionError> {
    let all = ctx.table("records").await?;
    let found = all
        .clone()
        .select(vec![col("source")])?
        .distinct()?
        .collect()
        .await?;
    let mut sources = BTreeSet::new();
    for batch in &found {
        let column = cast(batch.column(0), &DataType::Utf8)?;
        let names = column.as_string::<i32>().iter().flatten();
        sources.extend(names.map(str::to_owned));
    }
    let mut rolled = Rolled::default();
    for source in sources {
        let own = all.clone().filter(col("source").eq(lit(source.as_str())))?;
        ctx.deregister_table("records")?;
        ctx.register_table("records", own.into_view())?;
        match roll_up(ctx).await {
            Ok(rows) => rolled.rows.extend(rows),
            Err(error) if is_of_data(&error) => {
                let text = error.strip_backtrace();
                let reason = text.lines().next().unwrap_or_default().to_owned();
                rolled.failed.push((source, reason));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(rolled)
}

/// Whether the values that were computed with are to blame, and not the lake or the machine.
fn is_of_data(error: &DataFusionError) -> bool {
    let DataFusionError::ArrowError(error, _) = error.find_root() else {
        return false;
    };
    matches!(
        **error,
        ArrowError::CastError(_)
            | ArrowError::ArithmeticOverflow(_)
            | ArrowError::ComputeError(_)
            | ArrowError::InvalidArgumentError(_)
    )
}

async fn register_records(
    ctx: &SessionContext,
    day: Day,
    has_repeats: bool,
) -> Result<(), DataFusionError> {
    // Days without repeats, nearly all of them, are spared the join.
    let counted = if has_repeats {
        "select r.* from usage_records r
         left anti join repeats d on d.source = r.source and d.usage_id = r.usage_id
         where r.usage_date = $day and coalesce(r.status, 'pending') not in ('voided', 'error')"
    } else {
        "select r.* from usage_records r
         where r.usage_date = $day and coalesce(r.status, 'pending') not in ('voided', 'error')"
    };
    let records = ctx
        .sql(counted)
        .await?
        .with_param_values(vec![("day", day.scalar())])?;
    ctx.register_table("records", records.into_view())?;
    Ok(())
}
