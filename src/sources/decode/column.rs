//! One column to its canonical type: numbers, times, dates and booleans.
//!
//! A conversion that could lose a digit is refused: a value that does not fit marks its row, a type
//! that cannot fit (a float for a decimal) is an error of the whole file.

use std::fmt::Display;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanBuilder, PrimitiveArray, PrimitiveBuilder,
    StringArray, new_null_array,
};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};

use super::marks::Marks;
use super::{Site, cell, text, tiers};
use crate::sources::error::SourceError;

/// 10³⁸: the first count of units beyond `Decimal128(38, 12)`.
const UNITS_LIMIT: i128 = 100_000_000_000_000_000_000_000_000_000_000_000_000;
const BAD_NUMBER: &str = "bad_number";

/// The column of `field` from an input column of any type.
pub(super) fn decode(
    array: &ArrayRef,
    field: &Field,
    site: &Site<'_>,
    marks: &mut Marks,
) -> Result<ArrayRef, SourceError> {
    let array = plain(array, site)?;
    if array.data_type() == &DataType::Null {
        return Ok(new_null_array(field.data_type(), array.len()));
    }
    let target = Target {
        array: &array,
        name: field.name(),
        wanted: field.data_type(),
        site,
    };
    match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => text::column(&target, marks),
        DataType::Decimal128(38, 12) => target.decimals(marks),
        DataType::Timestamp(TimeUnit::Microsecond, _) => target.timestamps(marks),
        DataType::Date32 => target.dates(marks),
        DataType::Boolean => target.booleans(marks),
        DataType::Int32 => target.integers::<Int32Type>(marks, |value| {
            i32::try_from(value).map_err(|_| "not a whole number of 32 bits".to_owned())
        }),
        DataType::Int64 => target.integers::<Int64Type>(marks, Ok),
        DataType::List(_) => tiers::column(&target, marks),
        _ => Err(target.wrong_type()),
    }
}

/// The same values without dictionaries, views and large offsets; text as `Utf8`.
pub(super) fn plain(array: &ArrayRef, site: &Site<'_>) -> Result<ArrayRef, SourceError> {
    let simpler = match array.data_type() {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView => DataType::Utf8,
        DataType::LargeList(item) => DataType::List(Arc::clone(item)),
        _ => return Ok(Arc::clone(array)),
    };
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let array = cast_with_options(array, &simpler, &strict).map_err(|error| site.arrow(error))?;
    plain(&array, site)
}

/// An input column on its way to a canonical one.
pub(super) struct Target<'a> {
    pub(super) array: &'a ArrayRef,
    pub(super) name: &'a str,
    pub(super) wanted: &'a DataType,
    pub(super) site: &'a Site<'a>,
}

