//! Every table of the lake: its columns, key and partition, declared once.
//!
//! Names are final (a column may be added, none is renamed or dropped). Columns marked `req` must be
//! there in every row; all others are nullable.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

/// Which of the three folders of the lake a table lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// Written by `export`: what the systems said.
    Canonical,
    /// Rebuilt from canonical tables.
    Derived,
    /// Written by runs: what analysts query.
    Results,
}

impl Zone {
    /// The folder's name.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Canonical => "canonical",
            Self::Derived => "derived",
            Self::Results => "results",
        }
    }
}

/// A table of the lake.
#[derive(Debug)]
pub struct TableDef {
    /// Its name, in SQL and as a folder.
    pub name: &'static str,
    /// Its zone.
    pub zone: Zone,
    /// The columns that identify a row; empty for append-only logs keyed by nothing.
    pub key: &'static [&'static str],
    /// The partition column, if any.
    pub partition: Option<&'static str>,
    /// The order of rows inside a file.
    pub sort: &'static [&'static str],
    schema: SchemaRef,
}

impl TableDef {
    /// The Arrow schema of the table.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// The table of that name.
pub fn table(name: &str) -> Option<&'static TableDef> {
    TABLES.iter().find(|table| table.name == name)
}

enum Kind {
    Text,
    Bool,
    Int,
    Long,
    Float,
    Amount,
    Date,
    Time,
    Tiers,
    BilledTiers,
}
use Kind::{Amount, BilledTiers, Bool, Date, Float, Int, Long, Text, Tiers, Time};

/// `Decimal128(38, 12)`: every amount, quantity and price.
pub const DECIMAL: DataType = DataType::Decimal128(38, 12);

/// UTC microseconds: every point in time.
pub fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn list_of(names: &[&str]) -> DataType {
    let fields: Fields = names
        .iter()
        .map(|name| Field::new(*name, DECIMAL, true))
        .collect();
    DataType::List(Arc::new(Field::new(
        "element",
        DataType::Struct(fields),
        true,
    )))
}

/// The type of `prices.tiers`.
pub fn tiers() -> DataType {
    list_of(&[
        "up_to",
        "unit_price",
        "flat_fee",
        "package_size",
        "percentage_rate",
    ])
}

/// The type of `invoice_lines.billed_tiers` and of what `rate_tiers` returns.
pub fn billed_tiers() -> DataType {
    list_of(&["up_to", "quantity", "unit_price", "flat_fee", "amount"])
}

