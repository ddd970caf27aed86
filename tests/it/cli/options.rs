//! The options of every command: each is obeyed, or refused where it would do nothing.

use serde_json::{Value, json};

use super::{DAY, USAGE, lines, piped, refused};
use crate::support::{EVENTS, World, assert_code, stderr, stdout, trueup};

/// A metering system with one negative record and its signal.
fn detected() -> World {
    let world = World::new(&format!("as_of = \"{DAY}\"\n{EVENTS}"));
    world.write("events/usage_records.csv", USAGE);
    assert_code(&world.run(&["export"]), 0);
    assert_code(&world.run(&["detect", "--rule", "negative-usage"]), 0);
    world
}

#[test]
fn an_option_that_a_command_has_no_use_for_is_refused() {
    let rule = ["rules", "test", "negative-usage"];
    let world = ["simulate", "--out", "world"];
    let price = ["rate", "--price", "{}", "1"];
    let score = ["simulate", "score", "--labels", "l", "--lake", "k"];
    let new = ["rules", "new", "ours", "--stage", "usage"];
    let misfits: &[(&[&str], &str, &str)] = &[
        (&["init", "shop"], "--lake", "x"),
        (&["init", "shop"], "--format", "csv"),
        (&["init", "shop"], "--set", "engine.threads=1"),
        (&["init", "shop"], "--as-of", DAY),
        (&["signals", "list"], "--as-of", DAY),
        (&["signals", "show", "sig_1"], "--as-of", DAY),
        (&["explain", "sig_1"], "--as-of", DAY),
        (&["maintain"], "--as-of", DAY),
        (&["rules", "list"], "--lake", "x"),
        (&["rules", "list"], "--as-of", DAY),
        (&["rules", "show", "tier-gap"], "--lake", "x"),
        (&["rules", "check"], "--format", "json"),
        (&rule, "--format", "json"),
        (&rule, "--lake", "x"),
        (&new, "--format", "json"),
        (&price, "--config", "trueup.toml"),
        (&price, "--lake", "x"),
        (&price, "--as-of", DAY),
        (&price, "--set", "engine.threads=1"),
        (&world, "--config", "trueup.toml"),
        (&world, "--format", "json"),
        (&score, "--as-of", DAY),
    ];
    for &(command, option, value) in misfits {
        // Before the command and behind it: the same option.
        let behind = [command, &[option, value]].concat();
        let before = [&[option, value][..], command].concat();
        for arguments in [&behind, &before] {
            let output = piped(arguments, "");
            assert_code(&output, 2);
            let said = stderr(&output);
            assert!(said.contains(&format!("has no use for {option}")), "{said}");
        }
    }
    for format in ["table", "csv"] {
        let output = piped(&["rate", "--batch", "--format", format], "");
        assert_code(&output, 2);
        assert!(stderr(&output).contains("--batch answers in JSON lines"));
    }
    assert_code(&piped(&["rate", "--batch", "--format", "json"], ""), 0);
}

#[test]
fn every_command_that_prints_data_has_csv() {
    let world = detected();
    let csv = |arguments: &[&str]| {
        let output = world.run(&[arguments, &["--format", "csv"]].concat());
        assert_code(&output, 0);
        stdout(&output)
    };
    let listed = lines(&stdout(&world.run(&["signals", "list"])));
    let id = listed[0]["signal_id"].as_str().unwrap();
    assert_eq!(
        csv(&["signals", "show", id]).lines().next(),
        Some("role,record,number,status,period,expected,actual,delta,unit")
    );
    assert_eq!(
        csv(&["explain", id]).lines().next(),
        Some("record,number,customer,period,billed,due,difference,unit")
    );
    // As many records as in the other formats.
    let only = csv(&["explain", id, "--records", "0"]);
    assert_eq!(only.lines().count(), 1, "{only}");
    let run = csv(&["detect", "--rule", "negative-usage"]);
    let (headings, figures) = run.trim_end().split_once('\n').unwrap();
    assert_eq!(
        headings,
        "run_id,as_of,opened,regressed,continuing,resolved,open,inconclusive,rows_written"
    );
    let (_, figures) = figures.split_once(',').unwrap();
    assert_eq!(figures, "2026-03-04T12:00:00+00:00,0,0,1,0,1,0,0");
    let shown = csv(&["rules", "show", "negative-usage"]);
    assert!(shown.starts_with("category,description,"), "{shown}");
    let plan = csv(&["maintain"]);
    assert_eq!(
        plan.lines().next(),
        Some("table,version,files,files_to_delete")
    );
    let plan = lines(&stdout(&world.run(&["maintain", "--format", "json"])));
    assert_eq!(plan[0]["table"], "usage_records");

    let price = r#"{"charge_model":"per_unit","currency":"USD","unit_price":"0.02"}"#;
    let rated = piped(
        &["rate", "--price", price, "100", "x", "--format", "csv"],
        "",
    );
    assert_code(&rated, 2);
    let rated = stdout(&rated);
    let mut rated = rated.lines();
    assert_eq!(
        rated.next(),
        Some("quantity,amount,unrounded,currency,error")
    );
    assert_eq!(rated.next(), Some("100,2.00,2,USD,"));
    let wrong = rated.next().unwrap();
    assert!(
        wrong.starts_with("x,,,") && wrong.contains("`x`"),
        "{wrong}"
    );
}

