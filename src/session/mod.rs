//! The only place that makes query sessions: settings, memory, functions, tables.
//!
//! Everything that plans or runs SQL gets its context here, so that a decimal literal, a memory limit
//! or a function means the same in a rule, in a case of that rule, and at the `sql` prompt.

mod bounded;
mod parameters;
mod pinned;
mod read;
mod sandbox;

use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use deltalake::delta_datafusion::planner::DeltaPlanner;

pub use bounded::{Bounded, Workers};
pub use parameters::{Parameters, interval, micros};
pub use pinned::{Pinned, empty_table};
pub use read::{ReadError, rows};
pub use sandbox::{plan_read_only, tables_read};

/// Functions that answer with the time of day.
const CLOCKS: [&str; 5] = [
    "now",
    "current_timestamp",
    "current_date",
    "today",
    "current_time",
];

/// What a session may use of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Resources {
    /// Bytes of the memory pool; beyond it, operators spill to disk.
    pub memory: u64,
    /// Worker threads and partitions; 0 = one for each core.
    pub threads: usize,
}

/// Makes sessions that share one memory pool and one set of functions.
#[derive(Clone, Debug)]
pub struct Sessions {
    runtime: Arc<RuntimeEnv>,
    threads: usize,
}

impl Sessions {
    /// A factory within these resources.
    pub fn new(resources: Resources) -> Result<Self> {
        let pool = FairSpillPool::new(usize::try_from(resources.memory).unwrap_or(usize::MAX));
        let largest = NonZeroUsize::new(3).unwrap_or(NonZeroUsize::MIN);
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::OsTmpDirectory);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(TrackConsumersPool::new(pool, largest)))
            .with_disk_manager_builder(disk)
            .build_arc()?;
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = if resources.threads == 0 {
            cores()
        } else {
            resources.threads
        };
        Ok(Self { runtime, threads })
    }

    /// Threads that queries may use.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// A session that spreads a query over all threads.
    pub fn session(&self) -> SessionContext {
        self.with_partitions(self.threads)
    }

    /// A session whose queries run on one thread: for work that is split by the caller.
    pub fn single(&self) -> SessionContext {
        self.with_partitions(1)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that makes sessions"
    )]
    fn with_partitions(&self, partitions: usize) -> SessionContext {
        let mut config = SessionConfig::new()
            .with_target_partitions(partitions)
            .with_information_schema(false);
        let options = config.options_mut();
        // A literal such as 1.005 is a decimal, not a float.
        options.sql_parser.parse_float_as_decimal = true;
        options.execution.parquet.schema_force_view_types = false;
        // Dynamic IN lists can panic on the dictionary keys of Delta's string partitions.
        options.optimizer.hash_join_inlist_pushdown_max_size = 0;
        options.execution.sort_spill_reservation_bytes = 1024 * 1024;
        let state = SessionStateBuilder::new()
            .with_default_features()
            .with_config(config)
            .with_runtime_env(Arc::clone(&self.runtime))
            // delta-rs plans its writes with nodes of its own.
            .with_query_planner(DeltaPlanner::new())
            .build();
        let ctx = SessionContext::new_with_state(state);
        crate::rating::register(&ctx);
        // The moment that counts is `$as_of`: no query reads the clock.
        for clock in CLOCKS {
            ctx.deregister_udf(clock);
        }
        ctx
    }
}

/// Puts a query; where memory runs out, once more in a session whose joins can spill to disk.
///
/// # Errors
/// What the attempt says; the second, where there were two.
pub async fn spilling<T, F, A>(ctx: &SessionContext, attempt: F) -> Result<T>
where
    F: Fn(SessionContext) -> A,
    A: Future<Output = Result<T>>,
{
    match attempt(ctx.clone()).await {
        Err(error) if is_exhausted(&error) => attempt(sort_merge(ctx)).await,
        other => other,
    }
}

/// Whether a query failed for want of memory, whatever it read.
pub fn is_exhausted(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}

/// The same session with sort-merge joins: a hash join cannot spill.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that makes sessions"
)]
fn sort_merge(ctx: &SessionContext) -> SessionContext {
    let mut state = ctx.state();
    state.config_mut().options_mut().optimizer.prefer_hash_join = false;
    SessionContext::new_with_state(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_query_reads_the_clock() {
        let resources = Resources {
            memory: 16 * 1024 * 1024,
            threads: 1,
        };
        let ctx = Sessions::new(resources).unwrap().session();
        for clock in [
            "now()",
            "current_timestamp",
            "current_date",
            "today()",
            "current_time",
        ] {
            assert!(
                ctx.sql(&format!("select {clock}")).await.is_err(),
                "{clock}"
            );
        }
    }
}