fn build(columns: &[(Kind, bool, &str)]) -> SchemaRef {
    let field = |kind: &Kind, required: bool, name: &str| {
        let data_type = match kind {
            Text => DataType::Utf8,
            Bool => DataType::Boolean,
            Int => DataType::Int32,
            Long => DataType::Int64,
            Float => DataType::Float64,
            Amount => DECIMAL,
            Date => DataType::Date32,
            Time => timestamp(),
            Tiers => tiers(),
            BilledTiers => billed_tiers(),
        };
        Field::new(name, data_type, !required)
    };
    let fields: Vec<Field> = columns
        .iter()
        .flat_map(|(kind, required, names)| {
            names
                .split_whitespace()
                .map(move |name| field(kind, *required, name))
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// Declares one table: `name, zone, key, partition, sort, columns as (kind, required, "names")`.
macro_rules! tables {
    ($($name:ident $zone:ident key[$($key:literal),*] part[$($part:literal)?] sort[$($sort:literal),*]
        { $($required:ident $kind:ident $columns:literal;)* })*) => {
        /// Every table of the lake, in the order of the data model.
        pub static TABLES: LazyLock<Vec<TableDef>> = LazyLock::new(|| vec![$(TableDef {
            name: stringify!($name),
            zone: Zone::$zone,
            key: &[$($key),*],
            partition: tables!(@part $($part)?),
            sort: &[$($sort),*],
            schema: build(&[$(($kind, tables!(@required $required), $columns)),*]),
        }),*]);
    };
    (@part $part:literal) => { Some($part) };
    (@part) => { None };
    (@required req) => { true };
    (@required opt) => { false };
}

tables! {
    customers Canonical key["source", "customer_id"] part[] sort["customer_id"] {
        req Text "source customer_id";
        opt Text "parent_customer_id name status currency timezone";
        opt Bool "is_test";
        opt Time "created_at updated_at";
        opt Text "attributes";
    }
    subscriptions Canonical key["source", "subscription_id"] part[] sort["subscription_id"] {
        req Text "source subscription_id";
        opt Text "number customer_id status currency";
        opt Time "started_at trial_end_at cancelled_at ended_at current_period_start current_period_end billing_anchor updated_at";
        opt Text "attributes";
    }
    subscription_items Canonical key["source", "item_id"] part[] sort["item_id"] {
        req Text "source item_id";
        opt Text "subscription_id customer_id price_id meter";
        opt Amount "quantity";
        opt Time "effective_from effective_to updated_at";
        opt Text "attributes";
    }
    meters Canonical key["source", "meter"] part[] sort["meter"] {
        req Text "source meter";
        opt Text "name unit aggregation";
        opt Time "updated_at";
        opt Text "attributes";
    }
    prices Canonical key["source", "price_id", "effective_from"] part[] sort["price_id"] {
        req Text "source price_id";
        opt Text "product_id product_name currency";
        req Text "charge_model";
        opt Text "charge_type meter unit aggregation billing_period";
        opt Int "billing_period_count";
        opt Amount "unit_price flat_fee package_size";
        opt Text "package_rounding";
        opt Amount "included_quantity overage_price percentage_rate minimum_amount maximum_amount";
        opt Tiers "tiers";
        opt Text "rounding_stage rounding_mode";
        opt Int "rounding_scale";
        opt Amount "rounding_increment";
        opt Text "quantity_rounding";
        opt Int "quantity_scale";
        opt Text "tier_pick";
        opt Bool "flat_fee_at_zero";
        opt Text "negative_policy";
        req Time "effective_from";
        opt Time "effective_to";
        opt Bool "is_active";
        opt Time "updated_at";
        opt Text "attributes";
    }
    usage_records Canonical key["source", "usage_id"] part["usage_date"] sort["item_id", "occurred_at"] {
        req Text "source usage_id";
        opt Text "customer_id subscription_id item_id meter";
        opt Amount "quantity";
        opt Text "unit";
        req Time "occurred_at";
        opt Time "ended_at recorded_at";
        opt Text "idempotency_key unique_value status status_reason invoice_line_id";
        opt Time "updated_at";
        opt Text "attributes";
        req Date "usage_date";
    }
    bill_runs Canonical key["source", "bill_run_id"] part[] sort["bill_run_id"] {
        req Text "source bill_run_id";
        opt Text "number status";
        opt Date "target_date invoice_date";
        opt Time "executed_at created_at updated_at";
        opt Text "attributes";
    }
    invoices Canonical key["source", "invoice_id"] part[] sort["invoice_id"] {
        req Text "source invoice_id";
        opt Text "number customer_id subscription_id bill_run_id";
        req Text "status";
        opt Text "currency";
        opt Date "invoice_date target_date";
        opt Time "due_at finalizes_at finalized_at period_start period_end";
        opt Amount "subtotal discount tax total amount_due";
        opt Time "created_at updated_at";
        opt Text "attributes";
    }
    invoice_lines Canonical key["source", "line_id"] part[] sort["item_id", "period_start"] {
        req Text "source line_id invoice_id";
        opt Text "customer_id subscription_id item_id price_id meter";
        req Text "kind";
        opt Text "description";
        opt Amount "quantity unit_price";
        req Amount "amount";
        opt Text "currency";
        opt Time "period_start period_end";
        opt Bool "is_prorated";
        opt BilledTiers "billed_tiers";
        opt Time "updated_at";
        opt Text "attributes";
    }
    adjustments Canonical key["source", "adjustment_id"] part[] sort["adjustment_id"] {
        req Text "source adjustment_id";
        opt Text "invoice_id line_id customer_id kind reason";
        opt Amount "amount";
        opt Text "currency";
        opt Time "created_at updated_at";
        opt Text "attributes";
    }
    entity_links Canonical key["source", "entity_type", "entity_id", "other_source"] part[] sort["entity_id"] {
        req Text "source entity_type entity_id other_source";
        opt Text "other_entity_id";
    }
    usage_daily Derived key[] part["usage_date"] sort["source", "item_id"] {
        req Text "source";
        opt Text "item_id customer_id subscription_id meter";
        req Int "segment";
        opt Amount "quantity_sum";
        req Long "record_count";
        opt Amount "quantity_max quantity_min quantity_last";
        req Time "last_occurred_at first_occurred_at";
        req Long "late_count duplicate_count";
        req Date "usage_date";
    }
    usage_keys Derived key[] part["usage_date"] sort["key_hash"] {
        req Long "key_hash";
        req Date "usage_date";
    }
    usage_duplicates Derived key[] part["usage_date"] sort["source", "usage_id"] {
        req Text "source usage_id original_usage_id";
        req Date "original_usage_date";
        req Text "idempotency_key";
        opt Text "item_id customer_id subscription_id meter";
        opt Amount "quantity";
        req Time "occurred_at";
        req Date "usage_date";
    }
    rejects Results key["reject_id"] part[] sort["reject_id"] {
        req Text "reject_id";
        opt Text "run_id source table_name origin reason_code reason raw";
        opt Time "rejected_at";
    }
    exports Results key["export_id"] part[] sort["export_id"] {
        req Text "export_id";
        opt Text "run_id source table_name";
        opt Time "started_at finished_at";
        opt Text "status cursor_before cursor_after";
        opt Time "high_watermark";
        opt Long "rows_read rows_written rows_unchanged rows_rejected bytes requests retries";
        opt Text "error";
    }
    runs Results key["run_id"] part[] sort["run_id"] {
        req Text "run_id";
        opt Text "kind";
        opt Time "as_of started_at finished_at";
        opt Text "status trueup_version config_hash rules_lock_hash input_versions counts error";
    }
    rule_runs Results key["run_id", "rule_id", "source"] part[] sort["rule_id"] {
        req Text "run_id rule_id";
        opt Int "rule_version";
        req Text "source";
        opt Text "status reason";
        opt Long "findings";
        opt Amount "impact";
        opt Long "duration_ms rows_scanned";
        opt Time "started_at";
    }
    signals Results key["signal_id"] part[] sort["signal_id"] {
        req Text "signal_id";
        opt Int "fingerprint_version";
        opt Text "rule_id";
        opt Int "rule_version";
        opt Text "title description category stage severity";
        opt Int "priority";
        opt Text "status";
        opt Bool "is_regression is_escalating";
        opt Text "resolution source platform group_key customer_id";
        opt Long "entity_count";
        opt Amount "impact overbilled underbilled";
        opt Text "currency root_cause";
        opt Float "root_cause_confidence";
        opt Text "explanation caused_by pattern_id assignee";
        opt Time "snoozed_until";
        opt Long "occurrences";
        opt Time "first_seen_at last_seen_at";
        opt Text "first_run_id last_run_id";
        opt Time "resolved_at window_start window_end";
        opt Text "evidence";
        opt Bool "is_suppressed";
        opt Text "suppression_reason";
        opt Int "missed_runs";
        opt Text "last_missed_run_id";
        opt Time "last_missed_at";
    }
    signal_entities Results key["signal_id", "source", "entity_type", "entity_id"] part[] sort["signal_id"] {
        req Text "signal_id";
        opt Text "run_id role";
        req Text "entity_type entity_id";
        opt Text "entity_number";
        req Text "source";
        opt Text "platform customer_id subscription_id item_id invoice_id bill_run_id";
        opt Time "period_start period_end";
        opt Date "target_date execution_date";
        opt Text "entity_status";
        opt Amount "expected actual delta";
        opt Text "unit url evidence";
        opt Time "first_seen_at last_seen_at";
    }
    signal_events Results key["event_id"] part[] sort["signal_id", "at"] {
        req Text "event_id signal_id";
        opt Time "at";
        opt Text "actor kind from_value to_value comment run_id";
    }
    remediations Results key["signal_id", "step"] part[] sort["signal_id", "step"] {
        req Text "signal_id";
        req Int "step";
        opt Int "depends_on";
        opt Text "root_cause target_system target_entity_type target_entity_id action what_to_check why expected_outcome";
        opt Amount "amount";
        opt Text "currency url origin";
        opt Time "created_at";
    }
    patterns Results key["pattern_id"] part[] sort["pattern_id"] {
        req Text "pattern_id";
        opt Text "kind shared_value";
        opt Long "signal_count entity_count";
        opt Amount "impact";
        opt Text "currency";
        opt Time "first_seen_at last_seen_at";
        opt Text "title";
    }
    gate_decisions Results key["decision_id"] part[] sort["decision_id"] {
        req Text "decision_id";
        opt Text "run_id";
        opt Time "decided_at";
        opt Text "source invoice_id number bill_run_id customer_id verdict reasons";
        opt Amount "impact";
        opt Text "currency override_by override_reason";
        opt Time "override_expires_at";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_partitions_and_sort_columns_are_columns_and_keys_are_required() {
        for table in TABLES.iter() {
            let schema = table.schema();
            for key in table.key {
                assert!(
                    !schema.field_with_name(key).unwrap().is_nullable(),
                    "{}.{key}",
                    table.name
                );
            }
            for name in table.sort.iter().chain(table.partition.iter()) {
                assert!(
                    schema.column_with_name(name).is_some(),
                    "{}.{name}",
                    table.name
                );
            }
            // delta-rs moves partition columns to the end: declared there, orders agree.
            if let Some(partition) = table.partition {
                assert_eq!(schema.fields().last().unwrap().name(), partition);
            }
        }
    }

    #[test]
    fn names_are_unique() {
        for (at, table) in TABLES.iter().enumerate() {
            assert!(
                TABLES[at + 1..]
                    .iter()
                    .all(|other| other.name != table.name)
            );
            let schema = table.schema();
            for (i, field) in schema.fields().iter().enumerate() {
                assert!(
                    schema.fields()[i + 1..]
                        .iter()
                        .all(|other| other.name() != field.name())
                );
            }
        }
    }
}
