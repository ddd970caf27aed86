//! What a rule would have raised, day by day: counts and sums over plain values.
//!
//! Pure: what each day found is handed in, already grouped into issues. Nothing is read or written.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::model::Decimal;

/// An affected record: source, type and id.
pub type Entity = (String, String, String);

/// One issue on one day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Issue {
    /// The same on every day that the issue is there.
    pub signal_id: String,
    /// The source.
    pub source: String,
    /// The affected records.
    pub entities: Vec<Entity>,
    /// What is wrong, by currency.
    pub money: BTreeMap<String, Decimal>,
}

/// What a day came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// The issues that were there.
    pub issues: Vec<Issue>,
    /// Sources that could not be judged: what was open there the day before stays open.
    pub unjudged: BTreeSet<String>,
}

/// The figures of one day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DayCount {
    /// Issues that were not open the day before.
    pub opened: usize,
    /// Issues that were there.
    pub open: usize,
    /// Their records, each counted once.
    pub entities: usize,
    /// What they amount to, by currency.
    pub money: BTreeMap<String, Decimal>,
}

/// The figures of all days.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    /// Days replayed.
    pub days: usize,
    /// How often an issue was opened; one that went and came back counts again.
    pub opened: usize,
    /// The same for each day.
    pub opened_per_day: Option<f64>,
    /// Different issues.
    pub signals: usize,
    /// Their records, each counted once.
    pub entities: usize,
    /// By currency, every issue with the most that it amounted to on any day.
    pub money: BTreeMap<String, Decimal>,
    /// Issues that people resolved as real: fixed, planned or not worth fixing.
    pub confirmed: usize,
    /// Issues that people resolved as false positives.
    pub refuted: usize,
    /// Issues that nobody has decided about.
    pub undecided: usize,
    /// Confirmed among those decided about.
    pub precision: Option<f64>,
}

/// A sum of money that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the money found in {currency} is too much to add up")]
pub struct TooMuch {
    /// The currency.
    pub currency: String,
}

/// The days so far.
#[derive(Clone, Debug, Default)]
pub struct Backtest {
    /// Signal → source, of what was open on the last day.
    open: BTreeMap<String, String>,
    days: usize,
    opened: usize,
    entities: BTreeSet<Entity>,
    /// Signal → the most that it amounted to.
    most: BTreeMap<String, BTreeMap<String, Decimal>>,
}

impl Backtest {
    /// Takes in the next day. On the first, everything that is there is opened.
    ///
    /// # Errors
    /// Money that does not add up to a number.
    pub fn day(&mut self, judged: &Judged) -> Result<DayCount, TooMuch> {
        let mut count = DayCount::default();
        let mut entities: BTreeSet<&Entity> = BTreeSet::new();
        let mut open = BTreeMap::new();
        for issue in &judged.issues {
            open.insert(issue.signal_id.clone(), issue.source.clone());
            count.open += 1;
            if !self.open.contains_key(&issue.signal_id) {
                count.opened += 1;
            }
            entities.extend(&issue.entities);
            let most = self.most.entry(issue.signal_id.clone()).or_default();
            for (currency, amount) in &issue.money {
                add(&mut count.money, currency, *amount)?;
                let known = most.entry(currency.clone()).or_default();
                *known = (*known).max(*amount);
            }
        }
        count.entities = entities.len();
        self.entities.extend(entities.into_iter().cloned());
        for (signal_id, source) in &self.open {
            if judged.unjudged.contains(source) {
                open.insert(signal_id.clone(), source.clone());
            }
        }
        self.open = open;
        self.days += 1;
        self.opened += count.opened;
        Ok(count)
    }

