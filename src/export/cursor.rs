//! How far a table of a source has been read: its files and their versions.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use datafusion::scalar::ScalarValue;
use serde::{Deserialize, Serialize};

use super::record::NEWEST_FIRST;
use super::rows::ExportRow;
use super::{ExportError, record};
use crate::lake::Lake;
use crate::model::identity::fingerprint;
use crate::session::{self, Parameters, Sessions};
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

    pub(super) fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

fn version(file: &InputFile) -> String {
    format!("{} {}", file.size, file.version)
}

/// Identifies a table: its source and its name.
pub(super) type Key = (String, String);

/// What earlier exports, and earlier tries of this run, have recorded.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// How far other runs have come. A run that is tried again starts where it started first, so
    /// that its counts are those of the whole run, whichever try did the work.
    pub(super) before: BTreeMap<Key, Before>,
    /// What this very run has written already.
    pub(super) own: BTreeMap<Key, ExportRow>,
}

/// How far a table had been read.
#[derive(Clone, Debug)]
pub(super) struct Before {
    pub(super) cursor: Cursor,
    pub(super) high_watermark: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct Earlier {
    source: String,
    table_name: String,
    cursor_after: Option<String>,
    high_watermark: Option<DateTime<Utc>>,
}

/// Reads `exports`, once for the whole export: what it adds itself is about tables it is done with.
pub(super) async fn load(
    lake: &Lake,
    sessions: &Sessions,
    run_id: &str,
) -> Result<Known, ExportError> {
    let query = format!(
        "select source, table_name, cursor_after, high_watermark from exports
         where cursor_after is not null and coalesce(run_id, '') <> $run_id
         qualify row_number() over (partition by source, table_name order by {NEWEST_FIRST}) = 1"
    );
    let mut parameters = Parameters::default();
    parameters.set("run_id", ScalarValue::from(run_id));
    let session = sessions.session();
    let rows: Vec<Earlier> =
        session::rows(lake, &session, record::def()?, &query, &parameters).await?;
    let mut known = Known::default();
    for row in rows {
        // A cursor that cannot be read costs a full read, nothing else.
        if let Some(cursor) = row.cursor_after.as_deref().and_then(Cursor::from_json) {
            let high_watermark = row.high_watermark;
            let before = Before {
                cursor,
                high_watermark,
            };
            known.before.insert((row.source, row.table_name), before);
        }
    }
    for row in record::of_run(lake, sessions, run_id).await? {
        let key = (row.source.clone(), row.table_name.clone());
        known.own.insert(key, row);
    }
    Ok(known)
}
