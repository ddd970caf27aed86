//! The index of a rule pack as a page, made from the metadata so that the two cannot differ.
//!
//! Text out of values: no file is read or written here.

use super::rule::{Rule, RuleSet, Stage, View};
use super::template;

/// The page: every rule under its stage, then the views that rules share.
pub fn index(set: &RuleSet) -> String {
    let mut page = format!(
        "# The rule pack\n\n\
         {} rules and the {} views that they share. This page is made from their metadata:\n\
         change that, then run `TRUEUP_BLESS=1 cargo test --test it rules::lock`.\n\
         How rules are written: [docs/rules.md](../docs/rules.md).\n",
        set.rules.len(),
        set.views.len()
    );
    for stage in Stage::ALL {
        page.push_str(&format!(
            "\n## {stage}\n\n\
             | rule | severity | category | what it catches | known gaps |\n\
             | --- | --- | --- | --- | --- |\n"
        ));
        let rules = set.rules.iter().filter(|rule| rule.stage == *stage);
        rules.for_each(|rule| page.push_str(&rule_row(rule)));
    }
    page.push_str("\n## Views\n\n| view | what it holds |\n| --- | --- |\n");
    let mut views: Vec<&View> = set.views.iter().collect();
    views.sort_by(|a, b| a.name.cmp(&b.name));
    for view in views {
        let (name, summary) = (&view.name, cell(&first_sentence(&view.sql)));
        page.push_str(&format!("| [`{name}`](views/{name}.sql) | {summary} |\n"));
    }
    page
}

fn rule_row(rule: &Rule) -> String {
    let (id, stage) = (&rule.id, rule.stage);
    format!(
        "| [`{id}`](rules/{stage}/{id}.sql) | {} | {} | **{}** {} | {} |\n",
        rule.severity,
        rule.category,
        title(&rule.title),
        cell(&rule.description),
        rule.known_gaps.len()
    )
}

/// The title as a sentence, as it is before any finding: columns are left open, and one that only
/// adds to the end is dropped.
fn title(text: &str) -> String {
    let open = template::fill(text, &|_: &str| Some("…".to_owned()));
    let title = cell(open.strip_suffix(": …").unwrap_or(&open));
    let stop = if title.ends_with('…') { "" } else { "." };
    format!("{title}{stop}")
}

/// One line that cannot end its cell.
fn cell(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}

/// The first sentence of the comment that opens a query.
fn first_sentence(sql: &str) -> String {
    let comment: Vec<&str> = sql
        .lines()
        .skip_while(|line| line.trim() == "-- materialise")
        .map_while(|line| line.trim().strip_prefix("--"))
        .map(str::trim)
        .collect();
    let comment = comment.join(" ");
    match comment.split_once(". ") {
        Some((first, _)) => format!("{first}."),
        None => comment,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::metadata::tests::sample;

    #[test]
    fn a_row_says_what_a_rule_catches_without_naming_columns() {
        let mut rule = sample();
        rule.title = "Price {price_id} is odd: {explanation}".to_owned();
        rule.description = "One\n  or the other | both.".to_owned();
        rule.known_gaps = vec!["a gap".to_owned()];
        assert_eq!(
            rule_row(&rule),
            "| [`odd-price`](rules/rating/odd-price.sql) | high | catalogue | \
             **Price … is odd.** One or the other \\| both. | 1 |\n"
        );
    }

    #[test]
    fn an_open_end_needs_no_full_stop() {
        assert_eq!(title("Usage of {meter}"), "Usage of …");
        assert_eq!(title("Usage below zero"), "Usage below zero.");
    }

    #[test]
    fn a_view_is_told_by_its_first_sentence() {
        let sql = "-- materialise\n-- One row for\n-- each day. And more.\nselect 1 -- end. x";
        assert_eq!(first_sentence(sql), "One row for each day.");
        assert_eq!(first_sentence("-- Only one.\nselect 1"), "Only one.");
        assert_eq!(first_sentence("select 1"), "");
    }

    #[test]
    fn every_stage_has_a_table() {
        let set = RuleSet {
            rules: vec![sample()],
            ..RuleSet::default()
        };
        let page = index(&set);
        for stage in Stage::ALL {
            assert!(page.contains(&format!("\n## {stage}\n")), "{page}");
        }
        assert!(page.contains("odd-price"), "{page}");
    }
}
