//! One Parquet file being written: cells in, row groups out, in bounded memory.
//!
//! It knows the kinds of columns of the data model and no table. Text, amounts and times leave as
//! the types that the lake has, so that nothing is converted twice. What it holds back is a row
//! group and the directory of those before it: who writes without end has to begin a new file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Int32Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};
use datafusion::parquet::schema::types::ColumnPath;

use super::error::SimulateError;

/// Rows handed to the file at once.
const BATCH_ROWS: usize = 1_024;
/// Rows of a row group: what a file holds back is at most this. Small, as every file of a world is
/// open at once.
const GROUP_ROWS: usize = 16 * 1_024;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnKind {
    /// Text that hardly any two rows share.
    Key,
    Text,
    Amount,
    Time,
    Date,
    Flag,
    Number,
}

impl ColumnKind {
    fn data_type(self) -> DataType {
        match self {
            Self::Key | Self::Text => DataType::Utf8,
            Self::Amount => DataType::Decimal128(38, 12),
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Date => DataType::Date32,
            Self::Flag => DataType::Boolean,
            Self::Number => DataType::Int32,
        }
    }

    /// Whether values come again often enough for a dictionary; where they do not, it costs memory
    /// and makes the file larger.
    const fn repeats(self) -> bool {
        matches!(self, Self::Text | Self::Date | Self::Flag | Self::Number)
    }
}

/// The columns of a table: the kind, and names between blanks.
pub(super) type Layout = &'static [(ColumnKind, &'static str)];

/// One value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'a> {
    Null,
    Text(&'a str),
    Amount(i128),
    Time(i64),
    Date(i64),
    Flag(bool),
    Number(i32),
}

impl<'a> Cell<'a> {
    pub(super) fn text(value: Option<&'a str>) -> Self {
        value.map_or(Self::Null, Self::Text)
    }

    pub(super) fn amount(value: Option<i128>) -> Self {
        value.map_or(Self::Null, Self::Amount)
    }

    pub(super) fn time(value: Option<i64>) -> Self {
        value.map_or(Self::Null, Self::Time)
    }
}

enum Column {
    Text(StringBuilder),
    Amount(Decimal128Builder),
    Time(TimestampMicrosecondBuilder),
    Date(Date32Builder),
    Flag(BooleanBuilder),
    Number(Int32Builder),
}

impl Column {
    fn new(kind: ColumnKind) -> Self {
        let data_type = kind.data_type();
        match kind {
            ColumnKind::Key | ColumnKind::Text => Self::Text(StringBuilder::new()),
            ColumnKind::Amount => Self::Amount(Decimal128Builder::new().with_data_type(data_type)),
            ColumnKind::Time => {
                Self::Time(TimestampMicrosecondBuilder::new().with_data_type(data_type))
            }
            ColumnKind::Date => Self::Date(Date32Builder::new()),
            ColumnKind::Flag => Self::Flag(BooleanBuilder::new()),
            ColumnKind::Number => Self::Number(Int32Builder::new()),
        }
    }

    /// Whether the cell was of the column's kind.
    fn push(&mut self, cell: Cell<'_>) -> bool {
        match (self, cell) {
            (Self::Text(column), Cell::Text(value)) => column.append_value(value),
            (Self::Text(column), Cell::Null) => column.append_null(),
            (Self::Amount(column), Cell::Amount(value)) => column.append_value(value),
            (Self::Amount(column), Cell::Null) => column.append_null(),
            (Self::Time(column), Cell::Time(value)) => column.append_value(value),
            (Self::Time(column), Cell::Null) => column.append_null(),
            (Self::Date(column), Cell::Date(value)) => match i32::try_from(value) {
                Ok(value) => column.append_value(value),
                Err(_) => return false,
            },
            (Self::Date(column), Cell::Null) => column.append_null(),
            (Self::Flag(column), Cell::Flag(value)) => column.append_value(value),
            (Self::Flag(column), Cell::Null) => column.append_null(),
            (Self::Number(column), Cell::Number(value)) => column.append_value(value),
            (Self::Number(column), Cell::Null) => column.append_null(),
            _ => return false,
        }
        true
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(column) => Arc::new(column.finish()),
            Self::Amount(column) => Arc::new(column.finish()),
            Self::Time(column) => Arc::new(column.finish()),
            Self::Date(column) => Arc::new(column.finish()),
            Self::Flag(column) => Arc::new(column.finish()),
            Self::Number(column) => Arc::new(column.finish()),
        }
    }
}

