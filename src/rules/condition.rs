//! The `when` of a remediation step: a condition on the columns of a finding, all of them text.
//!
//! `explanation = 'volume_billed_as_graduated'`, `reason in ('a', 'b') and meter is not null`: the
//! engine's own SQL grammar, of which only comparisons with text, IN, IS NULL, AND, OR and NOT mean
//! anything here.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

/// A checked condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition(Expr);

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no condition such as explanation = 'x': {reason}")]
pub struct ConditionError {
    text: String,
    reason: String,
}

impl Condition {
    /// Reads and checks a condition.
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        let refuse = |reason: String| ConditionError {
            text: text.to_owned(),
            reason,
        };
        let expression = Parser::new(&GenericDialect {})
            .try_with_sql(text)
            .and_then(|mut parser| {
                let expression = parser.parse_expr()?;
                parser.expect_token(&datafusion::sql::sqlparser::tokenizer::Token::EOF)?;
                Ok(expression)
            })
            .map_err(|error| refuse(error.to_string()))?;
        check(&expression).map_err(refuse)?;
        Ok(Self(expression))
    }

    /// The columns it names.
    pub fn columns(&self) -> BTreeSet<String> {
        let mut columns = BTreeSet::new();
        collect(&self.0, &mut columns);
        columns
    }

    /// Whether it holds; a comparison with a column that has no value does not.
    pub fn holds(&self, column: &dyn Fn(&str) -> Option<String>) -> bool {
        holds(&self.0, column)
    }
}

fn check(expression: &Expr) -> Result<(), String> {
    match expression {
        Expr::Nested(inner)
        | Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr: inner,
        } => check(inner),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And | BinaryOperator::Or,
            right,
        } => check(left).and_then(|()| check(right)),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Eq | BinaryOperator::NotEq,
            right,
        } if name(left).is_some() && text(right).is_some() => Ok(()),
        Expr::InList { expr, list, .. }
            if name(expr).is_some() && list.iter().all(|item| text(item).is_some()) =>
        {
            Ok(())
        }
        Expr::IsNull(inner) | Expr::IsNotNull(inner) if name(inner).is_some() => Ok(()),
        other => Err(format!("`{other}` is not understood here")),
    }
}

fn collect(expression: &Expr, columns: &mut BTreeSet<String>) {
    match expression {
        Expr::Nested(inner)
        | Expr::UnaryOp { expr: inner, .. }
        | Expr::InList { expr: inner, .. }
        | Expr::IsNull(inner)
        | Expr::IsNotNull(inner) => collect(inner, columns),
        Expr::BinaryOp { left, right, .. } => {
            collect(left, columns);
            collect(right, columns);
        }
        other => columns.extend(name(other).map(str::to_owned)),
    }
}

fn holds(expression: &Expr, column: &dyn Fn(&str) -> Option<String>) -> bool {
    let value = |expression: &Expr| name(expression).and_then(column);
    match expression {
        Expr::Nested(inner) => holds(inner, column),
        Expr::UnaryOp { expr, .. } => !holds(expr, column),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And,
            right,
        } => holds(left, column) && holds(right, column),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Or,
            right,
        } => holds(left, column) || holds(right, column),
        Expr::BinaryOp { left, op, right } => match (value(left), text(right)) {
            (Some(value), Some(text)) => (value == text) == (*op == BinaryOperator::Eq),
            _ => false,
        },
        Expr::InList {
            expr,
            list,
            negated,
        } => value(expr).is_some_and(|value| {
            list.iter().any(|item| text(item) == Some(value.as_str())) != *negated
        }),
        Expr::IsNull(inner) => value(inner).is_none(),
        Expr::IsNotNull(inner) => value(inner).is_some(),
        _ => false,
    }
}

fn name(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Identifier(identifier) => Some(identifier.value.as_str()),
        _ => None,
    }
}

fn text(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(condition: &str) -> bool {
        Condition::parse(condition)
            .unwrap()
            .holds(&|name| match name {
                "explanation" => Some("late".to_owned()),
                "meter" => Some("api".to_owned()),
                _ => None,
            })
    }

    #[test]
    fn comparisons_lists_and_logic() {
        assert!(holds("explanation = 'late'"));
        assert!(!holds("explanation <> 'late'"));
        assert!(holds(
            "explanation in ('early', 'late') and meter is not null"
        ));
        assert!(holds("not (meter = 'x') or reason = 'y'"));
        assert!(holds("reason is null"));
        assert!(!holds("reason = 'y'"), "no value equals nothing");
        assert!(!holds("reason <> 'y'"), "and differs from nothing");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "explanation",
            "1 = 1",
            "expected > 5",
            "explanation = 'a' extra",
            "f(x) = 'a'",
        ] {
            assert!(Condition::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn columns_are_named() {
        let condition = Condition::parse("reason = 'a' and not (meter is null)").unwrap();
        assert_eq!(
            condition.columns(),
            BTreeSet::from(["meter".to_owned(), "reason".to_owned()])
        );
    }
}
