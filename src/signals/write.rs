//! Results written in the order that makes a crash harmless: what follows from signals first, the
//! signals themselves last.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use serde::{Deserialize, Serialize};

use super::group::{Grouped, Overflow};
use super::pattern::{assignments, patterns};
use super::transition::{Moment, Transition, is_known_later, transitions};
use crate::lake::{
    Change, Lake, LakeError, TableDef, Upsert, Writer, commit, difference, from_batches, to_batch,
    upsert,
};
use crate::model::RuleRunRow;
use crate::model::signal::{EntityRow, EventRow, PatternRow, RemediationRow, SignalRow};
use crate::session::{self, Parameters, ReadError, Sessions};

/// Everything a run found, ready to be written.
#[derive(Clone, Debug)]
pub struct Results<'a> {
    /// The groups of every rule that ran.
    pub grouped: &'a [Grouped<'a>],
    /// Source → platform.
    pub platforms: &'a BTreeMap<String, String>,
    /// The affected records.
    pub entities: Vec<EntityRow>,
    /// The steps.
    pub remediations: Vec<RemediationRow>,
    /// How every rule came out.
    pub rule_runs: Vec<RuleRunRow>,
}

/// What a run changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Signals nobody had seen before.
    pub opened: usize,
    /// Signals that are back after they were resolved.
    pub regressed: usize,
    /// Signals that are still there.
    pub continuing: usize,
    /// Signals that are resolved because they were not seen any more.
    pub resolved: usize,
    /// Rows new or changed in all result tables.
    pub rows_written: u64,
}

