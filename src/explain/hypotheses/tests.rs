//! Each hypothesis on exact numbers: where it gives what was billed, and where it does not.

mod property;

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::candidates;
use crate::explain::candidate::Candidate;
use crate::explain::facts::{Beside, Facts, Line, Measures, Offer, Other, Target, Tries, measure};
use crate::explain::search::search;
use crate::model::Decimal;
use crate::rating::{ChargeModel, Price, RoundingMode, RoundingStage, Tier, rate, round};
use crate::rules::Explain;

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn tier(up_to: &str, unit_price: &str) -> Tier {
    Tier {
        up_to: up_to.parse().ok(),
        unit_price: unit_price.parse().ok(),
        ..Tier::default()
    }
}

/// A price in dollars; no tiers where none are given.
fn price(model: ChargeModel, tiers: &[(&str, &str)]) -> Price {
    let mut price = Price::new(model);
    price.currency_exponent = Some(2);
    price.tiers = tiers
        .iter()
        .map(|(up_to, each)| tier(up_to, each))
        .collect();
    price
}

fn per_unit(unit_price: &str) -> Price {
    let mut price = price(ChargeModel::PerUnit, &[]);
    price.unit_price = Some(decimal(unit_price));
    price
}

const TIERS: &[(&str, &str)] = &[("100", "0.10"), ("1000", "0.05"), ("", "0.02")];

/// What a line is and what is to be explained about it.
struct Case {
    line: Line,
    quantity: Decimal,
    explain: Explain,
}

impl Case {
    fn of(price: Price, quantity: &str) -> Self {
        let mut line = Line::of(price);
        line.price_id = Some("p1".to_owned());
        Self {
            line,
            quantity: decimal(quantity),
            explain: Explain::Price,
        }
    }

    fn quantity(price: Price, quantity: &str) -> Self {
        Self {
            explain: Explain::Quantity,
            ..Self::of(price, quantity)
        }
    }

    fn measured(mut self, name: &str, sum: &str) -> Self {
        let measures = Measures {
            sum: Some(decimal(sum)),
            ..Measures::default()
        };
        self.line.measures.insert(name.to_owned(), measures);
        self
    }

    fn facts(&self, billed: Decimal) -> Facts<'_> {
        let due = rate(&self.line.price, self.quantity).map(|rated| rated.amount);
        Facts {
            source: "billing",
            line: &self.line,
            currency: "USD",
            quantity: self.quantity,
            expected: due.ok(),
            target: match self.explain {
                Explain::Quantity => Target::Quantity(billed),
                Explain::Price | Explain::Both => Target::Amount(billed),
            },
            tries: Tries::of(self.explain, true),
        }
    }

    /// The words of the mistakes that give what was billed.
    fn fits(&self, billed: &str) -> Vec<String> {
        let found = search(&[self.facts(decimal(billed))]);
        let fits = found.into_iter().flat_map(|tried| tried.fits);
        fits.map(|fit| {
            let words: Vec<&str> = fit.mistakes.iter().map(|mistake| mistake.word()).collect();
            words.join("_and_")
        })
        .collect()
    }

    #[track_caller]
    fn explained(&self, billed: &str, word: &str) {
        let fits = self.fits(billed);
        assert!(
            fits.iter().any(|fit| fit == word),
            "{billed}: {word} not in {fits:?}"
        );
    }

    #[track_caller]
    fn not_explained(&self, billed: &str, word: &str) {
        let fits = self.fits(billed);
        assert!(!fits.iter().any(|fit| fit == word), "{billed}: {fits:?}");
    }
}

#[test]
fn graduated_billed_as_volume_and_back() {
    // 100 × 0.10 + 50 × 0.05 = 12.50; 150 × 0.05 = 7.50
    let graduated = Case::of(price(ChargeModel::Graduated, TIERS), "150");
    graduated.explained("7.50", "graduated_billed_as_volume");
    graduated.not_explained("7.51", "graduated_billed_as_volume");
    let volume = Case::of(price(ChargeModel::Volume, TIERS), "150");
    volume.explained("12.50", "volume_billed_as_graduated");
    volume.not_explained("12.49", "volume_billed_as_graduated");
}

