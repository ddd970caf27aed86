//! Rows of a file that changed, against the files behind it that did not.
//!
//! Of two files that hold the same key the last by path has the say, where `updated_at` has none.
//! Only files that changed are read, so the last one may not be among them: without a look at it, a
//! file of January that somebody touched would bring January's row back over that of March. The look
//! is taken only for keys that the lake holds with other content, and before anything is written: a
//! run that is killed in between decides the same way when it is repeated.
//!
//! The lake does not know which file a row came from, so a key that no later file holds costs reading
//! all of them. The last file is looked at first, and none once every key has met a later row.

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
    /// Files that could not be looked at, and why: one try for the whole table.
    failed: BTreeMap<String, ExportError>,
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
            failed: BTreeMap::new(),
        }
    }

    /// Whether any unchanged file comes after this one.
    pub(super) fn any_after(&self, file: &str) -> bool {
        self.unchanged
            .last()
            .is_some_and(|last| last.path.as_str() > file)
    }

    /// The contenders whose key a later file holds, each with the place of the last such row.
    ///
    /// A file that breaks off is not looked at again: it is read next time, as one that failed.
    pub(super) async fn outranking(
        &mut self,
        rows: &RecordBatch,
        contenders: &[Contender<'_>],
    ) -> Result<BTreeMap<u32, String>, ExportError> {
        let mut outranked = BTreeMap::new();
        if contenders.is_empty() {
            return Ok(outranked);
        }
        let keys = keys(self.def, rows)?;
        let mut by_key: HashMap<&[u8], Vec<&Contender<'_>>> = HashMap::new();
        for contender in contenders {
            let key = keys.row(contender.row as usize).data();
            by_key.entry(key).or_default().push(contender);
        }
        let mut asked = Asked {
            def: self.def,
            by_key,
            moments: Moments::of(rows),
        };
        let (mut first, mut looked_at) = (asked.first(), 0usize);
        for file in self.unchanged.iter().rev() {
            // Nobody who is left stands before this file, nor before those before it.
            if first.is_none_or(|first| first >= file.path.as_str()) {
                break;
            }
            if self.failed.contains_key(&file.path) {
                continue;
            }
            looked_at += 1;
            let known = outranked.len();
            match asked.look(self.reader, file, &mut outranked).await {
                Ok(()) => {}
                Err(error @ (ExportError::Source(_) | ExportError::Mapping { .. })) => {
                    self.failed.insert(file.path.clone(), error);
                }
                Err(error) => return Err(error),
            }
            if outranked.len() > known {
                asked.settle(&outranked);
                first = asked.first();
            }
        }
        if looked_at > 0 {
            tracing::info!(
                table = self.def.name,
                rows = contenders.len(),
                files = looked_at,
                "looked for newer rows in unchanged files behind the changed ones"
            );
        }
        Ok(outranked)
    }

    /// The files that could not be looked at.
    pub(super) fn into_failed(self) -> BTreeMap<String, ExportError> {
        self.failed
    }
}

/// Contenders by key, and when each of their rows was last changed.
struct Asked<'c> {
    def: &'static TableDef,
    /// Those that no row has outranked yet.
    by_key: HashMap<&'c [u8], Vec<&'c Contender<'c>>>,
    moments: Moments,
}

