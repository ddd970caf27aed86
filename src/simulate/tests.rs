//! Worlds as a whole: the same seed gives the same bytes, sums add up, every fault can be injected.

use std::collections::BTreeMap;
use std::path::Path;

use super::fault::Scope;
use super::invoice::Kind;
use super::*;

fn options(folder: &Path, subscriptions: u64, faults: Option<Vec<String>>) -> Options {
    Options {
        folder: folder.to_owned(),
        subscriptions,
        months: 4,
        seed: 11,
        faults,
        instances: None,
    }
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap();
                let bytes = std::fs::read(&path).unwrap();
                files.insert(name.to_string_lossy().into_owned(), bytes);
            }
        }
    }
    files
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = simulate(&options(one.path(), 5, Some(Vec::new()))).unwrap();
    let second = simulate(&options(two.path(), 5, Some(Vec::new()))).unwrap();
    assert_eq!(first, second);
    assert!(first.usage_records > 500);
    let (a, b) = (files(one.path()), files(two.path()));
    assert!(a.contains_key("labels.jsonl"));
    assert!(a.contains_key("data/sim-events/usage_records/2026-02.parquet"));
    assert_eq!(a, b);
}

#[test]
fn every_rule_that_a_label_names_is_in_the_pack() {
    let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries/rules");
    let mut known = BTreeSet::new();
    for stage in std::fs::read_dir(pack).unwrap() {
        for file in std::fs::read_dir(stage.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            known.insert(path.file_stem().unwrap().to_string_lossy().into_owned());
        }
    }
    for fault in faults() {
        for rule in fault.rules.iter().chain(fault.effects) {
            assert!(
                known.contains(*rule),
                "{}: there is no rule {rule}",
                fault.id
            );
        }
    }
    // The page of scores says of the others why they have no fault, and of no rule that has one.
    let page = score::markdown(&score::Scorecard::default());
    for rule in known {
        let has_fault = faults().any(|fault| fault.rules.contains(&rule.as_str()));
        let is_told = page.contains(&format!(" | {rule} | "));
        assert_ne!(has_fault, is_told, "{rule}");
    }
}

#[test]
fn a_folder_is_used_once() {
    let folder = tempfile::tempdir().unwrap();
    simulate(&options(folder.path(), 1, None)).unwrap();
    let again = simulate(&options(folder.path(), 1, None));
    assert!(matches!(again, Err(SimulateError::Exists { .. })));
}

#[test]
fn a_larger_world_keeps_the_faults_of_a_smaller_one() {
    let labels = |subscriptions| {
        let folder = tempfile::tempdir().unwrap();
        simulate(&options(folder.path(), subscriptions, Some(Vec::new()))).unwrap();
        let text = std::fs::read_to_string(folder.path().join("labels.jsonl")).unwrap();
        let lines = text.lines().map(str::to_owned);
        lines.collect::<Vec<String>>()
    };
    // Those of single subscriptions, in their order, come first.
    let (small, large) = (labels(30), labels(60));
    let is_single = |line: &&String| {
        let number = line.split('"').nth(3).and_then(|id| id.rsplit('-').next());
        number.is_some_and(|number| number.len() == 8 && number.parse::<u64>().is_ok())
    };
    let single: Vec<&String> = small.iter().filter(is_single).collect();
    assert!(single.len() >= 3, "{small:?}");
    assert!(large.len() > small.len());
    assert!(single.iter().zip(&large).all(|(a, b)| *a == b));
}

#[test]
fn a_system_that_drifts_has_its_label_and_the_rows_to_it() {
    let world = World::new(11, 4);
    let drifting: Vec<&'static Fault> = faults()
        .filter(|fault| fault.scope == Scope::Source)
        .collect();
    assert_eq!(drifting.len(), 2);
    for fault in drifting {
        let label = inject::drifted(&world, 0, fault).unwrap();
        let json = serde_json::to_value(&label).unwrap();
        assert_eq!(json["source"], "sim-zuora");
        assert_eq!(json["records"][0]["entity_type"], "export");
        let column = fault.drift.unwrap().column();
        assert_eq!(json["records"][0]["entity_id"], column);
        assert_eq!(json["first_visible_at"], "2026-06-01T00:00:00Z");
    }
    let folder = tempfile::tempdir().unwrap();
    let names = vec!["keys-not-sent".to_owned()];
    let made = simulate(&options(folder.path(), 20, Some(names))).unwrap();
    assert_eq!(made.labels, 3);
}

#[test]
fn a_clean_world_adds_up() {
    let world = World::new(3, 6);
    for number in 1..=80 {
        let case = Case::clean(&world, draw::subscription(&world, number));
        for invoice in &case.invoices {
            let lines: i128 = invoice.lines.iter().map(|line| line.amount).sum();
            assert_eq!(lines, invoice.total, "{}", invoice.id);
            for line in invoice.lines.iter().filter(|line| line.kind == Kind::Usage) {
                let item = line.item.unwrap();
                let used = case.biller(&world).quantity(item, line.start, line.stop);
                assert_eq!(line.quantity, Some(used.unwrap_or(0)), "{}", line.id);
            }
            // A sound biller has every record of the period before it bills.
            for record in case.usage.iter().flatten() {
                let is_inside =
                    invoice.period.start <= record.at && record.at < invoice.period.stop;
                assert!(
                    !is_inside || record.recorded < invoice.created,
                    "{}",
                    invoice.id
                );
            }
        }
        for records in &case.usage {
            assert!(records.windows(2).all(|pair| pair[0].at < pair[1].at));
        }
    }
}

#[test]
fn every_fault_of_a_subscription_can_be_injected() {
    let world = World::new(3, 6);
    for fault in faults().filter(|fault| fault.scope == Scope::Subscription) {
        let mut fitting = (1..=3_000)
            .map(|number| draw::subscription(&world, number))
            .filter(|profile| (fault.fits)(&world, profile));
        let harm = fitting.by_ref().take(4).find_map(|profile| {
            let mut dice = Dice::of(world.seed, profile.number, Purpose::Fault);
            let mut case = Case::clean(&world, profile);
            (fault.inject)(&world, &mut case, &mut dice)
        });
        let harm = harm.unwrap_or_else(|| panic!("{} was never injected", fault.id));
        assert!(!harm.records.is_empty(), "{}", fault.id);
        assert!(harm.visible < world.timeline.as_of, "{}", fault.id);
        let is_change = harm.expected != harm.actual;
        assert!(is_change, "{} changes nothing", fault.id);
    }
}
