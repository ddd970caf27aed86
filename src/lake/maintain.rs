//! Keeping tables quick to read: compaction, checkpoints, and removal of files nobody can need.
//!
//! The plan is shown before anything is done. Files younger than the retention stay; a run older than
//! that cannot be replayed any more.

use chrono::Duration;
use datafusion::prelude::SessionContext;
use deltalake::checkpoints::create_checkpoint;
use std::sync::Arc;

use super::{Lake, LakeError, TABLES, TableDef};

/// What maintenance would do to a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaintenancePlan {
    /// The table.
    pub table: &'static str,
    /// Its version now.
    pub version: u64,
    /// Data files it consists of.
    pub files: usize,
    /// Files that vacuum would delete.
    pub expired: usize,
}

/// What maintenance did to a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// The table.
    pub table: &'static str,
    /// Files merged into larger ones.
    pub compacted: u64,
    /// Files written in their place.
    pub written: u64,
    /// Files deleted.
    pub deleted: usize,
}

impl Lake {
    /// What `maintain` would do, table by table.
    pub async fn maintenance_plan(
        &self,
        retention: Duration,
    ) -> Result<Vec<MaintenancePlan>, LakeError> {
        let mut plans = Vec::new();
        for def in TABLES.iter() {
            let Some(table) = self.existing(def).await? else {
                continue;
            };
            let open = LakeError::open(def.name);
            let version = table.version().unwrap_or(0);
            let files = table.get_file_uris().map_err(&open)?.count();
            let (_, metrics) = table
                .vacuum()
                .with_retention_period(retention)
                .with_dry_run(true)
                .await
                .map_err(&open)?;
            let expired = metrics.files_deleted.len();
            plans.push(MaintenancePlan {
                table: def.name,
                version,
                files,
                expired,
            });
        }
        Ok(plans)
    }

    /// Compacts, checkpoints and vacuums one table.
    pub async fn maintain(
        &self,
        ctx: &SessionContext,
        def: &'static TableDef,
        retention: Duration,
    ) -> Result<Maintenance, LakeError> {
        let open = LakeError::open(def.name);
        let table = self.table(def).await?;
        let optimize = table.optimize().with_session_state(Arc::new(ctx.state()));
        let (table, metrics) = optimize.await.map_err(&open)?;
        create_checkpoint(&table, None).await.map_err(&open)?;
        let (_, vacuumed) = table
            .vacuum()
            .with_retention_period(retention)
            .await
            .map_err(&open)?;
        Ok(Maintenance {
            table: def.name,
            compacted: metrics.num_files_removed,
            written: metrics.num_files_added,
            deleted: vacuumed.files_deleted.len(),
        })
    }
}
