//! What can be said against a query from its text: it must be one pure SELECT of known parameters.
//!
//! Columns and types are no matter of this file: they are checked where the query is planned.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::model::text::nearest;
use crate::rules::error::{Problem, RuleError};
use crate::rules::rule::{Rule, View};
use crate::rules::sql;

/// The parameters that every query may use.
const BUILT_IN: &[&str] = &["as_of", "window_start", "window_end"];

/// Words that are the clock even without parentheses.
const CLOCK_WORDS: &[&str] = &[
    "current_timestamp",
    "current_date",
    "current_time",
    "localtime",
    "localtimestamp",
];

/// Functions that answer differently each time.
const IMPURE_FUNCTIONS: &[&str] = &["now", "today", "random", "rand", "uuid", "gen_random_uuid"];

/// What a statement can do; the first of these outside of parentheses says what it does.
const VERBS: &[&str] = &[
    "select", "insert", "update", "delete", "merge", "values", "table",
];

/// What is wrong with the rule's SQL: it must be one pure SELECT over declared parameters.
pub(in crate::rules) fn query_of_rule(rule: &Rule) -> Vec<RuleError> {
    let declared: BTreeSet<&str> = rule.params.keys().map(String::as_str).collect();
    let (mut errors, used) = query(&rule.sql_origin, &rule.sql, &declared);
    if let Some(used) = used {
        for name in declared.iter().filter(|name| !used.contains(**name)) {
            let problem = Problem::UnusedParam {
                name: (*name).to_owned(),
            };
            let error = RuleError::of(&rule.metadata_origin(), problem);
            errors.push(error.at_key(format!("params.{name}")));
        }
    }
    errors
}

/// What is wrong with a view's SQL: as for a rule, but it has no parameters of its own.
pub(in crate::rules) fn query_of_view(origin: &str, view: &View) -> Vec<RuleError> {
    query(origin, &view.sql, &BTreeSet::new()).0
}

/// The faults of a query and, if it can be read at all, the parameters that it uses.
fn query(
    file: &str,
    text: &str,
    declared: &BTreeSet<&str>,
) -> (Vec<RuleError>, Option<BTreeSet<String>>) {
    let tokens = match sql::tokens(text) {
        Ok(tokens) => tokens,
        Err(error) => {
            let line = usize::try_from(error.location.line).ok();
            let problem = Problem::Sql {
                message: error.message,
            };
            return (vec![RuleError::of(file, problem).at_line(line)], None);
        }
    };
    let mut errors = Vec::new();
    let end = tokens
        .iter()
        .position(|t| t.token == Token::SemiColon)
        .unwrap_or(tokens.len());
    if let Some(extra) = tokens[end..].iter().find(|t| t.token != Token::SemiColon) {
        errors.push(RuleError::of(file, Problem::SeveralStatements).at_line(sql::line(extra)));
    }
    let body = &tokens[..end];
    errors.extend(verb(file, body));
    errors.extend(impurities(file, body));
    let used = used_params(body);
    let known = || declared.iter().copied().chain(BUILT_IN.iter().copied());
    for (name, line) in &used {
        if !known().any(|candidate| candidate == name) {
            let nearest = nearest(name, known()).map(str::to_owned);
            let problem = Problem::UndeclaredParam {
                name: name.clone(),
                nearest,
            };
            errors.push(RuleError::of(file, problem).at_line(*line));
        }
    }
    (
        errors,
        Some(used.into_iter().map(|(name, _)| name).collect()),
    )
}

/// The statement must be `SELECT …` or `WITH … SELECT …` with named columns.
fn verb(file: &str, body: &[TokenWithSpan]) -> Vec<RuleError> {
    let first = body.first().and_then(|token| sql::bare_word(&token.token));
    let outer = outside_parentheses(body);
    let verb = outer
        .iter()
        .filter_map(|token| sql::bare_word(&token.token))
        .find(|word| VERBS.contains(&word.as_str()));
    let starts_well = matches!(first.as_deref(), Some("select" | "with"));
    if !starts_well || verb.as_deref() != Some("select") {
        let line = body.first().and_then(sql::line);
        return vec![RuleError::of(file, Problem::NotASelect).at_line(line)];
    }
    // A `*` behind one of these stands for columns; behind anything else it multiplies.
    let star = outer.windows(2).find(|pair| {
        let before = &pair[0].token;
        let opens = matches!(before, Token::Comma | Token::Period)
            || sql::bare_word(before)
                .is_some_and(|word| matches!(word.as_str(), "select" | "distinct" | "all"));
        opens && pair[1].token == Token::Mul
    });
    star.map(|pair| RuleError::of(file, Problem::SelectStar).at_line(sql::line(pair[1])))
        .into_iter()
        .collect()
}

