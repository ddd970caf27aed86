//! `trueup maintain`: a plan first, and no file touched without a yes.

use super::{DAY, refused};
use crate::support::{World, assert_code, files_below, stderr, stdout};

#[test]
fn maintain_shows_its_plan_and_does_nothing_unasked() {
    let world = World::new(&format!(
        "as_of = \"{DAY}\"\n[[sources]]\nname = \"a\"\nkind = \"files\"\npath = \"a/\"\n"
    ));
    for (meter, as_of) in [("a", "2026-03-03T12:00:00Z"), ("b", DAY)] {
        world.write(
            &format!("a/meters/{meter}.csv"),
            &format!("meter\n{meter}\n"),
        );
        assert_code(&world.run(&["export", "--as-of", as_of]), 0);
    }
    let before = files_below(&world.path("lake"));
    let plan = world.run(&["maintain"]);
    assert_code(&plan, 0);
    assert!(
        stdout(&plan).contains("meters") && stderr(&plan).contains("--yes"),
        "{}",
        stdout(&plan)
    );
    assert_eq!(files_below(&world.path("lake")), before);
    refused(
        &world,
        &["maintain", "--retain", "1 day", "--yes"],
        &["--retain", "7 days"],
    );
    refused(&world, &["maintain", "--retain", "soon"], &["--retain"]);
    assert_eq!(files_below(&world.path("lake")), before);

    assert_code(&world.run(&["maintain", "--yes"]), 0);
    assert_ne!(files_below(&world.path("lake")), before);
    assert_eq!(world.rows("select meter from meters").len(), 2);
}
