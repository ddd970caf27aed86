//! The tables and views that rules see: of the lake, or made up by a rule's cases.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::arrow::array::{RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::MemTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::{Expr, SessionContext, col, lit};
use serde::Deserialize;

use super::DetectError;
use crate::config::Source;
use crate::lake::{Lake, TABLES, Zone, from_batches};
use crate::rules::View;
use crate::session::{Parameters, Pinned, Sessions, plan_read_only};

/// The table of what is configured.
pub(super) const RUN_SOURCES: &str = "run_sources";

/// Bytes of files of small tables that are kept in memory while rules are judged, where they take some
/// ten times as much. Dozens of rules read the catalogue, the subscriptions and the invoices again and
/// again; beside them, opening files is what a small lake costs.
const HELD_BYTES: u64 = 16 * 1024 * 1024;

/// A session with everything a rule may read.
#[derive(Clone)]
pub struct World {
    ctx: SessionContext,
    versions: BTreeMap<&'static str, u64>,
    small: Vec<&'static str>,
    exported: BTreeSet<String>,
}

impl World {
    /// The lake as it is now, every table pinned at its version.
    pub async fn of_lake(
        lake: &Lake,
        sessions: &Sessions,
        sources: &[Source],
    ) -> std::result::Result<Self, DetectError> {
        let ctx = sessions.session();
        let pinned = Pinned::new(lake, &ctx, TABLES.iter()).await?;
        let prepared = |source| DetectError::Session {
            what: "tables",
            source: Box::new(source),
        };
        pinned.register(&ctx).map_err(prepared)?;
        let rows: Vec<_> = sources
            .iter()
            .map(|source| {
                (
                    source.name.as_str(),
                    source.role.as_str(),
                    source.platform.as_str(),
                )
            })
            .collect();
        register_sources(&ctx, &rows).map_err(prepared)?;
        let exported = exported(&ctx).await.map_err(prepared)?;
        Ok(Self {
            ctx,
            versions: pinned.versions().clone(),
            small: small(&pinned),
            exported,
        })
    }

    /// Whether the lake has had this source, configured now or not.
    pub(super) fn has_had(&self, source: &str) -> bool {
        self.exported.contains(source)
    }

    /// Reads the small ones of these tables once, for all who will ask for them. A table that cannot be
    /// read stays what it was: only those who ask for it fail.
    pub(super) async fn hold_small(
        &self,
        tables: &BTreeSet<&str>,
    ) -> std::result::Result<(), DetectError> {
        for table in self.small.iter().filter(|table| tables.contains(*table)) {
            let held = self.hold(table).await;
            held.map_err(|source| DetectError::Session {
                what: "small tables",
                source: Box::new(source),
            })?;
        }
        Ok(())
    }

    async fn hold(&self, table: &str) -> Result<()> {
        let held = match self.ctx.table(table).await?.cache().await {
            Ok(held) => held,
            Err(error) => {
                tracing::debug!(table, %error, "a small table is not kept in memory");
                return Ok(());
            }
        };
        self.ctx.deregister_table(table)?;
        self.ctx.register_table(table, held.into_view())?;
        Ok(())
    }

    /// The same tables, at the same versions, with the rows of these sources alone; no views yet.
    pub(super) async fn of_sources(
        &self,
        sessions: &Sessions,
        sources: &[&str],
    ) -> std::result::Result<Self, DetectError> {
        let narrowed = self.narrowed(sessions, sources).await;
        narrowed.map_err(|source| DetectError::Session {
            what: "tables of one source",
            source: Box::new(source),
        })
    }

    async fn narrowed(&self, sessions: &Sessions, sources: &[&str]) -> Result<Self> {
        let ctx = sessions.session();
        let sources: Vec<Expr> = sources.iter().map(|source| lit(*source)).collect();
        for def in TABLES.iter() {
            let whole = self.ctx.table_provider(def.name).await?;
            let table = if def.schema().column_with_name("source").is_some() {
                let theirs = col("source").in_list(sources.clone(), false);
                ctx.read_table(whole)?.filter(theirs)?.into_view()
            } else {
                whole
            };
            ctx.register_table(def.name, table)?;
        }
        let run_sources = self.ctx.table_provider(RUN_SOURCES).await?;
        ctx.register_table(RUN_SOURCES, run_sources)?;
        Ok(self.over(ctx))
    }

    /// Empty tables: enough to plan every rule against.
    pub(super) fn empty(sessions: &Sessions) -> Result<Self> {
        let ctx = sessions.session();
        for def in TABLES.iter() {
            ctx.register_table(def.name, crate::session::empty_table(def)?)?;
        }
        register_sources(&ctx, &[])?;
        Ok(Self {
            ctx,
            versions: BTreeMap::new(),
            small: Vec::new(),
            exported: BTreeSet::new(),
        })
    }

    /// Another session over tables of the same versions.
    pub(super) fn over(&self, ctx: SessionContext) -> Self {
        Self {
            ctx,
            versions: self.versions.clone(),
            small: self.small.clone(),
            exported: self.exported.clone(),
        }
    }

    /// The session.
    pub fn ctx(&self) -> &SessionContext {
        &self.ctx
    }