#[test]
fn other_charge_models_of_the_same_terms() {
    let graduated = Case::of(price(ChargeModel::Graduated, TIERS), "2000");
    graduated.explained("200", "other_charge_model"); // all at the first tier
    graduated.explained("40", "other_charge_model"); // all at the last
    graduated.not_explained("100", "other_charge_model");
    let mut packages = price(ChargeModel::Package, &[]);
    packages.unit_price = Some(decimal("5"));
    packages.package_size = Some(decimal("100"));
    let packages = Case::of(packages, "250");
    packages.explained("1250", "other_charge_model"); // 5 for each unit
    packages.explained("5", "other_charge_model"); // 5 once
    packages.not_explained("15", "other_charge_model");
}

fn offer(price_id: &str, from: &str, currency: &str, price: Price) -> Arc<Offer> {
    Arc::new(Offer {
        price_id: price_id.to_owned(),
        product_id: None,
        meter: None,
        currency: Some(currency.to_owned()),
        from: at(from),
        to: None,
        price,
    })
}

fn with_offers() -> Case {
    let mut case = Case::of(per_unit("0.30"), "150");
    case.line.price_from = Some(at("2026-01-01T00:00:00Z"));
    case.line.period = Some((at("2026-02-01T00:00:00Z"), at("2026-03-01T00:00:00Z")));
    case.line.offers = vec![
        offer("p1", "2025-01-01T00:00:00Z", "USD", per_unit("0.20")),
        offer("p1", "2026-01-01T00:00:00Z", "USD", per_unit("0.30")),
        offer("p1", "2026-02-15T00:00:00Z", "USD", per_unit("0.40")),
        offer("p2", "2025-01-01T00:00:00Z", "USD", per_unit("0.11")),
        offer("p3", "2026-02-10T00:00:00Z", "USD", per_unit("0.13")),
        offer("p4", "2025-01-01T00:00:00Z", "EUR", per_unit("0.27")),
    ];
    case
}

#[test]
fn versions_plans_and_currencies() {
    let case = with_offers();
    case.explained("30", "previous_price_version");
    case.explained("60", "next_price_version");
    case.explained("16.50", "price_of_other_plan");
    case.explained("40.50", "other_currency");
    case.not_explained("40.50", "price_of_other_plan");
    // Not in force when the period began.
    case.not_explained("19.50", "price_of_other_plan");
}

#[test]
fn boundaries_one_off() {
    // At the bound itself: 100 × 0.10, or 100 × 0.05 where the bound is exclusive.
    let volume = Case::of(price(ChargeModel::Volume, TIERS), "100");
    volume.explained("5", "boundary_off_by_one");
    // One beyond it: 101 × 0.05, or 101 × 0.10 where the next tier's first unit ends this one.
    let volume = Case::of(price(ChargeModel::Volume, TIERS), "101");
    volume.explained("10.10", "boundary_off_by_one");
    // 99 × 0.10 + 51 × 0.05 and 101 × 0.10 + 49 × 0.05.
    let graduated = Case::of(price(ChargeModel::Graduated, TIERS), "150");
    graduated.explained("12.45", "boundary_off_by_one");
    graduated.explained("12.55", "boundary_off_by_one");
    graduated.not_explained("12.60", "boundary_off_by_one");
    // Starts read as ends: 100 × 0.05 + 1900 × 0.02.
    let graduated = Case::of(price(ChargeModel::Graduated, TIERS), "2000");
    graduated.explained("43", "boundary_off_by_one");
}

#[test]
fn a_missing_tier() {
    // Due: 10 + 45 + 20 = 75.
    let case = Case::of(price(ChargeModel::Graduated, TIERS), "2000");
    case.explained("70", "missing_tier"); // 1000 × 0.05 + 1000 × 0.02
    case.explained("48", "missing_tier"); // 100 × 0.10 + 1900 × 0.02
    case.explained("105", "missing_tier"); // 10 + 1900 × 0.05
    case.explained("55", "missing_tier"); // the last tier's units not billed
    case.explained("30", "missing_tier"); // the second tier at nothing
    case.not_explained("74", "missing_tier");
}

