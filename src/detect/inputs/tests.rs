//! What stands in the way of judging a source.

use super::*;
use crate::config::SourceKind;

#[test]
fn a_partner_without_usage_is_no_partner() {
    let source = |name: &str, role: Role, without: &[&str]| Source {
        name: name.to_owned(),
        kind: SourceKind::Files,
        role,
        platform: "generic".to_owned(),
        path: "memory:///".parse().unwrap(),
        tables: BTreeMap::new(),
        without: without.iter().map(|&name| name.to_owned()).collect(),
    };
    let rules = crate::rules::embedded().unwrap();
    let rule = rules.rule("usage-mismatch").unwrap();
    let verdict = |partners: &[(&str, &[&str])]| {
        let mut sources = vec![source("shop", Role::Billing, &[])];
        for (name, without) in partners {
            sources.push(source(name, Role::Metering, without));
        }
        let as_of = DateTime::<Utc>::UNIX_EPOCH;
        let outcome = Inputs::default().partner_obstacle(rule, &sources, as_of)?;
        Some((outcome.verdict, outcome.reason.unwrap_or_default()))
    };
    let skipped = |reason: &str| Some((Verdict::Skipped, reason.to_owned()));
    assert_eq!(verdict(&[]), skipped("no metering source is configured"));
    assert_eq!(
        verdict(&[("events", &["usage_records"])]),
        skipped("events has no usage_records")
    );
    // The one that has usage is compared with, and was never exported.
    let never = "usage_records of probes has never been exported";
    assert_eq!(
        verdict(&[("events", &["usage_records"]), ("probes", &[])]),
        Some((Verdict::Inconclusive, never.to_owned()))
    );
}

#[test]
fn usage_that_ended_before_the_window_is_not_clean() {
    let source = Source {
        name: "shop".to_owned(),
        kind: SourceKind::Files,
        role: Role::Billing,
        platform: "generic".to_owned(),
        path: "memory:///".parse().unwrap(),
        tables: BTreeMap::new(),
        without: Vec::new(),
    };
    let rules = crate::rules::embedded().unwrap();
    let mut rule = rules.rule("negative-usage").unwrap().clone();
    rule.window = Duration::from_secs(45 * 86_400);
    let as_of: DateTime<Utc> = "2026-03-04T12:00:00Z".parse().unwrap();
    let judged = |rule: &Rule, newest: &str| {
        let last = LastExport {
            source: "shop".to_owned(),
            table_name: "usage_records".to_owned(),
            status: "ok".to_owned(),
            finished_at: Some(as_of),
            high_watermark: Some(newest.parse().unwrap()),
            error: None,
        };
        let key = (last.source.clone(), last.table_name.clone());
        let inputs = Inputs {
            exports: BTreeMap::from([(key, last)]),
            ..Inputs::default()
        };
        inputs.over(rule, &source, USAGE, as_of)
    };
    assert!(judged(&rule, "2026-01-18T12:00:00Z").is_none());
    let outcome = judged(&rule, "2026-01-18T11:59:59Z").unwrap();
    assert_eq!(outcome.verdict, Verdict::Inconclusive);
    assert_eq!(
        outcome.reason.unwrap(),
        "the newest record of usage_records of shop is of 2026-01-18T11:59:59Z: there is none in the \
         window of the rule"
    );
    // A window of hours does not make a quiet week end stale.
    rule.window = Duration::from_secs(3600);
    assert!(judged(&rule, "2026-02-25T12:00:00Z").is_none());
    assert!(judged(&rule, "2026-02-25T11:59:59Z").is_some());
}

#[test]
fn an_export_is_fresh_only_when_it_ended_well_and_lately() {
    let source = Source {
        name: "shop".to_owned(),
        kind: SourceKind::Files,
        role: Role::Billing,
        platform: "generic".to_owned(),
        path: "file:///data/".parse().unwrap(),
        tables: BTreeMap::new(),
        without: Vec::new(),
    };
    let at =
        |hour: u32| -> DateTime<Utc> { format!("2026-03-04T{hour:02}:00:00Z").parse().unwrap() };
    let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
    let reason = |status: &str, finished_at: Option<DateTime<Utc>>, limit: Option<Duration>| {
        let last = LastExport {
            source: source.name.clone(),
            table_name: "prices".to_owned(),
            status: status.to_owned(),
            finished_at,
            high_watermark: None,
            error: None,
        };
        let key = (last.source.clone(), last.table_name.clone());
        let inputs = Inputs {
            exports: BTreeMap::from([(key, last)]),
            ..Inputs::default()
        };
        inputs.stale(limit, &source, "prices", at(12))
    };
    assert_eq!(reason("ok", Some(at(10)), hours(2)), None);
    assert_eq!(reason("ok", Some(at(10)), None), None);
    let late = reason("ok", Some(at(10)), hours(1)).unwrap();
    assert!(late.contains("was last exported at"), "{late}");
    let failed = reason("failed", Some(at(10)), hours(2)).unwrap();
    assert!(failed.contains("failed"), "{failed}");
    for limit in [None, hours(2)] {
        assert_eq!(
            reason("ok", None, limit).unwrap(),
            "the last export of prices of shop has no recorded end"
        );
    }
}
