//! The files of a world: one for each source and table, and of usage one or more for each month.
//!
//! A file of every kind is open at all times, so that a subscription can be written at once; each
//! holds back a bounded number of rows, and usage begins a new file before the directory of one
//! grows. So memory follows the number of months and not that of records. Which columns a table has
//! is written here and nowhere else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::catalogue::{EVENTS, SOURCES, ZUORA};
use super::columns::{Cell, ColumnKind, Layout, TableFile};
use super::error::SimulateError;
use super::time::{Micros, month_name, month_of};
use ColumnKind::{Amount, Date, Flag, Key, Number, Text, Time};

/// Records of one file of usage.
const PART_ROWS: usize = 1024 * 1024;

/// A table of the data model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    Customers,
    Subscriptions,
    Items,
    Meters,
    Prices,
    BillRuns,
    Invoices,
    Lines,
    Adjustments,
    Links,
    Usage,
}

impl Table {
    const ALL: [Self; 11] = [
        Self::Customers,
        Self::Subscriptions,
        Self::Items,
        Self::Meters,
        Self::Prices,
        Self::BillRuns,
        Self::Invoices,
        Self::Lines,
        Self::Adjustments,
        Self::Links,
        Self::Usage,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Customers => "customers",
            Self::Subscriptions => "subscriptions",
            Self::Items => "subscription_items",
            Self::Meters => "meters",
            Self::Prices => "prices",
            Self::BillRuns => "bill_runs",
            Self::Invoices => "invoices",
            Self::Lines => "invoice_lines",
            Self::Adjustments => "adjustments",
            Self::Links => "entity_links",
            Self::Usage => "usage_records",
        }
    }

    const fn layout(self) -> Layout {
        match self {
            Self::Customers => &[
                (
                    Text,
                    "customer_id parent_customer_id name status currency timezone",
                ),
                (Flag, "is_test"),
                (Time, "created_at updated_at"),
            ],
            Self::Subscriptions => &[
                (Text, "subscription_id number customer_id status currency"),
                (
                    Time,
                    "started_at trial_end_at cancelled_at ended_at current_period_start",
                ),
                (Time, "current_period_end billing_anchor updated_at"),
            ],
            Self::Items => &[
                (Text, "item_id subscription_id customer_id price_id meter"),
                (Amount, "quantity"),
                (Time, "effective_from effective_to updated_at"),
            ],
            Self::Meters => &[(Text, "meter name unit aggregation"), (Time, "updated_at")],
            Self::Prices => &[
                (
                    Text,
                    "price_id product_id product_name currency charge_model charge_type",
                ),
                (Text, "meter unit aggregation billing_period"),
                (Number, "billing_period_count"),
                (Amount, "unit_price flat_fee package_size"),
                (Text, "package_rounding"),
                (Amount, "included_quantity overage_price percentage_rate"),
                (Amount, "minimum_amount maximum_amount"),
                (Text, "tiers rounding_stage rounding_mode quantity_rounding"),
                (Number, "quantity_scale"),
                (Time, "effective_from effective_to"),
                (Flag, "is_active"),
                (Time, "updated_at"),
            ],
            Self::BillRuns => &[
                (Text, "bill_run_id number status"),
                (Date, "target_date invoice_date"),
                (Time, "executed_at created_at updated_at"),
            ],
            Self::Invoices => &[
                (
                    Text,
                    "invoice_id number customer_id subscription_id bill_run_id status",
                ),
                (Text, "currency"),
                (Date, "invoice_date target_date"),
                (
                    Time,
                    "due_at finalizes_at finalized_at period_start period_end",
                ),
                (Amount, "subtotal discount tax total amount_due"),
                (Time, "created_at updated_at"),
            ],
            Self::Lines => &[
                (Key, "line_id"),
                (
                    Text,
                    "invoice_id customer_id subscription_id item_id price_id meter",
                ),
                (Text, "kind description"),
                (Amount, "quantity unit_price amount"),
                (Text, "currency"),
                (Time, "period_start period_end"),
                (Flag, "is_prorated"),
                (Text, "billed_tiers attributes"),
                (Time, "updated_at"),
            ],
            Self::Adjustments => &[
                (
                    Text,
                    "adjustment_id invoice_id line_id customer_id kind reason",
                ),
                (Amount, "amount"),
                (Text, "currency"),
                (Time, "created_at updated_at"),
            ],
            Self::Links => &[(Text, "entity_type entity_id other_source other_entity_id")],
            Self::Usage => &[
                (Key, "usage_id"),
                (Text, "customer_id subscription_id item_id meter"),
                (Amount, "quantity"),
                (Text, "unit"),
                (Time, "occurred_at recorded_at"),
                (Key, "idempotency_key"),
                (Text, "unique_value status status_reason"),
                (Time, "updated_at"),
            ],
        }
    }

    /// Whether the system has such a table.
    pub(super) const fn exists_in(self, source: usize) -> bool {
        match self {
            Self::Customers | Self::Meters | Self::Usage => true,
            Self::Links => source == EVENTS,
            Self::BillRuns => source == ZUORA,
            _ => source != EVENTS,
        }
    }
}

