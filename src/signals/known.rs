//! Whether the lake knows a name that a person typed. It is asked for that one name; of the others,
//! only the next ones in the order of the alphabet are read, and only where it is unknown.

use std::collections::BTreeSet;

use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use serde::Deserialize;

use super::write::{SignalsError, def};
use crate::lake::Lake;
use crate::session::{self, Parameters};

/// How many names are read on either side of an unknown one.
const BESIDE: usize = 50;

/// What has names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A system that data came from.
    Source,
    /// Who is billed.
    Customer,
}

impl Named {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Customer => "customer",
        }
    }

    /// Where it is named, the place that names most of them first.
    const fn places(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Source => &[("rule_runs", "source"), ("exports", "source")],
            Self::Customer => &[
                ("customers", "customer_id"),
                ("invoices", "customer_id"),
                ("usage_daily", "customer_id"),
            ],
        }
    }
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

/// Nothing where the lake knows the name, else names that may have been meant.
pub async fn known(
    lake: &Lake,
    ctx: &SessionContext,
    what: Named,
    name: &str,
) -> Result<Result<(), Vec<String>>, SignalsError> {
    let mut parameters = Parameters::default();
    parameters.set("name", ScalarValue::from(name));
    for &(table, column) in what.places() {
        let query = format!("select {column} as name from {table} where {column} = $name limit 1");
        let found = names(lake, ctx, table, &query, &parameters).await?;
        if !found.is_empty() {
            return Ok(Ok(()));
        }
    }
    for &(table, column) in what.places() {
        let beside = |than: &str, order: &str| {
            format!(
                "(select distinct {column} as name from {table} where {column} {than} $name
                  order by name {order} limit {BESIDE})"
            )
        };
        let query = format!("{} union all {}", beside("<", "desc"), beside(">", "asc"));
        let found = names(lake, ctx, table, &query, &parameters).await?;
        if !found.is_empty() {
            return Ok(Err(found.into_iter().collect()));
        }
    }
    Ok(Err(Vec::new()))
}

async fn names(
    lake: &Lake,
    ctx: &SessionContext,
    table: &'static str,
    query: &str,
    parameters: &Parameters,
) -> Result<BTreeSet<String>, SignalsError> {
    let rows: Vec<Name> = session::rows(lake, ctx, def(table)?, query, parameters).await?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}
