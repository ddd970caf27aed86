//! The SQL functions of rating. They read Arrow arrays, call the pure functions of the layer above
//! and build Arrow arrays; no amount is computed here.
//!
//! NULL in gives NULL out, and so does a price that does not say what its amount is (a `custom`
//! price, a missing unit price). What is wrong, and what does not fit, is an error that names the
//! row. A scalar argument is read once and never expanded.

mod columns;
mod money;
mod rates;
mod tier_list;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::SessionContext;

/// The lake's number.
pub(super) const DECIMAL: DataType = DataType::Decimal128(38, 12);

/// Makes the functions known to a session.
pub fn register(ctx: &SessionContext) {
    for function in functions() {
        ctx.register_udf(function);
    }
}

/// The functions, for sessions that are built elsewhere.
pub fn functions() -> Vec<ScalarUDF> {
    let mut functions = rates::functions();
    functions.extend(money::functions());
    functions.push(tier_list::function());
    functions
}

/// The type of `rate_tiers`: one row per tier, and one for what rounding or bounds add.
pub fn breakdown_type() -> DataType {
    list_of(breakdown_fields())
}

fn breakdown_fields() -> Fields {
    decimal_fields(&["up_to", "quantity", "unit_price", "flat_fee", "amount"])
}

/// The fields of the `tiers` column of `prices`.
fn tier_fields() -> Fields {
    decimal_fields(&[
        "up_to",
        "unit_price",
        "flat_fee",
        "package_size",
        "percentage_rate",
    ])
}

fn decimal_fields(names: &[&str]) -> Fields {
    names
        .iter()
        .map(|name| Field::new(*name, DECIMAL, true))
        .collect()
}

fn list_of(fields: Fields) -> DataType {
    DataType::List(Arc::new(element(fields)))
}

fn element(fields: Fields) -> Field {
    Field::new("element", DataType::Struct(fields), true)
}

/// The type a number argument is read as; a float is refused, because it has lost digits already.
fn number_argument(function: &str, argument: &str, given: &DataType) -> Result<DataType> {
    if given.is_floating() {
        return plan_err!("{function}: {argument} is a {given}; a float carries no exact number");
    }
    Ok(DECIMAL)
}

fn expect_arguments(function: &str, wanted: usize, given: usize) -> Result<()> {
    if wanted == given {
        return Ok(());
    }
    plan_err!("{function} takes {wanted} arguments, got {given}")
}
