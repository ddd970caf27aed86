//! Texts that name columns of a finding in braces: `Price {price_id} …`.
//!
//! There is no logic in a template, and SQL is never one.

/// What a text consists of.
enum Piece<'a> {
    Text(&'a str),
    Name(&'a str),
    LoneBrace(&'a str),
}

/// The names in braces, in order of appearance.
pub fn placeholders(text: &str) -> Vec<&str> {
    pieces(text)
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Name(name) => Some(name),
            Piece::Text(_) | Piece::LoneBrace(_) => None,
        })
        .collect()
}

/// The text with every name replaced by its value; a name without a value stays as written.
pub fn fill(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> String {
    let mut filled = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(part) | Piece::LoneBrace(part) => filled.push_str(part),
            Piece::Name(name) => match lookup(name) {
                Some(value) => filled.push_str(&value),
                None => {
                    filled.push('{');
                    filled.push_str(name);
                    filled.push('}');
                }
            },
        }
    }
    filled
}

/// Whether a brace belongs neither to a name nor to an escape.
pub(super) fn has_lone_brace(text: &str) -> bool {
    pieces(text)
        .iter()
        .any(|piece| matches!(piece, Piece::LoneBrace(_)))
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, tail) = rest.split_at(at);
        pieces.push(Piece::Text(before));
        // `tail` begins with a brace, a character of one byte.
        let (piece, used) = if tail.starts_with("{{") || tail.starts_with("}}") {
            (Piece::Text(&tail[..1]), 2)
        } else if let Some(name) = name_in_braces(tail) {
            (Piece::Name(name), name.len() + 2)
        } else {
            (Piece::LoneBrace(&tail[..1]), 1)
        };
        pieces.push(piece);
        rest = &tail[used..];
    }
    pieces.push(Piece::Text(rest));
    pieces
}

fn name_in_braces(tail: &str) -> Option<&str> {
    let (name, _) = tail.strip_prefix('{')?.split_once('}')?;
    is_name(name).then_some(name)
}

/// Whether the text is a plain lower-case identifier, as all columns are.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> String {
        fill(text, &|name| (name == "price_id").then(|| "P-1".to_owned()))
    }

    #[test]
    fn fills_names_and_keeps_escapes() {
        assert_eq!(
            filled("Price {price_id} and {price_id}."),
            "Price P-1 and P-1."
        );
        assert_eq!(filled("{{price_id}} is {price_id}"), "{price_id} is P-1");
        assert_eq!(filled("{{{price_id}}}"), "{P-1}");
        assert_eq!(filled("{meter} of ü{price_id}"), "{meter} of üP-1");
    }

    #[test]
    fn lists_names_and_notices_lone_braces() {
        assert_eq!(placeholders("{a} {{b}} {c_1}"), ["a", "c_1"]);
        assert!(!has_lone_brace("{a} {{b}}"));
        for text in ["{", "a } b", "{Not a name}", "{a"] {
            assert!(has_lone_brace(text), "{text}");
        }
    }
}
