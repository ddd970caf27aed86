//! How far a table of a source has been read: its files and their versions.

use std::collections::BTreeMap;

use datafusion::prelude::SessionContext;
use serde::{Deserialize, Serialize};

use super::{ExportError, ExportRow};
use crate::lake::{Lake, LakeError, from_batches};
use crate::model::identity::fingerprint;
use crate::session::Pinned;
use crate::sources::InputFile;

/// The files that have been read, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// Hash of the mapping: files are read again when it changes.
    mapping: Option<String>,
    /// Path → version.
    files: BTreeMap<String, String>,
}

impl Cursor {
    pub(super) fn of(files: &[InputFile], mapping: Option<&str>) -> Self {
        Self {
            mapping: mapping.map(|sql| fingerprint([sql])),
            files: files
                .iter()
                .map(|file| (file.path.clone(), version(file)))
                .collect(),
        }
    }

    /// Whether this file was read, as it is now, under this mapping.
    pub(super) fn holds(&self, now: &Self, file: &InputFile) -> bool {
        self.mapping == now.mapping && self.files.get(&file.path) == Some(&version(file))
    }

    /// The same without files that could not be read.
    pub(super) fn without<'f>(&self, files: impl IntoIterator<Item = &'f String>) -> Self {
        let mut rest = self.clone();
        for file in files {
            rest.files.remove(file);
        }
        rest
    }

    pub(super) fn to_json(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }
}

fn version(file: &InputFile) -> String {
    format!("{} {}", file.size, file.version)
}

/// The newest cursor of every source and table.
pub(super) async fn load(
    lake: &Lake,
    ctx: &SessionContext,
) -> Result<BTreeMap<(String, String), Cursor>, ExportError> {
    let def = crate::lake::table("exports").ok_or(ExportError::Undeclared("exports"))?;
    let read = |source| LakeError::Read {
        table: "exports",
        source: Box::new(source),
    };
    Pinned::new(lake, ctx, [def])
        .await?
        .register(ctx)
        .map_err(read)?;
    let query = "select * from exports where cursor_after is not null
                 order by finished_at";
    let batches = ctx
        .sql(query)
        .await
        .map_err(read)?
        .collect()
        .await
        .map_err(read)?;
    let rows: Vec<ExportRow> = from_batches(&batches).map_err(|source| LakeError::Shape {
        table: "exports",
        source,
    })?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            // A cursor that cannot be read costs a full read, nothing else.
            let cursor = serde_json::from_str(row.cursor_after.as_deref()?).ok()?;
            Some(((row.source, row.table_name), cursor))
        })
        .collect())
}
