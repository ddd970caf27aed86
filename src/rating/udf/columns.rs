//! Reads prices from Arrow. Columns are brought to their lake type once per batch; any of them may
//! be absent, NULL-typed, of another decimal scale, an integer or text. A float is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Decimal128Builder, Int32Array,
    ListArray, StringArray, StructArray,
};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{ArrowNativeType, DataType, Decimal128Type, Int32Type};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::ColumnarValue;

use super::DECIMAL;
use crate::model::Decimal;
use crate::model::currency::minor_exponent;
use crate::rating::defaults::{GENERAL, for_platform};
use crate::rating::error::RatingError;
use crate::rating::price::{Price, Tier};
use crate::rating::terms::{ChargeModel, UnknownTerm};

/// An argument as an array; a scalar stays one value that every row shares.
pub(super) struct Argument {
    pub(super) array: ArrayRef,
    is_scalar: bool,
}

impl Argument {
    pub(super) fn new(value: &ColumnarValue) -> Result<Self> {
        Ok(match value {
            ColumnarValue::Array(array) => Self {
                array: Arc::clone(array),
                is_scalar: false,
            },
            ColumnarValue::Scalar(scalar) => Self {
                array: scalar.to_array()?,
                is_scalar: true,
            },
        })
    }

    pub(super) const fn is_scalar(&self) -> bool {
        self.is_scalar
    }

    /// Where row `row` of the batch is found.
    pub(super) const fn index(&self, row: usize) -> usize {
        if self.is_scalar { 0 } else { row }
    }
}

/// A column of decimals; absent is all NULL.
#[derive(Default)]
pub(super) struct Numbers(Option<Decimal128Array>);

impl Numbers {
    pub(super) fn new(name: &str, array: &ArrayRef) -> Result<Self> {
        let array = match array.data_type() {
            DataType::Null => return Ok(Self(None)),
            DataType::Decimal128(38, 12) => Arc::clone(array),
            float if float.is_floating() => {
                return exec_err!("{name} is a {float}; a float carries no exact number");
            }
            DataType::Dictionary(_, value) => return Self::new(name, &cast(array, value)?),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                return parsed(name, &cast(array, &DataType::Utf8)?);
            }
            _ => cast(array, &DECIMAL)?,
        };
        Ok(Self(array.as_primitive_opt::<Decimal128Type>().cloned()))
    }

    pub(super) fn get(&self, index: usize) -> Option<Decimal> {
        let array = self.0.as_ref()?;
        array
            .is_valid(index)
            .then(|| Decimal::from_units(array.value(index)))
    }
}

/// A column of text; absent is all NULL.
#[derive(Default)]
pub(super) struct Words(Option<StringArray>);

impl Words {
    pub(super) fn new(array: &ArrayRef) -> Result<Self> {
        if array.data_type() == &DataType::Null {
            return Ok(Self(None));
        }
        Ok(Self(
            cast(array, &DataType::Utf8)?
                .as_string_opt::<i32>()
                .cloned(),
        ))
    }

    pub(super) fn get(&self, index: usize) -> Option<&str> {
        let array = self.0.as_ref()?;
        array.is_valid(index).then(|| array.value(index))
    }

    fn term<T>(&self, index: usize) -> Result<Option<T>, UnknownTerm>
    where
        T: std::str::FromStr<Err = UnknownTerm>,
    {
        self.get(index).map(str::parse::<T>).transpose()
    }
}

/// The columns of a price struct.
#[derive(Default)]
pub(super) struct PriceColumns {
    whole: Option<StructArray>,
    price_id: Words,
    platform: Words,
    charge_model: Words,
    currency: Words,
    unit_price: Numbers,
    flat_fee: Numbers,
    package_size: Numbers,
    package_rounding: Words,
    included_quantity: Numbers,
    overage_price: Numbers,
    percentage_rate: Numbers,
    free_events: Numbers,
    free_amount: Numbers,
    event_minimum: Numbers,
    event_maximum: Numbers,
    minimum_amount: Numbers,
    maximum_amount: Numbers,
    tiers: TierColumns,
    rounding_stage: Words,
    rounding_mode: Words,
    rounding_scale: Option<Int32Array>,
    rounding_increment: Numbers,
    quantity_rounding: Words,
    quantity_scale: Option<Int32Array>,
    tier_pick: Words,
    flat_fee_at_zero: Option<BooleanArray>,
    negative_policy: Words,
}

