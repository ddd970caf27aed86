//! What error messages share: the nearest known word, and how it is told.

/// The candidate nearest to `word`, if any is near enough to be what was meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(word.len()) / 2)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The end of a message about an unknown word: the known one that was likely meant, if any.
pub fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    meant(nearest(word, candidates))
}

/// The same of a word that was found to be the nearest before.
pub fn meant(nearest: Option<&str>) -> String {
    nearest
        .map(|word| format!("; did you mean `{word}`?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{hint, nearest};

    #[test]
    fn finds_what_was_meant_or_nothing() {
        assert_eq!(nearest("lakee", ["sources", "lake", "rules"]), Some("lake"));
        assert_eq!(nearest("xyz", ["sources", "lake"]), None);
    }

    #[test]
    fn what_was_meant_ends_the_message() {
        let known = ["sources", "lake"];
        assert_eq!(hint("lakee", known), "; did you mean `lake`?");
        assert_eq!(hint("xyz", known), "");
    }
}