#[test]
fn included_units() {
    let mut overage = price(ChargeModel::Overage, &[]);
    overage.included_quantity = Some(decimal("100"));
    overage.overage_price = Some(decimal("0.50"));
    let case = Case::of(overage, "250"); // 75
    case.explained("125", "included_units_ignored");
    case.explained("25", "included_units_twice");
    case.not_explained("75.50", "included_units_ignored");
    // A first tier at nothing is an allowance too: 150 × 0.20 = 30.
    let free = price(ChargeModel::Graduated, &[("100", "0"), ("", "0.20")]);
    let case = Case::of(free, "250");
    case.explained("50", "included_units_ignored");
    case.explained("10", "included_units_twice");
}

#[test]
fn minimum_and_maximum() {
    let mut bounded = per_unit("0.10");
    bounded.minimum_amount = Some(decimal("20"));
    bounded.maximum_amount = Some(decimal("100"));
    let low = Case::of(bounded.clone(), "50");
    low.explained("5", "minimum_ignored");
    low.not_explained("6", "minimum_ignored");
    let high = Case::of(bounded.clone(), "2500");
    high.explained("250", "maximum_ignored");
    let between = Case::of(bounded, "500");
    between.explained("20", "minimum_applied_without_need");
    between.explained("70", "minimum_applied_without_need");
    between.not_explained("50", "minimum_applied_without_need");
}

#[test]
fn packages_that_are_not_full() {
    let mut packages = price(ChargeModel::Package, &[]);
    packages.unit_price = Some(decimal("5"));
    packages.package_size = Some(decimal("100"));
    let case = Case::of(packages, "250"); // three packages: 15
    case.explained("10", "package_rounded_other_way");
    case.explained("12.50", "package_not_rounded");
    case.not_explained("12.51", "package_not_rounded");
    let mut tiered = price(ChargeModel::Graduated, &[("200", "5"), ("", "4")]);
    for tier in &mut tiered.tiers {
        tier.package_size = Some(decimal("100"));
    }
    let case = Case::of(tiered, "250"); // 2 × 5 + 1 × 4 = 14
    case.explained("12", "package_not_rounded");
    case.explained("10", "package_rounded_other_way");
}

#[test]
fn rounding_at_another_place() {
    let case = Case::of(per_unit("1.115"), "3"); // 3.345, so 3.35
    case.explained("3.34", "truncated");
    case.explained("3.36", "rounded_per_unit");
    case.not_explained("3.33", "truncated");
    let case = Case::of(per_unit("1.111"), "1"); // 1.11
    case.explained("1.12", "rounded_otherwise");
    // 10.005 + 5.005 = 15.01; by tier 10.01 + 5.01 = 15.02.
    let tiers = price(ChargeModel::Graduated, &[("1", "10.005"), ("", "5.005")]);
    let case = Case::of(tiers, "2");
    case.explained("15.02", "rounded_per_tier");
    case.not_explained("15.03", "rounded_per_tier");
    let mut component = per_unit("0.125");
    component.rounding_mode = Some(RoundingMode::HalfEven);
    component.rounding_stage = Some(RoundingStage::Component);
    let case = Case::of(component, "1"); // 0.12
    case.explained("0.13", "rounded_otherwise");
    case.explained("0.125", "rounded_otherwise");
}

#[test]
fn slips_of_the_minor_unit() {
    let case = Case::of(per_unit("0.30"), "150"); // 45.00
    case.explained("4500", "minor_unit_slip");
    case.explained("0.45", "minor_unit_slip");
    case.explained("45000", "minor_unit_slip");
    case.not_explained("450", "minor_unit_slip");
    // The more specific comes with the less specific.
    case.explained("4500", "unit_factor");
    // 2.5 dinars of three decimals taken for two.
    let mut dinars = per_unit("0.025");
    dinars.currency_exponent = Some(3);
    let case = Case::of(dinars, "100");
    case.explained("25", "minor_unit_slip");
    case.explained("0.25", "minor_unit_slip");
    // Before the rounding: 0.0049 × 150 = 0.735, in cents 73.5.
    let case = Case::of(per_unit("0.0049"), "150");
    case.explained("73.5", "minor_unit_slip");
    // Nothing is billed by many mistakes, so it proves none.
    let case = Case::of(per_unit("0.00001"), "1500");
    case.not_explained("0", "minor_unit_slip");
    case.not_explained("0", "unit_factor");
}