impl PriceColumns {
    pub(super) fn new(array: &ArrayRef) -> Result<Self> {
        let Some(whole) = array.as_struct_opt() else {
            return exec_err!(
                "a price is a struct of price columns, not {}",
                array.data_type()
            );
        };
        let mut columns = Self {
            whole: Some(whole.clone()),
            ..Self::default()
        };
        for (field, child) in whole.fields().iter().zip(whole.columns()) {
            let name = field.name().as_str();
            let number = || Numbers::new(name, child);
            let words = || Words::new(child);
            match name {
                "price_id" => columns.price_id = words()?,
                "platform" => columns.platform = words()?,
                "charge_model" => columns.charge_model = words()?,
                "currency" => columns.currency = words()?,
                "unit_price" => columns.unit_price = number()?,
                "flat_fee" => columns.flat_fee = number()?,
                "package_size" => columns.package_size = number()?,
                "package_rounding" => columns.package_rounding = words()?,
                "included_quantity" => columns.included_quantity = number()?,
                "overage_price" => columns.overage_price = number()?,
                "percentage_rate" => columns.percentage_rate = number()?,
                "free_events" => columns.free_events = number()?,
                "free_amount" => columns.free_amount = number()?,
                "event_minimum" => columns.event_minimum = number()?,
                "event_maximum" => columns.event_maximum = number()?,
                "minimum_amount" => columns.minimum_amount = number()?,
                "maximum_amount" => columns.maximum_amount = number()?,
                "tiers" => columns.tiers = TierColumns::new(child)?,
                "rounding_stage" => columns.rounding_stage = words()?,
                "rounding_mode" => columns.rounding_mode = words()?,
                "rounding_scale" => columns.rounding_scale = scales(child)?,
                "rounding_increment" => columns.rounding_increment = number()?,
                "quantity_rounding" => columns.quantity_rounding = words()?,
                "quantity_scale" => columns.quantity_scale = scales(child)?,
                "tier_pick" => columns.tier_pick = words()?,
                "flat_fee_at_zero" => columns.flat_fee_at_zero = flags(child)?,
                "negative_policy" => columns.negative_policy = words()?,
                // Names, dates and whatever else the struct carries do not change an amount.
                _ => {}
            }
        }
        Ok(columns)
    }

    /// How a message calls the price of a row.
    pub(super) fn label(&self, index: usize) -> String {
        self.price_id
            .get(index)
            .map_or_else(String::new, |id| format!(" (price {id})"))
    }

    /// Reads a price into one that is reused from row to row; `false` where the price is NULL.
    pub(super) fn read(
        &self,
        index: usize,
        price: &mut Price,
        memory: &mut Memory,
    ) -> Result<bool, RatingError> {
        if self.whole.as_ref().is_none_or(|whole| whole.is_null(index)) {
            return Ok(false);
        }
        let Some(charge_model) = self.charge_model.term::<ChargeModel>(index)? else {
            return Ok(false);
        };
        price.charge_model = charge_model;
        price.currency_exponent = self
            .currency
            .get(index)
            .and_then(|code| memory.exponent_of(code));
        price.defaults = self.platform.get(index).map_or(GENERAL, for_platform);
        price.unit_price = self.unit_price.get(index);
        price.flat_fee = self.flat_fee.get(index);
        price.package_size = self.package_size.get(index);
        price.package_rounding = self.package_rounding.term(index)?;
        price.included_quantity = self.included_quantity.get(index);
        price.overage_price = self.overage_price.get(index);
        price.percentage_rate = self.percentage_rate.get(index);
        price.free_events = self.free_events.get(index);
        price.free_amount = self.free_amount.get(index);
        price.event_minimum = self.event_minimum.get(index);
        price.event_maximum = self.event_maximum.get(index);
        price.minimum_amount = self.minimum_amount.get(index);
        price.maximum_amount = self.maximum_amount.get(index);
        self.tiers.read(index, &mut price.tiers)?;
        price.rounding_stage = self.rounding_stage.term(index)?;
        price.rounding_mode = self.rounding_mode.term(index)?;
        price.rounding_scale = scale_at(self.rounding_scale.as_ref(), index);
        price.rounding_increment = self.rounding_increment.get(index);
        price.quantity_rounding = self.quantity_rounding.term(index)?;
        price.quantity_scale = scale_at(self.quantity_scale.as_ref(), index);
        price.tier_pick = self.tier_pick.term(index)?;
        price.flat_fee_at_zero = self
            .flat_fee_at_zero
            .as_ref()
            .and_then(|array| array.is_valid(index).then(|| array.value(index)));
        price.negative_policy = self.negative_policy.term(index)?;
        Ok(true)
    }
}

/// The last currency looked up: lines of one batch mostly share theirs.
#[derive(Default)]
pub(super) struct Memory {
    code: String,
    exponent: Option<u32>,
}

