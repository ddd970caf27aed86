//! Loading: grouping of files, replacement by id, overrides, order of views.

use super::*;
use crate::rules::metadata::tests::{SLT, TOML};
use crate::rules::{lint, lock_hash};

const SQL: &str = "select source from invoice_lines where amount > $tolerance";

fn file(path: &str, text: &str) -> RuleFile {
    RuleFile {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

fn rule_files(base: &str) -> Vec<RuleFile> {
    vec![
        file(&format!("{base}.sql"), SQL),
        file(&format!("{base}.toml"), TOML),
        file(&format!("{base}.slt"), SLT),
        file(&format!("{base}.md"), "a note"),
    ]
}

fn messages(errors: &[RuleError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn override_of(id: &str, name: &str, value: &str) -> config::Rules {
    let change = config::RuleOverride {
        params: BTreeMap::from([(name.to_owned(), value.to_owned())]),
        severity: Some(Severity::Critical),
        ..config::RuleOverride::default()
    };
    config::Rules {
        overrides: BTreeMap::from([(id.to_owned(), change)]),
        ..config::Rules::default()
    }
}

#[test]
fn the_embedded_rules_are_without_fault() {
    let set = embedded().unwrap();
    let faults: Vec<_> = set.rules.iter().flat_map(lint).collect();
    assert!(faults.is_empty(), "{:#?}", messages(&faults));
    assert!(set.rules.is_sorted_by(|a, b| a.id < b.id));
}

#[test]
fn three_files_make_a_rule() {
    let set = load(
        &rule_files("s3://bucket/rules/rating/my-own"),
        &config::Rules::default(),
    );
    let set = set.unwrap();
    let rule = set.rule("my-own").unwrap();
    assert_eq!(rule.sql_origin, "s3://bucket/rules/rating/my-own.sql");
    assert_eq!(rule.stage, Stage::Rating);
    assert!(lint(rule).is_empty());
}

#[test]
fn a_folder_that_is_no_stage_and_a_lone_file_are_refused() {
    let wrong = gather(&rule_files("rules/ratng/a"));
    assert_eq!(
        messages(&wrong.errors),
        [
            "rules/ratng/a.sql: lies in `ratng`, which is neither a stage nor `views`; \
          did you mean `rating`?"
        ]
    );
    let lone = gather(&[file("rules/rating/a.sql", SQL)]);
    assert_eq!(
        messages(&lone.errors),
        ["rules/rating/a.sql: there is no `a.toml` beside it"]
    );
    let other = gather(&rule_files("rules/usage/a"));
    assert!(messages(&other.errors)[0].ends_with("is `rating`, but the file lies in `usage`"));
}

#[test]
fn the_same_id_twice_is_refused() {
    let mut files = rule_files("one/rating/a");
    files.extend(rule_files("two/rating/a"));
    let found = messages(&gather(&files).errors);
    assert_eq!(
        found,
        ["two/rating/a.sql: `a` is defined twice, first in one/rating/a.sql"]
    );
}

#[test]
fn a_rule_that_writes_does_not_load() {
    let mut files = rule_files("rules/rating/a");
    files[0].text = "delete from invoices where amount > $tolerance".to_owned();
    assert_eq!(gather(&files).errors[0].problem, Problem::NotASelect);
}

#[test]
fn overrides_are_typed() {
    let files = rule_files("rules/rating/my-own");
    let plain = load(&files, &config::Rules::default()).unwrap();
    let set = load(&files, &override_of("my-own", "tolerance", "0.5")).unwrap();
    let rule = set.rule("my-own").unwrap();
    assert_eq!(rule.severity, Severity::Critical);
    assert_eq!(rule.params["tolerance"].value.to_string(), "0.5");
    assert_eq!(rule.params["tolerance"].default.to_string(), "0.01");
    assert_ne!(lock_hash(&plain), lock_hash(&set));

    let refused = |id: &str, name: &str, value: &str| {
        let errors = load(&files, &override_of(id, name, value)).unwrap_err();
        messages(&errors).remove(0)
    };
    assert_eq!(
        refused("my-own", "tolerance", "much"),
        "configuration: `rules.override.my-own.params.tolerance`: \
         `much` is not a decimal in quotes such as \"0.01\""
    );
    assert_eq!(
        refused("my-own", "tolerence", "1"),
        "configuration: `rules.override.my-own.params.tolerence`: \
         unknown parameter `tolerence`; did you mean `tolerance`?"
    );
    assert_eq!(
        refused("my-onw", "tolerance", "1"),
        "configuration: `rules.override.my-onw`: unknown rule `my-onw`; did you mean `my-own`?"
    );
}

#[test]
fn a_disabled_rule_is_listed_and_gone() {
    let mut changes = override_of("my-own", "tolerance", "1");
    for change in changes.overrides.values_mut() {
        change.enabled = Some(false);
    }
    let set = load(&rule_files("rules/rating/my-own"), &changes).unwrap();
    assert!(set.rule("my-own").is_none());
    assert_eq!(set.disabled, ["my-own"]);
    assert!(set.ids().any(|id| id == "my-own"));
}

#[test]
fn views_come_behind_what_they_need() {
    let files = [
        file("views/a_top.sql", "-- materialise\nselect x from middle"),
        file("views/middle.sql", "select x from z_base -- not a_top"),
        file("views/z_base.sql", "select 1 as x"),
    ];
    let gathered = gather(&files);
    assert!(gathered.errors.is_empty());
    let views = in_order(gathered.views).unwrap();
    let names: Vec<_> = views
        .iter()
        .map(|v| (v.name.as_str(), v.materialise))
        .collect();
    assert_eq!(
        names,
        [("z_base", false), ("middle", false), ("a_top", true)]
    );

    let circle = [
        file("views/a.sql", "select x from b"),
        file("views/b.sql", "select x from a"),
    ];
    let error = in_order(gather(&circle).views).unwrap_err();
    assert_eq!(error.to_string(), "views: views need each other: a, b");
}
