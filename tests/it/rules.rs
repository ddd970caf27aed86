//! The rule pack as a whole: sound, and every case of every rule.

use trueup::detect::{Depth, cases, check};
use trueup::rules::{embedded, lint};

use crate::support::sessions;

#[test]
fn every_rule_is_sound_and_can_be_carried_out() {
    let rules = embedded().unwrap();
    assert!(rules.rules.len() >= 16);
    let faults: Vec<String> = rules
        .rules
        .iter()
        .flat_map(lint)
        .map(|error| error.to_string())
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let problems = runtime
        .block_on(check(&rules, &sessions(), Depth::Physical))
        .unwrap();
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// One test a rule, so that they run side by side and a failure names its rule.
macro_rules! cases_of {
    ($($name:ident $rule:literal;)*) => {
        $(#[test]
        fn $name() {
            let rules = embedded().unwrap();
            let rule = rules.rule($rule).unwrap();
            let runtime = tokio::runtime::Runtime::new().unwrap();
            if let Err(text) = runtime.block_on(cases::run(rule, &rules, &sessions())) {
                panic!("{text}");
            }
        })*

        #[test]
        fn no_rule_is_left_out() {
            let tested = [$($rule),*];
            let rules = embedded().unwrap();
            let untested: Vec<_> = rules.ids().filter(|id| !tested.contains(id)).collect();
            assert!(untested.is_empty(), "{untested:?}");
        }
    };
}

cases_of! {
    billed_without_usage "billed-without-usage";
    duplicate_usage "duplicate-usage";
    failed_bill_run "failed-bill-run";
    invoice_total "invoice-total";
    late_usage "late-usage";
    negative_usage "negative-usage";
    orphan_usage "orphan-usage";
    period_overlap "period-overlap";
    quantity_mismatch "quantity-mismatch";
    tier_gap "tier-gap";
    tier_miscalculation "tier-miscalculation";
    unbilled_usage "unbilled-usage";
    unpriced_usage "unpriced-usage";
    usage_after_end "usage-after-end";
    usage_mismatch "usage-mismatch";
    usage_spike "usage-spike";
    zero_usage "zero-usage";
}
