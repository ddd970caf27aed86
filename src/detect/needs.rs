//! Whether a source holds what a rule cannot do without.
//!
//! What a platform does not provide is NULL in every row, and a table may be there without a row in it.
//! A rule that needs them would find nothing, and seem to say that all is well. Asked once a run: a part
//! of the question ends at the first row that answers it; one without an answer costs what the
//! statistics of the files do not rule out.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use datafusion::error::Result;
use serde::Deserialize;

use super::evaluate::first_line;
use super::inputs::{is_without, may_lack, needed};
use super::world::World;
use crate::config::Source;
use crate::lake::from_batches;
use crate::rules::{Column, Need, Rule};

/// Tables that are empty only where nothing came through.
const NEVER_EMPTY: [&str; 4] = ["usage_records", "prices", "invoices", "invoice_lines"];

/// Stands for the rows themselves where a column would be named.
const ROWS: &str = "";

/// Parts of one query: its plan is nested as deep.
const PARTS: usize = 16;

/// What holds anything: source, table, column; and where nobody could look: source, table.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    values: BTreeSet<(String, String, String)>,
    unread: BTreeMap<(String, String), String>,
}

#[derive(Deserialize)]
struct Holding {
    source: String,
    column_name: String,
}

impl Held {
    /// Looks for what these rules need.
    pub(super) async fn load(
        world: &World,
        sources: &[Source],
        rules: &[&Rule],
        as_of: DateTime<Utc>,
    ) -> Self {
        let mut wanted: BTreeMap<&'static str, BTreeSet<&'static str>> = BTreeMap::new();
        for rule in rules {
            for table in needed(rule) {
                if NEVER_EMPTY.contains(&table) {
                    wanted.entry(table).or_default().insert(ROWS);
                }
            }
            for column in rule
                .needs
                .iter()
                .chain(&rule.concerns)
                .flat_map(|need| &need.any_of)
            {
                wanted
                    .entry(column.table)
                    .or_default()
                    .extend([ROWS, column.name]);
            }
        }
        let mut held = Self::default();
        for (table, columns) in wanted {
            let parts: Vec<(&Source, String)> = sources
                .iter()
                .filter(|source| !is_without(source, table))
                .flat_map(|source| {
                    let columns = columns.iter();
                    columns.map(move |column| (source, part(source, table, column, as_of)))
                })
                .collect();
            for parts in parts.chunks(PARTS) {
                held.look(world, table, parts).await;
            }
        }
        held
    }

    /// All at once; where that fails, one by one, so that the data of one source blinds no other.
    async fn look(&mut self, world: &World, table: &str, parts: &[(&Source, String)]) {
        let queries: Vec<&str> = parts.iter().map(|(_, query)| query.as_str()).collect();
        if let Ok(rows) = ask(world, &queries.join(" union all ")).await {
            return self.keep(table, rows);
        }
        for (source, query) in parts {
            match ask(world, query).await {
                Ok(rows) => self.keep(table, rows),
                Err(error) => {
                    let key = (source.name.clone(), table.to_owned());
                    self.unread.insert(key, first_line(&error));
                }
            }
        }
    }

    fn keep(&mut self, table: &str, rows: Vec<Holding>) {
        let values = rows
            .into_iter()
            .map(|row| (row.source, table.to_owned(), row.column_name));
        self.values.extend(values);
    }

