//! Rows gathered until they are worth a commit, then brought into the table together.

mod parts;
mod text;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use datafusion::arrow::array::{RecordBatch, UInt32Array};
use datafusion::arrow::compute::{concat_batches, take_record_batch};

use self::parts::{Part, Parts};
use self::text::{texts, watermark};
use super::later::{Contender, Later, keys};
use super::rows::RejectRow;
use super::{ExportError, Request};
use crate::lake::{
    LakeError, Outcome, Rejected, TableDef, Upsert, Writer, contested, to_batch, upsert,
};
use crate::model::identity::short_id;
use crate::sources::{Decoded, Reject};

/// Rows in one commit: some hundred megabytes of memory at most.
const ROWS_PER_COMMIT: usize = 1_000_000;
/// Rejects in one commit.
const REJECTS_PER_COMMIT: usize = 10_000;
/// Rows that are turned to text at once.
const ROWS_AS_TEXT: usize = 1_000;

/// What a table's export came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) read: u64,
    pub(super) written: u64,
    pub(super) unchanged: u64,
    pub(super) rejected: u64,
    /// Rejected rows that are no rows of the table; the others only lost to a newer one.
    pub(super) malformed: u64,
    /// The first of them, with its place and reason.
    pub(super) first_malformed: Option<String>,
    pub(super) high_watermark: Option<DateTime<Utc>>,
    /// Columns that may be misspelt, each with the column that may be meant and the files.
    pub(super) misspelt: BTreeMap<(String, String), BTreeSet<String>>,
}

/// A table that was empty: its keys are known without asking it, until somebody else commits.
struct Fresh {
    /// The version after this export's last commit.
    version: u64,
    /// Hashes of the keys it holds.
    hashes: HashSet<u64>,
}

pub(super) struct Chunk<'a> {
    request: &'a Request<'a>,
    def: &'static TableDef,
    writer: &'a Writer<'a>,
    source: &'a str,
    parts: Parts,
    rejects: Vec<RejectRow>,
    /// What may outrank the rows that are read.
    later: Later<'a>,
    /// While the table holds nothing but what this export wrote.
    fresh: Option<Fresh>,
    counts: Counts,
}

impl<'a> Chunk<'a> {
    pub(super) async fn new(
        request: &'a Request<'a>,
        def: &'static TableDef,
        writer: &'a Writer<'a>,
        source: &'a str,
        later: Later<'a>,
    ) -> Result<Self, ExportError> {
        let table = request.lake.table(def).await?;
        let opened = |error| LakeError::Open {
            table: def.name,
            source: Box::new(error),
        };
        let is_empty = table.get_file_uris().map_err(opened)?.next().is_none();
        let fresh = is_empty.then(|| Fresh {
            version: table.version().unwrap_or(0),
            hashes: HashSet::new(),
        });
        Ok(Self {
            request,
            def,
            writer,
            source,
            parts: Parts::default(),
            rejects: Vec::new(),
            later,
            fresh,
            counts: Counts::default(),
        })
    }

    pub(super) async fn add(&mut self, file: &str, decoded: Decoded) -> Result<(), ExportError> {
        self.counts.read += decoded.rows_read - decoded.rejects.len() as u64;
        self.reject(decoded.rejects).await?;
        for misspelt in decoded.misspelt {
            let files = self.counts.misspelt.entry(misspelt).or_default();
            files.insert(file.to_owned());
        }
        if decoded.batch.num_rows() == 0 {
            return Ok(());
        }
        let latest = watermark(&decoded.batch, self.request.run.as_of);
        self.counts.high_watermark = self.counts.high_watermark.max(latest);
        self.parts.add(Part {
            file: file.to_owned(),
            places: decoded.places,
            rows: decoded.batch,
        });
        if self.parts.rows() >= ROWS_PER_COMMIT {
            self.flush().await
        } else {
            Ok(())
        }
    }

    /// Takes rejected rows, which count as read too.
    async fn reject(&mut self, rejects: Vec<Reject>) -> Result<(), ExportError> {
        self.counts.read += rejects.len() as u64;
        self.counts.rejected += rejects.len() as u64;
        self.counts.malformed += rejects.len() as u64;
        for reject in rejects {
            if self.counts.first_malformed.is_none() {
                let first = format!("{}: {}", reject.origin, reject.reason);
                self.counts.first_malformed = Some(first);
            }
            self.keep_reject(reject);
        }
        if self.rejects.len() >= REJECTS_PER_COMMIT {
            self.write_rejects().await
        } else {
            Ok(())
        }
    }

    /// Brings in what is left; what it all came to, and the files that should have been looked at
    /// but could not.
    pub(super) async fn finish(
        mut self,
    ) -> Result<(Counts, BTreeMap<String, ExportError>), ExportError> {
        self.flush().await?;
        self.write_rejects().await?;
        Ok((self.counts, self.later.into_failed()))
    }

