//! What a rule is once its files were read and checked: plain values for the stages above.
//!
//! Nothing here parses; a `Rule` that exists has valid words, spans and parameters.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::need::Need;
use super::param::Param;
use super::{sql, template};
use crate::config::Role;
use crate::model::{Decimal, Severity};

/// Defines an enum whose values are words in files and tables, in their order.
macro_rules! words {
    ($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$inner])* $variant,)+
        }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word used in files and tables.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// The value of that word.
            pub fn named(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(super) use words;

words! {
    /// How far a rule is trusted.
    Status {
        /// Runs, but never holds a gate.
        Experimental = "experimental",
        /// Runs and may hold a gate.
        Stable = "stable",
        /// Still runs; to be retired.
        Deprecated = "deprecated",
    }
}

words! {
    /// Where on the way from usage to invoice a rule looks; upstream is smaller.
    Stage {
        /// The usage records.
        Usage = "usage",
        /// What the usage should cost.
        Rating = "rating",
        /// Bill runs and what they cover.
        Billing = "billing",
        /// The invoice as the customer gets it.
        Invoice = "invoice",
    }
}

words! {
    /// Which mistakes are tried on the wrong lines that a rule finds.
    Explain {
        /// The quantity is given: what gives the billed amount.
        Price = "price",
        /// What gives the billed quantity.
        Quantity = "quantity",
        /// Only the amount is given: mistakes of both kinds, alone and together.
        Both = "both",
    }
}

/// The columns of evidence that an explanation may add to a finding; texts of a rule that is explained
/// may name them.
pub const EXPLAINED_COLUMNS: &[&str] = &[
    "explanation_confidence",
    "change",
    "explanations",
    "mistakes",
    "expected_tiers",
    "billed_as_tiers",
    "billed_version_from",
    "billed_price_id",
    "billed_currency",
    "billed_aggregation",
    "billed_period",
    "duplicate_quantity",
    "late_quantity",
    "metered_quantity",
    "missing_tier",
    "other_charge",
    "reduction",
    "discount",
    "slip_factor",
    "unit_factor",
];

/// The categories that a rule may have.
pub const CATEGORIES: &[&str] = &[
    "tier_miscalculation",
    "usage_anomaly",
    "zero_usage",
    "usage_completeness",
    "duplicate_usage",
    "mapping",
    "catalogue",
    "period",
    "invoice_integrity",
    "freshness",
];

/// The root causes that a finding or a step may name.
pub const ROOT_CAUSES: &[&str] = &[
    "configuration",
    "data_quality",
    "integration",
    "engine_defect",
    "timing",
    "manual",
    "legitimate",
    "unknown",
];

/// Where a remediation step is done.
pub const TARGETS: &[&str] = &[
    "metering",
    "pipeline",
    "mapping",
    "catalogue",
    "billing",
    "crm",
    "erp",
    "customer",
];

/// A question put to the lake, with what it means and what to do about its answer.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The stem of its files.
    pub id: String,
    /// Raised whenever the SQL or its meaning changes.
    pub version: u32,
    /// One SELECT.
    pub sql: String,
    /// The file of the SQL: `queries/rules/usage/x.sql` or the user's path.
    pub sql_origin: String,
    /// The text of the `.slt` file.
    pub cases: Option<String>,
    /// One line for lists; may name columns in braces.
    pub title: String,
    /// What it detects, in a billing operator's words.
    pub description: String,
    /// How far it is trusted.
    pub status: Status,
    /// One of [`CATEGORIES`].
    pub category: String,
    /// Where it looks.
    pub stage: Stage,
    /// The floor; impact raises it.
    pub severity: Severity,
    /// Who answers for it.
    pub owner: String,
    /// The platforms that it judges; `*` is any.
    pub platforms: Vec<String>,
    /// The roles of the sources that it judges.
    pub roles: Vec<Role>,
    /// The role of a second source that it needs beside the judged one.
    pub partner: Option<Role>,
    /// The tables that it reads.
    pub reads: Vec<String>,
    /// Tables of `reads` without which it still has something to judge.
    pub may_lack: Vec<String>,
    /// Columns without which it could say nothing, and would seem to say that all is well.
    pub needs: Vec<Need>,
    /// Columns that are rightly empty where there is nothing for it to judge: trials, ends, discounts.
    pub concerns: Vec<Need>,
    /// When it runs; [`super::Schedule::parse`] reads it.
    pub schedule: String,
    /// How far back of `$as_of` it looks.
    pub window: Duration,
    /// Data younger than this is not judged yet.
    pub settle: Duration,
    /// Which mistakes are tried on its findings; absent: none, its own words stand.
    pub explain: Option<Explain>,
    /// The columns whose values make one signal.
    pub group_by: Vec<String>,
    /// Older exports of what it reads make it inconclusive.
    pub max_staleness: Option<Duration>,
    /// When it stays quiet; each has a case.
    pub quiet_when: Vec<String>,
    /// What it cannot see.
    pub known_gaps: Vec<String>,
    /// Public incidents and documents.
    pub references: Vec<String>,
    /// The parameters of its SQL, by name.
    pub params: BTreeMap<String, Param>,
    /// What a group needs to become a signal.
    pub trigger: Trigger,
    /// What raises the severity.
    pub escalate: Escalate,
    /// What to do, root cause first.
    pub remediation: Vec<Step>,
    /// After how many quiet runs its signals count as resolved.
    pub resolve_after_runs: u32,
}

