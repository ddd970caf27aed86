//! Explanations: which mistake gives what was billed, to the last minor unit.
//!
//! ```text
//! wrong lines ─► facts (one query for each set) ─► hypotheses ─► search: each alone, then two
//!                                                                  └─► rank ─► what findings say
//! ```
//! The due amount and every mistaken one come from `rating`, on the same price and usage, so an
//! explanation is a proof: no model, no threshold, no guess. What no mistake gives stays unexplained.
//! Nothing is written here.

mod candidate;
mod facts;
mod hypotheses;
mod mistake;
mod query;
mod rank;
mod ratio;
mod read;
mod search;
mod shift;
mod tell;

use chrono::{DateTime, Utc};
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use futures::FutureExt;
use futures::future::BoxFuture;

use self::facts::{Facts, Line, Target, Tries};
use crate::model::{Decimal, Finding};
use crate::rules::{Explain, Rule, RuleSet};

/// The findings of one rule, to be explained in place.
#[derive(Debug)]
pub struct Found<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// What it found.
    pub findings: &'a mut [Finding],
}

/// Why nothing was explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// A set of facts could not be read.
    #[error("cannot read the facts about wrong lines: {facts}")]
    Facts {
        /// The file of the query.
        facts: &'static str,
        /// What the engine said.
        #[source]
        source: Box<DataFusionError>,
    },
}

/// Explains the findings of the rules that ask for it; the session holds the tables of the lake.
///
/// # Errors
/// Facts that cannot be read. Findings are then as they were.
pub async fn explain(
    ctx: &SessionContext,
    set: &RuleSet,
    as_of: DateTime<Utc>,
    found: &mut [Found<'_>],
) -> Result<(), ExplainError> {
    let wanted = read::wanted(found);
    if wanted.is_empty() {
        return Ok(());
    }
    let lines = read::lines(ctx, set, as_of, &wanted).await?;
    for found in found.iter_mut() {
        if let Some(what) = found.rule.explain {
            explain_rule(what, found.findings, &lines);
        }
    }
    Ok(())
}

/// [`explain`] for the findings of one rule, as the cases of rules call it.
pub fn explain_findings<'a>(
    ctx: &'a SessionContext,
    set: &'a RuleSet,
    rule: &'a Rule,
    as_of: DateTime<Utc>,
    mut findings: Vec<Finding>,
) -> BoxFuture<'a, Result<Vec<Finding>, DataFusionError>> {
    async move {
        let mut found = [Found {
            rule,
            findings: &mut findings,
        }];
        let result = explain(ctx, set, as_of, &mut found).await;
        result.map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(findings)
    }
    .boxed()
}

fn explain_rule(what: Explain, findings: &mut [Finding], lines: &read::Lines) {
    let mut at = Vec::new();
    let mut cases = Vec::new();
    // Copied, because the cases outlive the first change of a finding.
    let originals = findings.to_vec();
    for (index, finding) in originals.iter().enumerate() {
        if finding.entity_type != "invoice_line" {
            continue;
        }
        let line = lines.get(&(finding.source.clone(), finding.entity_id.clone()));
        match line.and_then(|line| case(what, finding, line)) {
            Some(case) => {
                at.push(index);
                cases.push(case);
            }
            None => tell::tell_untried(&mut findings[index]),
        }
    }
    let ranked = rank::rank(&cases, search::search(&cases));
    for ((index, facts), ranked) in at.into_iter().zip(&cases).zip(ranked) {
        tell::tell(&mut findings[index], facts, &ranked);
    }
}