    /// Table → version.
    pub fn versions(&self) -> &BTreeMap<&'static str, u64> {
        &self.versions
    }

    /// Defines the shared views over the widest window; those marked so are computed now, once.
    pub async fn define_views(
        &self,
        views: &[&View],
        as_of: DateTime<Utc>,
        window: (DateTime<Utc>, DateTime<Utc>),
    ) -> std::result::Result<(), DetectError> {
        let parameters = Parameters::of_window(as_of, window.0, window.1);
        for view in views {
            self.define(view, &parameters).await?;
        }
        Ok(())
    }

    /// Defines the views that look at a rule's own window again, for that rule. What was computed once
    /// stays: it holds the widest window.
    pub async fn define_window(
        &self,
        views: &[&View],
        as_of: DateTime<Utc>,
        window: (DateTime<Utc>, DateTime<Utc>),
    ) -> std::result::Result<(), DetectError> {
        let parameters = Parameters::of_window(as_of, window.0, window.1);
        let mut again: Vec<&str> = Vec::new();
        for view in views.iter().filter(|view| !view.materialise) {
            if looks_at_window(view, &again) {
                self.define(view, &parameters).await?;
                again.push(&view.name);
            }
        }
        Ok(())
    }

    /// Takes out the views that look at a window: what they hold is that of a rule. The others stay as
    /// they were computed.
    pub(super) fn clear_windows(&self, views: &[&View]) -> std::result::Result<(), DetectError> {
        let mut gone: Vec<&str> = Vec::new();
        for view in views {
            if looks_at_window(view, &gone) {
                let cleared = self.ctx.deregister_table(view.name.as_str());
                cleared.map_err(|source| failed(view, source))?;
                gone.push(&view.name);
            }
        }
        Ok(())
    }

    async fn define(
        &self,
        view: &View,
        parameters: &Parameters,
    ) -> std::result::Result<(), DetectError> {
        self.try_define(view, parameters)
            .await
            .map_err(|source| failed(view, source))
    }

    async fn try_define(&self, view: &View, parameters: &Parameters) -> Result<()> {
        let query = plan_read_only(&self.ctx, &view.sql).await?;
        let query = query.with_param_values(parameters.values())?;
        // What cannot be computed is left to the rules that ask for it: only they fail.
        let computed = if view.materialise {
            query.clone().cache().await.ok()
        } else {
            None
        };
        let table = computed.unwrap_or(query).into_view();
        self.ctx.deregister_table(view.name.as_str())?;
        self.ctx.register_table(view.name.as_str(), table)?;
        Ok(())
    }
}

/// Whether what a view holds depends on a window, by itself or through one of these views.
fn looks_at_window(view: &View, others: &[&str]) -> bool {
    view.sql.contains("$window_") || others.iter().any(|name| view.sql.contains(name))
}

/// Every source that was ever exported.
async fn exported(ctx: &SessionContext) -> Result<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Exported {
        source: String,
    }
    let rows = ctx.sql("select distinct source from exports").await?;
    let rows: Vec<Exported> = from_batches(&rows.collect().await?)?;
    Ok(rows.into_iter().map(|row| row.source).collect())
}

/// The smallest tables, as many as fit into [`HELD_BYTES`] together.
fn small(pinned: &Pinned) -> Vec<&'static str> {
    let mut sizes: Vec<(u64, &'static str)> = TABLES
        .iter()
        .filter_map(|def| Some((pinned.bytes(def.name)?, def.name)))
        .collect();
    sizes.sort_unstable();
    let mut room = HELD_BYTES;
    let fitting = sizes.into_iter().map_while(|(bytes, table)| {
        room = room.checked_sub(bytes)?;
        Some(table)
    });
    fitting.collect()
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("versions", &self.versions)
            .finish_non_exhaustive()
    }
}

fn failed(view: &View, source: DataFusionError) -> DetectError {
    DetectError::View {
        view: view.name.clone(),
        source: Box::new(source),
    }
}

/// Registers `run_sources`: what is configured, as a table.
pub(super) fn register_sources(ctx: &SessionContext, sources: &[(&str, &str, &str)]) -> Result<()> {
    let fields = ["source", "role", "platform"].map(|name| Field::new(name, DataType::Utf8, false));
    let schema = Arc::new(Schema::new(fields.to_vec()));
    let column = |pick: fn(&(&str, &str, &str)) -> String| {
        Arc::new(
            sources
                .iter()
                .map(|row| Some(pick(row)))
                .collect::<StringArray>(),
        )
    };
    let batch = RecordBatch::try_new(
        Arc::clone(&schema),
        vec![
            column(|row| row.0.to_owned()),
            column(|row| row.1.to_owned()),
            column(|row| row.2.to_owned()),
        ],
    )?;
    ctx.register_table(
        RUN_SOURCES,
        Arc::new(MemTable::try_new(schema, vec![vec![batch]])?),
    )?;
    Ok(())
}

/// The canonical table behind a table: derived tables stand for the usage they are made from.
pub(super) fn canonical_behind(table: &str) -> Option<&'static str> {
    let def = crate::lake::table(table)?;
    match def.zone {
        Zone::Canonical => Some(def.name),
        Zone::Derived => Some("usage_records"),
        Zone::Results => None,
    }
}
