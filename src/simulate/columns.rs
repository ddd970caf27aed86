//! One Parquet file being written: cells in, row groups out, in bounded memory.
//!
//! It knows the kinds of columns of the data model and no table. Text, amounts and times leave as
//! the types that the lake has, so that nothing is converted twice.

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
use datafusion::parquet::file::properties::WriterProperties;

use super::error::SimulateError;

/// Rows handed to the file at once.
const BATCH_ROWS: usize = 4_096;
/// Rows of a row group: what a file holds back until it is closed is at most this.
const GROUP_ROWS: usize = 64 * 1_024;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnKind {
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
            Self::Text => DataType::Utf8,
            Self::Amount => DataType::Decimal128(38, 12),
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Date => DataType::Date32,
            Self::Flag => DataType::Boolean,
            Self::Number => DataType::Int32,
        }
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
            ColumnKind::Text => Self::Text(StringBuilder::new()),
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
    rows: usize,
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
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for (kind, names) in layout {
            for name in names.split_whitespace() {
                fields.push(Field::new(name, kind.data_type(), true));
                columns.push(Column::new(*kind));
            }
        }
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties));
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
            writer,
        })
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
