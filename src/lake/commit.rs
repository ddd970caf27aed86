//! The one way to change a table.
//!
//! ```text
//! open newest version ─► read our transaction number n ─► plan the change on that snapshot
//!        ▲                                                     │ nothing to change: done, no commit
//!        │ somebody else committed first (bounded, jittered)   ▼
//!        └───────────────────────────────────── commit with transaction n + 1
//! ```
//! The application transaction makes two writers of the same kind exclude each other: the second
//! fails with a conflict, opens the table again and plans anew, so nothing is written twice. When an
//! error arrives although the commit is in the log, the log is believed.

mod log;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::prelude::{SessionContext, col};
use deltalake::kernel::Transaction;
use deltalake::kernel::transaction::{CommitProperties, TransactionError};
use deltalake::protocol::SaveMode;
use deltalake::{DeltaTable, DeltaTableError};

use super::compare::{nulls_in, sorted};
use super::{Lake, LakeError, TableDef};

pub use log::{last_number, rows_committed};

const ATTEMPTS: u32 = 12;
/// The column of a merge's source that says what to do with a row.
pub(super) const OPERATION: &str = "_operation";
pub(super) const UPSERT: &str = "upsert";

/// Who commits, and under which transaction.
#[derive(Clone, Debug)]
pub struct Writer<'a> {
    /// Names the kind of writer: two writers of one name exclude each other on a table.
    pub name: String,
    /// The run, recorded in the commit.
    pub run_id: &'a str,
    /// The transaction number to commit under, where it has a meaning of its own (the version of the
    /// table that this one is built from); otherwise the next one.
    pub number: Option<i64>,
}

impl<'a> Writer<'a> {
    /// A writer that counts its own commits.
    pub fn new(name: impl Into<String>, run_id: &'a str) -> Self {
        Self {
            name: name.into(),
            run_id,
            number: None,
        }
    }
}

/// A change that was planned on a snapshot.
#[derive(Debug)]
pub enum Change {
    /// Rows that are new.
    Append(Vec<RecordBatch>),
    /// Rows to insert, update or delete by key; the last column is the operation.
    Merge(RecordBatch),
    /// The new content of everything that the predicate holds for.
    Replace {
        /// Which rows go.
        predicate: String,
        /// What comes in their place.
        rows: Vec<RecordBatch>,
    },
}

impl Change {
    /// Rows that the change brings in.
    fn rows(&self) -> u64 {
        let rows = match self {
            Self::Append(batches) | Self::Replace { rows: batches, .. } => {
                batches.iter().map(RecordBatch::num_rows).sum()
            }
            Self::Merge(batch) => batch.column_by_name(OPERATION).map_or(0, |column| {
                column
                    .as_string::<i32>()
                    .iter()
                    .flatten()
                    .filter(|o| *o == UPSERT)
                    .count()
            }),
        };
        rows as u64
    }
}

/// What a commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was nothing to change, and no version was made.
    Unchanged,
    /// The table's new version.
    Committed(u64),
}

/// Plans a change on the newest snapshot and commits it, again from the start if others were faster.
pub async fn commit<Plan>(
    lake: &Lake,
    ctx: &SessionContext,
    def: &'static TableDef,
    writer: &Writer<'_>,
    mut plan: Plan,
) -> Result<Outcome, LakeError>
where
    Plan: AsyncFnMut(&DeltaTable) -> Result<Option<Change>, LakeError>,
{
    let app = log::application(&writer.name);
    for attempt in 0..ATTEMPTS {
        let table = lake.table(def).await?;
        let before = log::transaction(def, &table, &app).await?.unwrap_or(0);
        let number = writer.number.unwrap_or(before + 1);
        if before >= number {
            return Ok(Outcome::Unchanged);
        }
        let Some(change) = plan(&table).await? else {
            return Ok(Outcome::Unchanged);
        };
        let mark = format!("{:016x}", RandomState::new().build_hasher().finish());
        let properties = CommitProperties::default()
            .with_metadata([
                (log::RUN_ID.to_owned(), writer.run_id.into()),
                (log::MARK.to_owned(), mark.clone().into()),
                (log::WRITER.to_owned(), writer.name.clone().into()),
                (log::ROWS.to_owned(), change.rows().into()),
            ])
            .with_application_transaction(Transaction::new(app.clone(), number));
        let error = match apply(ctx, def, table, change, properties).await {
            Ok(table) => {
                let version = table.version().unwrap_or(0);
                tracing::info!(
                    table = def.name,
                    version,
                    run_id = writer.run_id,
                    "committed"
                );
                return Ok(Outcome::Committed(version));
            }
            Err(Failure::Lake(error)) => return Err(error),
            Err(Failure::Delta(error)) => error,
        };
        if let Some(version) = log::in_log(lake, def, &app, number, &mark).await? {
            tracing::info!(
                table = def.name,
                version,
                run_id = writer.run_id,
                "committed"
            );
            return Ok(Outcome::Committed(version));
        }
        if !is_conflict(&error) {
            return Err(LakeError::Commit {
                table: def.name,
                source: Box::new(error),
            });
        }
        tracing::debug!(table = def.name, attempt, %error, "another writer was faster");
        tokio::time::sleep(backoff(attempt)).await;
    }
    Err(LakeError::Contended {
        table: def.name,
        attempts: ATTEMPTS,
    })
}

