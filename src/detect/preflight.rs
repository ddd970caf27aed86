//! Rules planned against empty tables: every fault of a query that can be told before any scan.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::MemTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::WindowFunctionDefinition;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

use super::evaluate::parameters;
use super::world::World;
use crate::model::finding::TEXT_COLUMNS;
use crate::model::text::{hint, nearest};
use crate::rules::condition::Condition;
use crate::rules::{EXPLAINED_COLUMNS, Rule, RuleSet, View};
use crate::session::{Parameters, Sessions, plan_read_only, tables_read};

/// A fault of a rule's query, at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanProblem {
    /// The rule or view.
    pub id: String,
    /// The file.
    pub file: String,
    /// Line and column, where they are known.
    pub place: Option<(usize, usize)>,
    /// What is wrong, and the way out.
    pub message: String,
}

impl fmt::Display for PlanProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Columns that a text may name although the query does not return them.
const COMPUTED: &[&str] = &["delta"];

/// How far the planning goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Names, types, parameters: enough before a run.
    Names,
    /// The physical plan too, which finds what the engine cannot carry out.
    Physical,
}

/// Plans every rule; an empty list means that all can run.
pub async fn check(rules: &RuleSet, sessions: &Sessions, depth: Depth) -> Result<Vec<PlanProblem>> {
    // Any moment serves: nothing is read.
    let as_of = DateTime::<Utc>::UNIX_EPOCH;
    let world = World::empty(sessions)?;
    let mut problems = Vec::new();
    let mut behind = Behind::new();
    for view in &rules.views {
        if let Err(error) = define(&world, view, as_of, &mut behind).await {
            let file = format!("queries/views/{}.sql", view.name);
            problems.push(problem(&view.name, &file, &view.sql, &error));
        }
    }
    for rule in &rules.rules {
        match plan(&world, rule, as_of, depth).await {
            Ok(plan) => problems.extend(faults(rule, &plan, &behind)?),
            Err(error) => problems.push(problem(&rule.id, &rule.sql_origin, &rule.sql, &error)),
        }
    }
    Ok(problems)
}

/// View → the tables that it reads.
type Behind = BTreeMap<String, BTreeSet<String>>;

/// The lake's tables that a plan reads, also through views.
fn tables_behind(plan: &LogicalPlan, behind: &Behind) -> Result<BTreeSet<String>> {
    let mut tables = BTreeSet::new();
    for name in tables_read(plan)? {
        match behind.get(&name) {
            Some(more) => tables.extend(more.iter().cloned()),
            None if crate::lake::table(&name).is_some() => {
                tables.insert(name);
            }
            // `run_sources` and generators hold nothing that could be stale.
            None => {}
        }
    }
    Ok(tables)
}

/// Defines a view as an empty table of its shape: plans stay small, and what it reads is kept aside.
async fn define(
    world: &World,
    view: &View,
    as_of: DateTime<Utc>,
    behind: &mut Behind,
) -> Result<()> {
    let parameters = Parameters::of_window(as_of, as_of, as_of);
    let query = plan_read_only(world.ctx(), &view.sql).await?;
    let query = query.with_param_values(parameters.values())?;
    behind.insert(
        view.name.clone(),
        tables_behind(query.logical_plan(), behind)?,
    );
    let schema = Arc::clone(query.schema().inner());
    let table = MemTable::try_new(schema, vec![vec![]])?;
    world
        .ctx()
        .register_table(view.name.as_str(), Arc::new(table))?;
    Ok(())
}

async fn plan(
    world: &World,
    rule: &Rule,
    as_of: DateTime<Utc>,
    depth: Depth,
) -> Result<LogicalPlan> {
    let query = plan_read_only(world.ctx(), &rule.sql).await?;
    let bound = parameters(rule, as_of);
    let names: BTreeSet<&str> = bound.names().collect();
    let used = query.logical_plan().get_parameter_names()?;
    if let Some(unknown) = used
        .iter()
        .find(|name| !names.contains(name.trim_start_matches('$')))
    {
        let hint = nearest(unknown.trim_start_matches('$'), names.iter().copied());
        let hint = hint
            .map(|name| format!("; did you mean ${name}?"))
            .unwrap_or_default();
        return Err(DataFusionError::Plan(format!(
            "parameter {unknown} is not declared in [params]{hint}"
        )));
    }
    let query = query.with_param_values(bound.values())?;
    let plan = query.logical_plan().clone();
    if depth == Depth::Physical {
        query.create_physical_plan().await?;
    }
    Ok(plan)
}

fn faults(rule: &Rule, plan: &LogicalPlan, behind: &Behind) -> Result<Vec<PlanProblem>> {
    let mut problems = Vec::new();
    let mut say = |file: String, text_at: Option<(&str, &str)>, message: String| {
        let place = text_at.and_then(|(text, needle)| position(text, needle));
        problems.push(PlanProblem {
            id: rule.id.clone(),
            file,
            place,
            message,
        });
    };
    let schema = plan.schema().as_arrow();
    for message in shape(schema) {
        say(rule.sql_origin.clone(), None, message);
    }
    let columns: BTreeSet<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    let known = |name: &str| {
        let is_explained = rule.explain.is_some() && EXPLAINED_COLUMNS.contains(&name);
        columns.contains(name) || COMPUTED.contains(&name) || is_explained
    };
    for name in rule
        .group_by
        .iter()
        .filter(|name| !columns.contains(name.as_str()))
    {
        say(
            rule.metadata_origin(),
            None,
            unknown_column("group_by", name, &columns),
        );
    }
    for name in rule.placeholders().into_iter().filter(|name| !known(name)) {
        say(
            rule.metadata_origin(),
            None,
            unknown_column("a text", name, &columns),
        );
    }
    for (at, step) in rule.remediation.iter().enumerate() {
        let Some(when) = &step.when else { continue };
        match Condition::parse(when) {
            Err(error) => say(
                rule.metadata_origin(),
                None,
                format!("remediation[{at}].when: {error}"),
            ),
            Ok(condition) => {
                for name in condition.columns().iter().filter(|name| !known(name)) {
                    say(
                        rule.metadata_origin(),
                        None,
                        unknown_column("`when`", name, &columns),
                    );
                }
            }
        }
    }
    let read = tables_behind(plan, behind)?;
    let declared: BTreeSet<String> = rule.reads.iter().cloned().collect();
    for table in read.difference(&declared) {
        let text = Some((rule.sql.as_str(), table.as_str()));
        say(
            rule.sql_origin.clone(),
            text,
            format!("it reads {table}, which `reads` does not name"),
        );
    }
    for message in unchecked_sums(plan)? {
        say(
            rule.sql_origin.clone(),
            Some((rule.sql.as_str(), "sum(")),
            message,
        );
    }
    Ok(problems)
}

