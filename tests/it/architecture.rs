//! The layers and the owners, checked from the source text: who imports whom, who may do what.
//!
//! It reads text, not syntax. That is enough where imports are written `crate::<module>`, as here;
//! unit tests inside a file and files named `tests.rs` may do as they like.

use std::path::{Path, PathBuf};

/// A module imports only from itself and from rows above its own.
const LAYERS: &[&[&str]] = &[
    &["model"],
    &["config"],
    &["lake", "rating"],
    &["sources", "rules", "cluster"],
    &["session"],
    &[
        "export",
        "derive",
        "detect",
        "explain",
        "signals",
        "remediate",
        "gate",
        "report",
        "serve",
        "notify",
        "ask",
        "simulate",
        "maintain",
    ],
    &["cli"],
    &["main", "lib"],
];

/// What is dangerous, and the only places that may do it.
const OWNERS: &[(&str, &[&str])] = &[
    ("env::var", &["src/config/"]),
    ("Utc::now", &["src/main.rs"]),
    ("Local::now", &["src/main.rs"]),
    ("SystemTime::now", &["src/main.rs"]),
    (
        "CommitBuilder",
        &["src/lake/commit.rs", "src/lake/maintain.rs"],
    ),
    (
        "CommitProperties",
        &["src/lake/commit.rs", "src/lake/maintain.rs"],
    ),
    ("SessionContext::new", &["src/session/"]),
    ("println!", &["src/cli/", "src/main.rs"]),
    ("print!", &["src/cli/", "src/main.rs"]),
];

const LONGEST: usize = 600;

/// A file's code: its unit tests are cut off and its comments are empty lines.
struct Code {
    path: String,
    text: String,
}

impl Code {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let lines: Vec<&str> = text.lines().collect();
        let tests = (0..lines.len()).find(|&at| {
            let item = lines[at + 1..].iter().find(|line| !line.starts_with("#["));
            lines[at] == "#[cfg(test)]"
                && item.is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
        });
        let code = lines[..tests.unwrap_or(lines.len())].iter();
        let code = code.map(|line| {
            if line.trim_start().starts_with("//") {
                ""
            } else {
                *line
            }
        });
        let path = path
            .strip_prefix(env!("CARGO_MANIFEST_DIR"))
            .unwrap_or(path);
        Self {
            path: path.to_string_lossy().replace('\\', "/"),
            text: code.collect::<Vec<_>>().join("\n"),
        }
    }

    /// `lake` for `src/lake/commit.rs`, `main` for `src/main.rs`.
    fn module(&self) -> &str {
        let inside = self.path.trim_start_matches("src/");
        inside
            .split('/')
            .next()
            .unwrap_or(inside)
            .trim_end_matches(".rs")
    }

    fn line(&self, at: usize) -> usize {
        self.text[..at].matches('\n').count() + 1
    }

    /// The modules of this crate that the code names, each with its line.
    fn uses(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for root in ["crate::", "trueup::"] {
            for (at, _) in self.text.match_indices(root) {
                for name in first_names(&self.text[at + root.len()..]) {
                    found.push((self.line(at), name));
                }
            }
        }
        found
    }
}

/// `lake::Lake` names `lake`; `{lake, model::{Run, text}}` names `lake` and `model`.
fn first_names(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else {
        return vec![word(path)];
    };
    let (mut depth, mut outer) = (1, String::new());
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ if depth == 1 => outer.push(character),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    outer
        .split(',')
        .map(word)
        .filter(|name| !name.is_empty())
        .collect()
}

fn word(text: &str) -> String {
    text.trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn sources() -> Vec<Code> {
    let mut folders = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_code = path.extension().is_some_and(|kind| kind == "rs");
            if path.is_dir() {
                folders.push(path);
            } else if is_code && !path.ends_with("tests.rs") {
                sources.push(Code::read(&path));
            }
        }
    }
    assert!(
        sources.len() > 50,
        "the source text was not found: {} files",
        sources.len()
    );
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn assert_none(violations: &[String]) {
    assert!(
        violations.is_empty(),
        "{} violations:\n{}",
        violations.len(),
        violations.join("\n")
    );
}

#[test]
fn modules_import_only_from_layers_below_their_own() {
    let mut violations = Vec::new();
    for code in sources() {
        let module = code.module();
        let Some(own) = layer(module) else {
            violations.push(format!("{}:1: `{module}` is in no layer", code.path));
            continue;
        };
        for (line, used) in code.uses() {
            let problem = match layer(&used) {
                _ if used == module => continue,
                Some(other) if other < own => continue,
                Some(_) => "is not below it",
                None => "is in no layer",
            };
            let path = &code.path;
            violations.push(format!(
                "{path}:{line}: `{module}` uses `{used}`, which {problem}"
            ));
        }
    }
    assert_none(&violations);
}

#[test]
fn dangerous_acts_have_one_owner() {
    let mut violations = Vec::new();
    for code in sources() {
        for (act, owners) in OWNERS {
            if owners.iter().any(|owner| code.path.starts_with(owner)) {
                continue;
            }
            for (at, _) in code.text.match_indices(act) {
                let line = code.line(at);
                violations.push(format!("{}:{line}: `{act}` is for {owners:?}", code.path));
            }
        }
    }
    assert_none(&violations);
}

#[test]
fn files_stay_short() {
    let lengths = sources()
        .into_iter()
        .map(|code| (code.text.lines().count(), code.path));
    let violations: Vec<String> = lengths
        .filter(|(lines, _)| *lines > LONGEST)
        .map(|(lines, path)| format!("{path}:{lines}: longer than {LONGEST} lines"))
        .collect();
    assert_none(&violations);
}

#[test]
fn every_way_to_name_a_module_is_seen() {
    assert_eq!(first_names("lake::Lake;"), ["lake"]);
    assert_eq!(
        first_names("{\n    lake::{Lake, open},\n    model,\n};"),
        ["lake", "model"]
    );
}
