//! What can be said against a rule from its text alone, before anything is planned.
//!
//! Columns, types and the tables of the plan are checked where the query is planned; this file only
//! makes sure that the text is a pure question and that its promises have cases.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::cases::{self, CaseKind};
use super::error::{Problem, RuleError};
use super::rule::{Rule, View};
use super::{sql, template};
use crate::config::CANONICAL_TABLES;
use crate::model::text::nearest;

/// The tables beside the canonical ones that a rule may declare in `reads`.
const OTHER_TABLES: [&str; 8] = [
    "usage_daily",
    "usage_duplicates",
    "usage_keys",
    "rejects",
    "exports",
    "runs",
    "rule_runs",
    "run_sources",
];

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

/// The tables that a rule may declare in `reads`.
pub fn tables() -> impl Iterator<Item = &'static str> {
    CANONICAL_TABLES.into_iter().chain(OTHER_TABLES)
}

/// Everything that is wrong with the rule's text.
pub fn lint(rule: &Rule) -> Vec<RuleError> {
    let mut errors = query_of_rule(rule);
    errors.extend(required(rule));
    errors.extend(texts(rule));
    errors.extend(reads(rule));
    errors.extend(case_coverage(rule));
    errors
}

/// What is wrong with the rule's SQL: it must be one pure SELECT over declared parameters.
pub(super) fn query_of_rule(rule: &Rule) -> Vec<RuleError> {
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
pub(super) fn query_of_view(origin: &str, view: &View) -> Vec<RuleError> {
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

/// Keys that must not be empty, and values that contradict each other.
fn required(rule: &Rule) -> Vec<RuleError> {
    let file = rule.metadata_origin();
    let missing = |key: &str| RuleError::of(&file, Problem::Missing).at_key(key);
    let mut errors = Vec::new();
    let keys = [
        ("title", rule.title.trim().is_empty()),
        ("description", rule.description.trim().is_empty()),
        ("owner", rule.owner.trim().is_empty()),
        ("platforms", rule.platforms.is_empty()),
        ("roles", rule.roles.is_empty()),
        ("reads", rule.reads.is_empty()),
        ("group_by", rule.group_by.is_empty()),
        ("quiet_when", rule.quiet_when.is_empty()),
        ("remediation", rule.remediation.is_empty()),
    ];
    errors.extend(
        keys.into_iter()
            .filter(|(_, empty)| *empty)
            .map(|(key, _)| missing(key)),
    );
    for (key, text) in rule
        .texts()
        .into_iter()
        .filter(|(key, _)| key.starts_with("remediation"))
    {
        if text.trim().is_empty() {
            errors.push(missing(&key));
        }
    }
    if !is_id(&rule.id) {
        let expected = "a rule id: lower-case words and digits joined by `-`";
        errors.push(RuleError::of(
            &file,
            Problem::BadValue {
                value: rule.id.clone(),
                expected,
            },
        ));
    }
    if rule.settle >= rule.window {
        let value = crate::model::span::format_span(rule.settle);
        let problem = Problem::BadValue {
            value,
            expected: "shorter than the window",
        };
        errors.push(RuleError::of(&file, problem).at_key("settle"));
    }
    if rule.version == 0 || rule.resolve_after_runs == 0 {
        let key = if rule.version == 0 {
            "version"
        } else {
            "resolve_after_runs"
        };
        let problem = Problem::BadValue {
            value: "0".to_owned(),
            expected: "at least 1",
        };
        errors.push(RuleError::of(&file, problem).at_key(key));
    }
    errors
}

fn is_id(id: &str) -> bool {
    id.split('-').all(|word| {
        !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    })
}

fn texts(rule: &Rule) -> Vec<RuleError> {
    let file = rule.metadata_origin();
    let lone = rule
        .texts()
        .into_iter()
        .filter(|(_, text)| template::has_lone_brace(text));
    lone.map(|(key, _)| RuleError::of(&file, Problem::LoneBrace).at_key(key))
        .collect()
}

fn reads(rule: &Rule) -> Vec<RuleError> {
    let file = rule.metadata_origin();
    let unknown = rule
        .reads
        .iter()
        .filter(|table| !tables().any(|known| known == table.as_str()));
    unknown
        .map(|table| {
            let nearest = nearest(table, tables()).map(str::to_owned);
            let problem = Problem::UnknownWord {
                what: "table",
                word: table.clone(),
                nearest,
            };
            RuleError::of(&file, problem).at_key("reads")
        })
        .collect()
}

/// A rule must be seen to fire and to stay quiet, and each `quiet_when` needs a case of that name.
fn case_coverage(rule: &Rule) -> Vec<RuleError> {
    let file = rule.cases_origin();
    let cases = cases::parse(rule.cases.as_deref().unwrap_or_default());
    let mut errors = Vec::new();
    for kind in [CaseKind::Fires, CaseKind::Quiet] {
        if !cases.iter().any(|case| case.kind == kind) {
            errors.push(RuleError::of(
                &file,
                Problem::NoCase {
                    kind: kind.as_str(),
                },
            ));
        }
    }
    for sentence in &rule.quiet_when {
        if !cases.iter().any(|case| case.names(sentence)) {
            let problem = Problem::QuietWithoutCase {
                text: sentence.clone(),
            };
            errors.push(RuleError::of(&file, problem).at_key("quiet_when"));
        }
    }
    errors
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
    fn a_good_rule_passes() {
        let faults = lint(&sample());
        assert!(faults.is_empty(), "{faults:?}");
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
        let found: Vec<String> = lint(&rule).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            ["queries/rules/rating/odd-price.toml: `params.tolerance`: \
              the SQL never uses `$tolerance`"]
        );
    }

    #[test]
    fn promises_need_cases_and_tables_need_to_exist() {
        let mut rule = sample();
        rule.cases = None;
        rule.reads = vec!["invoice_line".to_owned()];
        rule.title = "An odd { title".to_owned();
        let found: Vec<Problem> = lint(&rule).into_iter().map(|error| error.problem).collect();
        assert_eq!(found.len(), 5, "{found:?}");
        assert_eq!(found[0], Problem::LoneBrace);
        assert!(
            matches!(&found[1], Problem::UnknownWord { nearest: Some(table), .. }
            if table == "invoice_lines")
        );
        assert_eq!(found[2], Problem::NoCase { kind: "fires" });
        assert!(matches!(found[4], Problem::QuietWithoutCase { .. }));
    }
}
