//! Labels from their file and signals from the lake.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use datafusion::prelude::SessionContext;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::world::{Entity, Label, Signal, World};
use crate::lake::{Lake, table};
use crate::model::Decimal;
use crate::session::{Parameters, ReadError, rows};

const SIGNALS: &str = "
    select signal_id, rule_id, source, severity, root_cause, explanation, last_seen_at
    from signals
    where status <> 'resolved' and not coalesce(is_suppressed, false)
    order by signal_id";

const ENTITIES: &str = "
    select signal_id, role, entity_type, entity_id, subscription_id, item_id, invoice_id, delta, unit, last_seen_at
    from signal_entities
    order by signal_id, entity_type, entity_id";

const MONTHS: &str = "
    select count(*) as months
    from invoices
    where coalesce(status, '') <> 'void'";

/// Why a world could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// The file of labels could not be read.
    #[error("cannot read labels from {}", .path.display())]
    Labels {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line of it is no label.
    #[error("{}:{line}: no label", .path.display())]
    Label {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The lake could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The lake lacks a table this version declares.
    #[error("table {0} is not declared")]
    Undeclared(&'static str),
}

/// A world: its labels, and what stands in the lake that was made of it.
pub async fn load(labels: &Path, lake: &Lake, ctx: &SessionContext) -> Result<World, ScoreError> {
    Ok(World {
        name: lake.url().to_string(),
        labels: read_labels(labels)?,
        signals: read_signals(lake, ctx).await?,
        subscription_months: read_months(lake, ctx).await?,
    })
}

fn read_labels(path: &Path) -> Result<Vec<Label>, ScoreError> {
    let unreadable = |source| ScoreError::Labels {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut labels = Vec::new();
    for (place, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(unreadable)?;
        let label = serde_json::from_str(&line).map_err(|source| ScoreError::Label {
            path: path.to_owned(),
            line: place + 1,
            source,
        })?;
        labels.push(label);
    }
    Ok(labels)
}

#[derive(Deserialize)]
struct SignalCells {
    signal_id: String,
    rule_id: String,
    source: String,
    severity: String,
    root_cause: Option<String>,
    explanation: Option<String>,
    last_seen_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct EntityCells {
    signal_id: String,
    role: Option<String>,
    entity_type: String,
    entity_id: String,
    subscription_id: Option<String>,
    item_id: Option<String>,
    invoice_id: Option<String>,
    delta: Option<Decimal>,
    unit: Option<String>,
    last_seen_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct MonthCells {
    months: u64,
}

async fn read<T: DeserializeOwned>(
    lake: &Lake,
    ctx: &SessionContext,
    name: &'static str,
    sql: &str,
) -> Result<Vec<T>, ScoreError> {
    let def = table(name).ok_or(ScoreError::Undeclared(name))?;
    Ok(rows(lake, ctx, def, sql, &Parameters::default()).await?)
}

/// The open signals with the records that they are still about.
async fn read_signals(lake: &Lake, ctx: &SessionContext) -> Result<Vec<Signal>, ScoreError> {
    let signals: Vec<SignalCells> = read(lake, ctx, "signals", SIGNALS).await?;
    let entities: Vec<EntityCells> = read(lake, ctx, "signal_entities", ENTITIES).await?;
    let mut of_signal: BTreeMap<String, Vec<EntityCells>> = BTreeMap::new();
    for cells in entities {
        of_signal
            .entry(cells.signal_id.clone())
            .or_default()
            .push(cells);
    }
    let signals = signals.into_iter().map(|cells| {
        let mut entities = of_signal.remove(&cells.signal_id).unwrap_or_default();
        // A record that was not there when the signal was last seen is history.
        entities.retain(|entity| entity.last_seen_at >= cells.last_seen_at);
        Signal {
            signal_id: cells.signal_id,
            rule_id: cells.rule_id,
            source: cells.source,
            severity: cells.severity.parse().ok(),
            root_cause: cells.root_cause,
            explanation: cells.explanation,
            entities: entities.into_iter().map(entity).collect(),
        }
    });
    Ok(signals.collect())
}

fn entity(cells: EntityCells) -> Entity {
    Entity {
        is_primary: cells.role.as_deref() == Some("primary"),
        entity_type: cells.entity_type,
        entity_id: cells.entity_id,
        subscription_id: cells.subscription_id,
        item_id: cells.item_id,
        invoice_id: cells.invoice_id,
        delta: cells.delta,
        unit: cells.unit,
    }
}

/// Each subscription has one invoice for each month that it was billed for.
async fn read_months(lake: &Lake, ctx: &SessionContext) -> Result<u64, ScoreError> {
    let cells: Vec<MonthCells> = read(lake, ctx, "invoices", MONTHS).await?;
    Ok(cells.first().map_or(0, |cells| cells.months))
}