/// A file of one table.
pub(super) struct TableFile {
    table: &'static str,
    path: PathBuf,
    schema: SchemaRef,
    columns: Vec<Column>,
    /// Rows that the writer does not have yet.
    rows: usize,
    /// Rows taken, all in all.
    taken: usize,
    writer: ArrowWriter<File>,
}

impl TableFile {
    /// Makes the file and the folder it is in.
    pub(super) fn create(
        table: &'static str,
        layout: Layout,
        path: &Path,
    ) -> Result<Self, SimulateError> {
        let write = |source| SimulateError::Write {
            path: path.to_owned(),
            source,
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(write)?;
        }
        let file = File::create_new(path).map_err(write)?;
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_max_row_group_row_count(Some(GROUP_ROWS));
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for (kind, names) in layout {
            for name in names.split_whitespace() {
                fields.push(Field::new(name, kind.data_type(), true));
                columns.push(Column::new(*kind));
                if !kind.repeats() {
                    let column = ColumnPath::from(name);
                    properties = properties.set_column_dictionary_enabled(column, false);
                }
            }
        }
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties.build()));
        let writer = writer.map_err(|source| SimulateError::Parquet {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            table,
            path: path.to_owned(),
            schema,
            columns,
            rows: 0,
            taken: 0,
            writer,
        })
    }

    /// Rows taken so far.
    pub(super) const fn taken(&self) -> usize {
        self.taken
    }

    /// Adds a row: one cell for each column, in order.
    pub(super) fn push(&mut self, cells: &[Cell<'_>]) -> Result<(), SimulateError> {
        if cells.len() != self.columns.len() {
            return Err(SimulateError::Cell {
                table: self.table,
                column: cells.len(),
            });
        }
        for (place, (column, cell)) in self.columns.iter_mut().zip(cells).enumerate() {
            if !column.push(*cell) {
                return Err(SimulateError::Cell {
                    table: self.table,
                    column: place,
                });
            }
        }
        self.rows += 1;
        self.taken += 1;
        if self.rows >= BATCH_ROWS {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SimulateError> {
        self.rows = 0;
        let arrays = self.columns.iter_mut().map(Column::finish).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(|source| {
            SimulateError::Batch {
                table: self.table,
                source,
            }
        })?;
        self.writer
            .write(&batch)
            .map_err(|source| SimulateError::Parquet {
                path: self.path.clone(),
                source,
            })
    }

    /// Writes what is left and the footer.
    pub(super) fn close(mut self) -> Result<(), SimulateError> {
        self.flush()?;
        let Self { path, writer, .. } = self;
        match writer.close() {
            Ok(_) => Ok(()),
            Err(source) => Err(SimulateError::Parquet { path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::parquet::file::reader::{FileReader, SerializedFileReader};

    use super::*;

    const LAYOUT: Layout = &[
        (ColumnKind::Key, "id"),
        (ColumnKind::Text, "kind"),
        (ColumnKind::Amount, "amount"),
    ];

    #[test]
    fn a_file_holds_back_one_row_group_at_most() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.parquet");
        let mut file = TableFile::create("rows", LAYOUT, &path).unwrap();
        let rows = 3 * GROUP_ROWS + BATCH_ROWS / 2;
        for number in 0..rows {
            let id = format!("r{number}");
            let cells = [Cell::Text(&id), Cell::Text("k"), Cell::Amount(7)];
            file.push(&cells).unwrap();
            assert!(file.rows < BATCH_ROWS);
            assert!(file.writer.in_progress_rows() <= GROUP_ROWS);
        }
        assert_eq!(file.taken(), rows);
        file.close().unwrap();
        let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
        let groups = reader.metadata().row_groups();
        let counts: Vec<i64> = groups.iter().map(|group| group.num_rows()).collect();
        assert_eq!(counts, [16_384, 16_384, 16_384, 512]);
        let has_dictionary = |column: usize| {
            let column = groups[0].column(column);
            column.dictionary_page_offset().is_some()
        };
        assert_eq!([0, 1, 2].map(has_dictionary), [false, true, false]);
    }

    #[test]
    fn a_cell_of_another_kind_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.parquet");
        let mut file = TableFile::create("rows", LAYOUT, &path).unwrap();
        let wrong = file.push(&[Cell::Text("a"), Cell::Flag(true), Cell::Null]);
        assert!(matches!(wrong, Err(SimulateError::Cell { column: 1, .. })));
        let short = file.push(&[Cell::Text("a")]);
        assert!(matches!(short, Err(SimulateError::Cell { column: 1, .. })));
    }
}
