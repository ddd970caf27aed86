//! What is known to be wrong, one JSON object a line: the answers that a run is scored against.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::SimulateError;
use super::fault::{Fault, Harm};
use super::money::plain;
use super::time::stamp;

/// A record that shows a fault.
#[derive(Clone, Debug, Serialize)]
pub(super) struct LabelRecord {
    /// As in the data model: `invoice_line`, `usage_record` and so on.
    entity_type: &'static str,
    /// Its id.
    entity_id: String,
}

/// One injected instance.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Label {
    /// Its own name.
    label_id: String,
    /// The class of the catalogue.
    class: &'static str,
    /// The fault.
    fault: &'static str,
    /// Where it is.
    source: &'static str,
    /// The records that show it.
    records: Vec<LabelRecord>,
    /// What would be right: money where there is a currency, else a quantity.
    expected: Option<String>,
    /// What is there.
    actual: Option<String>,
    /// The currency of the two.
    currency: Option<&'static str>,
    /// What is at its root; `legitimate` where it is no error.
    root_cause: &'static str,
    /// Rules of which any one is a catch.
    rules: &'static [&'static str],
    /// Rules that may speak of the same records too.
    effects: &'static [&'static str],
    /// Explanations that are right; empty where any is.
    explanations: &'static [&'static str],
    /// From when on the data shows it.
    first_visible_at: String,
}

impl Label {
    /// The label of a harm. `place` tells instances of one fault apart.
    pub(super) fn new(
        fault: &'static Fault,
        place: &str,
        source: &'static str,
        currency: &'static str,
        harm: Harm,
    ) -> Self {
        let records = harm
            .records
            .into_iter()
            .map(|(entity_type, entity_id)| LabelRecord {
                entity_type,
                entity_id,
            });
        Self {
            label_id: format!("{}-{place}", fault.id),
            class: fault.class,
            fault: fault.id,
            source,
            records: records.collect(),
            expected: harm.expected.map(plain),
            actual: harm.actual.map(plain),
            currency: harm.is_money.then_some(currency),
            root_cause: fault.root_cause,
            rules: fault.rules,
            effects: fault.effects,
            explanations: fault.explanations,
            first_visible_at: stamp(harm.visible),
        }
    }
}

/// The file of labels.
pub(super) struct Labels {
    path: PathBuf,
    out: BufWriter<File>,
    /// Labels written.
    pub(super) count: u64,
}

impl Labels {
    pub(super) fn create(path: PathBuf) -> Result<Self, SimulateError> {
        match File::create(&path) {
            Ok(file) => Ok(Self {
                path,
                out: BufWriter::new(file),
                count: 0,
            }),
            Err(source) => Err(SimulateError::Write { path, source }),
        }
    }

    pub(super) fn add(&mut self, label: &Label) -> Result<(), SimulateError> {
        let text = serde_json::to_string(label).map_err(SimulateError::Label)?;
        self.count += 1;
        let done = writeln!(self.out, "{text}");
        done.map_err(|source| unwritten(&self.path, source))
    }

    pub(super) fn close(mut self) -> Result<u64, SimulateError> {
        let done = self.out.flush();
        done.map_err(|source| unwritten(&self.path, source))?;
        Ok(self.count)
    }
}

fn unwritten(path: &Path, source: std::io::Error) -> SimulateError {
    SimulateError::Write {
        path: path.to_owned(),
        source,
    }
}
