//! Which files of a folder hold which table: by the canonical layout, or by a mapping's pattern.
//!
//! Nothing found is never silence: a missing folder is an error, and a file or pattern that leads
//! nowhere is reported back so that the caller can say so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::TryStreamExt;
use globset::{GlobBuilder, GlobMatcher};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use super::Mapping;
use crate::sources::error::SourceError;
use crate::sources::spec::{Format, InputFile, TableSpec};

/// What a folder holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// Files of known tables, by path, then table.
    pub files: Vec<InputFile>,
    /// Paths of files that belong to no table, or are of no known format.
    pub unknown: Vec<String>,
    /// Tables whose configured pattern matches no file.
    pub unmatched: Vec<String>,
}

/// The folder to list, and for whom.
pub(super) struct Folder<'a> {
    pub(super) name: &'a str,
    pub(super) store: &'a Arc<dyn ObjectStore>,
    pub(super) root: &'a Path,
    pub(super) mappings: &'a BTreeMap<String, Mapping>,
}

/// Lists the files of the tables.
pub(super) async fn list(
    folder: &Folder<'_>,
    tables: &[TableSpec],
) -> Result<Listing, SourceError> {
    let patterns = patterns(folder, tables)?;
    let objects = match folder
        .store
        .list(Some(folder.root))
        .try_collect::<Vec<ObjectMeta>>()
        .await
    {
        Ok(objects) => objects,
        Err(object_store::Error::NotFound { .. }) => Vec::new(),
        Err(error) => {
            return Err(SourceError::List {
                name: folder.name.to_owned(),
                root: folder.root.to_string(),
                source: Arc::new(error),
            });
        }
    };
    if objects.is_empty() {
        return Err(SourceError::Empty {
            name: folder.name.to_owned(),
            root: folder.root.to_string(),
        });
    }
    let mut listing = Listing::default();
    let mut matched = BTreeSet::new();
    for object in &objects {
        let path = relative(folder.root, &object.location);
        if path.split('/').any(|part| part.starts_with(['.', '_'])) {
            continue;
        }
        let of_pattern = patterns.iter().filter(|(_, glob)| glob.is_match(path));
        let mut owners: Vec<&str> = of_pattern.map(|(table, _)| *table).collect();
        matched.extend(owners.iter().copied());
        owners.extend(canonical_table(path, tables).filter(|table| !patterns.contains_key(table)));
        match Format::of(path) {
            Some(format) if !owners.is_empty() => {
                listing.files.extend(
                    owners
                        .iter()
                        .map(|table| input(object, path, table, format)),
                );
            }
            _ => listing.unknown.push(path.to_owned()),
        }
    }
    listing
        .files
        .sort_by(|a, b| (&a.path, &a.table).cmp(&(&b.path, &b.table)));
    listing.unknown.sort();
    listing.unmatched = patterns
        .keys()
        .filter(|table| !matched.contains(*table))
        .map(|table| (*table).to_owned())
        .collect();
    Ok(listing)
}

/// The patterns of the mapped tables. `*` stays inside a folder, `**` crosses folders.
fn patterns<'a>(
    folder: &Folder<'a>,
    tables: &'a [TableSpec],
) -> Result<BTreeMap<&'a str, GlobMatcher>, SourceError> {
    let mut patterns = BTreeMap::new();
    for table in tables {
        let mapping = folder.mappings.get(&table.name);
        let Some(pattern) = mapping.and_then(|mapping| mapping.files.as_ref()) else {
            continue;
        };
        let glob = GlobBuilder::new(pattern)
            .literal_separator(true)
            .build()
            .map_err(|source| SourceError::Pattern {
                name: folder.name.to_owned(),
                table: table.name.clone(),
                pattern: pattern.clone(),
                source: Arc::new(source),
            })?;
        patterns.insert(table.name.as_str(), glob.compile_matcher());
    }
    Ok(patterns)
}

/// The table named by the first folder of the path, or by the file's own name.
fn canonical_table<'a>(path: &str, tables: &'a [TableSpec]) -> Option<&'a str> {
    let stem = match path.split_once('/') {
        Some((folder, _)) => folder,
        None => path.split('.').next().unwrap_or(path),
    };
    tables
        .iter()
        .map(|table| table.name.as_str())
        .find(|name| *name == stem)
}

fn relative<'a>(root: &Path, location: &'a Path) -> &'a str {
    let location: &'a str = location.as_ref();
    let root: &str = root.as_ref();
    location
        .strip_prefix(root)
        .unwrap_or(location)
        .trim_start_matches('/')
}

fn input(object: &ObjectMeta, path: &str, table: &str, format: Format) -> InputFile {
    InputFile {
        table: table.to_owned(),
        path: path.to_owned(),
        location: object.location.clone(),
        size: object.size,
        version: match &object.e_tag {
            Some(tag) => tag.clone(),
            None => object.last_modified.to_rfc3339(),
        },
        format,
    }
}