#[test]
fn a_quiet_command_says_nothing_but_errors() {
    let world = detected();
    let dry = ["detect", "--rule", "negative-usage", "--dry-run"];
    let said = |arguments: &[&str]| stderr(&world.run(arguments));
    assert!(said(&dry).contains("nothing was written"));
    assert_eq!(said(&[&dry[..], &["--quiet"]].concat()), "");
    assert!(said(&["maintain"]).contains("--yes"));
    assert_eq!(said(&["maintain", "-q"]), "");
    assert!(said(&["signals", "show", "sig_x", "-q"]).contains("there is no signal `sig_x`"));
}

#[test]
fn errors_and_notes_are_json_lines_where_the_log_is() {
    let world = detected();
    let events = |arguments: &[&str]| -> Vec<Value> {
        let output = world.run(&[arguments, &["--log-format", "json"]].concat());
        lines(&stderr(&output))
    };
    let told = |event: &Value| json!([event["level"], event["fields"]["message"]]);
    let missing = events(&["signals", "show", "sig_x"]);
    let known = json!(["ERROR", "there is no signal `sig_x`"]);
    assert_eq!(missing.iter().map(told).collect::<Vec<_>>(), [known]);
    let plan = events(&["maintain"]);
    let known = json!([
        "INFO",
        "nothing was done; --yes compacts, checkpoints and vacuums these tables"
    ]);
    assert_eq!(plan.iter().map(told).collect::<Vec<_>>(), [known]);
    // Of a command line that is none, how to answer is still read.
    let wrong = events(&["signals", "lst"]);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    let message = wrong[0]["fields"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("error: unrecognized subcommand 'lst'"),
        "{message}"
    );
    let misfit = events(&["maintain", "--as-of", DAY]);
    let message = misfit[0]["fields"]["message"].as_str().unwrap();
    assert!(message.contains("has no use for --as-of"), "{message}");
}

#[test]
fn colour_is_always_there_or_never() {
    let dir = tempfile::tempdir().unwrap();
    for (color, is_coloured) in [("always", true), ("never", false), ("auto", false)] {
        let color = ["--color", color];
        let arguments = [&["nothing"][..], &color].concat();
        let wrong = stderr(&trueup(dir.path(), &arguments));
        assert_eq!(wrong.contains("\u{1b}["), is_coloured, "{wrong}");
        let world = World::new(&format!("as_of = \"{DAY}\"\n{EVENTS}"));
        world.write("events/usage_records.csv", USAGE);
        let log = stderr(&world.run(&[&["export", "-v"][..], &color].concat()));
        assert!(log.contains("exported"), "{log}");
        assert_eq!(log.contains("\u{1b}["), is_coloured, "{log}");
    }
}

#[test]
fn a_dry_run_answers_with_the_code_of_the_run() {
    let world = World::new(&format!("as_of = \"{DAY}\"\n{EVENTS}"));
    world.write("events/usage_records.csv", USAGE);
    assert_code(&world.run(&["export"]), 0);
    let dry = |fail_on: &str| {
        let rule = ["detect", "--rule", "negative-usage", "--dry-run"];
        world.run(&[&rule[..], &["--fail-on", fail_on]].concat())
    };
    assert_code(&dry("high"), 0);
    assert_code(&dry("medium"), 10);
    // What is open of other rules counts too, as in a run.
    assert_code(&world.run(&["detect", "--rule", "negative-usage"]), 0);
    let other = ["detect", "--rule", "impossible-usage", "--dry-run"];
    assert_code(
        &world.run(&[&other[..], &["--fail-on", "medium"]].concat()),
        10,
    );
    assert_code(
        &world.run(&[&other[..], &["--fail-on", "high"]].concat()),
        0,
    );
}