    /// Why the silence of the rule would say nothing about these tables of the source, if so.
    pub(super) fn gap(
        &self,
        rule: &Rule,
        source: &Source,
        tables: &[&'static str],
    ) -> Option<String> {
        let unread = tables.iter().find_map(|table| {
            let key = (source.name.clone(), (*table).to_owned());
            Some((table, self.unread.get(&key)?))
        });
        if let Some((table, error)) = unread {
            return Some(format!(
                "{table} of {} cannot be read: {error}",
                source.name
            ));
        }
        let is_empty = |table: &&str| {
            let is_wanted = tables.contains(table) && !may_lack(rule, table);
            is_wanted && !is_without(source, table) && !self.has(source, table, ROWS)
        };
        if let Some(table) = NEVER_EMPTY.iter().copied().find(is_empty) {
            return Some(format!(
                "{table} of {} holds no row: rule {} needs some; export them, or add \"{table}\" to \
                 `without` of the source",
                source.name, rule.id
            ));
        }
        of_tables(&rule.needs, tables).find_map(|need| {
            let open = open(need, source);
            self.is_bare(source, &open)
                .then(|| lacking(rule, source, &open))
        })
    }

    /// Why the source has nothing that the rule could judge, if so.
    pub(super) fn idle(
        &self,
        rule: &Rule,
        source: &Source,
        tables: &[&'static str],
    ) -> Option<String> {
        of_tables(&rule.concerns, tables).find_map(|concern| {
            let open = open(concern, source);
            self.is_bare(source, &open).then(|| none(source, &open))
        })
    }

    /// Whether there are rows, and none of them holds anything in any of these columns.
    fn is_bare(&self, source: &Source, columns: &[Column]) -> bool {
        let has = |name: fn(&Column) -> &'static str| {
            let mut columns = columns.iter();
            columns.any(|column| self.has(source, column.table, name(column)))
        };
        has(|_| ROWS) && !has(|column| column.name)
    }

    fn has(&self, source: &Source, table: &str, column: &str) -> bool {
        let key = (source.name.clone(), table.to_owned(), column.to_owned());
        self.values.contains(&key)
    }
}

/// What the source is configured to be without although the rule needs it of these tables.
pub(super) fn given_up(rule: &Rule, source: &Source, tables: &[&'static str]) -> Option<String> {
    let all = rule.needs.iter().chain(&rule.concerns);
    of_tables(all, tables).find_map(|need| {
        let declared = need
            .any_of
            .iter()
            .map(Column::to_string)
            .filter(|column| is_without(source, column));
        let declared: Vec<String> = declared.collect();
        let is_given_up = !declared.is_empty() && open(need, source).is_empty();
        is_given_up.then(|| format!("{} has no {}", source.name, listed(&declared, "or")))
    })
}

fn of_tables<'r>(
    needs: impl IntoIterator<Item = &'r Need>,
    tables: &[&'static str],
) -> impl Iterator<Item = &'r Need> {
    needs.into_iter().filter(move |need| {
        let mut columns = need.any_of.iter();
        columns.all(|column| tables.contains(&column.table))
    })
}

/// The columns that the source is not configured to be without.
fn open(need: &Need, source: &Source) -> Vec<Column> {
    let lacks = |column: &Column| {
        is_without(source, column.table) || is_without(source, &column.to_string())
    };
    let columns = need.any_of.iter().copied();
    columns.filter(|column| !lacks(column)).collect()
}

fn lacking(rule: &Rule, source: &Source, open: &[Column]) -> String {
    let (them, one) = match open {
        [_] => ("it", "it"),
        _ => ("one of them", "one"),
    };
    let quoted: Vec<String> = open.iter().map(|column| format!("\"{column}\"")).collect();
    format!(
        "{}: rule {} needs {them}; map {one}, or add {} to `without` of the source",
        none(source, open),
        rule.id,
        listed(&quoted, "and")
    )
}

/// `no row of invoices of shop has total or subtotal`.
fn none(source: &Source, columns: &[Column]) -> String {
    let mut by_table: Vec<(&str, Vec<String>)> = Vec::new();
    for column in columns {
        match by_table
            .iter_mut()
            .find(|(table, _)| *table == column.table)
        {
            Some((_, names)) => names.push(column.name.to_owned()),
            None => by_table.push((column.table, vec![column.name.to_owned()])),
        }
    }
    let none: Vec<String> = by_table
        .iter()
        .map(|(table, names)| {
            let names = listed(names, "or");
            format!("no row of {table} of {} has {names}", source.name)
        })
        .collect();
    listed(&none, "and")
}

/// `a`, `a or b`, `a, b or c`.
fn listed(words: &[String], link: &str) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} {link} {last}", first.join(", ")),
    }
}

/// One row where the column holds anything.
fn part(source: &Source, table: &str, column: &str, as_of: DateTime<Utc>) -> String {
    let name = source.name.replace('\'', "''");
    let holds = if column == ROWS && table == "usage_records" {
        // Usage that came after the moment that is judged says nothing about it.
        format!(" and usage_date <= date '{}'", as_of.format("%Y-%m-%d"))
    } else if column == ROWS {
        String::new()
    } else {
        format!(" and {column} is not null")
    };
    format!(
        "select '{name}' as source, '{column}' as column_name
         from (select 1 as one from {table} where source = '{name}'{holds} limit 1) as held"
    )
}

