//! Money of several currencies told in one: the reporting currency, where a rate is known.

use std::collections::BTreeMap;

use crate::model::Decimal;

/// What other currencies are worth in the reporting currency.
#[derive(Clone, Debug)]
pub struct Exchange<'a> {
    /// The reporting currency.
    pub currency: &'a str,
    /// What one unit of another currency is worth.
    pub rates: &'a BTreeMap<String, Decimal>,
}

/// What a group of findings amounts to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Impact {
    /// In which currency; `None` where the findings are not about money.
    pub(super) currency: Option<String>,
    pub(super) overbilled: Decimal,
    pub(super) underbilled: Decimal,
    /// Amounts that no rate converts, by currency: they are in none of the sums.
    pub(super) unconverted: BTreeMap<String, Decimal>,
    /// Whether the sums are in the reporting currency.
    pub(super) is_reported: bool,
}

impl Impact {
    /// Overbilled and underbilled together.
    pub(super) fn total(&self) -> Option<Decimal> {
        self.overbilled.checked_add(self.underbilled)
    }
}

impl Exchange<'_> {
    fn convert(&self, amount: Decimal, currency: &str) -> Option<Decimal> {
        if currency == self.currency {
            return Some(amount);
        }
        amount.checked_mul(*self.rates.get(currency)?)
    }

    /// Sums up differences of money; `None` where a sum does not fit.
    pub(super) fn impact<'m>(
        &self,
        deltas: impl Iterator<Item = (Decimal, &'m str)> + Clone,
    ) -> Option<Impact> {
        let mut currencies: Vec<&str> = deltas.clone().map(|(_, currency)| currency).collect();
        currencies.sort_unstable();
        currencies.dedup();
        let lonely = match currencies[..] {
            [] => return Some(Impact::default()),
            [only] if self.convert(Decimal::ZERO, only).is_none() => Some(only),
            _ => None,
        };
        let mut impact = Impact {
            currency: Some(lonely.unwrap_or(self.currency).to_owned()),
            is_reported: lonely.is_none(),
            ..Impact::default()
        };
        for (delta, currency) in deltas {
            let amount = if lonely.is_some() {
                Some(delta)
            } else {
                self.convert(delta, currency)
            };
            match amount {
                Some(amount) if amount.is_negative() => {
                    impact.underbilled = impact.underbilled.checked_add(amount.abs())?;
                }
                Some(amount) => impact.overbilled = impact.overbilled.checked_add(amount)?,
                None => {
                    let sum = impact.unconverted.entry(currency.to_owned()).or_default();
                    *sum = sum.checked_add(delta.abs())?;
                }
            }
        }
        Some(impact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn impact(deltas: &[(&str, &str)]) -> Impact {
        let rates = BTreeMap::from([("EUR".to_owned(), decimal("1.08"))]);
        let exchange = Exchange {
            currency: "USD",
            rates: &rates,
        };
        exchange
            .impact(
                deltas
                    .iter()
                    .map(|(delta, currency)| (decimal(delta), *currency)),
            )
            .unwrap()
    }

    #[test]
    fn known_currencies_are_told_in_the_reporting_one() {
        let found = impact(&[("10", "EUR"), ("-4", "USD")]);
        assert_eq!(found.currency.as_deref(), Some("USD"));
        assert_eq!(
            (found.overbilled, found.underbilled),
            (decimal("10.8"), decimal("4"))
        );
        assert_eq!(found.total(), Some(decimal("14.8")));
        assert!(found.is_reported && found.unconverted.is_empty());
    }

    #[test]
    fn a_currency_without_a_rate_stays_its_own() {
        let found = impact(&[("-1500", "JPY"), ("-500", "JPY")]);
        assert_eq!(found.currency.as_deref(), Some("JPY"));
        assert_eq!(found.underbilled, decimal("2000"));
        assert!(!found.is_reported);
    }

    #[test]
    fn what_cannot_be_converted_is_kept_apart() {
        let found = impact(&[("-1500", "JPY"), ("3", "USD")]);
        assert_eq!(found.overbilled, decimal("3"));
        assert_eq!(
            found.unconverted,
            BTreeMap::from([("JPY".to_owned(), decimal("1500"))])
        );
    }

    #[test]
    fn no_money_is_no_impact() {
        assert_eq!(impact(&[]), Impact::default());
    }
}
