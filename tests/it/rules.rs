//! The rule pack as a whole: sound, and every case of every rule.

mod lock;

use std::collections::BTreeSet;

use trueup::detect::{Depth, cases, check};
use trueup::explain::explain_findings;
use trueup::rules::cases as announced;
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

/// What neither the lints nor the plan can say: files lie where their rule says, every case is read, and no
/// query takes whatever columns there are, not even in its inside.
#[test]
fn files_cases_and_columns_are_named() {
    let rules = embedded().unwrap();
    let mut faults = Vec::new();
    let mut ids = BTreeSet::new();
    for rule in &rules.rules {
        let place = format!("queries/rules/{}/{}.sql", rule.stage, rule.id);
        if rule.sql_origin != place || !ids.insert(rule.id.as_str()) {
            faults.push(format!("{}: not the one at {place}", rule.sql_origin));
        }
        let script = rule.cases.as_deref().unwrap_or_default();
        let meant = script.lines().filter(|line| {
            let comment = line.trim().trim_start_matches(['#', ' ']);
            line.trim().starts_with('#') && comment.to_ascii_lowercase().starts_with("case")
        });
        let (meant, read) = (meant.count(), announced::parse(script));
        if meant != read.len() || read.iter().any(|case| case.text.is_empty()) {
            let origin = rule.cases_origin();
            faults.push(format!("{origin}: {meant} cases, {} read", read.len()));
        }
    }
    let queries = rules.rules.iter().map(|rule| (&rule.id, &rule.sql));
    let views = rules.views.iter().map(|view| (&view.name, &view.sql));
    for (name, sql) in queries.chain(views) {
        let code = sql.lines().filter_map(|line| line.split("--").next());
        let words: Vec<&str> = code.flat_map(str::split_whitespace).collect();
        let code = words.join(" ").to_ascii_lowercase();
        if ["select *", "select distinct *", ".*"]
            .iter()
            .any(|star| code.contains(star))
        {
            faults.push(format!("{name}: `*` for columns"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// One test a rule, so that they run side by side and a failure names its rule.
macro_rules! cases_of {
    ($($name:ident $rule:literal;)*) => {
        $(#[test]
        fn $name() {
            let rules = embedded().unwrap();
            let rule = rules.rule($rule).unwrap();
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let sessions = sessions();
            let cases = cases::run(rule, &rules, &sessions, explain_findings);
            if let Err(text) = runtime.block_on(cases) {
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
    bill_run_incomplete "bill-run-incomplete";
    billed_after_end "billed-after-end";
    billed_without_usage "billed-without-usage";
    counter_reset "counter-reset";
    credit_overapplied "credit-overapplied";
    currency_mismatch "currency-mismatch";
    discount_expired "discount-expired";
    double_bucket "double-bucket";
    draft_overdue "draft-overdue";
    duplicate_line "duplicate-line";
    duplicate_period "duplicate-period";
    duplicate_subscription "duplicate-subscription";
    duplicate_usage "duplicate-usage";
    failed_bill_run "failed-bill-run";
    finalised_early "finalised-early";
    hour_gap "hour-gap";
    impossible_usage "impossible-usage";
    invoice_total "invoice-total";
    late_usage "late-usage";
    line_arithmetic "line-arithmetic";
    mass_price_change "mass-price-change";
    meter_silent "meter-silent";
    minimum_charge "minimum-charge";
    misattributed_usage "misattributed-usage";
    misdated_usage "misdated-usage";
    missing_expected_charge "missing-expected-charge";
    missing_invoice "missing-invoice";
    negative_usage "negative-usage";
    orphan_usage "orphan-usage";
    period_gap "period-gap";
    period_overlap "period-overlap";
    plan_change_loss "plan-change-loss";
    price_overlap "price-overlap";
    proration "proration";
    quantity_mismatch "quantity-mismatch";
    rebilled_backfill "rebilled-backfill";
    rejected_usage "rejected-usage";
    repeated_usage "repeated-usage";
    restated_day "restated-day";
    schema_drift "schema-drift";
    source_coverage "source-coverage";
    stale_export "stale-export";
    stuck_usage "stuck-usage";
    systemic_shift "systemic-shift";
    test_usage_billed "test-usage-billed";
    tier_gap "tier-gap";
    tier_miscalculation "tier-miscalculation";
    trial_billed "trial-billed";
    unbilled_usage "unbilled-usage";
    unit_slip "unit-slip";
    unpriced_usage "unpriced-usage";
    usage_after_end "usage-after-end";
    usage_drift "usage-drift";
    usage_gap "usage-gap";
    usage_in_wrong_period "usage-in-wrong-period";
    usage_mismatch "usage-mismatch";
    usage_spike "usage-spike";
    wrong_aggregation "wrong-aggregation";
    zero_usage "zero-usage";
}