    fn keep_reject(&mut self, reject: Reject) {
        let parts = [
            self.source,
            self.def.name,
            &reject.origin,
            &reject.reason_code,
            &reject.raw,
        ];
        self.rejects.push(RejectRow {
            reject_id: short_id("rej", parts),
            run_id: self.request.run.id.clone(),
            source: self.source.to_owned(),
            table_name: self.def.name.to_owned(),
            origin: reject.origin,
            reason_code: reject.reason_code,
            reason: reject.reason,
            raw: reject.raw,
            rejected_at: self.request.run.as_of,
        });
    }

    async fn flush(&mut self) -> Result<(), ExportError> {
        if self.parts.rows() == 0 {
            return Ok(());
        }
        let shape = |source| LakeError::Shape {
            table: self.def.name,
            source,
        };
        let rows = concat_batches(&self.def.schema(), self.parts.batches()).map_err(shape)?;
        let new_since = self.note_keys(&rows)?;
        let outranked = match new_since {
            Some(_) => BTreeMap::new(),
            None => self.outranked(&rows).await?,
        };
        let kept: Vec<u32> = (0u32..)
            .take(rows.num_rows())
            .filter(|row| !outranked.contains_key(row))
            .collect();
        let ctx = self.request.sessions.session();
        let change = Upsert {
            rows: if outranked.is_empty() {
                rows.clone()
            } else {
                take_record_batch(&rows, &UInt32Array::from(kept.clone())).map_err(shape)?
            },
            volatile: &[],
            new_since,
        };
        let (tally, outcome) =
            upsert(self.request.lake, &ctx, self.def, self.writer, change).await?;
        if let (Some(fresh), Outcome::Committed(version)) = (&mut self.fresh, outcome) {
            fresh.version = version;
        }
        self.counts.written += tally.written;
        self.counts.unchanged += tally.unchanged;
        let of_all = |row: u32| kept[row as usize];
        let lost = tally.superseded.iter().map(|lost| Rejected {
            row: of_all(lost.row),
            kept: lost.kept.map(of_all),
        });
        let lost = lost.map(|lost| (lost.row, self.newer(&lost)));
        let behind = outranked.into_iter().map(|(row, place)| {
            let reason = format!("a file behind this one holds the same key: {place}");
            (row, reason)
        });
        let superseded: Vec<(u32, String)> = lost.chain(behind).collect();
        self.counts.rejected += superseded.len() as u64;
        for lost in superseded.chunks(ROWS_AS_TEXT) {
            let texts = texts(&rows, lost).map_err(shape)?;
            for ((row, reason), raw) in lost.iter().zip(texts) {
                self.keep_reject(Reject {
                    origin: self.parts.place(*row),
                    reason_code: "superseded".to_owned(),
                    reason: reason.clone(),
                    raw,
                });
            }
        }
        self.parts = Parts::default();
        Ok(())
    }

    /// Remembers the keys; the version in which the table can hold none of them, if that is known.
    fn note_keys(&mut self, rows: &RecordBatch) -> Result<Option<u64>, LakeError> {
        let Some(fresh) = &mut self.fresh else {
            return Ok(None);
        };
        let keys = keys(self.def, rows)?;
        let hashes: HashSet<u64> = keys
            .iter()
            .map(|key| twox_hash::XxHash64::oneshot(0, key.data()))
            .collect();
        if hashes.iter().any(|hash| fresh.hashes.contains(hash)) {
            // From here on the table itself is asked.
            self.fresh = None;
            return Ok(None);
        }
        fresh.hashes.extend(hashes);
        Ok(Some(fresh.version))
    }

    /// Rows that must not replace what the lake holds, each with the place of the row that does.
    async fn outranked(
        &mut self,
        rows: &RecordBatch,
    ) -> Result<BTreeMap<u32, String>, ExportError> {
        let first = self.parts.first_file();
        if !first.is_some_and(|first| self.later.any_after(first)) {
            return Ok(BTreeMap::new());
        }
        let ctx = self.request.sessions.session();
        let table = self.request.lake.table(self.def).await?;
        let contested = contested(&ctx, self.def, &table, rows).await?;
        let contenders: Vec<Contender<'_>> = contested
            .into_iter()
            .filter_map(|row| {
                let file = self.parts.file(row)?;
                Some(Contender { row, file })
            })
            .collect();
        self.later.outranking(rows, &contenders).await
    }

    /// What replaced a row.
    fn newer(&self, lost: &Rejected) -> String {
        match lost.kept.map(|kept| self.parts.place(kept)) {
            Some(newer) => format!("another row of the same key is newer: {newer}"),
            None => "the lake holds a newer row of the same key".to_owned(),
        }
    }

    async fn write_rejects(&mut self) -> Result<(), ExportError> {
        if self.rejects.is_empty() {
            return Ok(());
        }
        let def = crate::lake::table("rejects").ok_or(ExportError::Undeclared("rejects"))?;
        let rows = to_batch(def, &std::mem::take(&mut self.rejects))?;
        let writer = Writer::new("rejects", &self.request.run.id);
        let change = Upsert {
            rows,
            volatile: RejectRow::VOLATILE,
            new_since: None,
        };
        upsert(
            self.request.lake,
            &self.request.sessions.session(),
            def,
            &writer,
            change,
        )
        .await?;
        Ok(())
    }
}
