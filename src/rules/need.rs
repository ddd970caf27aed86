//! The columns that a rule cannot do without, as the key `needs` names them.
//!
//! Which columns there are is known here; whether one holds anything is asked where the tables are.

use std::fmt;

use super::error::Problem;
use crate::config::{CANONICAL_TABLES, canonical_columns};
use crate::lake::{self, Zone};
use crate::model::text::nearest;

/// A column of a canonical table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Column {
    /// The table.
    pub table: &'static str,
    /// Its name in the table.
    pub name: &'static str,
}

/// Columns of which one has to hold something: `invoices.created_at|invoices.period_end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Any of them will do.
    pub any_of: Vec<Column>,
}

impl Need {
    /// Reads columns that are joined by `|`.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let columns = text.split('|').map(|name| column(name.trim()));
        let any_of = columns.collect::<Result<_, _>>()?;
        Ok(Self { any_of })
    }

    /// The column, if any, that lies in no table of these, nor in the one that they are made from.
    pub(super) fn outside(&self, reads: &[String]) -> Option<Column> {
        let is_derived =
            |read: &String| lake::table(read).is_some_and(|def| def.zone == Zone::Derived);
        let is_read = |column: &Column| {
            let reads_usage = column.table == "usage_records" && reads.iter().any(is_derived);
            reads_usage || reads.iter().any(|read| read == column.table)
        };
        self.any_of.iter().copied().find(|column| !is_read(column))
    }
}

fn column(text: &str) -> Result<Column, Problem> {
    let known = || {
        let tables = CANONICAL_TABLES.into_iter();
        tables.flat_map(|table| {
            let names = canonical_columns(table).iter();
            names.map(move |&name| Column { table, name })
        })
    };
    let found = known().find(|column| text.split_once('.') == Some((column.table, column.name)));
    found.ok_or_else(|| {
        let names: Vec<String> = known().map(|column| column.to_string()).collect();
        let nearest = nearest(text, names.iter().map(String::as_str)).map(str::to_owned);
        Problem::UnknownWord {
            what: "column",
            word: text.to_owned(),
            nearest,
        }
    })
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, self.name)
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.any_of.iter().map(Column::to_string).collect();
        f.write_str(&names.join("|"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_need_is_one_column_or_several_of_which_any_will_do() {
        let need = Need::parse("usage_records.item_id | usage_records.customer_id").unwrap();
        assert_eq!(
            need.to_string(),
            "usage_records.item_id|usage_records.customer_id"
        );
        let nearest = Need::parse("usage_records.recorded").unwrap_err();
        assert_eq!(
            nearest.to_string(),
            "unknown column `usage_records.recorded`; did you mean `usage_records.recorded_at`?"
        );
        assert!(Need::parse("usage_records").is_err());
        assert!(Need::parse("usage_daily.late_count").is_err());
    }

    #[test]
    fn what_is_needed_is_read_by_itself_or_through_the_rollup() {
        let need = Need::parse("usage_records.meter|prices.meter").unwrap();
        let outside = |reads: &[&str]| {
            let reads: Vec<String> = reads.iter().map(|read| (*read).to_owned()).collect();
            need.outside(&reads).map(|column| column.to_string())
        };
        assert_eq!(outside(&["usage_daily", "prices"]), None);
        assert_eq!(outside(&["usage_records", "prices"]), None);
        assert_eq!(outside(&["usage_daily"]).as_deref(), Some("prices.meter"));
        assert_eq!(outside(&["prices"]).as_deref(), Some("usage_records.meter"));
    }
}