    /// All days together, with what people decided: signal → resolution.
    ///
    /// # Errors
    /// Money that does not add up to a number.
    pub fn totals(&self, resolutions: &BTreeMap<String, String>) -> Result<Totals, TooMuch> {
        let mut totals = Totals {
            days: self.days,
            opened: self.opened,
            opened_per_day: ratio(self.opened, self.days),
            signals: self.most.len(),
            entities: self.entities.len(),
            ..Totals::default()
        };
        for (signal_id, most) in &self.most {
            match resolutions.get(signal_id).map(String::as_str) {
                Some("fixed" | "planned" | "wont_fix") => totals.confirmed += 1,
                Some("false_positive") => totals.refuted += 1,
                _ => totals.undecided += 1,
            }
            for (currency, amount) in most {
                add(&mut totals.money, currency, *amount)?;
            }
        }
        totals.precision = ratio(totals.confirmed, totals.confirmed + totals.refuted);
        Ok(totals)
    }
}

fn add(
    sums: &mut BTreeMap<String, Decimal>,
    currency: &str,
    amount: Decimal,
) -> Result<(), TooMuch> {
    let sum = sums.entry(currency.to_owned()).or_default();
    *sum = sum.checked_add(amount).ok_or_else(|| TooMuch {
        currency: currency.to_owned(),
    })?;
    Ok(())
}

/// To three decimals; nothing of nothing.
fn ratio(part: usize, of: usize) -> Option<f64> {
    let (part, of) = (u32::try_from(part).ok()?, u32::try_from(of).ok()?);
    (of > 0).then(|| (f64::from(part) * 1000.0 / f64::from(of)).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issue(signal_id: &str, records: &[&str], usd: &str) -> Issue {
        let entity = |id: &&str| ("shop".to_owned(), "invoice".to_owned(), (*id).to_owned());
        Issue {
            signal_id: signal_id.to_owned(),
            source: "shop".to_owned(),
            entities: records.iter().map(entity).collect(),
            money: BTreeMap::from([("USD".to_owned(), usd.parse().unwrap())]),
        }
    }

    fn judged(issues: &[Issue]) -> Judged {
        Judged {
            issues: issues.to_vec(),
            unjudged: BTreeSet::new(),
        }
    }

    fn usd(money: &BTreeMap<String, Decimal>) -> String {
        money["USD"].to_string()
    }

    #[test]
    fn an_issue_is_opened_when_it_was_not_there_the_day_before() {
        let mut backtest = Backtest::default();
        let a = issue("a", &["i1"], "3");
        let grown = issue("a", &["i1", "i2"], "5");
        let b = issue("b", &["i2"], "1");
        assert_eq!(backtest.day(&judged(&[])), Ok(DayCount::default()));
        let days: [&[Issue]; 4] = [&[a], &[grown.clone(), b], &[], &[grown]];
        let counts: Vec<_> = days
            .iter()
            .map(|issues| backtest.day(&judged(issues)).unwrap())
            .collect();
        let told: Vec<_> = counts
            .iter()
            .map(|count| (count.opened, count.open, count.entities))
            .collect();
        assert_eq!(told, [(1, 1, 1), (1, 2, 2), (0, 0, 0), (1, 1, 2)]);
        assert_eq!(usd(&counts[1].money), "6");

        let decided = BTreeMap::from([
            ("a".to_owned(), "wont_fix".to_owned()),
            ("b".to_owned(), "false_positive".to_owned()),
            ("c".to_owned(), "false_positive".to_owned()),
        ]);
        let totals = backtest.totals(&decided).unwrap();
        assert_eq!(
            (totals.days, totals.opened, totals.signals, totals.entities),
            (5, 3, 2, 2)
        );
        assert_eq!(totals.opened_per_day, Some(0.6));
        assert_eq!(usd(&totals.money), "6");
        assert_eq!((totals.confirmed, totals.refuted), (1, 1));
        assert_eq!(totals.precision, Some(0.5));
        assert_eq!(backtest.totals(&BTreeMap::new()).unwrap().precision, None);
    }

    #[test]
    fn what_could_not_be_judged_stays_open() {
        let mut backtest = Backtest::default();
        let a = issue("a", &["i1"], "3");
        backtest.day(&judged(std::slice::from_ref(&a))).unwrap();
        let failed = Judged {
            issues: Vec::new(),
            unjudged: BTreeSet::from(["shop".to_owned()]),
        };
        assert_eq!(backtest.day(&failed), Ok(DayCount::default()));
        assert_eq!(backtest.day(&judged(&[a])).unwrap().opened, 0);
    }
}