fn unknown_column(place: &str, name: &str, columns: &BTreeSet<&str>) -> String {
    let hint = hint(name, columns.iter().copied());
    format!("{place} names `{name}`, which the query does not return{hint}")
}

/// What is wrong with the columns that a rule returns.
fn shape(schema: &Schema) -> Vec<String> {
    let mut problems = Vec::new();
    for name in ["source", "entity_type", "entity_id"] {
        if schema.column_with_name(name).is_none() {
            problems.push(format!("it does not return the required column `{name}`"));
        }
    }
    for field in schema.fields() {
        let (name, found) = (field.name().as_str(), field.data_type());
        let wanted = match name {
            "source" | "entity_type" | "entity_id" => text(found).then_some(()).ok_or("text"),
            "expected" | "actual" => decimal(found)
                .then_some(())
                .ok_or("a decimal, never a float"),
            "period_start" | "period_end" => {
                matches!(found, DataType::Timestamp(..) | DataType::Null)
                    .then_some(())
                    .ok_or("a timestamp")
            }
            "target_date" | "execution_date" => matches!(found, DataType::Date32 | DataType::Null)
                .then_some(())
                .ok_or("a date"),
            _ if TEXT_COLUMNS.contains(&name) => text(found).then_some(()).ok_or("text"),
            _ => Ok(()),
        };
        if let Err(wanted) = wanted {
            problems.push(format!("column `{name}` is {found}, not {wanted}"));
        }
    }
    problems
}

fn text(found: &DataType) -> bool {
    matches!(
        found,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null
    )
}

fn decimal(found: &DataType) -> bool {
    matches!(found, DataType::Decimal128(..) | DataType::Null)
}

/// Sums of 128-bit decimals, which wrap around without an error.
fn unchecked_sums(plan: &LogicalPlan) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    plan.apply_with_subqueries(|node| {
        // An aggregate sees the columns of its input.
        let inputs = node.inputs();
        for expression in node.expressions() {
            expression.apply(|part| {
                let argument = match part {
                    Expr::AggregateFunction(call) if call.func.name() == "sum" => {
                        call.params.args.first()
                    }
                    Expr::WindowFunction(call) => match &call.fun {
                        WindowFunctionDefinition::AggregateUDF(function)
                            if function.name() == "sum" =>
                        {
                            call.params.args.first()
                        }
                        _ => None,
                    },
                    _ => None,
                };
                if let (Some(argument), Some(input)) = (argument, inputs.first())
                    && matches!(
                        argument.get_type(input.schema()),
                        Ok(DataType::Decimal128(..))
                    )
                {
                    problems.push(format!(
                        "sum({argument}) can wrap around silently; write \
                         cast(sum(cast(… as decimal(76, 12))) as decimal(38, 12))"
                    ));
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(problems)
}

fn problem(id: &str, file: &str, sql: &str, error: &DataFusionError) -> PlanProblem {
    let text = error.strip_backtrace();
    let message = text.lines().next().unwrap_or_default().to_owned();
    let quoted = message.split(['\'', '`', '"']).nth(1).map(str::to_owned);
    let bare = message
        .split("No field named ")
        .nth(1)
        .and_then(|rest| rest.split(['.', ' ']).next());
    let place = spoken_place(&message)
        .or_else(|| bare.and_then(|name| position(sql, name)))
        .or_else(|| quoted.and_then(|name| position(sql, &name)));
    PlanProblem {
        id: id.to_owned(),
        file: file.to_owned(),
        place,
        message,
    }
}

/// The parser's own "at Line: 3, Column: 5".
fn spoken_place(message: &str) -> Option<(usize, usize)> {
    let number = |text: &str| {
        text.chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
            .parse::<usize>()
            .ok()
    };
    let line = number(message.split("Line: ").nth(1)?)?;
    let column = number(message.split("Column: ").nth(1)?)?;
    Some((line, column))
}

/// Line and column of the first occurrence of a word outside comments.
fn position(text: &str, needle: &str) -> Option<(usize, usize)> {
    let needle = needle.rsplit('.').next().filter(|word| !word.is_empty())?;
    text.lines().enumerate().find_map(|(line, content)| {
        let code = content.split("--").next().unwrap_or(content);
        code.find(needle).map(|column| (line + 1, column + 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_in_messages_and_in_the_text() {
        assert_eq!(
            spoken_place("Expected: x at Line: 3, Column: 14"),
            Some((3, 14))
        );
        assert_eq!(spoken_place("nothing"), None);
        let sql = "-- amount\nselect a,\n  amount from t";
        assert_eq!(position(sql, "t.amount"), Some((3, 3)));
    }
}
