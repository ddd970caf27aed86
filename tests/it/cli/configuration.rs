//! The configuration from outside: mistakes are named by their place, and `init` writes what loads.

use super::{DAY, refused};
use crate::support::{EVENTS, World, assert_code, stderr, trueup};

#[test]
fn mistakes_in_the_configuration_are_named_with_file_line_and_the_nearest_word() {
    let world = World::new(
        "[lake]\nurl = \"./lake\"\n\n[[sources]]\nname = \"a\"\nkind = \"files\"\npaht = \"a/\"\n",
    );
    let words = [
        "trueup.toml:7:",
        "unknown key `paht` in [[sources]]",
        "did you mean `path`?",
    ];
    refused(&world, &["export"], &words);
    world.write("trueup.toml", EVENTS);
    refused(
        &world,
        &["detect", "--as-of", "yesterday"],
        &["--as-of: `as_of` cannot be `yesterday`", "RFC 3339"],
    );
    refused(
        &world,
        &["detect", "--rule", "negative-usge"],
        &["no rule `negative-usge`; did you mean `negative-usage`?"],
    );
    refused(
        &world,
        &["detect", "--source", "event"],
        &["no source `event`; did you mean `events`?"],
    );
    refused(
        &world,
        &["rules", "show", "tier-gab"],
        &["did you mean `tier-gap`?"],
    );
    refused(
        &world,
        &["export", "--set", "engine.memroy=1GiB"],
        &["--set: unknown key `memroy`", "`memory`"],
    );
    refused(&world, &["run", "--fail-on", "grave"], &["--fail-on"]);
    let missing = trueup(world.dir.path(), &["--config", "none.toml", "export"]);
    assert_code(&missing, 2);
    assert!(
        stderr(&missing).contains("none.toml"),
        "{}",
        stderr(&missing)
    );
    world.write("trueup.toml", "");
    refused(&world, &["run"], &["no source is configured"]);
}

#[test]
fn overrides_and_suppressions_of_nothing_are_named_with_file_and_line() {
    let world = World::new("");
    let told = |more: &str, words: &str| {
        world.write("trueup.toml", &format!("as_of = \"{DAY}\"\n\n{more}"));
        for command in [&["detect"][..], &["rules", "list"]] {
            refused(&world, command, &[&format!("trueup: trueup.toml:{words}")]);
        }
    };
    told(
        "[rules.override.negative-usage]\nparams = { allow = \"true\" }\n",
        "4: `rules.override.negative-usage.params.allow`: unknown parameter `allow`",
    );
    told(
        "[rules.override.negative-usage]\nparams.allow_corrections = \"maybe\"\n",
        "4: `rules.override.negative-usage.params.allow_corrections`: `maybe` is not true or false",
    );
    told(
        "[rules.override.negative-usge]\nenabled = false\n",
        "3: `rules.override.negative-usge`: unknown rule `negative-usge`; \
         did you mean `negative-usage`?",
    );
    let suppress = |rule: &str| {
        let rest =
            "match = { meter = \"api\" }\nreason = \"r\"\nowner = \"o\"\nexpires = 2026-12-01\n";
        format!("[[suppress]]\n{rest}rule = \"{rule}\"\n")
    };
    told(
        &suppress("negative-usge"),
        "8: `suppress.rule`: unknown rule `negative-usge`; did you mean `negative-usage`?",
    );
    told(
        &suppress("negative-usage").replace("meter =", "metre ="),
        "8: `suppress.match.metre`: rule negative-usage has no such column; did you mean `meter`?",
    );
    // One that is switched off is known.
    let off = "[rules.override.negative-usage]\nenabled = false\n";
    world.write(
        "trueup.toml",
        &format!("{off}{}", suppress("negative-usage")),
    );
    assert_code(&world.run(&["rules", "list"]), 0);
    refused(
        &world,
        &[
            "rules",
            "list",
            "--set",
            "rules.override.tier-gab.enabled=false",
        ],
        &[
            "trueup: --set: `rules.override.tier-gab`: unknown rule `tier-gab`; did you mean `tier-gap`?",
        ],
    );
}

#[test]
fn init_writes_a_file_that_loads_and_overwrites_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trueup.toml");
    let init = |arguments: &[&str]| trueup(dir.path(), &[&["init"][..], arguments].concat());
    assert_code(&init(&["acme-billing=./billing", "product-events"]), 0);
    let written = std::fs::read_to_string(&path).unwrap();
    assert_code(&trueup(dir.path(), &["rules", "list"]), 0);
    let config =
        trueup::config::Config::load(Some(path.as_path()), &Default::default(), &|_: &str| None);
    let names: Vec<_> = config
        .unwrap()
        .sources
        .into_iter()
        .map(|source| source.name)
        .collect();
    assert_eq!(names, ["acme-billing", "product-events"]);

    let again = init(&["other"]);
    assert_code(&again, 2);
    assert!(stderr(&again).contains("--force"), "{}", stderr(&again));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written);
    assert_code(&init(&["Bad Name", "--force"]), 2);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written);
    assert_code(&init(&["other", "--force"]), 0);
    assert_ne!(std::fs::read_to_string(&path).unwrap(), written);
}
