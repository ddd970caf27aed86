//! `tiers('[{"up_to":"100","unit_price":"0.10"},…]')`: the `tiers` column of a price from JSON, for
//! cases and for queries by hand. It reads JSON exactly as the calculator does.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Decimal128Builder, ListArray, NullBufferBuilder, StructArray,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::columns::{Argument, Words};
use super::{DECIMAL, element, expect_arguments, list_of, tier_fields};
use crate::model::Decimal;
use crate::rating::json::{self, InputError, Spellings};
use crate::rating::price::Tier;

pub(super) fn function() -> ScalarUDF {
    ScalarUDF::from(Tiers {
        signature: Signature::user_defined(Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Tiers {
    signature: Signature,
}

impl ScalarUDFImpl for Tiers {
    fn name(&self) -> &str {
        "tiers"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        expect_arguments(self.name(), 1, given.len())?;
        Ok(vec![DataType::Utf8])
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(list_of(tier_fields()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [argument] = args.args.as_slice() else {
            return exec_err!("tiers: unexpected {} arguments", args.args.len());
        };
        let argument = Argument::new(argument)?;
        let texts = Words::new(&argument.array)?;
        let column = || Decimal128Builder::new().with_data_type(DECIMAL);
        let mut columns = [column(), column(), column(), column(), column()];
        let mut lengths = Vec::with_capacity(args.number_rows);
        let mut nulls = NullBufferBuilder::new(args.number_rows);
        for row in 0..args.number_rows {
            let text = texts.get(argument.index(row));
            let list = text.map(parsed).transpose();
            let list = list.map_err(|error| exec_datafusion_err!("tiers: row {row}: {error}"))?;
            nulls.append(list.is_some());
            let list = list.unwrap_or_default();
            lengths.push(list.len());
            for tier in &list {
                append(&mut columns, tier);
            }
        }
        let columns = columns.iter_mut().map(|column| {
            let column: ArrayRef = Arc::new(column.finish());
            column
        });
        let values = StructArray::try_new(tier_fields(), columns.collect(), None)?;
        let list = ListArray::try_new(
            Arc::new(element(tier_fields())),
            OffsetBuffer::from_lengths(lengths),
            Arc::new(values),
            nulls.finish(),
        )?;
        let list: ArrayRef = Arc::new(list);
        Ok(ColumnarValue::Array(list))
    }
}

fn parsed(text: &str) -> Result<Vec<Tier>, InputError> {
    let value = serde_json::from_str(text).map_err(|reason| InputError::NotJson { reason })?;
    json::tiers("tiers", &value, &mut Spellings::default())
}

fn append(columns: &mut [Decimal128Builder; 5], tier: &Tier) {
    let [up_to, unit_price, flat_fee, package_size, percentage_rate] = columns;
    up_to.append_option(tier.up_to.map(Decimal::units));
    unit_price.append_option(tier.unit_price.map(Decimal::units));
    flat_fee.append_option(tier.flat_fee.map(Decimal::units));
    package_size.append_option(tier.package_size.map(Decimal::units));
    percentage_rate.append_option(tier.percentage_rate.map(Decimal::units));
}
