//! Rows of `exports`: read back, written, and marked when what they tell of turns out to be unusable.
//!
//! The rows of a source are written together, after all of its tables: a run that is killed before
//! that leaves tables without a row, reads their files again, and finds in the log what it wrote.

use std::collections::BTreeMap;

use datafusion::scalar::ScalarValue;

use super::ExportError;
use super::rows::ExportRow;
use crate::lake::{Lake, TableDef, Upsert, Writer, to_batch, upsert};
use crate::model::Run;
use crate::model::identity::short_id;
use crate::session::{self, Parameters, Sessions};

/// Every column of a row.
const COLUMNS: &str = "export_id, run_id, source, table_name, started_at, finished_at, status,
    cursor_before, cursor_after, high_watermark, coalesce(rows_read, 0) as rows_read,
    coalesce(rows_written, 0) as rows_written, coalesce(rows_unchanged, 0) as rows_unchanged,
    coalesce(rows_rejected, 0) as rows_rejected, coalesce(bytes, 0) as bytes,
    coalesce(requests, 0) as requests, coalesce(retries, 0) as retries, error";

/// Puts the newest export first: one that tells no time is older than any that does.
pub(super) const NEWEST_FIRST: &str =
    "coalesce(finished_at, started_at) desc nulls last, export_id";

pub(super) fn def() -> Result<&'static TableDef, ExportError> {
    crate::lake::table("exports").ok_or(ExportError::Undeclared("exports"))
}

impl ExportRow {
    /// A row of a table that the run looks at, with nothing in it yet.
    pub(super) fn begun(run: &Run, source: &str, table: &str) -> Self {
        Self {
            export_id: short_id("exp", [run.id.as_str(), source, table]),
            run_id: run.id.clone(),
            source: source.to_owned(),
            table_name: table.to_owned(),
            started_at: Some(run.now()),
            status: "ok".to_owned(),
            ..Self::default()
        }
    }

    /// The same as failed. What an earlier try counted was done, and stays.
    pub(super) fn failed(self, run: &Run, reason: &str) -> Self {
        Self {
            finished_at: Some(run.now()),
            status: "failed".to_owned(),
            error: Some(reason.to_owned()),
            ..self
        }
    }
}

/// What earlier tries of this run have written.
pub(super) async fn of_run(
    lake: &Lake,
    sessions: &Sessions,
    run_id: &str,
) -> Result<Vec<ExportRow>, ExportError> {
    let query = format!("select {COLUMNS} from exports where run_id = $run_id");
    let mut parameters = Parameters::default();
    parameters.set("run_id", ScalarValue::from(run_id));
    Ok(session::rows(lake, &sessions.session(), def()?, &query, &parameters).await?)
}

/// Writes the rows in one commit.
pub(super) async fn write(
    lake: &Lake,
    sessions: &Sessions,
    run_id: &str,
    rows: &[ExportRow],
) -> Result<(), ExportError> {
    if rows.is_empty() {
        return Ok(());
    }
    let def = def()?;
    let writer = Writer::new("exports", run_id);
    let rows = Upsert {
        rows: to_batch(def, rows)?,
        volatile: ExportRow::VOLATILE,
        new_since: None,
    };
    upsert(lake, &sessions.session(), def, &writer, rows).await?;
    Ok(())
}

/// Marks the newest export of this table of each source as failed, for a reason that showed only
/// after it: rules that read the table are inconclusive until it is exported again.
pub async fn mark_failed(
    lake: &Lake,
    sessions: &Sessions,
    run: &Run,
    table: &str,
    reasons: &BTreeMap<String, String>,
) -> Result<(), ExportError> {
    if reasons.is_empty() {
        return Ok(());
    }
    let query = format!(
        "select {COLUMNS} from exports where table_name = $name
         qualify row_number() over (partition by source order by {NEWEST_FIRST}) = 1"
    );
    let mut parameters = Parameters::default();
    parameters.set("name", ScalarValue::from(table));
    let newest: Vec<ExportRow> =
        session::rows(lake, &sessions.session(), def()?, &query, &parameters).await?;
    let mut marked = Vec::new();
    for (source, reason) in reasons {
        marked.push(match newest.iter().find(|row| row.source == *source) {
            Some(row) => marked_row(row, reason),
            None => ExportRow::begun(run, source, table).failed(run, reason),
        });
    }
    write(lake, sessions, &run.id, &marked).await
}

/// The row as failed, with the reason beside those that it has.
fn marked_row(row: &ExportRow, reason: &str) -> ExportRow {
    let error = match row.error.as_deref().filter(|_| row.status == "failed") {
        Some(error) if error.contains(reason) => error.to_owned(),
        Some(error) => format!("{error}; {reason}"),
        None => reason.to_owned(),
    };
    ExportRow {
        status: "failed".to_owned(),
        error: Some(error),
        ..row.clone()
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::session::Resources;

    #[tokio::test(flavor = "multi_thread")]
    async fn an_export_that_tells_no_time_is_not_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let url = Url::from_directory_path(dir.path()).unwrap();
        let lake = Lake::open(&url).await.unwrap();
        let resources = Resources {
            memory: 1 << 28,
            threads: 1,
        };
        let sessions = Sessions::new(resources).unwrap();
        let as_of = "2026-03-04T12:00:00Z".parse().unwrap();
        let run = Run::new("export", as_of, String::new(), String::new());
        let dated = ExportRow::begun(&run, "shop", "meters");
        let undated = ExportRow {
            export_id: "exp_0".to_owned(),
            started_at: None,
            ..dated.clone()
        };
        let rows = [undated, dated.clone()];
        write(&lake, &sessions, &run.id, &rows).await.unwrap();
        let reasons = BTreeMap::from([("shop".to_owned(), "a sum too large".to_owned())]);
        let marked = mark_failed(&lake, &sessions, &run, "meters", &reasons).await;
        marked.unwrap();
        let rows = of_run(&lake, &sessions, &run.id).await.unwrap();
        let failed = rows.iter().filter(|row| row.status == "failed");
        let failed: Vec<&str> = failed.map(|row| row.export_id.as_str()).collect();
        assert_eq!(failed, [dated.export_id.as_str()]);
    }
}
