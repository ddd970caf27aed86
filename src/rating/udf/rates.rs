//! `rate`, `rate_unrounded`, `rate_tiers` and `rate_as`: a price struct and a quantity, row by row.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, Decimal128Builder, ListArray, NullBufferBuilder, StructArray,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::columns::{Argument, Memory, Numbers, PriceColumns, Words};
use super::{
    DECIMAL, breakdown_fields, breakdown_type, element, expect_arguments, number_argument,
};
use crate::model::Decimal;
use crate::rating::breakdown::TierCharge;
use crate::rating::error::RatingError;
use crate::rating::price::Price;
use crate::rating::rate::{rate, rate_amount, rate_unrounded};
use crate::rating::terms::ChargeModel;

pub(super) fn functions() -> Vec<ScalarUDF> {
    [What::Amount, What::Unrounded, What::Tiers, What::UnderModel]
        .into_iter()
        .map(|what| ScalarUDF::from(RateFunction::new(what)))
        .collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    Amount,
    Unrounded,
    Tiers,
    UnderModel,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct RateFunction {
    what: What,
    signature: Signature,
}

impl RateFunction {
    fn new(what: What) -> Self {
        Self {
            what,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for RateFunction {
    fn name(&self) -> &str {
        match self.what {
            What::Amount => "rate",
            What::Unrounded => "rate_unrounded",
            What::Tiers => "rate_tiers",
            What::UnderModel => "rate_as",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let wanted = if self.what == What::UnderModel { 3 } else { 2 };
        expect_arguments(self.name(), wanted, given.len())?;
        if !matches!(given[0], DataType::Struct(_) | DataType::Null) {
            return plan_err!(
                "{}: the price is a struct of price columns, not {}",
                self.name(),
                given[0]
            );
        }
        let mut types = vec![
            given[0].clone(),
            number_argument(self.name(), "the quantity", &given[1])?,
        ];
        if wanted == 3 {
            types.push(DataType::Utf8);
        }
        Ok(types)
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(if self.what == What::Tiers {
            breakdown_type()
        } else {
            DECIMAL
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = Rows::new(self.name(), &args)?;
        let array: ArrayRef = match self.what {
            What::Amount | What::UnderModel => rows.amounts(rate_amount)?,
            What::Unrounded => rows.amounts(rate_unrounded)?,
            What::Tiers => rows.breakdowns()?,
        };
        Ok(ColumnarValue::Array(array))
    }
}

/// The arguments of one batch.
struct Rows<'a> {
    function: &'a str,
    count: usize,
    price: Argument,
    prices: PriceColumns,
    quantity: Argument,
    quantities: Numbers,
    model: Option<(Argument, Words)>,
}

impl<'a> Rows<'a> {
    fn new(function: &'a str, args: &ScalarFunctionArgs) -> Result<Self> {
        let (price, quantity, model) = match args.args.as_slice() {
            [price, quantity] => (price, quantity, None),
            [price, quantity, model] => (price, quantity, Some(model)),
            other => return exec_err!("{function}: unexpected {} arguments", other.len()),
        };
        let price = Argument::new(price)?;
        let prices = if price.array.data_type() == &DataType::Null {
            PriceColumns::default()
        } else {
            PriceColumns::new(&price.array)?
        };
        let quantity = Argument::new(quantity)?;
        let quantities = Numbers::new("quantity", &quantity.array)?;
        let model = match model {
            Some(model) => {
                let model = Argument::new(model)?;
                let words = Words::new(&model.array)?;
                Some((model, words))
            }
            None => None,
        };
        Ok(Self {
            function,
            count: args.number_rows,
            price,
            prices,
            quantity,
            quantities,
            model,
        })
    }

    /// Calls `each` for every row, with `None` where an argument is NULL.
    fn for_each(
        &self,
        mut each: impl FnMut(Option<(&Price, Decimal)>) -> Result<(), RatingError>,
    ) -> Result<()> {
        let mut price = Price::new(ChargeModel::Custom);
        let mut memory = Memory::default();
        // A price that every row shares is read once, unless a supposed model changes it each time.
        let read_once = self.price.is_scalar() && self.model.is_none();
        let mut is_known = false;
        for row in 0..self.count {
            let index = self.price.index(row);
            let named = |error: RatingError| {
                let label = self.prices.label(index);
                exec_datafusion_err!("{}: row {row}{label}: {error}", self.function)
            };
            if row == 0 || !read_once {
                is_known = self
                    .prices
                    .read(index, &mut price, &mut memory)
                    .map_err(named)?;
                if is_known {
                    is_known = self.suppose(row, &mut price).map_err(named)?;
                }
            }
            let quantity = self.quantities.get(self.quantity.index(row));
            match quantity {
                Some(quantity) if is_known => each(Some((&price, quantity))).map_err(named)?,
                _ => each(None).map_err(named)?,
            }
        }
        Ok(())
    }

    /// Applies the supposed model; `false` where it is NULL.
    fn suppose(&self, row: usize, price: &mut Price) -> Result<bool, RatingError> {
        let Some((argument, words)) = &self.model else {
            return Ok(true);
        };
        let Some(model) = words.get(argument.index(row)) else {
            return Ok(false);
        };
        price.suppose(model)?;
        Ok(true)
    }

    fn amounts(
        &self,
        of: impl Fn(&Price, Decimal) -> Result<Decimal, RatingError>,
    ) -> Result<ArrayRef> {
        let mut amounts = Decimal128Builder::with_capacity(self.count).with_data_type(DECIMAL);
        self.for_each(|row| {
            let amount = match row {
                Some((price, quantity)) => known(of(price, quantity))?,
                None => None,
            };
            amounts.append_option(amount.map(Decimal::units));
            Ok(())
        })?;
        Ok(Arc::new(amounts.finish()))
    }

    fn breakdowns(&self) -> Result<ArrayRef> {
        let mut tiers = TierBuilder::default();
        let mut lengths = Vec::with_capacity(self.count);
        let mut nulls = NullBufferBuilder::new(self.count);
        self.for_each(|row| {
            let rated = match row {
                Some((price, quantity)) => known(rate(price, quantity))?,
                None => None,
            };
            nulls.append(rated.is_some());
            let charges = rated.map(|rated| rated.tiers).unwrap_or_default();
            lengths.push(charges.len());
            for charge in &charges {
                tiers.append(charge);
            }
            Ok(())
        })?;
        let list = ListArray::try_new(
            Arc::new(element(breakdown_fields())),
            OffsetBuffer::from_lengths(lengths),
            Arc::new(tiers.finish()?),
            nulls.finish(),
        )?;
        Ok(Arc::new(list))
    }
}

/// An amount that the price does not say is NULL; anything else that is missing is an error.
fn known<T>(rated: Result<T, RatingError>) -> Result<Option<T>, RatingError> {
    match rated {
        Ok(rated) => Ok(Some(rated)),
        Err(error) if error.is_unrateable() => Ok(None),
        Err(error) => Err(error),
    }
}

struct TierBuilder {
    columns: [Decimal128Builder; 5],
}

impl Default for TierBuilder {
    fn default() -> Self {
        let column = || Decimal128Builder::new().with_data_type(DECIMAL);
        Self {
            columns: [column(), column(), column(), column(), column()],
        }
    }
}

impl TierBuilder {
    fn append(&mut self, charge: &TierCharge) {
        let [up_to, quantity, unit_price, flat_fee, amount] = &mut self.columns;
        up_to.append_option(charge.up_to.map(Decimal::units));
        quantity.append_value(charge.quantity.units());
        unit_price.append_value(charge.unit_price.units());
        flat_fee.append_value(charge.flat_fee.units());
        amount.append_value(charge.amount.units());
    }

    fn finish(mut self) -> Result<StructArray> {
        let columns = self.columns.iter_mut().map(|column| {
            let column: ArrayRef = Arc::new(column.finish());
            column
        });
        Ok(StructArray::try_new(
            breakdown_fields(),
            columns.collect(),
            None,
        )?)
    }
}
