//! Which of the mistakes that fit a line comes first, and how sure that is.
//!
//! A mistake that explains forty lines of one price is one of its catalogue entry; one that fits a
//! single line among them fits it by chance. So the one shared by most lines of the same price, then
//! of the same meter, then of the same source comes first, and its confidence is its share of the
//! lines that it could explain: those of the price on which it would have made a difference.

use std::collections::BTreeMap;

use super::facts::Facts;
use super::mistake::Mistake;
use super::search::{Fit, Tried};

/// A fit with its standing.
#[derive(Clone, Debug)]
pub(super) struct Ranked {
    pub(super) fit: Fit,
    /// Between 0 and 1.
    pub(super) confidence: f64,
}

/// What lines have in common.
type Scope<'a> = (&'static str, &'a str, &'a str);

/// The scopes of a line, the narrowest first.
fn scopes<'a>(facts: &'a Facts<'a>) -> [Scope<'a>; 3] {
    let line = facts.line;
    let price = line.price_id.as_deref().unwrap_or_default();
    let meter = line.meter.as_deref().unwrap_or_default();
    [
        ("price", facts.source, price),
        ("meter", facts.source, meter),
        ("source", facts.source, ""),
    ]
}

#[derive(Clone, Copy, Default)]
struct Count {
    fits: u32,
    different: u32,
}

/// The fits of every line, the best first.
pub(super) fn rank(cases: &[Facts<'_>], tried: Vec<Tried>) -> Vec<Vec<Ranked>> {
    let mut counts: BTreeMap<(Scope<'_>, String), Count> = BTreeMap::new();
    for (facts, tried) in cases.iter().zip(&tried) {
        for scope in scopes(facts) {
            for key in &tried.different {
                counts.entry((scope, key.clone())).or_default().different += 1;
            }
            for fit in &tried.fits {
                counts.entry((scope, fit.key.clone())).or_default().fits += 1;
            }
        }
    }
    cases
        .iter()
        .zip(tried)
        .map(|(facts, tried)| {
            let standing = |fit: &Fit| {
                scopes(facts).map(|scope| {
                    let count = counts.get(&(scope, fit.key.clone()));
                    count.copied().unwrap_or_default()
                })
            };
            let mut ranked: Vec<([Count; 3], Fit)> = tried
                .fits
                .into_iter()
                .map(|fit| (standing(&fit), fit))
                .collect();
            ranked.sort_by(|(a, one), (b, two)| {
                let fits = |counts: &[Count; 3]| counts.map(|count| count.fits);
                fits(b)
                    .cmp(&fits(a))
                    .then_with(|| order(one).cmp(&order(two)))
            });
            let confidence = |count: Count| {
                let of = count.different.max(count.fits).max(1);
                f64::from(count.fits) / f64::from(of)
            };
            ranked
                .into_iter()
                .map(|([of_price, ..], fit)| Ranked {
                    fit,
                    confidence: confidence(of_price),
                })
                .collect()
        })
        .collect()
}

/// Of equals, the one that says more, then the first in the alphabet.
fn order(fit: &Fit) -> (&[Mistake], &str) {
    (fit.mistakes.as_slice(), fit.key.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::facts::{Line, Target, Tries};
    use crate::explain::search::search;
    use crate::model::Decimal;
    use crate::rating::{ChargeModel, Price, Tier};
    use crate::rules::Explain;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn line(price_id: &str) -> Line {
        let mut price = Price::new(ChargeModel::Graduated);
        price.currency_exponent = Some(2);
        price.tiers = [(Some("100"), "0.10"), (None, "0.05")]
            .map(|(up_to, unit_price)| Tier {
                up_to: up_to.map(decimal),
                unit_price: Some(decimal(unit_price)),
                ..Tier::default()
            })
            .to_vec();
        let mut line = Line::of(price);
        line.price_id = Some(price_id.to_owned());
        line
    }

    fn facts<'a>(line: &'a Line, quantity: &str, due: &str, billed: &str) -> Facts<'a> {
        Facts {
            source: "billing",
            line,
            currency: "USD",
            quantity: decimal(quantity),
            expected: Some(decimal(due)),
            target: Target::Amount(decimal(billed)),
            tries: Tries::of(Explain::Price, true),
        }
    }

    fn words(ranked: &[Ranked]) -> Vec<(&'static str, f64)> {
        ranked
            .iter()
            .map(|ranked| (ranked.fit.mistakes[0].word(), ranked.confidence))
            .collect()
    }

    #[test]
    fn what_most_lines_of_a_price_share_comes_first() {
        let one = line("p1");
        // 101 units: 10.10 by the first tier, or with the bound one later; 110 units: only by the first.
        let cases = [
            facts(&one, "101", "10.05", "10.10"),
            facts(&one, "110", "10.50", "11.00"),
            facts(&one, "120", "11.00", "12.00"),
            facts(&one, "200", "15.00", "14.00"),
        ];
        let ranked = rank(&cases, search(&cases));
        let first = words(&ranked[0]);
        // Three of four: all units at the first tier, which is also what a missing second tier gives.
        assert_eq!(first[0], ("missing_tier", 0.75));
        assert_eq!(first[1], ("other_charge_model", 0.75));
        assert_eq!(first[2], ("boundary_off_by_one", 0.25));
        assert_eq!(words(&ranked[1])[0], ("missing_tier", 0.75));
        assert!(ranked[3].is_empty());
    }

    #[test]
    fn of_equals_the_one_that_says_more_comes_first() {
        let one = line("p1");
        let cases = [facts(&one, "150", "12.50", "1250")];
        let ranked = rank(&cases, search(&cases));
        let words: Vec<&str> = words(&ranked[0])
            .into_iter()
            .map(|(word, _)| word)
            .collect();
        assert_eq!(words, ["minor_unit_slip", "unit_factor"]);
    }

    #[test]
    fn another_price_counts_for_nothing_in_the_confidence() {
        let (one, other) = (line("p1"), line("p2"));
        let cases = [
            facts(&one, "150", "12.50", "7.50"),
            facts(&other, "150", "12.50", "12.34"),
        ];
        let ranked = rank(&cases, search(&cases));
        assert_eq!(words(&ranked[0])[0], ("graduated_billed_as_volume", 1.0));
        assert!(ranked[1].is_empty());
    }
}
