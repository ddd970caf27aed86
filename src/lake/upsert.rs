//! What a set of rows changes in a table: new rows, changed rows, rows that are there already.
//!
//! Keys are looked up first and whole rows are compared only where a key is known, so that writing
//! the same rows again costs one scan of the key columns and makes no commit.

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::row::{OwnedRow, Row};
use datafusion::common::JoinType;
use datafusion::prelude::{DataFrame, SessionContext, col, lit};
use deltalake::DeltaTable;

use super::commit::{Change, OPERATION, Outcome, UPSERT, Writer, commit};
use super::compare::{Moments, RowBytes, conform, conform_all, deduplicate, index, pick};
use super::{Lake, LakeError, TableDef};

/// Rows to bring into a table.
#[derive(Debug)]
pub struct Upsert<'a> {
    /// The rows, in the table's shape, in the order they were read.
    pub rows: RecordBatch,
    /// Columns whose change alone is no change.
    pub volatile: &'a [&'a str],
    /// The version of the table in which the caller knows that none of the keys is; in any other the
    /// table itself is asked.
    pub new_since: Option<u64>,
}

/// What became of the rows: every one is counted once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows that are new or changed.
    pub written: u64,
    /// Rows that the table held already, or that repeat another row exactly.
    pub unchanged: u64,
    /// Rows that another row of the same key replaces.
    pub superseded: Vec<Rejected>,
}

/// A row that lost to a newer row of the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The row, counted in the order given.
    pub row: u32,
    /// The row that was kept; `None` where it is the one that the table holds.
    pub kept: Option<u32>,
}

/// What rows change in a table.
#[derive(Debug, Default)]
pub struct Difference {
    /// The change; `None` where there is nothing to commit.
    pub change: Option<Change>,
    /// Rows that are new or changed.
    pub written: u64,
    /// Rows that the table holds already.
    pub unchanged: u64,
    /// Rows older, by `updated_at`, than the one that the table holds.
    pub outdated: Vec<u32>,
}

/// Brings the rows into the table: one commit, or none where nothing changed.
pub async fn upsert(
    lake: &Lake,
    ctx: &SessionContext,
    def: &'static TableDef,
    writer: &Writer<'_>,
    rows: Upsert<'_>,
) -> Result<(Tally, Outcome), LakeError> {
    let shape = LakeError::shape(def.name);
    let batch = conform(def, &rows.rows).map_err(&shape)?;
    let unique = deduplicate(def, &batch).map_err(&shape)?;
    let batch = pick(&batch, &unique.kept).map_err(&shape)?;
    let mut found = Difference::default();
    let outcome = commit(lake, ctx, def, writer, async |table| {
        found = difference(ctx, def, table, &batch, rows.volatile, rows.new_since).await?;
        Ok(found.change.take())
    })
    .await?;
    let within = unique.superseded.iter().map(|(row, kept)| Rejected {
        row: *row,
        kept: Some(*kept),
    });
    let outdated = found.outdated.iter().map(|at| Rejected {
        row: unique.kept[*at as usize],
        kept: None,
    });
    let tally = Tally {
        written: found.written,
        unchanged: found.unchanged + unique.repeated.len() as u64,
        superseded: within.chain(outdated).collect(),
    };
    Ok((tally, outcome))
}

/// What the rows, each key once, change in the table as it is.
pub async fn difference(
    ctx: &SessionContext,
    def: &'static TableDef,
    table: &DeltaTable,
    rows: &RecordBatch,
    volatile: &[&str],
    new_since: Option<u64>,
) -> Result<Difference, LakeError> {
    let shape = LakeError::shape(def.name);
    let mut found = Difference::default();
    if rows.num_rows() == 0 {
        return Ok(found);
    }
    let is_new = new_since.is_some() && new_since == table.version();
    let known = if is_new {
        None
    } else {
        known_rows(ctx, def, table, rows).await?
    };
    let Some(known) = known else {
        found.written = rows.num_rows() as u64;
        found.change = Some(Change::Append(vec![rows.clone()]));
        return Ok(found);
    };
    let key = RowBytes::of_key(def).map_err(&shape)?;
    let content = RowBytes::of_content(def, volatile).map_err(&shape)?;
    let held = index(&key, &content, &known).map_err(&shape)?;
    let keys = key.rows(rows).map_err(&shape)?;
    let contents = content.rows(rows).map_err(&shape)?;
    let (updated, was_updated) = (Moments::of(rows), Moments::of(&known));
    let (mut write, mut replaced) = (Vec::new(), Vec::new());
    for (at, (key, content)) in (0u32..).zip(keys.iter().zip(contents.iter())) {
        match held.get(&key.owned()) {
            Some((_, same)) if same.row() == content => found.unchanged += 1,
            // Files may be read again in any order: what is older does not come back.
            Some((old, _)) if updated.compare(at, &was_updated, *old) == Some(Ordering::Less) => {
                found.outdated.push(at);
            }
            Some((old, _)) => {
                write.push(at);
                replaced.push((at, *old));
            }
            None => write.push(at),
        }
    }
    if write.is_empty() {
        return Ok(found);
    }
    found.written = write.len() as u64;
    let new = pick(rows, &write).map_err(&shape)?;
    found.change = Some(if replaced.is_empty() {
        Change::Append(vec![new])
    } else {
        let left = moved(def, rows, &known, &replaced).map_err(&shape)?;
        Change::Merge(with_operations(&new, &left).map_err(&shape)?)
    });
    Ok(found)
}

