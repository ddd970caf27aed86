//! What signals have in common: a price, a meter, an explanation, a customer, a source. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::Decimal;
use crate::model::identity::short_id;
use crate::model::signal::{PatternRow, SignalRow};

/// What is shared; the first of these that a signal shares is its own pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Price,
    Meter,
    Explanation,
    Customer,
    Source,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Price,
        Self::Meter,
        Self::Explanation,
        Self::Customer,
        Self::Source,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::Price => "same_price",
            Self::Meter => "same_meter",
            Self::Explanation => "same_explanation",
            Self::Customer => "same_customer",
            Self::Source => "same_source",
        }
    }

    /// The value, and the source that it means something in.
    fn shared(self, row: &SignalRow) -> Option<(String, String)> {
        let of_source = |value: Option<String>| Some((row.source.clone(), value?));
        match self {
            Self::Price => of_source(key(row, "price_id")),
            Self::Meter => of_source(key(row, "meter")),
            Self::Customer => {
                of_source(row.customer_id.clone().or_else(|| key(row, "customer_id")))
            }
            Self::Source => Some((row.source.clone(), row.source.clone())),
            // The same mistake in two systems is worth seeing as one.
            Self::Explanation => {
                let explanation = row.explanation.clone()?;
                (explanation != "unexplained").then_some((String::new(), explanation))
            }
        }
    }

    fn title(self, count: i64, source: &str, value: &str) -> String {
        match self {
            Self::Price => format!("{count} signals of price {value} in {source}"),
            Self::Meter => format!("{count} signals of meter {value} in {source}"),
            Self::Customer => format!("{count} signals of customer {value} in {source}"),
            Self::Source => format!("{count} signals of {source}"),
            Self::Explanation => {
                let words = value.replace('_', " ");
                format!("{count} signals explained by: {words}")
            }
        }
    }
}

/// A value that the findings of the signal were grouped by.
fn key(row: &SignalRow, name: &str) -> Option<String> {
    let key: Value = serde_json::from_str(row.group_key.as_deref()?).ok()?;
    key.get(name)?.as_str().map(str::to_owned)
}

/// (kind, source, value) → the open signals that share it; two at least.
type Shared<'a> = BTreeMap<(Kind, String, String), Vec<&'a SignalRow>>;

fn shared<'a>(rows: impl Iterator<Item = &'a SignalRow>) -> Shared<'a> {
    let mut shared = Shared::new();
    for row in rows.filter(|row| row.is_open()) {
        for kind in Kind::ALL {
            if let Some((source, value)) = kind.shared(row) {
                shared.entry((kind, source, value)).or_default().push(row);
            }
        }
    }
    shared.retain(|_, rows| rows.len() > 1);
    shared
}

fn pattern_id(kind: Kind, source: &str, value: &str) -> String {
    short_id("pat", [kind.word(), source, value])
}

/// The patterns of the signals.
pub(super) fn patterns<'a>(rows: impl Iterator<Item = &'a SignalRow>) -> Vec<PatternRow> {
    let described = shared(rows)
        .into_iter()
        .map(|((kind, source, value), rows)| {
            let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
            let entities = rows.iter().map(|row| row.entity_count);
            let (impact, currency) = money(&rows).unzip();
            PatternRow {
                pattern_id: pattern_id(kind, &source, &value),
                kind: Some(kind.word().to_owned()),
                signal_count: Some(count),
                entity_count: Some(entities.fold(0, i64::saturating_add)),
                impact,
                currency,
                first_seen_at: rows.iter().filter_map(|row| row.first_seen_at).min(),
                last_seen_at: rows.iter().filter_map(|row| row.last_seen_at).max(),
                title: Some(kind.title(count, &source, &value)),
                shared_value: Some(value),
            }
        });
    described.collect()
}

/// The money of the signals together, where all of it is of one currency.
fn money(rows: &[&SignalRow]) -> Option<(Decimal, String)> {
    let mut total: Option<(Decimal, String)> = None;
    for (impact, currency) in rows
        .iter()
        .filter_map(|row| row.impact.zip(row.currency.clone()))
    {
        total = match total {
            None => Some((impact, currency)),
            Some((sum, known)) if known == currency => Some((sum.checked_add(impact)?, known)),
            Some(_) => return None,
        };
    }
    total
}

/// Signal → its pattern: of those that it is part of, the one that says most.
pub(super) fn assignments<'a>(
    rows: impl Iterator<Item = &'a SignalRow>,
) -> BTreeMap<String, String> {
    let mut assigned = BTreeMap::new();
    // In the order of kinds: what comes first stays.
    for ((kind, source, value), rows) in shared(rows) {
        for row in rows {
            assigned
                .entry(row.signal_id.clone())
                .or_insert_with(|| pattern_id(kind, &source, &value));
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::signal::status;

    fn signal(id: &str, price: Option<&str>, explanation: &str, impact: &str) -> SignalRow {
        SignalRow {
            signal_id: id.to_owned(),
            source: "billing".to_owned(),
            status: status::UNHANDLED.to_owned(),
            group_key: Some(json!({"source": "billing", "price_id": price}).to_string()),
            explanation: Some(explanation.to_owned()),
            entity_count: 3,
            impact: impact.parse().ok(),
            currency: Some("USD".to_owned()),
            ..SignalRow::default()
        }
    }

    #[test]
    fn two_signals_of_one_price_are_a_pattern() {
        let rows = [
            signal("a", Some("p1"), "truncated", "10"),
            signal("b", Some("p1"), "unexplained", "2.5"),
            signal("c", Some("p2"), "unexplained", "1"),
            SignalRow {
                status: status::RESOLVED.to_owned(),
                ..signal("d", Some("p2"), "unexplained", "1")
            },
        ];
        let found = patterns(rows.iter());
        let kinds: Vec<_> = found
            .iter()
            .map(|pattern| (pattern.kind.as_deref(), pattern.signal_count))
            .collect();
        assert_eq!(
            kinds,
            [
                (Some("same_price"), Some(2)),
                (Some("same_source"), Some(3))
            ]
        );
        assert_eq!(found[0].impact, "12.5".parse().ok());
        assert_eq!(found[0].entity_count, Some(6));
        assert_eq!(
            found[0].title.as_deref(),
            Some("2 signals of price p1 in billing")
        );
        let assigned = assignments(rows.iter());
        assert_eq!(assigned["a"], found[0].pattern_id);
        assert_eq!(assigned["c"], found[1].pattern_id);
        assert!(!assigned.contains_key("d"));
    }

    #[test]
    fn an_explanation_is_shared_across_sources_and_money_of_two_currencies_is_not_added() {
        let other = SignalRow {
            source: "other".to_owned(),
            currency: Some("EUR".to_owned()),
            ..signal("b", None, "truncated", "1")
        };
        let rows = [signal("a", None, "truncated", "1"), other];
        let found = patterns(rows.iter());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].kind.as_deref(), Some("same_explanation"));
        assert_eq!((found[0].impact, found[0].currency.clone()), (None, None));
    }
}