fn outside_parentheses(body: &[TokenWithSpan]) -> Vec<&TokenWithSpan> {
    let mut depth = 0usize;
    let mut outer = Vec::new();
    for token in body {
        if token.token == Token::RParen {
            depth = depth.saturating_sub(1);
        }
        // The outermost parentheses themselves stay: what is behind them is no column list.
        if depth == 0 {
            outer.push(token);
        }
        if token.token == Token::LParen {
            depth += 1;
        }
    }
    outer
}

/// Words that read the clock, ask for chance, or write.
fn impurities(file: &str, body: &[TokenWithSpan]) -> Vec<RuleError> {
    let mut errors = Vec::new();
    for (index, token) in body.iter().enumerate() {
        let Some(word) = sql::bare_word(&token.token) else {
            continue;
        };
        let before = index.checked_sub(1).and_then(|before| body.get(before));
        let is_column = before.is_some_and(|t| t.token == Token::Period);
        let is_called = body
            .get(index + 1)
            .is_some_and(|t| t.token == Token::LParen);
        let bare = word == "into" || CLOCK_WORDS.contains(&word.as_str());
        if !is_column && (bare || (is_called && IMPURE_FUNCTIONS.contains(&word.as_str()))) {
            let error = RuleError::of(file, Problem::Forbidden { word });
            errors.push(error.at_line(sql::line(token)));
        }
    }
    errors
}

/// Each parameter that the query uses, with the line of its first use.
fn used_params(body: &[TokenWithSpan]) -> Vec<(String, Option<usize>)> {
    let mut used: Vec<(String, Option<usize>)> = Vec::new();
    for token in body {
        if let Token::Placeholder(text) = &token.token {
            let name = text.strip_prefix('$').unwrap_or(text);
            if !used.iter().any(|(known, _)| known == name) {
                used.push((name.to_owned(), sql::line(token)));
            }
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::metadata::tests::sample;

    fn problems(sql: &str) -> Vec<Problem> {
        let (errors, _) = query("a.sql", sql, &BTreeSet::from(["tolerance"]));
        errors.into_iter().map(|error| error.problem).collect()
    }

    #[test]
    fn pure_selects_pass() {
        let good = [
            "select a, b * 2 as c, (a + b) * 2 as d, count(*) as n from t where x < $as_of;",
            "-- why\nWITH t AS (SELECT * FROM prices) SELECT t.a FROM t WHERE a > $tolerance",
            "select t.now, 'now()' as a from t -- now()",
        ];
        for sql in good {
            let found = problems(sql);
            assert!(found.is_empty(), "{sql}: {found:?}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        assert_eq!(
            problems("select a from t; drop table t"),
            [Problem::SeveralStatements]
        );
        for sql in [
            "",
            "drop table t",
            "with x as (select 1) insert into t select 1 from x",
        ] {
            assert!(problems(sql).contains(&Problem::NotASelect), "{sql}");
        }
        let stars = [
            "select * from t",
            "select a, t.* from t",
            "with x as (select 1) select * from x",
        ];
        for sql in stars {
            assert_eq!(problems(sql), [Problem::SelectStar], "{sql}");
        }
        for sql in [
            "select now() as a",
            "select Random() as a",
            "select CURRENT_DATE as a",
        ] {
            assert!(
                matches!(problems(sql)[..], [Problem::Forbidden { .. }]),
                "{sql}"
            );
        }
        assert!(matches!(
            problems("select 'a as b")[..],
            [Problem::Sql { .. }]
        ));
    }

    #[test]
    fn parameters_are_declared_and_used() {
        let nearest = Some("tolerance".to_owned());
        let undeclared = Problem::UndeclaredParam {
            name: "tolerence".to_owned(),
            nearest,
        };
        assert_eq!(
            problems("select a from t where a > $tolerence"),
            [undeclared]
        );

        let mut rule = sample();
        rule.sql = "select source from invoice_lines".to_owned();
        let found: Vec<String> = query_of_rule(&rule)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            found,
            ["queries/rules/rating/odd-price.toml: `params.tolerance`: \
              the SQL never uses `$tolerance`"]
        );
    }
}
