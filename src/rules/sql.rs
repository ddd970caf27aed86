//! A rule's SQL as the words that the engine's own tokenizer sees: no comments, no layout.
//!
//! Enough to lint a text, to compare two and to see which names it mentions; never a plan.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, TokenizerError};

/// The tokens that carry meaning, exactly as written.
pub(super) fn tokens(sql: &str) -> Result<Vec<TokenWithSpan>, TokenizerError> {
    let mut tokenizer = Tokenizer::new(&GenericDialect {}, sql).with_unescape(false);
    let all = tokenizer.tokenize_with_location()?;
    Ok(all
        .into_iter()
        .filter(|t| !matches!(t.token, Token::Whitespace(_) | Token::EOF))
        .collect())
}

/// The line, from 1, of a token.
pub(super) fn line(token: &TokenWithSpan) -> Option<usize> {
    usize::try_from(token.span.start.line)
        .ok()
        .filter(|line| *line > 0)
}

/// The word in lower case, unless the token is quoted or no word.
pub(super) fn bare_word(token: &Token) -> Option<String> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_lowercase()),
        _ => None,
    }
}

/// The text that two queries share when they differ only in layout, comments and letter case.
pub(super) fn normalised(sql: &str) -> String {
    let Ok(tokens) = tokens(sql) else {
        return sql.trim().to_owned();
    };
    let words: Vec<String> = tokens
        .iter()
        .filter(|token| token.token != Token::SemiColon)
        .map(|token| bare_word(&token.token).unwrap_or_else(|| token.token.to_string()))
        .collect();
    words.join(" ")
}

/// Every identifier that the text mentions, in lower case where it is not quoted.
pub(super) fn names(sql: &str) -> BTreeSet<String> {
    let tokens = tokens(sql).unwrap_or_default();
    let name = |token: TokenWithSpan| match token.token {
        Token::Word(word) if word.quote_style.is_some() => Some(word.value),
        other => bare_word(&other),
    };
    tokens.into_iter().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_comments_and_case_do_not_count() {
        let one = "-- why\nSELECT a,\n  'It''s  X' AS b -- end\nFROM t;\n";
        assert_eq!(
            normalised(one),
            normalised("select a, 'It''s  X' as b from T")
        );
        assert_ne!(normalised("select 'a'"), normalised("select 'A'"));
        assert_ne!(normalised("select \"A\""), normalised("select \"a\""));
    }

    #[test]
    fn names_are_found_outside_of_texts_and_comments() {
        let found = names("select x from price_terms -- line_terms\nwhere y = 'line_usage'");
        assert!(found.contains("price_terms"));
        assert!(!found.contains("line_terms") && !found.contains("line_usage"));
    }
}