enum Failure {
    Lake(LakeError),
    Delta(DeltaTableError),
}

impl From<DeltaTableError> for Failure {
    fn from(error: DeltaTableError) -> Self {
        Self::Delta(error)
    }
}

async fn apply(
    ctx: &SessionContext,
    def: &'static TableDef,
    table: DeltaTable,
    change: Change,
    properties: CommitProperties,
) -> Result<DeltaTable, Failure> {
    let state = Arc::new(ctx.state());
    match change {
        Change::Append(rows) => Ok(table
            .write(prepared(def, rows)?)
            .with_session_state(state)
            .with_save_mode(SaveMode::Append)
            .with_writer_properties(writer_properties())
            .with_commit_properties(properties)
            .await?),
        Change::Replace { predicate, rows } => Ok(table
            .write(prepared(def, rows)?)
            .with_session_state(state)
            .with_save_mode(SaveMode::Overwrite)
            .with_replace_where(predicate)
            .with_writer_properties(writer_properties())
            .with_commit_properties(properties)
            .await?),
        Change::Merge(rows) => {
            guard_partition(def, &rows)?;
            let source = ctx.read_batch(rows).map_err(LakeError::read(def.name))?;
            let (table, _) = merge(def, table, source)?
                .with_session_state(state)
                .with_writer_properties(writer_properties())
                .with_commit_properties(properties)
                .await?;
            Ok(table)
        }
    }
}

impl From<LakeError> for Failure {
    fn from(error: LakeError) -> Self {
        Self::Lake(error)
    }
}

fn merge(
    def: &'static TableDef,
    table: DeltaTable,
    source: datafusion::prelude::DataFrame,
) -> Result<deltalake::operations::merge::MergeBuilder, DeltaTableError> {
    // The partition in the condition lets delta-rs skip every file of other partitions.
    let condition: Vec<String> = def
        .key
        .iter()
        .chain(def.partition.iter())
        .map(|column| format!("t.{column} = s.{column}"))
        .collect();
    let schema = def.schema();
    let columns: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    let qualified = |name: &str| col(format!("s.{name}"));
    table
        .merge(source, condition.join(" and "))
        .with_source_alias("s")
        .with_target_alias("t")
        .when_matched_delete(|delete| delete.predicate(format!("s.{OPERATION} = 'delete'")))?
        .when_matched_update(|update| {
            columns.iter().fold(
                update.predicate(format!("s.{OPERATION} = 'upsert'")),
                |u, name| u.update(*name, qualified(name)),
            )
        })?
        .when_not_matched_insert(|insert| {
            columns.iter().fold(
                insert.predicate(format!("s.{OPERATION} = 'upsert'")),
                |i, name| i.set(*name, qualified(name)),
            )
        })
}

fn prepared(def: &'static TableDef, rows: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, LakeError> {
    let mut batches = Vec::new();
    for batch in rows.iter().filter(|batch| batch.num_rows() > 0) {
        guard_partition(def, batch)?;
        batches.push(sorted(def, batch).map_err(LakeError::shape(def.name))?);
    }
    if batches.is_empty() {
        // Replacing rows by none is a change too, and a write needs an input.
        batches.push(RecordBatch::new_empty(def.schema()));
    }
    Ok(batches)
}

/// A missing partition value commits and then makes the whole table unreadable: never let it through.
fn guard_partition(def: &'static TableDef, rows: &RecordBatch) -> Result<(), LakeError> {
    let Some(column) = def.partition else {
        return Ok(());
    };
    match nulls_in(rows, column) {
        0 => Ok(()),
        rows => Err(LakeError::EmptyPartition {
            table: def.name,
            column,
            rows,
        }),
    }
}

fn writer_properties() -> WriterProperties {
    // Level 3 halves the size of the files for a fifth more writing time.
    let level = ZstdLevel::try_new(3).unwrap_or_default();
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .build()
}

fn is_conflict(error: &DeltaTableError) -> bool {
    matches!(
        error,
        DeltaTableError::Transaction {
            source: TransactionError::CommitConflict(_)
                | TransactionError::MaxCommitAttempts(_)
                | TransactionError::VersionAlreadyExists(_)
        }
    )
}

/// Doubling from 20 ms, with jitter so that two writers do not stay in step.
fn backoff(attempt: u32) -> Duration {
    let ceiling = 20u64 << attempt.min(7);
    let jitter = RandomState::new().build_hasher().finish() % ceiling;
    Duration::from_millis(ceiling / 2 + jitter / 2)
}
