//! Rows of a file that changed, against the files behind it that did not.
//!
//! Of two files that hold the same key the last by path has the say, where `updated_at` has none.
//! Only files that changed are read, so the last one may not be among them: without a look at it, a
//! file of January that somebody touched would bring January's row back over that of March. The look
//! is taken only for keys that the lake holds with other content, and before anything is written: a
//! run that is killed in between decides the same way when it is repeated.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::row::{RowConverter, Rows, SortField};

use super::ExportError;
use super::reader::Reader;
use crate::lake::{LakeError, Moments, TableDef};
use crate::sources::{Decoded, InputFile};

/// The files of a table that are not read because they did not change.
pub(super) struct Later<'a> {
    reader: &'a Reader<'a>,
    def: &'static TableDef,
    /// By path.
    unchanged: Vec<&'a InputFile>,
    /// Files that could not be looked at, and why.
    failed: Vec<(String, ExportError)>,
}

/// A row that would replace one of the lake.
pub(super) struct Contender<'c> {
    /// Which row.
    pub(super) row: u32,
    /// The file it was read from.
    pub(super) file: &'c str,
}

impl<'a> Later<'a> {
    pub(super) fn new(
        reader: &'a Reader<'a>,
        def: &'static TableDef,
        unchanged: Vec<&'a InputFile>,
    ) -> Self {
        Self {
            reader,
            def,
            unchanged,
            failed: Vec::new(),
        }
    }

    /// Whether any unchanged file comes after this one.
    pub(super) fn any_after(&self, file: &str) -> bool {
        self.unchanged
            .last()
            .is_some_and(|last| last.path.as_str() > file)
    }

    /// The contenders whose key a later file holds, each with the place of that row.
    ///
    /// A file that cannot be read has no say: it is read again next time, as one that failed.
    pub(super) async fn outranking(
        &mut self,
        rows: &RecordBatch,
        contenders: &[Contender<'_>],
    ) -> Result<BTreeMap<u32, String>, ExportError> {
        let mut outranked = BTreeMap::new();
        let Some(first) = contenders.iter().map(|contender| contender.file).min() else {
            return Ok(outranked);
        };
        let keys = keys(self.def, rows)?;
        let mut by_key: HashMap<&[u8], Vec<&Contender<'_>>> = HashMap::new();
        for contender in contenders {
            let key = keys.row(contender.row as usize).data();
            by_key.entry(key).or_default().push(contender);
        }
        let asked = Asked {
            def: self.def,
            by_key,
            moments: Moments::of(rows),
        };
        for file in self
            .unchanged
            .iter()
            .filter(|file| file.path.as_str() > first)
        {
            match asked.look(self.reader, file, &mut outranked).await {
                Ok(()) => {}
                Err(error @ (ExportError::Source(_) | ExportError::Mapping { .. })) => {
                    self.failed.push((file.path.clone(), error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(outranked)
    }

    /// The files that could not be looked at.
    pub(super) fn into_failed(self) -> Vec<(String, ExportError)> {
        self.failed
    }
}

/// Contenders by key, and when each of their rows was last changed.
struct Asked<'c> {
    def: &'static TableDef,
    by_key: HashMap<&'c [u8], Vec<&'c Contender<'c>>>,
    moments: Moments,
}

impl Asked<'_> {
    async fn look(
        &self,
        reader: &Reader<'_>,
        file: &InputFile,
        outranked: &mut BTreeMap<u32, String>,
    ) -> Result<(), ExportError> {
        let mut reading = reader.open(file).await?;
        while let Some(decoded) = reading.next().await? {
            self.compare(&decoded, file, outranked)?;
        }
        Ok(())
    }

    fn compare(
        &self,
        decoded: &Decoded,
        file: &InputFile,
        outranked: &mut BTreeMap<u32, String>,
    ) -> Result<(), ExportError> {
        let keys = keys(self.def, &decoded.batch)?;
        let moments = Moments::of(&decoded.batch);
        for (at, key) in (0u32..).zip(keys.iter()) {
            for contender in self.by_key.get(key.data()).into_iter().flatten() {
                let order = moments.compare(at, &self.moments, contender.row);
                if contender.file < file.path.as_str() && order != Some(Ordering::Less) {
                    let place = decoded.places.of(at as usize, &file.path);
                    outranked.insert(contender.row, place);
                }
            }
        }
        Ok(())
    }
}

/// The keys of the rows as bytes, the same for the same key in every batch of the table.
pub(super) fn keys(def: &'static TableDef, rows: &RecordBatch) -> Result<Rows, LakeError> {
    let convert = || -> Result<Rows, ArrowError> {
        let columns: Vec<_> = def
            .key
            .iter()
            .filter_map(|name| rows.column_by_name(name).cloned())
            .collect();
        let fields = columns
            .iter()
            .map(|c| SortField::new(c.data_type().clone()))
            .collect();
        RowConverter::new(fields)?.convert_columns(&columns)
    };
    convert().map_err(|source| LakeError::Shape {
        table: def.name,
        source,
    })
}
