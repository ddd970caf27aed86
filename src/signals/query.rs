//! Signals as people ask for them: a list by weight, or everything about one.

use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::write::{SignalsError, def, load};
use crate::lake::Lake;
use crate::model::Severity;
use crate::model::signal::{EntityRow, EventRow, RemediationRow, SignalRow};
use crate::session::{self, Parameters};

/// Which signals to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// At least so grave.
    pub severity: Option<Severity>,
    /// In this state; `None`: all that are not resolved.
    pub status: Option<String>,
    /// Of this rule.
    pub rule: Option<String>,
    /// Of this source.
    pub source: Option<String>,
    /// Of this customer.
    pub customer: Option<String>,
    /// Resolved ones too.
    pub all: bool,
}

/// Everything about one signal.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// The signal.
    pub signal: SignalRow,
    /// What to do.
    pub remediations: Vec<RemediationRow>,
    /// The records that are still affected, primary ones first.
    pub entities: Vec<EntityRow>,
    /// What happened, oldest first.
    pub events: Vec<EventRow>,
}

/// The signals of the lake that pass the filter, gravest and dearest first.
pub async fn list(
    lake: &Lake,
    ctx: &SessionContext,
    filter: &Filter,
) -> Result<Vec<SignalRow>, SignalsError> {
    Ok(select(load(lake, ctx).await?.into_values(), filter))
}

/// Those of the signals that pass the filter, gravest and dearest first.
pub fn select(signals: impl IntoIterator<Item = SignalRow>, filter: &Filter) -> Vec<SignalRow> {
    let wanted = |option: &Option<String>, value: Option<&str>| {
        option.as_deref().is_none_or(|wanted| value == Some(wanted))
    };
    let passes = |row: &SignalRow| {
        let severity: Option<Severity> = row.severity.parse().ok();
        let state = match &filter.status {
            Some(wanted) => row.status == *wanted,
            None => filter.all || row.is_open(),
        };
        state
            && filter
                .severity
                .is_none_or(|least| severity.is_some_and(|severity| severity >= least))
            && wanted(&filter.rule, Some(&row.rule_id))
            && wanted(&filter.source, Some(&row.source))
            && wanted(&filter.customer, row.customer_id.as_deref())
    };
    let mut rows: Vec<SignalRow> = signals.into_iter().filter(passes).collect();
    rows.sort_by(|a, b| {
        let weight = |row: &SignalRow| row.severity.parse::<Severity>().ok();
        a.priority
            .cmp(&b.priority)
            .then_with(|| weight(b).cmp(&weight(a)))
            .then_with(|| b.impact.cmp(&a.impact))
            .then_with(|| a.signal_id.cmp(&b.signal_id))
    });
    rows
}

/// The signal whose id is `id`, or begins with it if only one does.
pub async fn show(
    lake: &Lake,
    ctx: &SessionContext,
    id: &str,
) -> Result<Result<Shown, Vec<String>>, SignalsError> {
    let known = load(lake, ctx).await?;
    let matching: Vec<&SignalRow> = known
        .values()
        .filter(|row| row.signal_id == id || row.signal_id.starts_with(id))
        .collect();
    let signal = match matching[..] {
        [one] => one.clone(),
        _ => {
            return Ok(Err(matching
                .iter()
                .map(|row| row.signal_id.clone())
                .collect()));
        }
    };
    let id = signal.signal_id.clone();
    let order = "role, entity_type, entity_id";
    let mut entities: Vec<EntityRow> = of_signal(lake, ctx, "signal_entities", &id, order).await?;
    // A record that was not there when the signal was last seen is history.
    entities.retain(|row| row.last_seen_at >= signal.last_seen_at);
    Ok(Ok(Shown {
        remediations: of_signal(lake, ctx, "remediations", &id, "step").await?,
        entities,
        events: of_signal(lake, ctx, "signal_events", &id, "at, event_id").await?,
        signal,
    }))
}

async fn of_signal<T: DeserializeOwned>(
    lake: &Lake,
    ctx: &SessionContext,
    name: &'static str,
    signal_id: &str,
    order: &str,
) -> Result<Vec<T>, SignalsError> {
    let query = format!("select * from {name} where signal_id = $id order by {order}");
    let mut parameters = Parameters::default();
    parameters.set("id", ScalarValue::from(signal_id));
    Ok(session::rows(lake, ctx, def(name)?, &query, &parameters).await?)
}
