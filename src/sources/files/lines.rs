//! Lines of a text file with their numbers, counted from 1 as an editor does.
//!
//! Lines can be given back: a CSV quote that never closes swallows what follows, and those lines are
//! then read again as rows of their own.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

/// A line longer than this is not text that anybody wrote; it would not fit in bounded memory.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A reader of lines.
pub(super) struct Lines {
    input: Box<dyn BufRead>,
    read: u64,
    returned: VecDeque<(u64, Vec<u8>)>,
}

impl Lines {
    pub(super) fn new(input: Box<dyn BufRead>) -> Self {
        Self {
            input,
            read: 0,
            returned: VecDeque::new(),
        }
    }

    /// Appends the next line with its terminator and returns its number; `None` at the end.
    pub(super) fn append_next(&mut self, line: &mut Vec<u8>) -> io::Result<Option<u64>> {
        if let Some((number, text)) = self.returned.pop_front() {
            line.extend_from_slice(&text);
            return Ok(Some(number));
        }
        let start = line.len();
        let count = self
            .input
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', line)?;
        if count == 0 {
            return Ok(None);
        }
        self.read += 1;
        if count as u64 == LINE_BYTES_MAX && !line.ends_with(b"\n") {
            let message = format!("line {} is longer than 16 MiB", self.read);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        if self.read == 1 && line[start..].starts_with(BYTE_ORDER_MARK) {
            line.drain(start..start + BYTE_ORDER_MARK.len());
        }
        Ok(Some(self.read))
    }

    /// Puts lines back to be read next; `first` is the number of the first of them.
    pub(super) fn give_back(&mut self, first: u64, text: &[u8]) {
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        let numbered: Vec<(u64, Vec<u8>)> = (first..).zip(lines.map(<[u8]>::to_vec)).collect();
        for line in numbered.into_iter().rev() {
            self.returned.push_front(line);
        }
    }
}

/// A line without `\n` or `\r\n`.
pub(super) fn without_terminator(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn lines_keep_their_numbers_when_given_back() {
        let mut lines = Lines::new(Box::new(Cursor::new("\u{feff}a\r\nb\nc")));
        let mut text = Vec::new();
        assert_eq!(lines.append_next(&mut text).unwrap(), Some(1));
        assert_eq!(text, b"a\r\n");
        assert_eq!(without_terminator(&text), b"a");
        assert_eq!(lines.append_next(&mut text).unwrap(), Some(2));
        assert_eq!(lines.append_next(&mut text).unwrap(), Some(3));
        lines.give_back(2, b"b\nc");
        text.clear();
        assert_eq!(lines.append_next(&mut text).unwrap(), Some(2));
        assert_eq!(text, b"b\n");
        assert_eq!(lines.append_next(&mut text).unwrap(), Some(3));
        assert_eq!(lines.append_next(&mut text).unwrap(), None);
        assert_eq!(text, b"b\nc");
    }
}