/// What a group needs to become a signal; all must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// At least so many records.
    pub min_entities: u64,
    /// At least so much money.
    pub min_impact: Decimal,
}

/// The impact, in the reporting currency, from which a signal is graver than its rule says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Escalate {
    /// Critical from here.
    pub critical_impact: Option<Decimal>,
    /// High from here.
    pub high_impact: Option<Decimal>,
}

/// One step of the remediation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// For which findings, by explanation or root cause; absent: for all.
    pub when: Option<String>,
    /// One of [`ROOT_CAUSES`]; absent: the finding's own.
    pub root_cause: Option<String>,
    /// One of [`TARGETS`].
    pub target: String,
    /// What to do.
    pub action: String,
    /// What to look at first.
    pub check: String,
    /// Why this helps.
    pub why: String,
    /// What is true afterwards, and how the next run shows it.
    pub outcome: String,
}

/// A named query that several rules share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The stem of its file.
    pub name: String,
    /// One SELECT.
    pub sql: String,
    /// Whether it is computed once for a run rather than for each use.
    pub materialise: bool,
}

/// Everything that a run can ask.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// The rules that are not disabled, sorted by id.
    pub rules: Vec<Rule>,
    /// The views; each only needs those before it.
    pub views: Vec<View>,
    /// The ids of the rules that the configuration turned off.
    pub disabled: Vec<String>,
}

impl Rule {
    /// Every name in its query, and what explaining adds: its findings have no column beside these.
    pub fn names(&self) -> BTreeSet<String> {
        let mut names = sql::names(&self.sql);
        if self.explain.is_some() {
            names.extend(EXPLAINED_COLUMNS.iter().map(|&name| name.to_owned()));
            names.extend(["explanation", "root_cause"].map(str::to_owned));
        }
        names
    }

    /// Every text that may name columns in braces, with the key that it stands under.
    pub fn texts(&self) -> Vec<(String, &str)> {
        let mut texts = vec![
            ("title".to_owned(), self.title.as_str()),
            ("description".to_owned(), self.description.as_str()),
        ];
        for (index, step) in self.remediation.iter().enumerate() {
            let parts = [
                ("action", &step.action),
                ("check", &step.check),
                ("why", &step.why),
                ("outcome", &step.outcome),
            ];
            for (key, text) in parts {
                texts.push((format!("remediation[{index}].{key}"), text.as_str()));
            }
        }
        texts
    }

    /// The columns that its texts name in braces.
    pub fn placeholders(&self) -> BTreeSet<&str> {
        self.texts()
            .into_iter()
            .flat_map(|(_, text)| template::placeholders(text))
            .collect()
    }

    /// The file of its metadata.
    pub fn metadata_origin(&self) -> String {
        self.beside("toml")
    }

    /// The file of its cases.
    pub fn cases_origin(&self) -> String {
        self.beside("slt")
    }

    fn beside(&self, extension: &str) -> String {
        let base = self
            .sql_origin
            .strip_suffix("sql")
            .unwrap_or(&self.sql_origin);
        format!("{base}{extension}")
    }
}

impl RuleSet {
    /// The rule of that id, unless it is disabled or unknown.
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id == id)
    }

    /// The views that a rule needs, directly or through others, each after those it needs itself.
    pub fn views_behind(&self, rule: &Rule) -> Vec<&View> {
        self.views_named([rule.sql.as_str()])
    }

    /// The views that any of these queries needs, directly or through others, each after those it
    /// needs itself.
    pub fn views_named<'q>(&self, queries: impl IntoIterator<Item = &'q str>) -> Vec<&View> {
        let mut named: BTreeSet<String> = queries.into_iter().flat_map(sql::names).collect();
        let mut needed: Vec<&View> = Vec::new();
        // From the last to the first: a view only needs those before it.
        for view in self.views.iter().rev() {
            if named.contains(&view.name) {
                named.extend(sql::names(&view.sql));
                needed.push(view);
            }
        }
        needed.reverse();
        needed
    }

    /// The known ids, disabled ones included.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let active = self.rules.iter().map(|rule| rule.id.as_str());
        active.chain(self.disabled.iter().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_and_upstream_is_smaller() {
        for stage in Stage::ALL {
            assert_eq!(Stage::named(stage.as_str()), Some(*stage));
        }
        assert!(Stage::Usage < Stage::Rating && Stage::Billing < Stage::Invoice);
        assert_eq!(Status::named("stabel"), None);
    }

    #[test]
    fn views_are_those_that_are_named_and_those_behind_them() {
        let view = |name: &str, sql: &str| View {
            name: name.to_owned(),
            sql: sql.to_owned(),
            materialise: false,
        };
        let set = RuleSet {
            views: vec![
                view("days", "select 1 as day"),
                view("day_sums", "select day from days"),
                view("peaks", "-- like day_sums\nselect 'days' as name"),
            ],
            ..RuleSet::default()
        };
        let named = |queries: &[&str]| -> Vec<String> {
            let views = set.views_named(queries.iter().copied());
            views.into_iter().map(|view| view.name.clone()).collect()
        };
        assert_eq!(named(&["select day from Day_sums"]), ["days", "day_sums"]);
        assert_eq!(named(&["select name from peaks -- days"]), ["peaks"]);
        assert_eq!(
            named(&["select 1 from days_off", "select name from peaks"]),
            ["peaks"]
        );
        assert!(named(&[]).is_empty());
    }
}
