//! What README.md and docs/ promise: commands that can be typed, files that exist, true exit codes.

use std::ffi::OsString;
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

/// The words of each command on the line as a shell reads them: quoted ones whole, no comments.
fn shell_words(line: &str) -> Vec<Vec<String>> {
    let (mut commands, mut words) = (Vec::new(), Vec::new());
    let (mut word, mut quote): (Option<String>, Option<char>) = (None, None);
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some('\''), _) => word.get_or_insert_default().push(character),
            (_, '\\') => word.get_or_insert_default().extend(characters.next()),
            (Some(_), _) => word.get_or_insert_default().push(character),
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, '|' | ';' | '&' | '<' | '>') => {
                words.extend(word.take());
                commands.push(std::mem::take(&mut words));
            }
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    commands.push(words);
    commands
}

/// The words after `trueup` or `cargo run --` of each command on the line.
fn commands(line: &str) -> Vec<Vec<String>> {
    let line = line.strip_prefix("$ ").unwrap_or(line);
    let mut found = Vec::new();
    for words in shell_words(line) {
        let is_setting = |word: &&String| word.contains('=') && !word.starts_with('-');
        let words: Vec<&str> = words
            .iter()
            .skip_while(is_setting)
            .map(String::as_str)
            .collect();
        let rest: Vec<&str> = match words.as_slice() {
            ["trueup", rest @ ..] => rest.to_vec(),
            ["cargo", "run", rest @ ..] => {
                let rest = rest.iter().skip_while(|word| **word != "--").skip(1);
                rest.copied().collect()
            }
            _ => continue,
        };
        found.push(rest.into_iter().map(str::to_owned).collect());
    }
    found
}

/// The commands that a sentence names in its code spans.
fn named(line: &str) -> Vec<Vec<String>> {
    let spans = line.split('`').skip(1).step_by(2);
    spans
        .filter(|span| span.starts_with("trueup "))
        .flat_map(commands)
        .collect()
}

/// A word that stands for what the reader puts there, as such a thing looks.
fn filled(word: &str) -> &str {
    match word {
        "STAGE" => "usage",
        other => other,
    }
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
fn commands_on_the_pages_can_be_typed_as_they_stand() {
    let real = cli::command_names();
    let (mut seen, mut wrong) = (0, Vec::new());
    for page in pages() {
        let text = read(&page);
        let numbered = |in_blocks: bool, find: fn(&str) -> Vec<Vec<String>>| {
            let lines = lines(&text, in_blocks).into_iter();
            lines.flat_map(move |(number, line)| {
                let found = find(line).into_iter();
                found.map(move |words| (number, words))
            })
        };
        let (shown, told) = (numbered(true, commands), numbered(false, named));
        // The bare name of a command in a sentence means the command, not a line to type.
        let (names, told): (Vec<_>, Vec<_>) = told.partition(|(_, words)| words.len() == 1);
        for (number, words) in names {
            if !real.contains(&words[0]) {
                wrong.push(format!("{}:{number}: {words:?}", page.display()));
            }
        }
        for (number, words) in shown.chain(told) {
            seen += 1;
            let arguments = words.iter().map(|word| OsString::from(filled(word)));
            let arguments: Vec<_> = std::iter::once("trueup".into()).chain(arguments).collect();
            if let Err(error) = cli::check_arguments(&arguments) {
                wrong.push(format!("{}:{number}: {words:?}\n{error}", page.display()));
            }
        }
    }
    assert!(
        seen > 20,
        "the commands of the pages were not found: {seen}"
    );
    assert!(wrong.is_empty(), "no such commands:\n{}", wrong.join("\n"));
}

#[test]
fn what_cannot_be_typed_is_seen() {
    let check = |line: &str| {
        let found = commands(line);
        let [words] = found.as_slice() else {
            panic!("{line}: not one command")
        };
        let arguments = words.iter().map(OsString::from);
        let arguments: Vec<_> = std::iter::once("trueup".into()).chain(arguments).collect();
        cli::check_arguments(&arguments)
    };
    assert_eq!(
        check("trueup sql \"select 'a;b' # c\" --format csv"),
        Ok(())
    );
    for line in [
        "trueup nothing",
        "trueup run --fail-on grave",
        "trueup signals list --statu resolved",
        "trueup rules new ours --stage STAGE",
        "trueup rate --batch --config trueup.toml",
    ] {
        assert!(check(line).is_err(), "{line}");
    }
}

#[test]
fn every_way_to_write_a_command_is_seen() {
    let line = "$ A=b trueup run --fail-on high # nightly";
    assert_eq!(commands(line), [["run", "--fail-on", "high"]]);
    assert_eq!(
        commands("cargo run --release -- gate && trueup rate <lines.jsonl"),
        [["gate"], ["rate"]]
    );
    assert_eq!(
        commands("trueup sql \"select 1; select '|'\" --set 'a=[\"b\"]'"),
        [["sql", "select 1; select '|'", "--set", "a=[\"b\"]"]]
    );
    assert!(commands("cargo test").is_empty());
    assert_eq!(
        named("as `trueup explain SIGNAL` and `rate` say; `trueup sql`"),
        [&["explain", "SIGNAL"][..], &["sql"]]
    );
    assert_eq!(
        linked_files("[a](docs/a.md#b), [c](#d), [e](https://f)"),
        ["docs/a.md"]
    );
}
