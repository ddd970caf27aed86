//! A file in a layout of its own: the SQL of its mapping runs over it as it is read.
//!
//! The file streams through the query, so memory is bounded by a few batches unless the SQL itself
//! sorts or groups. One thread runs it: the result keeps the order of the file, and a row that is
//! rejected is found at the same place when the file is read again.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::{DataFusionError, Result as QueryResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use tokio::sync::mpsc;

use crate::session::plan_read_only;
use crate::sources::{FilesSource, InputFile, Reject, SourceError};

/// Rows of the file handed to the query at once.
const BATCH_ROWS: usize = 8192;

/// The result of a mapping, batch by batch, and the lines that were no rows.
pub(super) struct Mapped {
    rows: SendableRecordBatchStream,
    rejects: mpsc::UnboundedReceiver<Reject>,
    /// Places already rejected: SQL that reads the file twice meets them twice.
    seen: HashSet<String>,
}

impl Mapped {
    pub(super) async fn start(
        ctx: &SessionContext,
        files: &Arc<FilesSource>,
        file: &InputFile,
        sql: &str,
    ) -> QueryResult<Self> {
        let schema = files.raw_schema(file).await.map_err(external)?;
        let (sink, rejects) = mpsc::unbounded_channel();
        let partition = RawPartition {
            files: Arc::clone(files),
            file: file.clone(),
            schema: Arc::clone(&schema),
            rejects: sink,
        };
        let table = StreamingTable::try_new(schema, vec![Arc::new(partition)])?;
        ctx.register_table("raw", Arc::new(table))?;
        let rows = plan_read_only(ctx, sql).await?.execute_stream().await?;
        Ok(Self {
            rows,
            rejects,
            seen: HashSet::new(),
        })
    }

    pub(super) async fn next(&mut self) -> Option<QueryResult<RecordBatch>> {
        self.rows.next().await
    }

    /// The lines that were no rows, among what was read since the last call.
    pub(super) fn rejects(&mut self) -> Vec<Reject> {
        let mut rejects = Vec::new();
        while let Ok(reject) = self.rejects.try_recv() {
            if self.seen.insert(reject.origin.clone()) {
                rejects.push(reject);
            }
        }
        rejects
    }
}

/// What the file said, where that is why the query failed.
pub(super) fn read_error(error: &DataFusionError) -> Option<SourceError> {
    match error.find_root() {
        DataFusionError::External(source) => source.downcast_ref::<SourceError>().cloned(),
        _ => None,
    }
}

#[derive(Debug)]
struct RawPartition {
    files: Arc<FilesSource>,
    file: InputFile,
    schema: SchemaRef,
    rejects: mpsc::UnboundedSender<Reject>,
}

impl PartitionStream for RawPartition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), 2);
        let batches = builder.tx();
        let (files, file) = (Arc::clone(&self.files), self.file.clone());
        let (schema, rejects) = (Arc::clone(&self.schema), self.rejects.clone());
        builder.spawn(async move {
            let (sink, mut rows) = mpsc::channel(2);
            let reading = files.stream_raw(&file, &schema, BATCH_ROWS, sink);
            let handing = async move {
                // An error is the last thing sent; a query that wants no more rows hangs up.
                while let Some(next) = rows.recv().await {
                    let batch = next.map(|decoded| {
                        for reject in decoded.rejects {
                            rejects.send(reject).ok();
                        }
                        decoded.batch
                    });
                    if batches.send(batch.map_err(external)).await.is_err() {
                        break;
                    }
                }
            };
            // What reading returns was sent before.
            let _ = tokio::join!(reading, handing);
            Ok(())
        });
        builder.build()
    }
}

fn external(error: SourceError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