/// Rows whose key the table holds with other content, where no `updated_at` says which is the newer:
/// whether they replace it is for the caller to say.
pub async fn contested(
    ctx: &SessionContext,
    def: &'static TableDef,
    table: &DeltaTable,
    rows: &RecordBatch,
) -> Result<Vec<u32>, LakeError> {
    let shape = LakeError::shape(def.name);
    if rows.num_rows() == 0 {
        return Ok(Vec::new());
    }
    let Some(known) = known_rows(ctx, def, table, rows).await? else {
        return Ok(Vec::new());
    };
    let key = RowBytes::of_key(def).map_err(&shape)?;
    let content = RowBytes::of_content(def, &[]).map_err(&shape)?;
    let held = index(&key, &content, &known).map_err(&shape)?;
    let keys = key.rows(rows).map_err(&shape)?;
    let contents = content.rows(rows).map_err(&shape)?;
    let (updated, was_updated) = (Moments::of(rows), Moments::of(&known));
    let is_contested = |at: u32, key: OwnedRow, content: Row<'_>| {
        let Some((old, same)) = held.get(&key) else {
            return false;
        };
        let order = updated.compare(at, &was_updated, *old);
        same.row() != content && order.is_none_or(|order| order == Ordering::Equal)
    };
    Ok((0u32..)
        .zip(keys.iter().zip(contents.iter()))
        .filter(|(at, (key, content))| is_contested(*at, key.owned(), *content))
        .map(|(at, _)| at)
        .collect())
}

/// The rows of the table that have one of these keys; `None` where there is none.
async fn known_rows(
    ctx: &SessionContext,
    def: &'static TableDef,
    table: &DeltaTable,
    rows: &RecordBatch,
) -> Result<Option<RecordBatch>, LakeError> {
    let read = LakeError::read(def.name);
    let state = Arc::new(ctx.state());
    let provider = table
        .table_provider()
        .with_session(state)
        .await
        .map_err(&read)?;
    let existing = || ctx.read_table(Arc::clone(&provider));
    if let Some(partition) = def.partition {
        // Keys alone first: they say which partitions hold the rows, usually a few of very many.
        let keys: Vec<_> = def.key.iter().map(|name| col(*name)).collect();
        let holding = matching(
            ctx,
            def,
            existing()
                .map_err(&read)?
                .select(keys.into_iter().chain([col(partition)]).collect::<Vec<_>>())
                .map_err(&read)?,
            rows,
        )?
        .select(vec![col(partition)])
        .and_then(DataFrame::distinct)
        .map_err(&read)?
        .collect()
        .await
        .map_err(&read)?;
        let mut values = Vec::new();
        for batch in &holding {
            for row in 0..batch.num_rows() {
                let value = datafusion::common::ScalarValue::try_from_array(batch.column(0), row);
                values.push(lit(value.map_err(&read)?));
            }
        }
        if values.is_empty() {
            return Ok(None);
        }
        let held = existing().and_then(|df| df.filter(col(partition).in_list(values, false)));
        return collect(def, matching(ctx, def, held.map_err(&read)?, rows)?).await;
    }
    collect(def, matching(ctx, def, existing().map_err(&read)?, rows)?).await
}

fn matching(
    ctx: &SessionContext,
    def: &'static TableDef,
    existing: DataFrame,
    rows: &RecordBatch,
) -> Result<DataFrame, LakeError> {
    let read = LakeError::read(def.name);
    let mut columns: Vec<ArrayRef> = Vec::new();
    let mut fields = Vec::new();
    for name in def.key {
        if let Some(column) = rows.column_by_name(name) {
            fields.push(Field::new(
                format!("incoming_{name}"),
                column.data_type().clone(),
                false,
            ));
            columns.push(Arc::clone(column));
        }
    }
    let renamed: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
    let keys = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .map_err(LakeError::shape(def.name))?;
    let keys = ctx.read_batch(keys).map_err(&read)?;
    let right: Vec<&str> = renamed.iter().map(String::as_str).collect();
    existing
        .join(keys, JoinType::LeftSemi, def.key, &right, None)
        .map_err(&read)
}

async fn collect(
    def: &'static TableDef,
    rows: DataFrame,
) -> Result<Option<RecordBatch>, LakeError> {
    let batches = rows.collect().await.map_err(LakeError::read(def.name))?;
    let batch = conform_all(def, &batches).map_err(LakeError::shape(def.name))?;
    Ok((batch.num_rows() > 0).then_some(batch))
}

/// The old rows whose new version lies in another partition: they have to leave the one they are in.
fn moved(
    def: &TableDef,
    rows: &RecordBatch,
    known: &RecordBatch,
    replaced: &[(u32, u32)],
) -> Result<RecordBatch, datafusion::arrow::error::ArrowError> {
    let columns = def.partition.and_then(|name| {
        Some((
            rows.column_by_name(name)?.to_data(),
            known.column_by_name(name)?.to_data(),
        ))
    });
    let gone: Vec<u32> = match columns {
        None => Vec::new(),
        Some((new, old)) => replaced
            .iter()
            .filter(|(at, was)| new.slice(*at as usize, 1) != old.slice(*was as usize, 1))
            .map(|(_, was)| *was)
            .collect(),
    };
    pick(known, &gone)
}

fn with_operations(
    upserts: &RecordBatch,
    deletes: &RecordBatch,
) -> Result<RecordBatch, datafusion::arrow::error::ArrowError> {
    let mut fields: Vec<_> = upserts.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(OPERATION, DataType::Utf8, false)));
    let schema = Arc::new(Schema::new(fields));
    let marked = |batch: &RecordBatch, operation: &str| {
        let mut columns = batch.columns().to_vec();
        columns.push(Arc::new(StringArray::from(vec![
            operation;
            batch.num_rows()
        ])));
        RecordBatch::try_new(Arc::clone(&schema), columns)
    };
    let parts = [marked(upserts, UPSERT)?, marked(deletes, "delete")?];
    datafusion::arrow::compute::concat_batches(&schema, &parts)
}