#[test]
fn a_name_that_nothing_has_is_no_filter() {
    let world = detected();
    for (option, name, word) in [
        (
            "--rule",
            "negative-usge",
            "no rule `negative-usge`; did you mean `negative-usage`?",
        ),
        (
            "--source",
            "event",
            "no source `event`; did you mean `events`?",
        ),
        ("--customer", "c2", "no customer `c2`; did you mean `c1`?"),
        ("--status", "resolvd", "resolved"),
        ("--severity", "grave", "grave"),
    ] {
        refused(&world, &["signals", "list", option, name], &[word]);
    }
    // Without a configuration, the lake says which sources there are.
    let bare = ["signals", "list", "--lake", "lake", "--source"];
    let bare = |source: &str| trueup(world.dir.path(), &[&bare[..], &[source]].concat());
    assert_code(&bare("events"), 0);
    assert_code(&bare("event"), 2);
    for (option, name) in [
        ("--rule", "tier-gap"),
        ("--status", "resolved"),
        ("--severity", "high"),
    ] {
        let none = world.run(&["signals", "list", option, name]);
        assert_code(&none, 0);
        assert_eq!(stdout(&none), "", "{option}");
        assert!(
            stderr(&none).starts_with("no signals that match"),
            "{}",
            stderr(&none)
        );
    }
    let found = world.run(&["signals", "list", "--customer", "c1", "--source", "events"]);
    assert_eq!(lines(&stdout(&found)).len(), 1);
}

#[test]
fn a_name_that_no_signal_has_is_looked_up_in_the_lake() {
    let world = World::new(&format!("as_of = \"{DAY}\"\n{EVENTS}"));
    let header = "usage_id,customer_id,meter,quantity,occurred_at,recorded_at";
    let usage = |id: &str, customer: &str, quantity: &str| {
        let moments = "2026-03-02T10:00:00Z,2026-03-02T10:00:05Z";
        format!("{id},{customer},api,{quantity},{moments}\n")
    };
    // More customers than are read for a hint: those on either side of the name are enough.
    let mut records = format!("{header}\n{}", usage("u0", "c1", "-3"));
    for at in 0..200 {
        records += &usage(&format!("r{at}"), &format!("acme-{at:03}"), "1");
    }
    world.write("events/usage_records.csv", &records);
    assert_code(&world.run(&["export"]), 0);
    assert_code(&world.run(&["detect", "--rule", "negative-usage"]), 0);
    let of = |customer: &str| world.run(&["signals", "list", "--customer", customer]);
    let clean = of("acme-150");
    assert_code(&clean, 0);
    assert_eq!(stdout(&clean), "");
    assert!(
        stderr(&clean).starts_with("no signals that match"),
        "{}",
        stderr(&clean)
    );
    refused(
        &world,
        &["signals", "list", "--customer", "acme-15o"],
        &["there is no customer `acme-15o`; did you mean `acme-150`?"],
    );
    refused(
        &world,
        &["signals", "list", "--customer", "acme-0000"],
        &["there is no customer `acme-0000`; did you mean `acme-000`?"],
    );
}

#[test]
fn a_dry_run_says_where_the_rollup_is_behind() {
    let world = World::new(&format!("as_of = \"{DAY}\"\n{EVENTS}"));
    world.write("events/usage_records.csv", USAGE);
    assert_code(&world.run(&["export"]), 0);
    let dry = || {
        let output = world.run(&["detect", "--rule", "negative-usage", "--dry-run"]);
        stderr(&output)
    };
    let behind = "trueup: warning: usage_daily is behind usage_records: a run would roll";
    let said = dry();
    assert!(!said.contains("behind"), "{said}");
    // Two that do not add up: the day is exported, and not rolled up.
    let huge = "90000000000000000000000000";
    let moments = "2026-03-03T10:00:00Z,2026-03-03T10:00:05Z";
    let record = |id: &str| format!("{id},c1,api,{huge},{moments}\n");
    let more = [USAGE, &record("u3"), &record("u4")].concat();
    world.write("events/usage_records.csv", &more);
    assert_code(&world.run(&["export"]), 40);
    let said = dry();
    assert!(said.contains(behind), "{said}");
    // As is usage that was never rolled up.
    std::fs::remove_dir_all(world.path("lake/derived/usage_daily")).unwrap();
    let said = dry();
    assert!(said.contains(behind), "{said}");
}