impl Target<'_> {
    /// The error that says that this type cannot become the wanted one.
    pub(super) fn wrong_type(&self) -> SourceError {
        SourceError::WrongType {
            place: self.site.place.to_owned(),
            column: self.name.to_owned(),
            found: self.array.data_type().clone(),
            wanted: self.wanted.clone(),
        }
    }

    /// The input converted by Arrow where that loses nothing.
    pub(super) fn cast(&self, to: &DataType) -> Result<ArrayRef, SourceError> {
        cast(self.array, to).map_err(|error| self.site.arrow(error))
    }

    /// Exact decimals.
    pub(super) fn decimals(&self, marks: &mut Marks) -> Result<ArrayRef, SourceError> {
        if let Some(texts) = self.array.as_string_opt::<i32>() {
            return Ok(self.parse::<Decimal128Type>(texts, BAD_NUMBER, marks, cell::decimal));
        }
        let scale = match self.array.data_type() {
            found if found.is_floating() => {
                return Err(SourceError::Float {
                    place: self.site.place.to_owned(),
                    column: self.name.to_owned(),
                    found: found.clone(),
                });
            }
            // 20 digits at most, with 12 decimals: it always fits.
            found if found.is_integer() => return self.cast(self.wanted),
            DataType::Decimal32(_, scale)
            | DataType::Decimal64(_, scale)
            | DataType::Decimal128(_, scale)
            | DataType::Decimal256(_, scale) => *scale,
            _ => return Err(self.wrong_type()),
        };
        // The same scale, so only a number beyond 38 digits is lost, and it is marked.
        let wide = self.cast(&DataType::Decimal128(38, scale))?;
        self.mark_lost(&wide, marks);
        let wide = wide.as_primitive::<Decimal128Type>();
        Ok(self
            .convert::<_, Decimal128Type>(wide, BAD_NUMBER, marks, |units| rescale(units, scale)))
    }

    fn timestamps(&self, marks: &mut Marks) -> Result<ArrayRef, SourceError> {
        const CODE: &str = "bad_timestamp";
        if let Some(texts) = self.array.as_string_opt::<i32>() {
            return Ok(self.parse::<TimestampMicrosecondType>(texts, CODE, marks, cell::timestamp));
        }
        let (factor, divisor) = match self.array.data_type() {
            DataType::Timestamp(TimeUnit::Second, _) => (1_000_000, 1),
            DataType::Timestamp(TimeUnit::Millisecond, _) | DataType::Date64 => (1_000, 1),
            DataType::Timestamp(TimeUnit::Microsecond, _) => (1, 1),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => (1, 1_000),
            DataType::Date32 => (cell::MICROS_PER_DAY, 1),
            _ => return Err(self.wrong_type()),
        };
        let counts = if self.array.data_type() == &DataType::Date32 {
            let days = self.cast(&DataType::Int32)?;
            cast(&days, &DataType::Int64).map_err(|error| self.site.arrow(error))?
        } else {
            self.cast(&DataType::Int64)?
        };
        let counts = counts.as_primitive::<Int64Type>();
        Ok(
            self.convert::<_, TimestampMicrosecondType>(counts, CODE, marks, |count| {
                if count % divisor != 0 {
                    return Err("more precise than a microsecond".to_owned());
                }
                (count / divisor)
                    .checked_mul(factor)
                    .ok_or_else(|| "out of range".to_owned())
            }),
        )
    }

    fn dates(&self, marks: &mut Marks) -> Result<ArrayRef, SourceError> {
        const CODE: &str = "bad_date";
        if let Some(texts) = self.array.as_string_opt::<i32>() {
            return Ok(self.parse::<Date32Type>(texts, CODE, marks, cell::date));
        }
        if self.array.data_type() == &DataType::Date32 {
            return Ok(Arc::clone(self.array));
        }
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let instants = Target {
            array: self.array,
            name: self.name,
            wanted: &utc,
            site: self.site,
        };
        let micros = instants.timestamps(marks)?;
        let micros = micros.as_primitive::<TimestampMicrosecondType>();
        Ok(
            self.convert::<_, Date32Type>(micros, CODE, marks, |micros| {
                cell::day_of(micros).ok_or_else(|| "out of range".to_owned())
            }),
        )
    }

    fn booleans(&self, marks: &mut Marks) -> Result<ArrayRef, SourceError> {
        if self.array.data_type() == &DataType::Boolean {
            return Ok(Arc::clone(self.array));
        }
        let texts = if self.array.data_type().is_integer() {
            self.cast(&DataType::Utf8)?
        } else {
            Arc::clone(self.array)
        };
        let Some(texts) = texts.as_string_opt::<i32>() else {
            return Err(self.wrong_type());
        };
        let mut out = BooleanBuilder::with_capacity(texts.len());
        for (row, text) in texts.iter().enumerate() {
            let text = text.map(str::trim_ascii).filter(|text| !text.is_empty());
            let value = text.and_then(cell::boolean);
            if let (Some(text), None) = (text, value) {
                marks.add(row, "bad_boolean", || {
                    self.reason(text, "not one of true, false, 1 and 0")
                });
            }
            out.append_option(value);
        }
        Ok(Arc::new(out.finish()))
    }

    fn integers<T: ArrowPrimitiveType>(
        &self,
        marks: &mut Marks,
        narrow: impl Fn(i64) -> Result<T::Native, String>,
    ) -> Result<ArrayRef, SourceError> {
        if let Some(texts) = self.array.as_string_opt::<i32>() {
            return Ok(self.parse::<T>(texts, BAD_NUMBER, marks, |text| {
                cell::integer(text).and_then(&narrow)
            }));
        }
        if !self.array.data_type().is_integer() {
            return Err(self.wrong_type());
        }
        let wide = self.cast(&DataType::Int64)?;
        self.mark_lost(&wide, marks);
        let wide = wide.as_primitive::<Int64Type>();
        Ok(self.convert::<_, T>(wide, BAD_NUMBER, marks, narrow))
    }

    fn reason(&self, found: &str, error: impl Display) -> String {
        format!("`{}` is \"{found}\": {error}", self.name)
    }

    fn mark_lost(&self, converted: &ArrayRef, marks: &mut Marks) {
        if converted.null_count() == self.array.null_count() {
            return;
        }
        for row in 0..converted.len() {
            if converted.is_null(row) && self.array.is_valid(row) {
                marks.add(row, BAD_NUMBER, || format!("`{}` is too large", self.name));
            }
        }
    }

    /// Empty text is NULL; text that `parse` refuses marks its row.
    fn parse<T: ArrowPrimitiveType>(
        &self,
        texts: &StringArray,
        code: &'static str,
        marks: &mut Marks,
        parse: impl Fn(&str) -> Result<T::Native, String>,
    ) -> ArrayRef {
        let mut out = PrimitiveBuilder::<T>::with_capacity(texts.len());
        for (row, text) in texts.iter().enumerate() {
            let text = text.unwrap_or_default().trim_ascii();
            if text.is_empty() {
                out.append_null();
                continue;
            }
            match parse(text) {
                Ok(value) => out.append_value(value),
                Err(error) => {
                    marks.add(row, code, || self.reason(text, error));
                    out.append_null();
                }
            }
        }
        Arc::new(out.finish().with_data_type(self.wanted.clone()))
    }

    fn convert<S: ArrowPrimitiveType, T: ArrowPrimitiveType>(
        &self,
        values: &PrimitiveArray<S>,
        code: &'static str,
        marks: &mut Marks,
        convert: impl Fn(S::Native) -> Result<T::Native, String>,
    ) -> ArrayRef {
        let mut out = PrimitiveBuilder::<T>::with_capacity(values.len());
        for (row, value) in values.iter().enumerate() {
            match value.map(&convert) {
                None => out.append_null(),
                Some(Ok(value)) => out.append_value(value),
                Some(Err(error)) => {
                    marks.add(row, code, || format!("`{}` is {error}", self.name));
                    out.append_null();
                }
            }
        }
        Arc::new(out.finish().with_data_type(self.wanted.clone()))
    }
}

/// Units of scale 12 from units of another scale, where that is exact.
fn rescale(units: i128, scale: i8) -> Result<i128, String> {
    let shift = 12 - i32::from(scale);
    let factor = 10i128.checked_pow(shift.unsigned_abs());
    let scaled = match factor {
        _ if units == 0 => Some(0),
        Some(factor) if shift >= 0 => units.checked_mul(factor),
        Some(factor) if units % factor == 0 => Some(units / factor),
        None if shift >= 0 => None,
        _ => return Err("a number of more than 12 decimals".to_owned()),
    };
    scaled
        .filter(|units| units.unsigned_abs() < UNITS_LIMIT.unsigned_abs())
        .ok_or_else(|| "too large: more than 26 digits before the decimal point".to_owned())
}
