//! CSV rows: framing, quoting and the repair of what is broken, with honest line numbers.
//!
//! It yields text columns only; what a cell means is `decode`'s business. A row that cannot be split
//! is refused alone: where a quote is not closed, reading goes on with the very next line.

use std::io::{self, BufRead};

use super::lines::{Lines, without_terminator};

/// Beyond this a quoted field is taken for a quote that nobody closed.
const ROW_BYTES_MAX: usize = 1024 * 1024;
const ROW_LINES_MAX: usize = 256;

/// The row that was read last.
#[derive(Default)]
pub(super) struct Row {
    /// The number of its first line.
    pub(super) line: u64,
    /// As it stands in the file, terminator included.
    raw: Vec<u8>,
    /// Field contents without quotes; empty when no field is quoted.
    unquoted: Vec<u8>,
    bounds: Vec<(usize, usize)>,
    quoted: bool,
}

/// What reading a row came to.
pub(super) enum Step {
    /// The row is in `Row`.
    Row,
    /// The row, or the line where it starts, is not usable; `Row::raw` shows it.
    Bad(String),
    /// The file is over.
    End,
}

/// Where a field begins and ends in the text of its row.
pub(super) type Bounds = (usize, usize);

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Whole,
    Open,
    Broken,
}

impl Row {
    /// The text of the row as it came, without its terminator.
    pub(super) fn raw(&self) -> &[u8] {
        without_terminator(&self.raw)
    }

    /// The contents of all fields as one text, and the bounds of each in it.
    pub(super) fn fields(&self) -> Result<(&str, &[Bounds]), std::str::Utf8Error> {
        let bytes = if self.quoted {
            self.unquoted.as_slice()
        } else {
            without_terminator(&self.raw)
        };
        Ok((std::str::from_utf8(bytes)?, &self.bounds))
    }

    fn split(&mut self) -> Shape {
        self.bounds.clear();
        self.unquoted.clear();
        let text = without_terminator(&self.raw);
        self.quoted = text.contains(&b'"');
        if !self.quoted {
            let mut start = 0;
            for (at, byte) in text.iter().enumerate() {
                if *byte == b',' {
                    self.bounds.push((start, at));
                    start = at + 1;
                }
            }
            self.bounds.push((start, text.len()));
            return Shape::Whole;
        }
        let mut at = 0;
        loop {
            let start = self.unquoted.len();
            if text.get(at) == Some(&b'"') {
                at += 1;
                loop {
                    let Some(count) = text[at..].iter().position(|byte| *byte == b'"') else {
                        return Shape::Open;
                    };
                    self.unquoted.extend_from_slice(&text[at..at + count]);
                    at += count + 1;
                    if text.get(at) != Some(&b'"') {
                        break;
                    }
                    self.unquoted.push(b'"');
                    at += 1;
                }
                if at < text.len() && text[at] != b',' {
                    return Shape::Broken;
                }
            } else {
                let rest = &text[at..];
                let count = rest
                    .iter()
                    .position(|byte| *byte == b',')
                    .unwrap_or(rest.len());
                self.unquoted.extend_from_slice(&rest[..count]);
                at += count;
            }
            self.bounds.push((start, self.unquoted.len()));
            if at >= text.len() {
                return Shape::Whole;
            }
            at += 1;
        }
    }
}

/// A reader of CSV rows.
pub(super) struct Rows {
    lines: Lines,
}

impl Rows {
    pub(super) fn new(input: Box<dyn BufRead>) -> Self {
        Self {
            lines: Lines::new(input),
        }
    }

    /// Reads the next row; `width` is how many fields it must have. Blank lines are passed over.
    pub(super) fn next(&mut self, row: &mut Row, width: Option<usize>) -> io::Result<Step> {
        loop {
            row.raw.clear();
            let Some(line) = self.lines.append_next(&mut row.raw)? else {
                return Ok(Step::End);
            };
            if without_terminator(&row.raw).is_empty() {
                continue;
            }
            row.line = line;
            let first_bytes = row.raw.len();
            let shape = self.complete(row)?;
            let reason = match shape {
                Shape::Open => "has a quoted field that is not closed".to_owned(),
                Shape::Broken => "has text after a closing quote".to_owned(),
                Shape::Whole if width.is_some_and(|width| width != row.bounds.len()) => {
                    let (found, wanted) = (row.bounds.len(), width.unwrap_or_default());
                    format!("has {found} fields, the header has {wanted}")
                }
                Shape::Whole if row.fields().is_err() => "is not UTF-8".to_owned(),
                Shape::Whole => return Ok(Step::Row),
            };
            // What follows the first line may be sound rows that an open quote swallowed.
            if row.raw.len() > first_bytes {
                self.lines.give_back(line + 1, &row.raw[first_bytes..]);
                row.raw.truncate(first_bytes);
            }
            return Ok(Step::Bad(reason));
        }
    }

    /// Appends lines until no quoted field is open.
    fn complete(&mut self, row: &mut Row) -> io::Result<Shape> {
        let mut shape = row.split();
        let mut count = 1;
        while shape == Shape::Open && count < ROW_LINES_MAX && row.raw.len() < ROW_BYTES_MAX {
            let before = row.raw.len();
            if self.lines.append_next(&mut row.raw)?.is_none() {
                break;
            }
            count += 1;
            // Without a quote in it, the line cannot close the field.
            if row.raw[before..].contains(&b'"') {
                shape = row.split();
            }
        }
        Ok(shape)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Each row as `line: a|b|c`, each bad one as `line! reason`.
    fn read(text: &[u8], width: usize) -> Vec<String> {
        let mut rows = Rows::new(Box::new(Cursor::new(text.to_vec())));
        let mut row = Row::default();
        let mut out = Vec::new();
        loop {
            match rows.next(&mut row, Some(width)).unwrap() {
                Step::End => return out,
                Step::Bad(reason) => out.push(format!("{}! {reason}", row.line)),
                Step::Row => {
                    let (text, bounds) = row.fields().unwrap();
                    let fields: Vec<&str> = bounds
                        .iter()
                        .map(|(start, end)| &text[*start..*end])
                        .collect();
                    out.push(format!("{}: {}", row.line, fields.join("|")));
                }
            }
        }
    }

    #[test]
    fn plain_and_quoted_fields() {
        assert_eq!(
            read(b"a,b,\r\n\r\n\"x, \"\"y\"\"\",,z", 3),
            ["1: a|b|", "3: x, \"y\"||z"]
        );
        assert_eq!(read(b"5\" pipe,2\n", 2), ["1: 5\" pipe|2"]);
    }

    #[test]
    fn a_quoted_field_may_hold_lines() {
        assert_eq!(read(b"\"a\nb\",2\nc,3\n", 2), ["1: a\nb|2", "3: c|3"]);
    }

    #[test]
    fn a_bad_row_costs_only_its_own_line() {
        let rows = read(b"1,2\n\"open,2\n3,4\n5\n6,\"7\"8\n\xff,9\n10,11\n", 2);
        // The quote of line 2 meets the one in line 5, with text after it.
        let expected = [
            "1: 1|2",
            "2! has text after a closing quote",
            "3: 3|4",
            "4! has 1 fields, the header has 2",
            "5! has text after a closing quote",
            "6! is not UTF-8",
            "7: 10|11",
        ];
        assert_eq!(rows, expected);
        let rows = read(b"\"open,2\n3,4\n", 2);
        assert_eq!(rows, ["1! has a quoted field that is not closed", "2: 3|4"]);
    }
}
