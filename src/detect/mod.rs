//! Detection: every rule's question put to one consistent state of the lake.
//!
//! ```text
//! pinned tables ─► views ─► plan of every rule, checked ─► which sources can be judged
//!                                                    └───► query ─► findings of those sources
//!                                                            └ failed: asked source by source
//! ```
//! Nothing is written here. What cannot be judged is said to be inconclusive, never clean.

mod apart;
mod backtest;
pub mod cases;
mod evaluate;
mod explained;
mod findings;
mod inputs;
mod needs;
mod preflight;
mod replay;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use datafusion::error::DataFusionError;

use crate::config::Source;
use crate::lake::{Lake, LakeError};
use crate::model::{Finding, Run, Verdict};
use crate::rules::{Rule, RuleSet, View};
use crate::session::{Sessions, Workers};

pub use backtest::{Backtest, DayCount, Entity, Issue, Judged, TooMuch, Totals};
pub use inputs::Inputs;
pub use preflight::{Depth, PlanProblem, check};
pub use replay::{Beginnings, as_today, replay};
pub use world::World;

/// What to detect.
#[derive(Debug)]
pub struct Request<'a> {
    /// Where the data is.
    pub lake: &'a Lake,
    /// Makes the sessions.
    pub sessions: &'a Sessions,
    /// The run.
    pub run: &'a Run,
    /// Every configured source.
    pub sources: &'a [Source],
    /// The rules and views.
    pub rules: &'a RuleSet,
    /// Only these rules; all where empty.
    pub only_rules: &'a [String],
    /// Only this source.
    pub only_source: Option<&'a str>,
    /// How long one rule may take.
    pub timeout: Duration,
}

impl<'a> Request<'a> {
    /// The rules that are asked.
    fn selected(&self) -> impl Iterator<Item = &'a Rule> {
        let only = self.only_rules;
        let is_selected = move |rule: &&Rule| only.is_empty() || only.contains(&rule.id);
        self.rules.rules.iter().filter(is_selected)
    }
}

/// How a rule came out for one source.
#[derive(Clone, Debug)]
pub struct SourceOutcome {
    /// The outcome.
    pub verdict: Verdict,
    /// Why, where it was not judged.
    pub reason: Option<String>,
}

/// How one rule came out.
#[derive(Clone, Debug)]
pub struct RuleOutcome<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// Source by source.
    pub sources: BTreeMap<String, SourceOutcome>,
    /// The records found, of the sources that could be judged.
    pub findings: Vec<Finding>,
    /// The window that was judged: `[start, end)`.
    pub window: (DateTime<Utc>, DateTime<Utc>),
    /// How long the query took.
    pub elapsed: Duration,
    /// Rows that its scans read.
    pub rows_scanned: u64,
    /// When it began, in the run's own time.
    pub started_at: DateTime<Utc>,
}

/// What a detection found.
#[derive(Clone, Debug)]
pub struct Detection<'a> {
    /// Rule by rule.
    pub outcomes: Vec<RuleOutcome<'a>>,
    /// Table → version it was judged on.
    pub versions: BTreeMap<&'static str, u64>,
    /// Those tables, and views that look at no window: for what follows to read the same versions.
    pub world: World,
}

/// A failure that leaves nothing judged.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// The lake could not be read.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A shared view does not work.
    #[error("view {view} fails")]
    View {
        /// The view.
        view: String,
        /// What the engine said.
        #[source]
        source: Box<DataFusionError>,
    },
    /// The session could not be prepared.
    #[error("cannot prepare the query session: {what}")]
    Session {
        /// Which step.
        what: &'static str,
        /// What the engine said.
        #[source]
        source: Box<DataFusionError>,
    },
}

/// Told before each rule: how many are done, of how many, and which comes.
pub type Progress<'p> = &'p (dyn Fn(usize, usize, &str) + Sync);

/// Puts every rule's question.
pub async fn detect<'a>(
    request: &Request<'a>,
    workers: &Workers,
    progress: Progress<'_>,
) -> Result<Detection<'a>, DetectError> {
    let rules: Vec<&'a Rule> = request.selected().collect();
    let world = World::of_lake(request.lake, request.sessions, request.sources).await?;
    let read = rules.iter().flat_map(|rule| &rule.reads);
    world
        .hold_small(&read.map(String::as_str).collect())
        .await?;
    let inputs = Inputs::load(&world, request.sources, &rules, request.run.as_of).await?;
    let window = widest_window(request.selected(), request.run.as_of);
    let texts = rules.iter().map(|rule| rule.sql.as_str());
    let views: Vec<&View> = request.rules.views_named(texts);
    world
        .define_views(&views, request.run.as_of, window)
        .await?;
    let mut outcomes = Vec::new();
    for (done, rule) in rules.iter().copied().enumerate() {
        progress(done, rules.len(), &rule.id);
        outcomes.push(evaluate::evaluate(request, workers, &world, &inputs, rule).await?);
    }
    world.clear_windows(&views)?;
    Ok(Detection {
        outcomes,
        versions: world.versions().clone(),
        world,
    })
}

/// From where the rule looks that looks back furthest, up to `as_of`: what shared views hold.
pub fn widest_window<'r>(
    rules: impl IntoIterator<Item = &'r Rule>,
    as_of: DateTime<Utc>,
) -> (DateTime<Utc>, DateTime<Utc>) {
    let widest = rules.into_iter().map(|rule| rule.window).max();
    (before(as_of, widest.unwrap_or_default()), as_of)
}

/// The moment that far before another.
pub(crate) fn before(at: DateTime<Utc>, span: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(span)
        .ok()
        .and_then(|span| at.checked_sub_signed(span))
        .unwrap_or(DateTime::<Utc>::MIN_UTC)
}
