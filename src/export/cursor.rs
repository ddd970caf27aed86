//! How far a table of a source has been read: its files and their versions.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use serde::{Deserialize, Serialize};

use super::ExportError;
use crate::lake::Lake;
use crate::model::identity::fingerprint;
use crate::session::{self, Parameters};
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

/// What earlier exports, and earlier tries of this run, have recorded; both by source and table.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// The newest cursors.
    pub(super) cursors: BTreeMap<(String, String), Cursor>,
    /// What this very run has exported already.
    pub(super) recorded: BTreeSet<(String, String)>,
}

#[derive(Deserialize)]
struct Earlier {
    run_id: String,
    source: String,
    table_name: String,
    status: String,
    cursor_after: Option<String>,
}

/// Reads `exports`, once for the whole export: what it adds itself is about tables it is done with.
pub(super) async fn load(
    lake: &Lake,
    ctx: &SessionContext,
    run_id: &str,
) -> Result<Known, ExportError> {
    let def = crate::lake::table("exports").ok_or(ExportError::Undeclared("exports"))?;
    let query = "select run_id, source, table_name, status, cursor_after from exports
                 where cursor_after is not null or run_id = $run_id
                 order by finished_at nulls first";
    let mut parameters = Parameters::default();
    parameters.set("run_id", ScalarValue::from(run_id));
    let rows: Vec<Earlier> = session::rows(lake, ctx, def, query, &parameters).await?;
    let mut known = Known::default();
    for row in rows {
        let table = (row.source, row.table_name);
        if row.run_id == run_id && row.status == "ok" {
            known.recorded.insert(table.clone());
        }
        // A cursor that cannot be read costs a full read, nothing else.
        let cursor = row.cursor_after.as_deref();
        if let Some(Ok(cursor)) = cursor.map(serde_json::from_str::<Cursor>) {
            known.cursors.insert(table, cursor);
        }
    }
    Ok(known)
}
