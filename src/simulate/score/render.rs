//! The scorecard as cells of tables, and as the tables of a page.

use super::card::{FaultScore, RuleScore, Scorecard, WorldScore, is_legitimate};
use crate::model::Decimal;

/// Headings of the table of faults.
pub const FAULT_HEADINGS: [&str; 10] = [
    "class",
    "fault",
    "injected",
    "caught",
    "root cause right",
    "explanation right",
    "records right",
    "false alarms",
    "money exact",
    "money told (USD)",
];

/// Headings of the table of worlds.
pub const WORLD_HEADINGS: [&str; 7] = [
    "world",
    "injected",
    "caught",
    "signals",
    "false alarms",
    "subscription months",
    "false alarms per 1000",
];

/// Headings of the table of rules.
pub const RULE_HEADINGS: [&str; 4] = ["rule", "signals", "beside a fault", "elsewhere"];

/// Rules that own no fault, and why a world has none for them.
const UNTRIED: [(&str, &str, &str); 4] = [
    (
        "F2",
        "stale-export",
        "it compares exports of many days and their times; a world is exported once, by the run \
         that judges it, so every table of it is fresh and none has a rhythm yet",
    ),
    (
        "F1",
        "bill-run-incomplete",
        "it sees what skipped periods and failed runs leave behind, and is scored as their effect",
    ),
    (
        "A13",
        "counter-reset",
        "meters of a world send what was used since the last record, never a running count",
    ),
    (
        "A5",
        "usage-drift",
        "no fault is a slow leak over many weeks; what it sees of others is scored as their effect",
    ),
];

/// Where the tables stand on a page.
const BEGIN: &str = "<!-- scorecard: begin -->";
const END: &str = "<!-- scorecard: end -->";

/// A row of the table of faults.
pub fn fault_cells(score: &FaultScore) -> Vec<String> {
    let is_error = !is_legitimate(&score.class);
    let share = |part, all| {
        if is_error {
            part_of(part, all)
        } else {
            String::new()
        }
    };
    let caught = if is_error {
        part_of(score.caught, score.injected)
    } else {
        format!("in peace: {}", part_of(score.caught, score.injected))
    };
    let money = if score.with_money == 0 {
        String::new()
    } else {
        format!(
            "{} of {}",
            in_cents(score.money_signalled),
            in_cents(score.money_injected)
        )
    };
    vec![
        score.class.clone(),
        score.fault.clone(),
        score.injected.to_string(),
        caught,
        share(score.root_cause_right, score.caught),
        share(score.explanation_right, score.explained),
        share(score.records_right, score.records_named),
        score.false_alarms.to_string(),
        share(score.money_exact, score.with_money),
        money,
    ]
}

/// A row of the table of worlds.
pub fn world_cells(score: &WorldScore) -> Vec<String> {
    vec![
        score.world.clone(),
        score.injected.to_string(),
        part_of(score.caught, score.injected),
        score.signals.to_string(),
        score.false_alarms.to_string(),
        score.subscription_months.to_string(),
        format!("{:.2}", score.false_alarms_per_1000),
    ]
}

/// A row of the table of rules.
pub fn rule_cells(score: &RuleScore) -> Vec<String> {
    vec![
        score.rule.clone(),
        score.signals.to_string(),
        score.beside.to_string(),
        score.elsewhere.to_string(),
    ]
}

/// `3/4 (75 %)`, rounded down so that a hundred per cent is all; nothing of nothing.
fn part_of(part: u64, all: u64) -> String {
    if all == 0 {
        return String::new();
    }
    format!("{part}/{all} ({} %)", part * 100 / all)
}

/// An amount to the cent, cut off.
fn in_cents(amount: Decimal) -> String {
    let text = amount.to_string();
    match text.split_once('.') {
        Some((whole, cents)) => format!("{whole}.{:0<2}", &cents[..cents.len().min(2)]),
        None => text,
    }
}

/// The tables of a page. Worlds have no place names here: a page is the same wherever it was made.
pub fn markdown(card: &Scorecard) -> String {
    let mut faults: Vec<Vec<String>> = card.faults.iter().map(fault_cells).collect();
    faults.push(fault_cells(&card.total));
    let worlds = (1..).zip(&card.worlds).map(|(number, world)| {
        let kind = if world.injected == 0 {
            "clean"
        } else {
            "faulty"
        };
        let mut cells = world_cells(world);
        cells[0] = format!("{number} ({kind})");
        cells
    });
    let alarming = card
        .rules
        .iter()
        .filter(|rule| rule.beside + rule.elsewhere > 0);
    let untried = UNTRIED.map(|(class, rule, why)| [class, rule, why].map(str::to_owned).to_vec());
    format!(
        "## Faults\n\n{}\n## Worlds\n\n{}\n## Rules with false alarms\n\n{}\n\
         ## Rules without a fault of their own\n\n{}",
        lines(&FAULT_HEADINGS, faults),
        lines(&WORLD_HEADINGS, worlds),
        lines(&RULE_HEADINGS, alarming.map(rule_cells)),
        lines(&["class", "rule", "why"], untried),
    )
}

fn lines(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let headings: Vec<String> = headings.iter().map(|&heading| heading.to_owned()).collect();
    let rule = vec!["---".to_owned(); headings.len()];
    let mut text = line(&headings) + &line(&rule);
    for row in rows {
        text.push_str(&line(&row));
    }
    text
}

/// The page with the tables between its marks; a page without marks is the tables and nothing else.
pub fn placed(page: Option<&str>, tables: &str) -> String {
    let marked = format!("{BEGIN}\n{tables}{END}\n");
    let parts = page.and_then(|page| {
        let (before, rest) = page.split_once(BEGIN)?;
        let (_, after) = rest.split_once(END)?;
        Some((before, after.strip_prefix('\n').unwrap_or(after)))
    });
    match parts {
        Some((before, after)) => format!("{before}{marked}{after}"),
        None => marked,
    }
}
