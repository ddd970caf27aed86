//! The files of a world: one for each source and table, and one for each month of usage.
//!
//! Every file stays open until the end, so that a subscription can be written at once; each holds
//! back a bounded number of rows. Which columns a table has is written here and nowhere else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::catalogue::{EVENTS, SOURCES, ZUORA};
use super::columns::{Cell, ColumnKind, Layout, TableFile};
use super::error::SimulateError;
use super::time::{Micros, month_name, month_of};
use ColumnKind::{Amount, Date, Flag, Number, Text, Time};

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
                (
                    Text,
                    "line_id invoice_id customer_id subscription_id item_id price_id meter",
                ),
                (Text, "kind description"),
                (Amount, "quantity unit_price amount"),
                (Text, "currency"),
                (Time, "period_start period_end"),
                (Flag, "is_prorated"),
                (Text, "billed_tiers"),
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
                (Text, "usage_id customer_id subscription_id item_id meter"),
                (Amount, "quantity"),
                (Text, "unit"),
                (Time, "occurred_at recorded_at"),
                (Text, "idempotency_key unique_value status status_reason"),
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
    /// Records written, metering's included.
    pub(super) usage_records: u64,
}

impl Sink {
    /// Makes every file that is there whatever happens.
    pub(super) fn create(folder: &Path) -> Result<Self, SimulateError> {
        let mut sink = Self {
            folder: folder.join("data"),
            files: BTreeMap::new(),
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
                let path = match table {
                    Table::Usage => folder
                        .join(table.name())
                        .join(format!("{}.parquet", month_name(month))),
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

    /// Adds a record to the file of its month.
    pub(super) fn usage(
        &mut self,
        source: usize,
        at: Micros,
        cells: &[Cell<'_>],
    ) -> Result<(), SimulateError> {
        self.usage_records += 1;
        self.file(source, Table::Usage, month_of(at))?.push(cells)
    }

    /// Closes every file. A system without a record gets an empty file, for it has the table.
    pub(super) fn close(mut self, month: i64) -> Result<(), SimulateError> {
        for source in 0..SOURCES.len() {
            self.file(source, Table::Usage, month)?;
        }
        for file in self.files.into_values() {
            file.close()?;
        }
        Ok(())
    }
}