/// The line as the finding sees it; nothing where the quantity or what was billed is not known.
fn case<'a>(what: Explain, finding: &'a Finding, line: &'a Line) -> Option<Facts<'a>> {
    let number = |name: &str| finding.column(name)?.parse::<Decimal>().ok();
    let (used, billed) = (number("used_quantity"), number("billed_quantity"));
    let own = || line.counted(facts::measure::OWN);
    let (quantity, target) = match what {
        Explain::Price => (
            billed.or(used).or_else(own)?,
            Target::Amount(finding.actual?),
        ),
        Explain::Quantity => (
            used.or_else(own)?,
            Target::Quantity(billed.unwrap_or_default()),
        ),
        Explain::Both => (used.or_else(own)?, Target::Amount(finding.actual?)),
    };
    Some(Facts {
        source: &finding.source,
        line,
        currency: finding.text("currency").unwrap_or_default(),
        quantity,
        expected: finding.expected,
        target,
        tries: Tries::of(what, billed.is_some()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rating::{ChargeModel, Price};

    fn finding(id: &str, used: &str, billed: Option<&str>, actual: &str) -> Finding {
        let mut finding = Finding {
            source: "billing".to_owned(),
            entity_type: "invoice_line".to_owned(),
            entity_id: id.to_owned(),
            expected: "12.50".parse().ok(),
            actual: actual.parse().ok(),
            ..Finding::default()
        };
        finding.texts.insert("currency", "USD".to_owned());
        finding
            .texts
            .insert("explanation", "unexplained".to_owned());
        finding
            .evidence
            .insert("used_quantity".to_owned(), json!(used));
        finding
            .evidence
            .insert("billed_quantity".to_owned(), json!(billed));
        finding
    }

    fn lines(ids: &[&str]) -> read::Lines {
        let mut price = Price::new(ChargeModel::Graduated);
        price.currency_exponent = Some(2);
        price.tiers = [(Some("100"), "0.10"), (None, "0.05")]
            .map(|(up_to, unit_price)| crate::rating::Tier {
                up_to: up_to.and_then(|up_to| up_to.parse().ok()),
                unit_price: unit_price.parse().ok(),
                ..crate::rating::Tier::default()
            })
            .to_vec();
        ids.iter()
            .map(|id| {
                let key = ("billing".to_owned(), (*id).to_owned());
                (key, Line::of(price.clone()))
            })
            .collect()
    }

    #[test]
    fn a_finding_says_what_happened_and_shows_both_computations() {
        let mut findings = vec![
            finding("l1", "150", Some("150"), "7.50"),
            finding("l2", "150", Some("150"), "12.34"),
            finding("unknown", "150", Some("150"), "7.50"),
        ];
        explain_rule(Explain::Price, &mut findings, &lines(&["l1", "l2"]));
        let first = &findings[0];
        assert_eq!(
            first.text("explanation"),
            Some("graduated_billed_as_volume")
        );
        assert_eq!(first.text("root_cause"), Some("configuration"));
        // The other line of this price was not billed so: the mistake explains one of two.
        assert_eq!(first.evidence["explanation_confidence"].as_f64(), Some(0.5));
        assert_eq!(
            first.column("change").unwrap(),
            "billed as if all units were priced at the tier that the whole quantity reaches \
             (volume), not each at its own tier (graduated): 7.5 USD instead of 12.5"
        );
        let amounts = |name: &str| -> Vec<String> {
            let tiers = first.evidence[name].as_array().unwrap();
            tiers
                .iter()
                .map(|tier| tier["amount"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(amounts("expected_tiers"), ["10", "2.5"]);
        assert_eq!(amounts("billed_as_tiers"), ["7.5"]);
        let explanations = first.evidence["explanations"].as_array().unwrap();
        assert!(explanations.len() > 1, "{explanations:?}");
        for unexplained in &findings[1..] {
            assert_eq!(unexplained.text("explanation"), Some("unexplained"));
            assert_eq!(unexplained.text("root_cause"), Some("unknown"));
            assert_eq!(
                unexplained.evidence["explanation_confidence"].as_f64(),
                Some(0.0)
            );
        }
    }

    #[test]
    fn a_quantity_is_explained_by_itself_and_an_absent_one_counts_as_none() {
        let mut findings = vec![
            finding("l1", "150", Some("150000"), "7505"),
            finding("l2", "150", None, "0"),
        ];
        explain_rule(Explain::Quantity, &mut findings, &lines(&["l1", "l2"]));
        assert_eq!(findings[0].text("explanation"), Some("unit_factor"));
        assert_eq!(findings[0].column("unit_factor").as_deref(), Some("1000"));
        assert_eq!(
            findings[0].column("change").unwrap(),
            "billed as if the quantity were × 1000: a quantity of 150000 instead of 150"
        );
        assert_eq!(findings[1].text("explanation"), Some("unexplained"));
    }

    #[test]
    fn without_a_billed_quantity_a_price_rule_tries_quantities_too() {
        let mut lines = lines(&["l1"]);
        for line in lines.values_mut() {
            let own = facts::Measures {
                sum: "150".parse().ok(),
                ..facts::Measures::default()
            };
            let repeats = facts::Measures {
                sum: "210".parse().ok(),
                ..facts::Measures::default()
            };
            line.measures.insert(facts::measure::OWN.to_owned(), own);
            let name = facts::measure::WITH_REPEATS.to_owned();
            line.measures.insert(name, repeats);
        }
        let mut findings = vec![finding("l1", "150", None, "15.50")];
        explain_rule(Explain::Price, &mut findings, &lines);
        assert_eq!(findings[0].text("explanation"), Some("duplicates_counted"));
        let mut given = vec![finding("l1", "150", Some("150"), "15.50")];
        explain_rule(Explain::Price, &mut given, &lines);
        assert_eq!(given[0].text("explanation"), Some("unexplained"));
    }
}
