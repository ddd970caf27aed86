//! The closed word lists of the data model: one table, nothing else.

use crate::model::text::nearest;

const SUBSCRIPTION_STATUS: &[&str] = &[
    "draft",
    "trialing",
    "active",
    "paused",
    "past_due",
    "cancelled",
    "ended",
];
const USAGE_STATUS: &[&str] = &["pending", "processed", "billed", "error", "voided"];
const BILL_RUN_STATUS: &[&str] = &[
    "pending",
    "processing",
    "completed",
    "error",
    "cancelled",
    "posted",
];
const INVOICE_STATUS: &[&str] = &["draft", "pending", "open", "paid", "void", "uncollectible"];
const AGGREGATION: &[&str] = &[
    "sum",
    "count",
    "unique_count",
    "max",
    "last",
    "weighted_sum",
];
const CHARGE_MODEL: &[&str] = &[
    "flat",
    "per_unit",
    "graduated",
    "volume",
    "stairstep",
    "package",
    "percentage",
    "graduated_percentage",
    "overage",
    "tiered_overage",
    "graduated_block",
    "volume_block",
    "capacity",
    "prerated",
    "custom",
];
const CHARGE_TYPE: &[&str] = &["usage", "recurring", "one_time"];
const BILLING_PERIOD: &[&str] = &["day", "week", "month", "quarter", "year"];
const PACKAGE_ROUNDING: &[&str] = &["up", "down"];
const ROUNDING_STAGE: &[&str] = &["line", "component", "record", "invoice", "none"];
const ROUNDING_MODE: &[&str] = &["half_up", "half_even", "up", "down"];
const QUANTITY_ROUNDING: &[&str] = &["none", "up", "down", "half_up"];
const TIER_PICK: &[&str] = &["exact", "ceil"];
const NEGATIVE_POLICY: &[&str] = &["zero", "mirror", "error"];
const LINE_KIND: &[&str] = &[
    "usage",
    "recurring",
    "one_time",
    "minimum",
    "discount",
    "credit",
    "tax",
    "adjustment",
];
const ADJUSTMENT_KIND: &[&str] = &["credit", "debit", "refund"];
const LINKED_ENTITY: &[&str] = &["customer", "subscription", "item", "meter"];

/// The words that a column may hold; `None` where any text is allowed.
pub(super) fn words(table: &str, column: &str) -> Option<&'static [&'static str]> {
    Some(match (table, column) {
        ("subscriptions", "status") => SUBSCRIPTION_STATUS,
        ("usage_records", "status") => USAGE_STATUS,
        ("bill_runs", "status") => BILL_RUN_STATUS,
        ("invoices", "status") => INVOICE_STATUS,
        ("meters" | "prices", "aggregation") => AGGREGATION,
        ("prices", "charge_model") => CHARGE_MODEL,
        ("prices", "charge_type") => CHARGE_TYPE,
        ("prices", "billing_period") => BILLING_PERIOD,
        ("prices", "package_rounding") => PACKAGE_ROUNDING,
        ("prices", "rounding_stage") => ROUNDING_STAGE,
        ("prices", "rounding_mode") => ROUNDING_MODE,
        ("prices", "quantity_rounding") => QUANTITY_ROUNDING,
        ("prices", "tier_pick") => TIER_PICK,
        ("prices", "negative_policy") => NEGATIVE_POLICY,
        ("invoice_lines", "kind") => LINE_KIND,
        ("adjustments", "kind") => ADJUSTMENT_KIND,
        ("entity_links", "entity_type") => LINKED_ENTITY,
        _ => return None,
    })
}

/// What to say about a word that is not in the list.
pub(super) fn unknown(column: &str, found: &str, words: &[&'static str]) -> String {
    match nearest(found, words.iter().copied()) {
        Some(word) => format!("`{column}` is \"{found}\"; did you mean `{word}`?"),
        None => format!(
            "`{column}` is \"{found}\"; it is one of {}",
            words.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_has_its_own_status_words() {
        assert!(words("invoices", "status").unwrap().contains(&"void"));
        assert!(!words("subscriptions", "status").unwrap().contains(&"void"));
        assert!(words("customers", "status").is_none());
    }

    #[test]
    fn the_nearest_word_is_named() {
        assert!(unknown("status", "activ", SUBSCRIPTION_STATUS).contains("`active`"));
    }
}
