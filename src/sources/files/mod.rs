//! The `files` source: CSV, JSON lines and Parquet in a folder of any object store.
//!
//! ```text
//!  list.rs   which files            rows.rs csv.rs ─┐
//!  open.rs   bytes, unpacked  ────► jsonl.rs ───────┼─► read.rs  canonical batches, or
//!  lines.rs  lines, numbered        parquet.rs ─────┘   raw.rs   the file as it is
//! ```
//! It streams: memory is bounded by a few batches, whatever the size of a file. It must not write
//! to the store, and it does not remember which files were read before.

mod batch;
mod csv;
mod jsonl;
mod lines;
mod list;
mod open;
mod parquet;
mod raw;
mod read;
mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use object_store::ObjectStore;
use object_store::path::Path;
use tokio::sync::mpsc;

use crate::sources::error::SourceError;
use crate::sources::spec::{Decoded, InputFile, TableSpec};

pub use list::Listing;

/// How one table is made from files that are not in the canonical layout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// Which files, as a glob below the source's path; `None` means the canonical places.
    pub files: Option<String>,
    /// The SELECT over the files as they are; `None` means that the columns are canonical.
    pub sql: Option<String>,
}

/// A folder of files.
#[derive(Clone, Debug)]
pub struct FilesSource {
    name: String,
    store: Arc<dyn ObjectStore>,
    root: Path,
    mappings: BTreeMap<String, Mapping>,
}

impl FilesSource {
    /// The folder `root` of a store, under the name of the configured connection.
    pub fn new(
        name: &str,
        store: Arc<dyn ObjectStore>,
        root: Path,
        mappings: BTreeMap<String, Mapping>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            store,
            root,
            mappings,
        }
    }

    /// The name of the configured connection: the `source` of every row.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The mapping of a table, if it has one.
    pub fn mapping(&self, table: &str) -> Option<&Mapping> {
        self.mappings.get(table)
    }

    /// The files of these tables, sorted by path. A folder without any file is an error.
    pub async fn list(&self, tables: &[TableSpec]) -> Result<Listing, SourceError> {
        let folder = list::Folder {
            name: &self.name,
            store: &self.store,
            root: &self.root,
            mappings: &self.mappings,
        };
        list::list(&folder, tables).await
    }

    /// Reads a file with canonical columns and sends its batches.
    ///
    /// An error is the last thing sent, and is returned too: whichever the caller looks at tells it
    /// that the batches before are not the whole file.
    pub async fn read(
        &self,
        file: &InputFile,
        spec: &TableSpec,
        batch_rows: usize,
        sink: mpsc::Sender<Result<Decoded, SourceError>>,
    ) -> Result<(), SourceError> {
        let (name, path, spec) = (self.name.clone(), file.path.clone(), spec.clone());
        read::deliver(
            &self.store,
            file,
            batch_rows,
            sink,
            move |opened, hand_on| {
                read::canonical(opened, &name, &path, &spec, batch_rows, hand_on)
            },
        )
        .await
    }

    /// The columns of a file as it is, plus `_file` and `_line`. CSV and JSON lines have only text
    /// columns; for JSON lines the whole file is scanned for keys.
    pub async fn raw_schema(&self, file: &InputFile) -> Result<SchemaRef, SourceError> {
        raw::schema(&self.store, file).await
    }

    /// Reads a file as it is and sends its batches, in the columns of `schema`: that of
    /// [`Self::raw_schema`], or a wider one where several files are read as one table.
    ///
    /// Errors are sent and returned as in [`Self::read`]. `rejects` holds lines that are no rows.
    pub async fn stream_raw(
        &self,
        file: &InputFile,
        schema: &SchemaRef,
        batch_rows: usize,
        sink: mpsc::Sender<Result<Decoded, SourceError>>,
    ) -> Result<(), SourceError> {
        let (path, schema) = (file.path.clone(), Arc::clone(schema));
        read::deliver(
            &self.store,
            file,
            batch_rows,
            sink,
            move |opened, hand_on| raw::read(opened, &path, &schema, batch_rows, hand_on),
        )
        .await
    }
}

#[cfg(test)]
mod tests;
