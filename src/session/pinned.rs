//! Tables of the lake in a session, each at one version: a run sees one consistent state of the data.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion::prelude::SessionContext;
use deltalake::DeltaTable;

use crate::lake::{Lake, LakeError, TableDef};

/// Tables at the versions they had when they were pinned.
#[derive(Clone, Default)]
pub struct Pinned {
    tables: BTreeMap<&'static str, Arc<dyn TableProvider>>,
    versions: BTreeMap<&'static str, u64>,
    bytes: BTreeMap<&'static str, u64>,
}

impl Pinned {
    /// Pins the tables at their newest versions; a table that does not exist yet is empty.
    pub async fn new(
        lake: &Lake,
        ctx: &SessionContext,
        defs: impl IntoIterator<Item = &'static TableDef>,
    ) -> std::result::Result<Self, LakeError> {
        let mut pinned = Self::default();
        for def in defs {
            match lake.existing(def).await? {
                Some(table) => {
                    let provider = provider(ctx, &table).await;
                    let provider = provider.map_err(|source| LakeError::Read {
                        table: def.name,
                        source: Box::new(source),
                    })?;
                    pinned.tables.insert(def.name, provider);
                    if let Some(bytes) = bytes(&table) {
                        pinned.bytes.insert(def.name, bytes);
                    }
                    pinned
                        .versions
                        .insert(def.name, table.version().unwrap_or(0));
                }
                None => {
                    let empty = empty_table(def).map_err(|source| LakeError::Read {
                        table: def.name,
                        source: Box::new(source),
                    })?;
                    pinned.tables.insert(def.name, empty);
                }
            }
        }
        Ok(pinned)
    }

    /// Puts the tables into a session.
    pub fn register(&self, ctx: &SessionContext) -> Result<()> {
        for (name, table) in &self.tables {
            ctx.register_table(*name, Arc::clone(table))?;
        }
        Ok(())
    }

    /// How large the table's files are; `None` where there are none, or its log does not say.
    pub fn bytes(&self, table: &str) -> Option<u64> {
        self.bytes.get(table).copied()
    }

    /// Table → version, for tables that exist: enough to replay the run on the data as it was.
    pub fn versions(&self) -> &BTreeMap<&'static str, u64> {
        &self.versions
    }
}

fn bytes(table: &DeltaTable) -> Option<u64> {
    let log = table.snapshot().ok()?.log_data();
    let sizes = log.iter().map(|file| u64::try_from(file.size()).ok());
    sizes.sum()
}

async fn provider(ctx: &SessionContext, table: &DeltaTable) -> Result<Arc<dyn TableProvider>> {
    table
        .table_provider()
        .with_session(Arc::new(ctx.state()))
        .await
}

/// An empty table of that shape.
pub fn empty_table(def: &TableDef) -> Result<Arc<dyn TableProvider>> {
    Ok(Arc::new(MemTable::try_new(def.schema(), vec![vec![]])?))
}