/// The tables that a system does not have, as its configuration names them.
pub(super) fn lacking(source: usize) -> Vec<&'static str> {
    Table::ALL
        .into_iter()
        .filter(|table| !table.exists_in(source))
        .map(Table::name)
        .collect()
}

/// All files.
pub(super) struct Sink {
    folder: PathBuf,
    /// By source, table and month; the month is 0 where a table has one file.
    files: BTreeMap<(usize, Table, i64), TableFile>,
    /// Full files of usage, by source and month.
    full: BTreeMap<(usize, i64), usize>,
    /// Records of one file of usage.
    part_rows: usize,
    /// Records written, metering's included.
    pub(super) usage_records: u64,
}

impl Sink {
    /// Makes every file that is there whatever happens.
    pub(super) fn create(folder: &Path) -> Result<Self, SimulateError> {
        let mut sink = Self {
            folder: folder.join("data"),
            files: BTreeMap::new(),
            full: BTreeMap::new(),
            part_rows: PART_ROWS,
            usage_records: 0,
        };
        if sink.folder.exists() {
            return Err(SimulateError::Exists {
                path: folder.to_owned(),
            });
        }
        for source in 0..SOURCES.len() {
            for table in Table::ALL {
                if table.exists_in(source) && table != Table::Usage {
                    sink.file(source, table, 0)?;
                }
            }
        }
        Ok(sink)
    }

    fn file(
        &mut self,
        source: usize,
        table: Table,
        month: i64,
    ) -> Result<&mut TableFile, SimulateError> {
        use std::collections::btree_map::Entry;
        match self.files.entry((source, table, month)) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let folder = self.folder.join(SOURCES[source]);
                let full = self.full.get(&(source, month)).copied().unwrap_or(0);
                let path = match table {
                    Table::Usage => folder.join(table.name()).join(part_name(month, full)),
                    _ => folder.join(format!("{}.parquet", table.name())),
                };
                let file = TableFile::create(table.name(), table.layout(), &path)?;
                Ok(entry.insert(file))
            }
        }
    }

    /// Adds a row to a table that has one file.
    pub(super) fn row(
        &mut self,
        source: usize,
        table: Table,
        cells: &[Cell<'_>],
    ) -> Result<(), SimulateError> {
        self.file(source, table, 0)?.push(cells)
    }

    /// Adds a record to the file of its month; a full one is closed.
    pub(super) fn usage(
        &mut self,
        source: usize,
        at: Micros,
        cells: &[Cell<'_>],
    ) -> Result<(), SimulateError> {
        self.usage_records += 1;
        let (month, part_rows) = (month_of(at), self.part_rows);
        let file = self.file(source, Table::Usage, month)?;
        file.push(cells)?;
        if file.taken() < part_rows {
            return Ok(());
        }
        *self.full.entry((source, month)).or_default() += 1;
        match self.files.remove(&(source, Table::Usage, month)) {
            Some(file) => file.close(),
            None => Ok(()),
        }
    }

    /// Closes every file. A system without a record gets an empty file, for it has the table.
    pub(super) fn close(mut self, month: i64) -> Result<(), SimulateError> {
        for source in 0..SOURCES.len() {
            if !self.full.contains_key(&(source, month)) {
                self.file(source, Table::Usage, month)?;
            }
        }
        for file in self.files.into_values() {
            file.close()?;
        }
        Ok(())
    }
}

/// The file of a month after so many full ones.
fn part_name(month: i64, full: usize) -> String {
    let month = month_name(month);
    match full {
        0 => format!("{month}.parquet"),
        _ => format!("{month}-{:04}.parquet", full + 1),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::parquet::file::reader::{FileReader, SerializedFileReader};

    use super::*;

    fn rows(path: &Path) -> i64 {
        let file = std::fs::File::open(path).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        reader.metadata().file_metadata().num_rows()
    }

    #[test]
    fn a_full_file_of_usage_is_closed_and_another_begins() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = Sink::create(folder.path()).unwrap();
        sink.part_rows = 3;
        for number in 0..7 {
            let id = format!("u{number}");
            let mut cells = [Cell::Null; 14];
            cells[0] = Cell::Text(&id);
            sink.usage(ZUORA, 0, &cells).unwrap();
            let open = sink.files.keys().filter(|key| key.1 == Table::Usage);
            assert!(open.count() <= 1);
        }
        let other = &[Cell::Null; 14];
        for _ in 0..3 {
            sink.usage(EVENTS, 0, other).unwrap();
        }
        assert_eq!(sink.usage_records, 10);
        sink.close(month_of(0)).unwrap();
        let of = |source: usize| folder.path().join("data").join(SOURCES[source]);
        let usage = of(ZUORA).join("usage_records");
        assert_eq!(rows(&usage.join("1970-01.parquet")), 3);
        assert_eq!(rows(&usage.join("1970-01-0002.parquet")), 3);
        assert_eq!(rows(&usage.join("1970-01-0003.parquet")), 1);
        assert_eq!(std::fs::read_dir(&usage).unwrap().count(), 3);
        // Full to the last record: no empty file after it; and none at all is an empty one.
        let events = of(EVENTS).join("usage_records");
        assert_eq!(std::fs::read_dir(&events).unwrap().count(), 1);
        assert_eq!(rows(&of(1).join("usage_records/1970-01.parquet")), 0);
    }
}
