//! What the pack was and is: versions are raised, ids are not used again, and the index is true.
//!
//! `TRUEUP_BLESS=1 cargo test --test it rules::lock` writes both files anew, but never a lock that
//! hides a change without a new version.

use std::collections::BTreeMap;

use trueup::rules::{RuleSet, embedded, index, lock_file, retired};

use crate::support::root;

/// The locked version and hash of each rule, and the hash of each view.
#[derive(Default)]
struct Lock<'a> {
    rules: BTreeMap<&'a str, (u32, &'a str)>,
    views: BTreeMap<&'a str, &'a str>,
}

fn parse(lock: &str) -> Lock<'_> {
    let mut locked = Lock::default();
    for line in lock.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let is_new = match words[..] {
            ["view", name, hash] => locked.views.insert(name, hash).is_none(),
            [id, version, hash] => {
                let version: u32 = version.parse().unwrap();
                locked.rules.insert(id, (version, hash)).is_none()
            }
            _ => panic!("rules.lock: not `id version hash`: {line}"),
        };
        assert!(is_new, "rules.lock: twice: {line}");
    }
    locked
}

/// Views that changed under rules that kept their versions.
fn silent_changes(rules: &RuleSet, current: &Lock<'_>, locked: &Lock<'_>) -> Vec<String> {
    let changed = current.views.iter().filter(|&(name, hash)| {
        let before = locked.views.get(name);
        before.is_some_and(|before| before != hash)
    });
    let kept = |name: &str| -> Vec<&str> {
        let uses = rules.rules.iter().filter(|rule| {
            let is_kept = |was: &(u32, &str)| was.0 == rule.version;
            let mut views = rules.views_behind(rule).into_iter();
            locked.rules.get(rule.id.as_str()).is_some_and(is_kept)
                && views.any(|view| view.name == name)
        });
        uses.map(|rule| rule.id.as_str()).collect()
    };
    changed
        .map(|(&name, _)| (name, kept(name)))
        .filter(|(_, rules)| !rules.is_empty())
        .map(|(name, rules)| {
            let rules = rules.join(", ");
            format!("view {name}: it changed: raise the versions of the rules that use it: {rules}")
        })
        .collect()
}

/// What the rules do that a lock and the retired ids forbid.
fn forbidden(rules: &RuleSet, lock: &str, retired: &BTreeMap<String, String>) -> Vec<String> {
    let made = lock_file(rules);
    let (locked, current) = (parse(lock), parse(&made));
    let mut found = silent_changes(rules, &current, &locked);
    for (id, (version, hash)) in &current.rules {
        match locked.rules.get(id) {
            Some((was, _)) if version < was => {
                found.push(format!("{id}: version {version} comes after {was}"));
            }
            Some((was, before)) if version == was && hash != before => found.push(format!(
                "{id}: its query or meaning changed: raise its version above {was}"
            )),
            _ => {}
        }
        if retired.contains_key(*id) {
            found.push(format!("{id}: the id is retired, and used again"));
        }
    }
    for id in locked.rules.keys() {
        if !current.rules.contains_key(id) && !retired.contains_key(*id) {
            found.push(format!(
                "{id}: gone without a reason in queries/retired.toml"
            ));
        }
    }
    for (id, reason) in retired {
        if reason.trim().is_empty() {
            found.push(format!("{id}: retired without a reason"));
        }
    }
    found
}

#[expect(
    clippy::disallowed_methods,
    reason = "whether files may be rewritten is the developer's word to this test, not a setting"
)]
fn is_blessing() -> bool {
    std::env::var("TRUEUP_BLESS").is_ok_and(|value| value == "1")
}

/// A file that is made: it is as made, or made anew where that was asked for.
#[track_caller]
fn is_as_made(name: &str, made: &str) {
    let path = root().join(name);
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    if there == made {
        return;
    }
    assert!(
        is_blessing(),
        "{name} is not up to date: TRUEUP_BLESS=1 cargo test --test it rules::lock"
    );
    std::fs::write(&path, made).unwrap();
}

#[test]
fn a_change_has_a_new_version_and_the_lock_is_up_to_date() {
    let rules = embedded().unwrap();
    let name = "queries/rules.lock";
    let lock = std::fs::read_to_string(root().join(name)).unwrap_or_default();
    let found = forbidden(&rules, &lock, &retired().unwrap());
    assert!(found.is_empty(), "{}", found.join("\n"));
    is_as_made(name, &lock_file(&rules));
}

#[test]
fn the_index_is_up_to_date() {
    is_as_made("queries/README.md", &index(&embedded().unwrap()));
}

#[test]
fn the_changelog_knows_every_rule_at_its_version() {
    let changelog = std::fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let lock = lock_file(&embedded().unwrap());
    let rows = parse(&lock).rules.into_iter();
    let rows = rows.map(|(id, (version, _))| format!("| `{id}` | {version} |"));
    let missing: Vec<String> = rows
        .filter(|row| !changelog.lines().any(|line| line.starts_with(row.as_str())))
        .collect();
    assert!(
        missing.is_empty(),
        "not in CHANGELOG.md:\n{}",
        missing.join("\n")
    );
}

#[test]
fn what_the_lock_forbids_is_noticed() {
    let none = BTreeMap::new();
    let rules = embedded().unwrap();
    let lock = lock_file(&rules);
    assert!(forbidden(&rules, &lock, &none).is_empty());
    assert!(forbidden(&rules, "", &none).is_empty());

    let mut changed = rules.clone();
    changed.rules[0].sql.push_str("\nlimit 1");
    let found = forbidden(&changed, &lock, &none);
    assert!(found.len() == 1 && found[0].contains("raise"), "{found:?}");
    changed.rules[0].version += 1;
    assert!(forbidden(&changed, &lock, &none).is_empty());
    let found = forbidden(&rules, &lock_file(&changed), &none);
    assert!(found.len() == 1 && found[0].contains("after"), "{found:?}");

    let mut deeper = rules.clone();
    let view = deeper
        .views
        .iter_mut()
        .find(|view| view.name == "price_terms");
    view.unwrap().sql.push_str("\nlimit 1");
    let found = forbidden(&deeper, &lock, &none);
    assert!(
        found.len() == 1 && found[0].starts_with("view price_terms: it changed"),
        "{found:?}"
    );
    // By way of line_terms and usage_charges; the other reads the prices themselves.
    assert!(found[0].contains("tier-miscalculation"), "{found:?}");
    assert!(!found[0].contains("price-overlap"), "{found:?}");
    for rule in &mut deeper.rules {
        rule.version += 1;
    }
    assert!(forbidden(&deeper, &lock, &none).is_empty());

    let mut fewer = rules.clone();
    let gone = fewer.rules.remove(0);
    let found = forbidden(&fewer, &lock, &none);
    assert!(found.len() == 1 && found[0].contains("gone"), "{found:?}");
    let retired = BTreeMap::from([(gone.id, "another rule sees it".to_owned())]);
    assert!(forbidden(&fewer, &lock, &retired).is_empty());
    let found = forbidden(&rules, &lock, &retired);
    assert!(found.len() == 1 && found[0].contains("again"), "{found:?}");
}