impl<'c> Asked<'c> {
    /// The first file of a contender.
    fn first(&self) -> Option<&'c str> {
        let left = self.by_key.values().flatten();
        left.map(|contender| contender.file).min()
    }

    /// Takes out the contenders that are outranked: files before have no say in them.
    fn settle(&mut self, outranked: &BTreeMap<u32, String>) {
        self.by_key.retain(|_, contenders| {
            contenders.retain(|contender| !outranked.contains_key(&contender.row));
            !contenders.is_empty()
        });
    }

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;
    use object_store::path::Path;
    use object_store::{ObjectStore, ObjectStoreExt};

    use super::*;
    use crate::session::{Resources, Sessions};
    use crate::sources::FilesSource;

    /// No row can be read from it.
    const BROKEN: &str = "meter,unit,unit\n";
    /// The changed file: two rows that contest rows of the lake.
    const CHANGED: &str = "meter,unit\nx,old\ny,old\n";

    /// What outranks `x` and `y` when these files are behind and asked about twice, as by two commits;
    /// and the files that failed. Each contender comes with the file that it is said to be of.
    async fn asked(
        behind: &[(&str, &str)],
        contenders: [&str; 2],
    ) -> (BTreeMap<u32, String>, Vec<String>) {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        for (name, text) in behind.iter().chain(&[("a.csv", CHANGED)]) {
            let path = Path::from(format!("in/meters/{name}"));
            store
                .put(&path, text.as_bytes().to_vec().into())
                .await
                .unwrap();
        }
        let files = FilesSource::new("shop", store, Path::from("in"), BTreeMap::new());
        let specs = crate::export::specs().unwrap();
        let listing = files.list(&specs).await.unwrap();
        let sessions = Sessions::new(Resources {
            memory: 1 << 26,
            threads: 1,
        });
        let sessions = sessions.unwrap();
        let reader = Reader {
            sessions: &sessions,
            source: "shop",
            files: Arc::new(files),
            spec: specs.iter().find(|spec| spec.name == "meters").unwrap(),
            mapping: None,
        };
        let mut changed = reader.open(&listing.files[0]).await.unwrap();
        let rows = changed.next().await.unwrap().unwrap().batch;
        let def = crate::lake::table("meters").unwrap();
        let unchanged = listing.files.iter().skip(1).collect();
        let mut later = Later::new(&reader, def, unchanged);
        let contenders: Vec<Contender<'_>> = (0u32..)
            .zip(contenders)
            .map(|(row, file)| Contender { row, file })
            .collect();
        let outranked = later.outranking(&rows, &contenders).await.unwrap();
        let again = later.outranking(&rows, &contenders).await.unwrap();
        assert_eq!(outranked, again);
        (outranked, later.into_failed().into_keys().collect())
    }

    fn places(pairs: &[(u32, &str)]) -> BTreeMap<u32, String> {
        let place = |(row, place): &(u32, &str)| (*row, (*place).to_owned());
        pairs.iter().map(place).collect()
    }

    #[tokio::test]
    async fn the_last_row_has_the_say_and_no_file_before_it_is_looked_at() {
        let first = ["meters/a.csv", "meters/a.csv"];
        let both = "meter,unit\ny,new\nx,new\n";
        let only_x = "meter,unit\nx,newest\n";
        let found = asked(&[("b.csv", both), ("c.csv", only_x)], first).await;
        let expected = places(&[(0, "meters/c.csv:2"), (1, "meters/b.csv:2")]);
        assert_eq!(found, (expected, Vec::new()));

        // Were it looked at, it would have failed.
        let found = asked(&[("b.csv", BROKEN), ("c.csv", both)], first).await;
        let expected = places(&[(0, "meters/c.csv:3"), (1, "meters/c.csv:2")]);
        assert_eq!(found, (expected, Vec::new()));

        // The contender that is left is of a file behind the broken one.
        let files = [("b.csv", BROKEN), ("d.csv", only_x)];
        let found = asked(&files, ["meters/a.csv", "meters/c.csv"]).await;
        assert_eq!(found, (places(&[(0, "meters/d.csv:2")]), Vec::new()));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_looked_at_has_failed_once_and_hides_no_other() {
        let files = [("b.csv", "meter,unit\ny,new\n"), ("c.csv", BROKEN)];
        let found = asked(&files, ["meters/a.csv", "meters/a.csv"]).await;
        let failed = vec!["meters/c.csv".to_owned()];
        assert_eq!(found, (places(&[(1, "meters/b.csv:2")]), failed));
    }
}
