//! What can be said against a rule's cases from their text: that there are those it must have, and
//! that each asks the rule something and states the answer.
//!
//! Whether the answers are right is found out by running them.

use sqllogictest::{DefaultColumnType, ParseError, QueryExpect, Record, StatementExpect};

use crate::rules::cases::{Case, CaseKind, parse};
use crate::rules::error::{Problem, RuleError};
use crate::rules::rule::Rule;

/// A rule must be seen to fire and to stay quiet, and each `quiet_when` needs a case of that name.
pub(super) fn of_rule(rule: &Rule) -> Vec<RuleError> {
    let file = rule.cases_origin();
    let script = rule.cases.as_deref().unwrap_or_default();
    let cases = parse(script);
    let mut errors = Vec::new();
    for kind in [CaseKind::Fires, CaseKind::Quiet] {
        if !cases.iter().any(|case| case.kind == kind) {
            let kind = kind.as_str();
            errors.push(RuleError::of(&file, Problem::NoCase { kind }));
        }
    }
    match proofs(script, &cases) {
        Ok(proofs) => {
            let told = cases.iter().zip(proofs);
            errors.extend(told.filter_map(|(case, proof)| unproven(&file, case, proof)));
        }
        Err(error) => {
            let message = error.kind().to_string();
            let line = usize::try_from(error.location().line()).ok();
            errors.push(RuleError::of(&file, Problem::Sql { message }).at_line(line));
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

/// What a case does to prove what it announces.
#[derive(Clone, Copy, Default)]
struct Proof {
    /// It asks for findings.
    asks: bool,
    /// There are rows that could be found.
    has_rows: bool,
    /// It expects a finding.
    finds: bool,
}

fn unproven(file: &str, case: &Case, proof: Proof) -> Option<RuleError> {
    let expected = if !proof.asks {
        "a proof: no query of `findings` stands below it"
    } else if !proof.has_rows {
        "a proof: nothing is inserted before it asks"
    } else if case.kind == CaseKind::Fires && !proof.finds {
        "a proof: it expects no finding"
    } else {
        return None;
    };
    let value = format!("{} — {}", case.kind, case.text);
    let error = RuleError::of(file, Problem::BadValue { value, expected });
    Some(error.at_line(Some(case.line)))
}

/// What each case does, as far as the script is carried out at all.
fn proofs(script: &str, cases: &[Case]) -> Result<Vec<Proof>, ParseError> {
    let mut proofs = vec![Proof::default(); cases.len()];
    let mut has_rows = false;
    for record in sqllogictest::parse::<DefaultColumnType>(script)? {
        match record {
            Record::Halt { .. } => break,
            Record::Statement {
                conditions,
                sql,
                expected: StatementExpect::Ok | StatementExpect::Count(_),
                ..
            } if conditions.is_empty() => {
                let sql = sql.trim().trim_end_matches(';').to_ascii_lowercase();
                has_rows = sql.starts_with("insert") || (has_rows && sql != "reset");
            }
            Record::Query {
                loc,
                conditions,
                sql,
                expected: QueryExpect::Results { results, .. },
                ..
            } if conditions.is_empty() && sql.to_ascii_lowercase().contains("findings") => {
                let line = usize::try_from(loc.line()).unwrap_or(usize::MAX);
                let above = cases.iter().rposition(|case| case.line < line);
                if let Some(proof) = above.and_then(|at| proofs.get_mut(at)) {
                    proof.asks = true;
                    proof.has_rows |= has_rows;
                    proof.finds |= results.iter().any(|row| says_something(row));
                }
            }
            _ => {}
        }
    }
    Ok(proofs)
}

/// Whether the row is more than counts and sums over nothing.
fn says_something(row: &str) -> bool {
    row.split_whitespace()
        .any(|cell| cell != "0" && cell != "NULL")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::metadata::tests::sample;

    const INSERT: &str = "statement ok\ninsert into invoice_lines (source) values ('billing')\n";
    const ASK: &str = "query T\nselect entity_id from findings\n----\n";

    fn faults(script: &str) -> Vec<String> {
        let mut rule = sample();
        rule.quiet_when.clear();
        rule.cases = Some(script.to_owned());
        let faults = of_rule(&rule).into_iter();
        faults
            .map(|fault| {
                assert_eq!(fault.file, "queries/rules/rating/odd-price.slt");
                format!("{}: {}", fault.line.unwrap_or_default(), fault.problem)
            })
            .collect()
    }

    #[test]
    fn a_case_that_fires_and_one_that_does_not_are_enough() {
        let script =
            format!("# case: fires — a\n{INSERT}\n{ASK}l1\n\n# case: quiet — b\n\n{ASK}\n");
        assert_eq!(faults(&script), Vec::<String>::new());
    }

    #[test]
    fn a_case_without_rows_or_without_an_expectation_proves_nothing() {
        let script = format!(
            "# case: fires — a\n{INSERT}\n{ASK}\n# case: quiet — b\n{INSERT}\n\
             # case: boundary — c\nstatement ok\nreset\n\n{ASK}"
        );
        let told = [
            "1: `fires — a` is not a proof: it expects no finding",
            "9: `quiet — b` is not a proof: no query of `findings` stands below it",
            "13: `boundary — c` is not a proof: nothing is inserted before it asks",
        ];
        assert_eq!(faults(&script), told);
    }

    #[test]
    fn what_is_not_carried_out_proves_nothing() {
        let fires = format!("# case: fires — a\n{INSERT}\n{ASK}l1\n\n");
        let elsewhere = ASK.replace("findings", "invoice_lines");
        for quiet in [
            format!("halt\n\n{ASK}"),
            format!("skipif trueup\n{ASK}"),
            elsewhere,
            "statement ok\nselect entity_id from findings\n".to_owned(),
            "query error\nselect entity_id from findings\n".to_owned(),
        ] {
            let told = faults(&format!("{fires}# case: quiet — b\n{quiet}"));
            let known = "`quiet — b` is not a proof: no query of `findings` stands below it";
            assert_eq!(told, [format!("10: {known}")], "{quiet}");
        }
    }

    #[test]
    fn counts_and_sums_over_nothing_are_no_finding() {
        let fires = format!("# case: fires — a\n{INSERT}\n{ASK}l1\n\n");
        let counted = |row: &str| {
            let asked = fires.replace("entity_id", "count(*), count(*), sum(actual)");
            let asked = asked.replace("l1", row);
            faults(&format!("{asked}# case: quiet — b\n{ASK}"))
        };
        for nothing in ["0", "0 0", "NULL", "0  NULL", "0 0\n0 NULL"] {
            let told = counted(nothing);
            let known = "1: `fires — a` is not a proof: it expects no finding";
            assert_eq!(told, [known], "{nothing}");
        }
        for something in ["1", "0 1", "NULL 0.5", "0 0\nl1 NULL"] {
            assert_eq!(counted(something), Vec::<String>::new(), "{something}");
        }
    }

    #[test]
    fn a_script_that_cannot_be_read_is_told_with_its_line() {
        let told = faults("# case: fires — a\nstatment ok\nreset\n\n# case: quiet — b\n");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("2: "), "{told:?}");
    }
}