async fn ask(world: &World, query: &str) -> Result<Vec<Holding>> {
    let rows = world.ctx().sql(query).await?.collect().await?;
    Ok(from_batches(&rows)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Role, SourceKind};

    fn source(name: &str) -> Source {
        Source {
            name: name.to_owned(),
            kind: SourceKind::Files,
            role: Role::Billing,
            platform: "generic".to_owned(),
            path: "memory:///".parse().unwrap(),
            tables: BTreeMap::new(),
            without: Vec::new(),
        }
    }

    fn rule(needs: &[&[(&'static str, &'static str)]]) -> Rule {
        let rules = crate::rules::embedded().unwrap();
        let mut rule = rules.rule("unbilled-usage").unwrap().clone();
        let need = |any_of: &&[(&'static str, &'static str)]| Need {
            any_of: any_of
                .iter()
                .map(|&(table, name)| Column { table, name })
                .collect(),
        };
        rule.needs = needs.iter().map(need).collect();
        rule.may_lack.clear();
        rule
    }

    fn held(values: &[(&str, &str)]) -> Held {
        let known = values.iter().map(|(table, column)| {
            let (table, column) = ((*table).to_owned(), (*column).to_owned());
            ("shop".to_owned(), table, column)
        });
        Held {
            values: known.collect(),
            unread: BTreeMap::new(),
        }
    }

    #[test]
    fn a_column_that_is_rightly_empty_leaves_nothing_to_judge() {
        let mut rule = rule(&[]);
        rule.concerns = vec![Need {
            any_of: vec![Column {
                table: "invoice_lines",
                name: "attributes",
            }],
        }];
        let shop = source("shop");
        assert_eq!(
            held(&FILLED).idle(&rule, &shop, &TABLES).unwrap(),
            "no row of invoice_lines of shop has attributes"
        );
        assert_eq!(held(&FILLED).gap(&rule, &shop, &TABLES), None);
        let mut some = FILLED.to_vec();
        some.push(("invoice_lines", "attributes"));
        assert_eq!(held(&some).idle(&rule, &shop, &TABLES), None);
        assert_eq!(held(&FILLED[1..]).idle(&rule, &shop, &TABLES), None);
    }

    const TABLES: [&str; 3] = ["invoice_lines", "prices", "usage_records"];
    const FILLED: [(&str, &str); 3] = [
        ("invoice_lines", ROWS),
        ("prices", ROWS),
        ("usage_records", ROWS),
    ];

    #[test]
    fn a_column_that_holds_nothing_is_said_unless_another_one_will_do() {
        let rule = rule(&[&[("usage_records", "item_id"), ("invoice_lines", "item_id")]]);
        let mut shop = source("shop");
        let gap = held(&FILLED).gap(&rule, &shop, &TABLES).unwrap();
        assert_eq!(
            gap,
            "no row of usage_records of shop has item_id and no row of invoice_lines of shop has \
             item_id: rule unbilled-usage needs one of them; map one, or add \
             \"usage_records.item_id\" and \"invoice_lines.item_id\" to `without` of the source"
        );
        let mut some = FILLED.to_vec();
        some.push(("invoice_lines", "item_id"));
        assert_eq!(held(&some).gap(&rule, &shop, &TABLES), None);

        shop.without = vec!["usage_records.item_id".to_owned()];
        assert_eq!(given_up(&rule, &shop, &TABLES), None);
        assert_eq!(
            held(&FILLED).gap(&rule, &shop, &TABLES).unwrap(),
            "no row of invoice_lines of shop has item_id: rule unbilled-usage needs it; map it, or \
             add \"invoice_lines.item_id\" to `without` of the source"
        );
        shop.without.push("invoice_lines.item_id".to_owned());
        assert_eq!(
            given_up(&rule, &shop, &TABLES).unwrap(),
            "shop has no usage_records.item_id or invoice_lines.item_id"
        );
        assert_eq!(held(&FILLED).gap(&rule, &shop, &TABLES), None);
    }

    #[test]
    fn tables_that_may_be_empty_ask_for_no_column() {
        let rule = rule(&[&[("subscriptions", "status")]]);
        let tables = ["prices", "subscriptions", "usage_records"];
        let mut shop = source("shop");
        let gap = |rows: &[(&str, &str)], shop: &Source| held(rows).gap(&rule, shop, &tables);
        // No row of subscriptions at all.
        assert_eq!(gap(&FILLED, &shop), None);
        assert_eq!(
            gap(&FILLED[..2], &shop).unwrap(),
            "usage_records of shop holds no row: rule unbilled-usage needs some; export them, or \
             add \"usage_records\" to `without` of the source"
        );
        shop.without = vec!["usage_records".to_owned(), "subscriptions".to_owned()];
        assert_eq!(gap(&FILLED[1..2], &shop), None);
        assert_eq!(given_up(&rule, &shop, &tables), None);
        let spared = Rule {
            may_lack: vec!["usage_daily".to_owned()],
            ..rule.clone()
        };
        shop.without.clear();
        assert_eq!(held(&FILLED[1..2]).gap(&spared, &shop, &tables), None);
    }

    #[test]
    fn a_need_of_other_tables_is_not_asked_of_a_partner() {
        let rule = rule(&[&[("invoice_lines", "item_id")]]);
        let shop = source("shop");
        assert_eq!(held(&FILLED).gap(&rule, &shop, &["usage_records"]), None);
    }
}