impl Memory {
    pub(super) fn exponent_of(&mut self, code: &str) -> Option<u32> {
        if self.code != code {
            self.exponent = minor_exponent(code);
            self.code.clear();
            self.code.push_str(code);
        }
        self.exponent
    }
}

/// The columns of the tier list.
#[derive(Default)]
struct TierColumns {
    list: Option<ListArray>,
    elements: Option<StructArray>,
    up_to: Numbers,
    unit_price: Numbers,
    flat_fee: Numbers,
    package_size: Numbers,
    percentage_rate: Numbers,
    max_blocks: Numbers,
}

impl TierColumns {
    fn new(array: &ArrayRef) -> Result<Self> {
        let array = match array.data_type() {
            DataType::Null => return Ok(Self::default()),
            DataType::List(_) => Arc::clone(array),
            DataType::LargeList(field)
            | DataType::FixedSizeList(field, _)
            | DataType::ListView(field)
            | DataType::LargeListView(field) => cast(array, &DataType::List(Arc::clone(field)))?,
            other => return exec_err!("tiers is a list of structs, not {other}"),
        };
        let Some(list) = array.as_list_opt::<i32>() else {
            return exec_err!("tiers is a list of structs, not {}", array.data_type());
        };
        let mut columns = Self {
            list: Some(list.clone()),
            ..Self::default()
        };
        let Some(elements) = list.values().as_struct_opt() else {
            if list.values().data_type() == &DataType::Null {
                return Ok(Self::default());
            }
            return exec_err!("tiers is a list of structs, not {}", array.data_type());
        };
        for (field, child) in elements.fields().iter().zip(elements.columns()) {
            let name = field.name().as_str();
            let number = || Numbers::new(name, child);
            match name {
                "up_to" => columns.up_to = number()?,
                "unit_price" => columns.unit_price = number()?,
                "flat_fee" => columns.flat_fee = number()?,
                "package_size" => columns.package_size = number()?,
                "percentage_rate" => columns.percentage_rate = number()?,
                "max_blocks" => columns.max_blocks = number()?,
                _ => {}
            }
        }
        columns.elements = Some(elements.clone());
        Ok(columns)
    }

    fn read(&self, index: usize, tiers: &mut Vec<Tier>) -> Result<(), RatingError> {
        tiers.clear();
        let (Some(list), Some(elements)) = (&self.list, &self.elements) else {
            return Ok(());
        };
        if list.is_null(index) {
            return Ok(());
        }
        let offsets = list.value_offsets();
        let range = offsets[index].as_usize()..offsets[index + 1].as_usize();
        for (number, at) in (1..).zip(range) {
            if elements.is_null(at) {
                return Err(RatingError::TierNull { tier: number });
            }
            tiers.push(Tier {
                up_to: self.up_to.get(at),
                unit_price: self.unit_price.get(at),
                flat_fee: self.flat_fee.get(at),
                package_size: self.package_size.get(at),
                percentage_rate: self.percentage_rate.get(at),
                max_blocks: self.max_blocks.get(at),
                limits: BTreeMap::new(),
            });
        }
        Ok(())
    }
}

fn parsed(name: &str, texts: &ArrayRef) -> Result<Numbers> {
    let Some(texts) = texts.as_string_opt::<i32>() else {
        return Ok(Numbers(None));
    };
    let mut numbers = Decimal128Builder::with_capacity(texts.len()).with_data_type(DECIMAL);
    for (row, text) in texts.iter().enumerate() {
        let number = text.map(str::parse::<Decimal>).transpose();
        let number =
            number.map_err(|reason| exec_datafusion_err!("{name}: row {row}: {reason}"))?;
        numbers.append_option(number.map(Decimal::units));
    }
    Ok(Numbers(Some(numbers.finish())))
}

fn scales(array: &ArrayRef) -> Result<Option<Int32Array>> {
    if array.data_type() == &DataType::Null {
        return Ok(None);
    }
    Ok(cast(array, &DataType::Int32)?
        .as_primitive_opt::<Int32Type>()
        .cloned())
}

fn scale_at(scales: Option<&Int32Array>, index: usize) -> Option<i32> {
    let scales = scales?;
    scales.is_valid(index).then(|| scales.value(index))
}

fn flags(array: &ArrayRef) -> Result<Option<BooleanArray>> {
    if array.data_type() == &DataType::Null {
        return Ok(None);
    }
    Ok(cast(array, &DataType::Boolean)?.as_boolean_opt().cloned())
}

/// A cast that fails where a value does not fit, instead of making it NULL.
fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    Ok(cast_with_options(array, to, &options)?)
}
