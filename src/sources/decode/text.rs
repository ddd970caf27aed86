//! Text columns: ids as they are spelt, closed vocabularies in lower case, currencies in upper case.
//!
//! Free text is never trimmed or re-cased: an id is what its platform says it is.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use datafusion::arrow::datatypes::DataType;

use super::column::Target;
use super::marks::Marks;
use crate::model::currency::minor_exponent;
use crate::sources::error::SourceError;
use crate::sources::vocabulary;

const UNKNOWN: &str = "unknown_value";

/// The canonical text of a column.
pub(super) fn column(target: &Target<'_>, marks: &mut Marks) -> Result<ArrayRef, SourceError> {
    let array = match target.array.data_type() {
        DataType::Utf8 => Arc::clone(target.array),
        DataType::Boolean
        | DataType::Date32
        | DataType::Timestamp(_, _)
        | DataType::Decimal32(_, _)
        | DataType::Decimal64(_, _)
        | DataType::Decimal128(_, _)
        | DataType::Decimal256(_, _) => target.cast(&DataType::Utf8)?,
        found if found.is_integer() => target.cast(&DataType::Utf8)?,
        _ => return Err(target.wrong_type()),
    };
    let Some(texts) = array.as_string_opt::<i32>() else {
        return Err(target.wrong_type());
    };
    if target.name == "currency" {
        return Ok(normalised(texts, marks, |text| {
            let code = text.to_ascii_uppercase();
            match minor_exponent(&code) {
                Some(_) => Ok(code),
                None => Err(format!("`currency` is \"{text}\": not an ISO 4217 code")),
            }
        }));
    }
    match vocabulary::words(target.site.table, target.name) {
        None => Ok(array),
        Some(words) => Ok(normalised(texts, marks, |text| {
            let word = text.to_ascii_lowercase();
            if words.contains(&word.as_str()) {
                Ok(word)
            } else {
                Err(vocabulary::unknown(target.name, text, words))
            }
        })),
    }
}

/// Each text through `normal`; runs of one value, which is what these columns are, cost one call.
fn normalised(
    texts: &StringArray,
    marks: &mut Marks,
    normal: impl Fn(&str) -> Result<String, String>,
) -> ArrayRef {
    let mut out = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
    let mut last: Option<(&str, String)> = None;
    for row in 0..texts.len() {
        let text = if texts.is_null(row) {
            ""
        } else {
            texts.value(row).trim_ascii()
        };
        if text.is_empty() {
            out.append_null();
            continue;
        }
        if last.as_ref().is_none_or(|(key, _)| *key != text) {
            match normal(text) {
                Ok(word) => last = Some((text, word)),
                Err(reason) => {
                    marks.add(row, UNKNOWN, || reason);
                    out.append_null();
                    continue;
                }
            }
        }
        match &last {
            Some((_, word)) => out.append_value(word),
            None => out.append_null(),
        }
    }
    Arc::new(out.finish())
}