#[test]
fn factors_between_units() {
    let case = Case::of(price(ChargeModel::Graduated, TIERS), "150"); // 12.50
    // 150 × 60 = 9000 units: 10 + 45 + 160.
    case.explained("215", "unit_factor");
    // The prices × 60.
    case.explained("750", "unit_factor");
    case.not_explained("751", "unit_factor");
    let case = Case::quantity(per_unit("1"), "5000");
    case.explained("5000000", "unit_factor");
    case.explained("5", "unit_factor");
    // 5000 seconds are 1.3888… hours, printed with six decimals.
    case.explained("1.388889", "unit_factor");
    case.not_explained("1.388888", "unit_factor");
    case.not_explained("1.39", "unit_factor");
    case.not_explained("0", "unit_factor");
    // 1.5 GiB in MiB.
    let case = Case::quantity(per_unit("1"), "1.5");
    case.explained("1536", "unit_factor");
}

#[test]
fn records_counted_that_should_not_be() {
    let case = Case::quantity(per_unit("1"), "150")
        .measured(measure::OWN, "150")
        .measured(measure::WITH_REPEATS, "210")
        .measured(measure::WITH_VOIDED, "170")
        .measured(measure::CANCELLED, "33")
        .measured(measure::TEST, "44");
    case.explained("210", "duplicates_counted");
    case.explained("170", "test_or_cancelled_included");
    case.explained("183", "test_or_cancelled_included");
    case.explained("194", "test_or_cancelled_included");
    assert!(case.fits("211").is_empty());
}

#[test]
fn usage_that_came_late_or_never() {
    let mut case = Case::quantity(per_unit("1"), "150")
        .measured(measure::OWN, "150")
        .measured(measure::RECEIVED, "90");
    case.line.invoice_created_at = Some(at("2026-03-01T02:00:00Z"));
    case.explained("90", "late_usage_missing");
    case.not_explained("91", "late_usage_missing");
    // All of it came late.
    case.line.measures.remove(measure::RECEIVED);
    case.explained("0", "late_usage_missing");
    // Due is what metering has; the platform has less of it.
    let case = Case::quantity(per_unit("1"), "200")
        .measured(measure::OWN, "150")
        .measured(measure::METERED, "200");
    case.explained("150", "usage_missing");
    case.not_explained("150", "late_usage_missing");
    let more = Case::quantity(per_unit("1"), "100")
        .measured(measure::OWN, "150")
        .measured(measure::METERED, "100");
    more.not_explained("150", "usage_missing");
}

#[test]
fn other_aggregations() {
    let mut case = Case::quantity(per_unit("1"), "150");
    let measures = Measures {
        sum: Some(decimal("150")),
        count: Some(decimal("4")),
        max: Some(decimal("80")),
        min: Some(decimal("7")),
        last: Some(decimal("22")),
        unique_count: Some(decimal("3")),
    };
    case.line.measures.insert(measure::OWN.to_owned(), measures);
    for billed in ["4", "80", "7", "22", "3"] {
        case.explained(billed, "other_aggregation");
    }
    case.not_explained("5", "other_aggregation");
    case.line.aggregation = "max".to_owned();
    case.quantity = decimal("80");
    case.explained("150", "other_aggregation");
}

#[test]
fn shifted_periods() {
    let case = Case::quantity(per_unit("1"), "150")
        .measured("previous", "120")
        .measured("customer", "149")
        .measured("+5h", "148")
        .measured("next", "0");
    case.explained("120", "shifted_period");
    case.explained("149", "shifted_period");
    case.explained("148", "shifted_period");
    // A period without usage is like any other without.
    case.not_explained("0", "shifted_period");
    case.not_explained("147", "shifted_period");
}

