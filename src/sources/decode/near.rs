//! Columns that are nearly ours: a misspelt one would leave its values in `attributes`, and the column
//! it was meant for empty, without a word.
//!
//! Only told, never mended: what a column means is the sender's to say.

use std::collections::BTreeMap;

use datafusion::arrow::array::Array;
use datafusion::arrow::record_batch::RecordBatch;

use crate::model::text::nearest;
use crate::sources::spec::TableSpec;

/// Of names that the table does not have, those that are nearly the name of a column for which the
/// batch has no values, each with that column.
pub(in crate::sources) fn misspelt<'n>(
    names: impl IntoIterator<Item = &'n str>,
    batch: &RecordBatch,
    spec: &TableSpec,
) -> BTreeMap<String, String> {
    let names: Vec<&str> = names.into_iter().collect();
    if names.is_empty() {
        return BTreeMap::new();
    }
    let is_empty = |name: &str| {
        let column = batch.column_by_name(name);
        column.is_none_or(|column| column.null_count() == column.len())
    };
    let lacking: Vec<(String, &str)> = spec
        .schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .filter(|name| *name != "attributes" && spec.reads(name) && is_empty(name))
        .map(|name| (letters(name), name))
        .collect();
    let meant = names.into_iter().filter_map(|name| {
        let meant = near(&letters(name), &lacking)?;
        Some((name.to_owned(), meant.to_owned()))
    });
    meant.collect()
}

/// The column whose letters differ in at most one of four: fewer have a meaning of their own.
fn near<'c>(word: &str, columns: &[(String, &'c str)]) -> Option<&'c str> {
    let known = columns.iter().map(|(letters, _)| letters.as_str());
    let found = nearest(word, known)?;
    let distance = strsim::damerau_levenshtein(word, found);
    if distance > word.len().max(found.len()) / 4 {
        return None;
    }
    let of = columns.iter().find(|(letters, _)| letters == found);
    of.map(|(_, name)| *name)
}

/// What is left of a name when case and separators do not count: `Recorded-At` is `recordedat`.
fn letters(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_near_and_another_word_is_not() {
        let columns = ["recorded_at", "quantity", "unit", "status_reason", "name"];
        let columns = columns.map(|name| (letters(name), name));
        for (word, meant) in [
            ("recordedat", Some("recorded_at")),
            ("RecordedAt", Some("recorded_at")),
            ("recoded_at", Some("recorded_at")),
            ("quantiy", Some("quantity")),
            ("units", Some("unit")),
            ("note", None),
            ("region", None),
            ("reason", None),
            ("unique", None),
            ("", None),
        ] {
            assert_eq!(near(&letters(word), &columns), meant, "{word}");
        }
    }
}