/// A failure to form or write results.
#[derive(Debug, thiserror::Error)]
pub enum SignalsError {
    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A result table could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Money that does not add up to a number.
    #[error(transparent)]
    Overflow(#[from] Overflow),
    /// The affected records could not be looked up.
    #[error("cannot look up the affected records")]
    Lookup(#[source] Box<DataFusionError>),
    /// The lake lacks a table this version declares.
    #[error("table {0} is not declared")]
    Undeclared(&'static str),
}

/// Every known signal, by id.
pub async fn load(
    lake: &Lake,
    ctx: &SessionContext,
) -> Result<BTreeMap<String, SignalRow>, SignalsError> {
    let (def, none) = (def("signals")?, Parameters::default());
    let rows = session::rows(lake, ctx, def, "select * from signals", &none).await?;
    Ok(by_id(rows))
}

fn by_id(rows: Vec<SignalRow>) -> BTreeMap<String, SignalRow> {
    rows.into_iter()
        .map(|row| (row.signal_id.clone(), row))
        .collect()
}

/// Writes a run's results.
pub async fn write(
    lake: &Lake,
    sessions: &Sessions,
    results: Results<'_>,
    moment: Moment<'_>,
) -> Result<Written, SignalsError> {
    let known = load(lake, &sessions.session()).await?;
    let planned = transitions(&known, results.grouped, results.platforms, moment);
    let mut written = count(&planned);
    let events: Vec<EventRow> = planned.iter().flat_map(|t| t.events.clone()).collect();
    let table = Tables {
        lake,
        sessions,
        run_id: moment.run_id,
    };
    // An event is what happened, whichever run says so first.
    written.rows_written += table
        .put("signal_events", &events, &["at", "run_id"])
        .await?;
    let mut entities = results.entities;
    let mut steps = results.remediations;
    let is_current = |signal_id: &str| {
        let row = known.get(signal_id);
        !row.is_some_and(|row| is_known_later(row, moment))
    };
    entities.retain(|row| is_current(&row.signal_id));
    steps.retain(|row| is_current(&row.signal_id));
    let entities = table.with_history(entities).await?;
    written.rows_written += table.put("signal_entities", &entities, &[]).await?;
    written.rows_written += table.put_remediations(&steps).await?;
    written.rows_written += table
        .put("rule_runs", &results.rule_runs, RuleRunRow::VOLATILE)
        .await?;
    let newest = overlaid(known, planned);
    let patterns = patterns(newest.values());
    written.rows_written += table.put_patterns(&patterns).await?;
    written.rows_written += table
        .put_signals(results.grouped, results.platforms, moment)
        .await?;
    Ok(written)
}

fn count(planned: &[Transition]) -> Written {
    let with = |kind: &str| {
        let has = |t: &&Transition| {
            t.events
                .iter()
                .any(|event| event.kind.as_deref() == Some(kind))
        };
        planned.iter().filter(has).count()
    };
    let seen = planned.iter().filter(|t| t.is_seen).count();
    let (opened, regressed) = (with("opened"), with("regressed"));
    Written {
        opened,
        regressed,
        continuing: seen - opened - regressed,
        resolved: with("auto_resolved"),
        rows_written: 0,
    }
}

/// The signals as they are after the transitions, each with its pattern.
fn overlaid(
    mut known: BTreeMap<String, SignalRow>,
    planned: Vec<Transition>,
) -> BTreeMap<String, SignalRow> {
    for transition in planned {
        known.insert(transition.row.signal_id.clone(), transition.row);
    }
    let mut assigned = assignments(known.values());
    for (signal_id, row) in &mut known {
        row.pattern_id = assigned.remove(signal_id);
    }
    known
}

#[derive(Deserialize)]
struct KnownPattern {
    pattern_id: String,
}

#[derive(Deserialize)]
struct LastStep {
    signal_id: String,
    step: i32,
}

struct Tables<'a> {
    lake: &'a Lake,
    sessions: &'a Sessions,
    run_id: &'a str,
}

impl Tables<'_> {
    async fn put<T: Serialize>(
        &self,
        name: &'static str,
        rows: &[T],
        volatile: &[&str],
    ) -> Result<u64, SignalsError> {
        if rows.is_empty() {
            return Ok(0);
        }
        let def = def(name)?;
        let writer = Writer::new(name, self.run_id);
        let change = Upsert {
            rows: to_batch(def, rows)?,
            volatile,
            new_since: None,
        };
        let (tally, _) = upsert(self.lake, &self.sessions.session(), def, &writer, change).await?;
        Ok(tally.written)
    }

    /// Writes the steps; a signal that has fewer of them than before loses the rest.
    async fn put_remediations(&self, rows: &[RemediationRow]) -> Result<u64, SignalsError> {
        let written = self.put("remediations", rows, &["created_at"]).await?;
        let (def, none) = (def("remediations")?, Parameters::default());
        let ctx = self.sessions.session();
        let query = "select signal_id, max(step) as step from remediations group by signal_id";
        let known: Vec<LastStep> = session::rows(self.lake, &ctx, def, query, &none).await?;
        let mut last: BTreeMap<&str, i32> = BTreeMap::new();
        for row in rows {
            let step = last.entry(&row.signal_id).or_default();
            *step = row.step.max(*step);
        }
        let surplus: Vec<String> = known
            .iter()
            .filter_map(|known| {
                let step = last
                    .get(known.signal_id.as_str())
                    .filter(|step| known.step > **step)?;
                Some(format!(
                    "(signal_id = '{}' and step > {step})",
                    known.signal_id
                ))
            })
            .collect();
        Ok(written + self.remove(def, surplus).await?)
    }

    /// Writes the patterns; those that no two signals have any more are taken out.
    async fn put_patterns(&self, rows: &[PatternRow]) -> Result<u64, SignalsError> {
        let written = self.put("patterns", rows, &[]).await?;
        let (def, none) = (def("patterns")?, Parameters::default());
        let ctx = self.sessions.session();
        let query = "select pattern_id from patterns";
        let known: Vec<KnownPattern> = session::rows(self.lake, &ctx, def, query, &none).await?;
        let surplus = known
            .iter()
            .filter(|known| rows.iter().all(|row| row.pattern_id != known.pattern_id))
            .map(|known| format!("pattern_id = '{}'", known.pattern_id));
        Ok(written + self.remove(def, surplus.collect()).await?)
    }

    /// Takes out what any of the predicates holds for.
    async fn remove(
        &self,
        def: &'static TableDef,
        predicates: Vec<String>,
    ) -> Result<u64, SignalsError> {
        if predicates.is_empty() {
            return Ok(0);
        }
        let writer = Writer::new(def.name, self.run_id);
        let predicate = predicates.join(" or ");
        let ctx = self.sessions.session();
        commit(self.lake, &ctx, def, &writer, async |_| {
            Ok(Some(Change::Replace {
                predicate: predicate.clone(),
                rows: Vec::new(),
            }))
        })
        .await?;
        Ok(predicates.len() as u64)
    }

    /// Keeps when each record was first seen.
    async fn with_history(&self, mut rows: Vec<EntityRow>) -> Result<Vec<EntityRow>, SignalsError> {
        if rows.is_empty() {
            return Ok(rows);
        }
        let def = def("signal_entities")?;
        let signals: BTreeSet<&str> = rows.iter().map(|row| row.signal_id.as_str()).collect();
        let (mut parameters, mut names) = (Parameters::default(), Vec::new());
        for (at, id) in signals.into_iter().enumerate() {
            parameters.set(&format!("signal_{at}"), ScalarValue::from(id));
            names.push(format!("$signal_{at}"));
        }
        let names = names.join(", ");
        let query = format!("select * from signal_entities where signal_id in ({names})");
        let ctx = self.sessions.session();
        let known: Vec<EntityRow> =
            session::rows(self.lake, &ctx, def, &query, &parameters).await?;
        let key = |row: &EntityRow| {
            (
                row.signal_id.clone(),
                row.source.clone(),
                row.entity_type.clone(),
                row.entity_id.clone(),
            )
        };
        let first: BTreeMap<_, _> = known
            .iter()
            .map(|row| (key(row), row.first_seen_at))
            .collect();
        for row in &mut rows {
            if let Some(Some(at)) = first.get(&key(row)) {
                row.first_seen_at = Some(*at);
            }
        }
        Ok(rows)
    }

    /// The transitions are made again on the newest state at every attempt, so that what a person
    /// decides at the same moment survives.
    async fn put_signals(
        &self,
        grouped: &[Grouped<'_>],
        platforms: &BTreeMap<String, String>,
        moment: Moment<'_>,
    ) -> Result<u64, SignalsError> {
        let def = def("signals")?;
        let ctx = self.sessions.session();
        let writer = Writer::new("signals", self.run_id);
        let mut written = 0;
        commit(self.lake, &ctx, def, &writer, async |table| {
            let state = std::sync::Arc::new(ctx.state());
            let read = LakeError::read(def.name);
            let provider = table.table_provider().with_session(state).await;
            let rows = ctx
                .read_table(provider.map_err(&read)?)
                .map_err(&read)?
                .collect()
                .await
                .map_err(&read)?;
            let known = by_id(from_batches(&rows).map_err(LakeError::shape(def.name))?);
            let planned = transitions(&known, grouped, platforms, moment);
            let rows: Vec<SignalRow> = overlaid(known, planned).into_values().collect();
            let batch = to_batch(def, &rows)?;
            let found = difference(&ctx, def, table, &batch, &[], None).await?;
            written = found.written;
            Ok(found.change)
        })
        .await?;
        Ok(written)
    }
}

pub(super) fn def(name: &'static str) -> Result<&'static TableDef, SignalsError> {
    crate::lake::table(name).ok_or(SignalsError::Undeclared(name))
}
