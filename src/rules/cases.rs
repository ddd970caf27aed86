//! The cases of a rule as its `.slt` file announces them: `# case: fires — …`, and the same with
//! `quiet` and `boundary`.
//!
//! Running them is the test harness's work; here they are only counted and matched to `quiet_when`.

use super::rule::words;

words! {
    /// What a case shows.
    CaseKind {
        /// The rule finds what it should.
        Fires = "fires",
        /// The rule stays silent where it should.
        Quiet = "quiet",
        /// The rule is right at an edge.
        Boundary = "boundary",
    }
}

/// A case that the file announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What it shows.
    pub kind: CaseKind,
    /// The sentence behind the kind; further comment lines directly below belong to it.
    pub text: String,
    /// The line, from 1, of the announcement.
    pub line: usize,
}

/// The cases that a `.slt` text announces, in order.
pub fn parse(slt: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut open = false;
    for (index, line) in slt.lines().enumerate() {
        let Some(comment) = line.trim_start().strip_prefix('#') else {
            open = false;
            continue;
        };
        let comment = comment.trim_start_matches('#').trim();
        if let Some((kind, text)) = announcement(comment) {
            cases.push(Case {
                kind,
                text: text.to_owned(),
                line: index + 1,
            });
            open = true;
        } else if open
            && !comment.is_empty()
            && let Some(case) = cases.last_mut()
        {
            case.text.push(' ');
            case.text.push_str(comment);
        } else {
            open = false;
        }
    }
    cases
}

impl Case {
    /// Whether this case proves a `quiet_when` sentence: its own text has that sentence in it.
    pub fn names(&self, sentence: &str) -> bool {
        self.kind != CaseKind::Fires && plain(&self.text).contains(&plain(sentence))
    }
}

fn announcement(comment: &str) -> Option<(CaseKind, &str)> {
    let rest = comment.strip_prefix("case:")?.trim_start();
    let end = rest
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(rest.len());
    let (word, text) = rest.split_at(end);
    let kind = CaseKind::named(word)?;
    // Between kind and sentence stands a dash; a colon or a hyphen is easier to type.
    Some((
        kind,
        text.trim_start_matches([' ', '—', '–', '-', ':'])
            .trim_end(),
    ))
}

/// Lower case, single spaces, no final full stop: how sentences are compared.
fn plain(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ").trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLT: &str = "\
# A rule about prices.
# case: fires — a wrong tier
statement ok
INSERT INTO prices VALUES (1)

# case: quiet: the difference is inside
#   the currency's rounding.
# case: boundary - a zero quantity
query I rowsort
SELECT count(*) FROM findings
# not part of it
";

    #[test]
    fn reads_kind_text_and_line() {
        let cases = parse(SLT);
        let found: Vec<_> = cases.iter().map(|case| (case.kind, case.line)).collect();
        assert_eq!(
            found,
            [
                (CaseKind::Fires, 2),
                (CaseKind::Quiet, 6),
                (CaseKind::Boundary, 8)
            ]
        );
        assert_eq!(
            cases[1].text,
            "the difference is inside the currency's rounding."
        );
        assert_eq!(cases[2].text, "a zero quantity");
    }

    #[test]
    fn a_quiet_or_boundary_case_names_a_sentence() {
        let cases = parse(SLT);
        assert!(cases[1].names("The difference is inside the currency's rounding"));
        assert!(cases[2].names("a zero quantity"));
        assert!(!cases[0].names("a wrong tier"));
    }
}
