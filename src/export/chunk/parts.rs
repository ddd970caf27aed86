//! Rows that are gathered, batch by batch, and where each of them stands in the input.

use datafusion::arrow::array::RecordBatch;

use crate::sources::Places;

/// Rows that were read together.
pub(super) struct Part {
    pub(super) file: String,
    pub(super) places: Places,
    pub(super) rows: RecordBatch,
}

/// In the order in which they were read.
#[derive(Default)]
pub(super) struct Parts {
    parts: Vec<Part>,
    /// Which row of all is the first of each part: rows are looked up one by one.
    starts: Vec<usize>,
    rows: usize,
}

impl Parts {
    pub(super) fn add(&mut self, part: Part) {
        self.starts.push(self.rows);
        self.rows += part.rows.num_rows();
        self.parts.push(part);
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn batches(&self) -> impl Iterator<Item = &RecordBatch> {
        self.parts.iter().map(|part| &part.rows)
    }

    /// The file that was read first.
    pub(super) fn first_file(&self) -> Option<&str> {
        self.parts.first().map(|part| part.file.as_str())
    }

    /// The file of a row of all parts.
    pub(super) fn file(&self, row: u32) -> Option<&str> {
        self.find(row).map(|(part, _)| part.file.as_str())
    }

    /// Where a row of all parts stands.
    pub(super) fn place(&self, row: u32) -> String {
        match self.find(row) {
            Some((part, row)) => part.places.of(row, &part.file),
            None => String::new(),
        }
    }

    /// The part that a row of all parts is in, and which of its rows it is.
    fn find(&self, row: u32) -> Option<(&Part, usize)> {
        let row = row as usize;
        let begun = self.starts.partition_point(|start| *start <= row);
        let at = begun.checked_sub(1)?;
        let (part, start) = (self.parts.get(at)?, self.starts.get(at)?);
        (row < self.rows).then_some((part, row - start))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array};

    use super::*;

    fn part(file: &str, lines: &[u64]) -> Part {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![0i64; lines.len()]));
        Part {
            file: file.to_owned(),
            places: Places::Lines(lines.to_vec()),
            rows: RecordBatch::try_from_iter([("n", column)]).unwrap(),
        }
    }

    #[test]
    fn every_row_stands_where_it_was_read() {
        let mut parts = Parts::default();
        assert_eq!((parts.rows(), parts.place(0)), (0, String::new()));
        parts.add(part("a", &[2, 3]));
        parts.add(part("a", &[]));
        parts.add(part("b", &[7]));
        parts.add(part("c", &[4, 6, 9]));
        let places: Vec<String> = (0..7).map(|row| parts.place(row)).collect();
        assert_eq!(places, ["a:2", "a:3", "b:7", "c:4", "c:6", "c:9", ""]);
        assert_eq!(parts.rows(), 6);
        assert_eq!(parts.first_file(), Some("a"));
        assert_eq!(
            (parts.file(1), parts.file(2), parts.file(6)),
            (Some("a"), Some("b"), None)
        );
        let sizes: Vec<usize> = parts.batches().map(RecordBatch::num_rows).collect();
        assert_eq!(sizes, [2, 0, 1, 3]);
    }
}