#[test]
fn parts_of_a_period() {
    let mut case = Case::of(per_unit("1"), "310");
    case.line.cycle = Some(("month".to_owned(), 1));
    case.line.period = Some((at("2026-03-01T00:00:00Z"), at("2026-04-01T00:00:00Z")));
    case.line.active = (Some(at("2026-03-22T00:00:00Z")), None);
    case.explained("100", "prorated_wrongly"); // 10 of 31 days
    case.explained("103.33", "prorated_wrongly"); // 10 of 30
    case.explained("101.92", "prorated_wrongly"); // 10 of a twelfth of 365
    case.explained("300", "prorated_wrongly"); // 30 for 31
    case.explained("320.33", "prorated_wrongly"); // 31 by the price of 30
    case.explained("961", "prorated_wrongly"); // the whole for 10 days
    case.not_explained("110", "prorated_wrongly");
}

#[test]
fn charges_and_reductions_that_came_twice() {
    let mut case = Case::of(per_unit("0.30"), "150"); // 45
    let other = |beside, id: &str, amount: &str| Other {
        beside,
        id: id.to_owned(),
        amount: decimal(amount),
    };
    case.line.others = vec![
        other(Beside::Charge, "l2", "13.37"),
        other(Beside::Reduction, "c1", "-7"),
        other(Beside::DiscountElsewhere, "d1", "-4.50"),
    ];
    case.explained("58.37", "billed_twice");
    case.explained("90", "billed_twice");
    case.explained("38", "credit_applied_twice");
    case.explained("49.50", "discount_missing");
    case.not_explained("52", "credit_applied_twice");
    case.not_explained("40.50", "discount_missing");
    // What is due is less than the full price, and the full price was billed.
    let facts = Facts {
        expected: Some(decimal("40")),
        ..case.facts(decimal("45"))
    };
    let found = search(&[facts]);
    let words: Vec<&str> = found[0]
        .fits
        .iter()
        .map(|fit| fit.mistakes[0].word())
        .collect();
    assert_eq!(words, ["discount_missing"]);
}

#[test]
fn two_mistakes_together() {
    // 210 with repeats, as volume: 210 × 0.05 = 10.50; due 150 graduated: 12.50.
    let mut case = Case::of(price(ChargeModel::Graduated, TIERS), "150")
        .measured(measure::OWN, "150")
        .measured(measure::WITH_REPEATS, "210");
    case.explain = Explain::Both;
    let pair = "duplicates_counted_and_graduated_billed_as_volume";
    assert_eq!(case.fits("10.50").first().map(String::as_str), Some(pair));
    case.not_explained("10.51", pair);
    // One alone is enough: no pair is tried.
    assert_eq!(case.fits("15.50"), ["duplicates_counted"]);
    // Repeats counted, and cents taken for dollars.
    assert_eq!(
        case.fits("1550"),
        [
            "duplicates_counted_and_minor_unit_slip",
            "duplicates_counted_and_unit_factor"
        ]
    );
    // Too little to be proven by two mistakes.
    let mut small = Case::of(price(ChargeModel::Graduated, TIERS), "1")
        .measured(measure::OWN, "1")
        .measured(measure::WITH_REPEATS, "3");
    small.explain = Explain::Both;
    assert!(small.fits("0.003").is_empty());
}

#[test]
fn every_mistake_that_tells_details_tells_known_ones() {
    let mut case = with_offers();
    case.explain = Explain::Both;
    let found = candidates(&case.facts(decimal("12.34")));
    assert!(found.len() > 40, "{}", found.len());
    let details =
        |candidate: &Candidate| -> Vec<String> { candidate.details.keys().cloned().collect() };
    for name in found.iter().flat_map(details) {
        assert!(
            crate::rules::EXPLAINED_COLUMNS.contains(&name.as_str()),
            "{name}"
        );
    }
}
