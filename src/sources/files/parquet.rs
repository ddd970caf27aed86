//! Parquet files of any store, a row group's columns at a time.
//!
//! Types are left as they are: whether a column can become a canonical one is decided in `decode`.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::ParquetRecordBatchStreamBuilder;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStream};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use futures::StreamExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use tokio::runtime::Handle;

use crate::sources::error::SourceError;
use crate::sources::spec::InputFile;

/// The store's buffer type, which neither crate exports under a name.
type Bytes = <PutPayload as IntoIterator>::Item;

/// An open Parquet file.
pub(super) struct ParquetFile {
    path: String,
    schema: SchemaRef,
    stream: ParquetRecordBatchStream<StoreFile>,
    runtime: Handle,
}

impl ParquetFile {
    /// Reads the footer.
    pub(super) async fn open(
        store: &Arc<dyn ObjectStore>,
        file: &InputFile,
        batch_rows: usize,
    ) -> Result<Self, SourceError> {
        let reader = StoreFile {
            store: Arc::clone(store),
            location: file.location.clone(),
            size: file.size,
        };
        let wrong = |error: ParquetError| SourceError::Decode {
            place: file.path.clone(),
            source: Arc::new(ArrowError::from(error)),
        };
        let builder = ParquetRecordBatchStreamBuilder::new(reader)
            .await
            .map_err(wrong)?;
        let schema = Arc::clone(builder.schema());
        let stream = builder
            .with_batch_size(batch_rows.max(1))
            .build()
            .map_err(wrong)?;
        Ok(Self {
            path: file.path.clone(),
            schema,
            stream,
            runtime: Handle::current(),
        })
    }

    /// The file's own columns.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next rows; `None` at the end. It blocks, so it must not be called on an async thread.
    pub(super) fn next_batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        match self.runtime.block_on(self.stream.next()) {
            None => Ok(None),
            Some(Ok(batch)) => Ok(Some(batch)),
            Some(Err(error)) => Err(SourceError::Decode {
                place: self.path.clone(),
                source: Arc::new(ArrowError::from(error)),
            }),
        }
    }
}

struct StoreFile {
    store: Arc<dyn ObjectStore>,
    location: Path,
    size: u64,
}

impl AsyncFileReader for StoreFile {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        Box::pin(async move {
            let bytes = self.store.get_range(&self.location, range).await;
            bytes.map_err(|error| ParquetError::External(Box::new(error)))
        })
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        Box::pin(async move {
            let bytes = self.store.get_ranges(&self.location, &ranges).await;
            bytes.map_err(|error| ParquetError::External(Box::new(error)))
        })
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        let size = self.size;
        Box::pin(async move {
            let reader = ParquetMetaDataReader::new().with_arrow_reader_options(options);
            reader.load_and_finish(self, size).await.map(Arc::new)
        })
    }
}
