//! Queries under a time limit.
//!
//! A join never yields to the runtime, so a timer on the same threads does not fire: queries run on
//! workers of their own, and the caller's runtime keeps the time.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Threads that only run queries.
#[derive(Debug)]
pub struct Workers {
    runtime: Option<Runtime>,
}

/// How a bounded query ended.
#[derive(Debug)]
pub enum Bounded<T> {
    /// It came to its end.
    Done(T),
    /// It ran out of time and was abandoned.
    TimedOut,
    /// It panicked.
    Panicked(String),
}

impl Workers {
    /// `threads` workers.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("query")
            // Deep plans recurse.
            .thread_stack_size(8 * 1024 * 1024)
            .enable_all()
            .build()?;
        Ok(Self {
            runtime: Some(runtime),
        })
    }

    /// Runs the query on the workers, for at most `limit`.
    pub async fn run<F>(&self, limit: Duration, query: F) -> Bounded<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let Some(runtime) = &self.runtime else {
            return Bounded::Panicked("the query workers have stopped".to_owned());
        };
        let task = runtime.spawn(query);
        let abort = task.abort_handle();
        match tokio::time::timeout(limit, task).await {
            Ok(Ok(result)) => Bounded::Done(result),
            Ok(Err(error)) => Bounded::Panicked(error.to_string()),
            Err(_) => {
                abort.abort();
                Bounded::TimedOut
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // An abandoned query may never end: do not wait for it.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
