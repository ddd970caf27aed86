//! What README.md and docs/ promise: commands and files that exist, and true exit codes.

use std::path::{Path, PathBuf};

use trueup::cli;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// README.md and the pages of docs/.
fn pages() -> Vec<PathBuf> {
    let docs = std::fs::read_dir(root().join("docs"))
        .into_iter()
        .flatten()
        .flatten();
    let docs = docs.map(|entry| entry.path());
    let docs = docs.filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    let mut pages: Vec<_> = docs.chain([root().join("README.md")]).collect();
    pages.sort();
    pages
}

/// The lines of a page with their numbers, those in fenced blocks or the others.
fn lines(page: &str, in_blocks: bool) -> Vec<(usize, &str)> {
    let mut inside = false;
    let mut found = Vec::new();
    for (number, line) in (1..).zip(page.lines().map(str::trim)) {
        if line.starts_with("```") {
            inside = !inside;
        } else if inside == in_blocks {
            found.push((number, line));
        }
    }
    found
}

/// The words after `trueup` or `cargo run --` of each command on the line.
fn commands(line: &str) -> Vec<Vec<&str>> {
    let line = line.strip_prefix("$ ").unwrap_or(line);
    let line = line.split(" #").next().unwrap_or(line);
    let mut found = Vec::new();
    for part in line.split(['|', ';', '&']) {
        let is_setting = |word: &&str| word.contains('=') && !word.starts_with('-');
        let words: Vec<&str> = part.split_whitespace().skip_while(is_setting).collect();
        match words.as_slice() {
            ["trueup", rest @ ..] => found.push(rest.to_vec()),
            ["cargo", "run", rest @ ..] => {
                let rest = rest.iter().skip_while(|word| **word != "--").skip(1);
                found.push(rest.copied().collect());
            }
            _ => {}
        }
    }
    found
}

/// The targets of the links on a line that are files, without their anchors.
fn linked_files(line: &str) -> Vec<&str> {
    let targets = line
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ', '#']).next());
    targets
        .filter(|t| !t.is_empty() && !t.contains("://") && !t.starts_with("mailto:"))
        .collect()
}

#[test]
fn the_readme_says_how_to_run_the_demo_and_the_tests() {
    let readme = read(&root().join("README.md"));
    let lines = lines(&readme, true);
    for command in [
        "cargo run -- run --config fixtures/demo/trueup.toml",
        "cargo test",
    ] {
        let shown = |(_, line): &(usize, &str)| line.trim_start_matches("$ ").starts_with(command);
        assert!(
            lines.iter().any(shown),
            "no block of README.md has `{command}`"
        );
    }
}

#[test]
fn the_exit_codes_of_the_readme_are_those_of_the_program() {
    let readme = read(&root().join("README.md"));
    let rows = readme
        .lines()
        .map(str::trim)
        .skip_while(|line| !line.starts_with("| code |"));
    let shown: Vec<(u8, String)> = rows
        .take_while(|line| line.starts_with('|'))
        .filter_map(|row| {
            let (code, meaning) = row.trim_matches('|').split_once('|')?;
            let code = code.trim().trim_matches('`').parse().ok()?;
            Some((code, meaning.trim().to_owned()))
        })
        .collect();
    let real = cli::exit::EXIT_CODES.iter();
    let real: Vec<_> = real
        .map(|(code, meaning)| (*code, (*meaning).to_owned()))
        .collect();
    assert_eq!(shown, real);
}

#[test]
fn links_lead_to_files() {
    let mut broken = Vec::new();
    for page in pages() {
        let folder = page.parent().unwrap_or_else(|| root());
        for (number, line) in lines(&read(&page), false) {
            for target in linked_files(line)
                .into_iter()
                .filter(|t| !folder.join(t).exists())
            {
                broken.push(format!("{}:{number}: {target}", page.display()));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "links to nothing:\n{}",
        broken.join("\n")
    );
}

#[test]
fn commands_on_the_pages_exist() {
    let real = cli::command_names();
    let (mut seen, mut unknown) = (0, Vec::new());
    for page in pages() {
        for (number, line) in lines(&read(&page), true) {
            for words in commands(line) {
                // An option of the program itself, or a placeholder, names no command.
                let is_name = |word: &&&str| !word.starts_with(['-', '<', '[', '\\']);
                let Some(name) = words.first().filter(is_name) else {
                    continue;
                };
                seen += 1;
                if !real.iter().any(|command| command == name) {
                    unknown.push(format!("{}:{number}: {name}", page.display()));
                }
            }
        }
    }
    assert!(seen > 0, "no page shows a command");
    assert!(
        unknown.is_empty(),
        "no such commands:\n{}",
        unknown.join("\n")
    );
}

#[test]
fn every_way_to_write_a_command_is_seen() {
    let line = "$ A=b trueup run --fail-on high # nightly";
    assert_eq!(commands(line), [["run", "--fail-on", "high"]]);
    assert_eq!(
        commands("cargo run --release -- gate && trueup rate"),
        [["gate"], ["rate"]]
    );
    assert!(commands("cargo test").is_empty());
    assert_eq!(
        linked_files("[a](docs/a.md#b), [c](#d), [e](https://f)"),
        ["docs/a.md"]
    );
}
