//! `money_round(amount, currency)` and `minor_exponent(currency)`. A currency that ISO 4217 does
//! not know, or that has no minor unit, gives NULL: there is nothing to round to.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Decimal128Builder, Int32Builder};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::columns::{Argument, Memory, Numbers, Words};
use super::{DECIMAL, expect_arguments, number_argument};
use crate::model::Decimal;
use crate::rating::rounding::money_round;

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        ScalarUDF::from(MoneyRound::new()),
        ScalarUDF::from(MinorExponent::new()),
    ]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct MoneyRound {
    signature: Signature,
}

impl MoneyRound {
    fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for MoneyRound {
    fn name(&self) -> &str {
        "money_round"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        expect_arguments(self.name(), 2, given.len())?;
        Ok(vec![
            number_argument(self.name(), "the amount", &given[0])?,
            DataType::Utf8,
        ])
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(DECIMAL)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [amount, currency] = args.args.as_slice() else {
            return exec_err!("money_round: unexpected {} arguments", args.args.len());
        };
        let (amount, currency) = (Argument::new(amount)?, Argument::new(currency)?);
        let amounts = Numbers::new("amount", &amount.array)?;
        let codes = Words::new(&currency.array)?;
        let mut memory = Memory::default();
        let mut rounded =
            Decimal128Builder::with_capacity(args.number_rows).with_data_type(DECIMAL);
        for row in 0..args.number_rows {
            let exponent = codes
                .get(currency.index(row))
                .and_then(|code| memory.exponent_of(code));
            let value = match (amounts.get(amount.index(row)), exponent) {
                (Some(amount), Some(exponent)) => Some(
                    money_round(amount, exponent)
                        .map_err(|error| exec_datafusion_err!("money_round: row {row}: {error}"))?,
                ),
                _ => None,
            };
            rounded.append_option(value.map(Decimal::units));
        }
        let rounded: ArrayRef = Arc::new(rounded.finish());
        Ok(ColumnarValue::Array(rounded))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct MinorExponent {
    signature: Signature,
}

impl MinorExponent {
    fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for MinorExponent {
    fn name(&self) -> &str {
        "minor_exponent"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        expect_arguments(self.name(), 1, given.len())?;
        Ok(vec![DataType::Utf8])
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [currency] = args.args.as_slice() else {
            return exec_err!("minor_exponent: unexpected {} arguments", args.args.len());
        };
        let currency = Argument::new(currency)?;
        let codes = Words::new(&currency.array)?;
        let mut memory = Memory::default();
        let mut exponents = Int32Builder::with_capacity(args.number_rows);
        for row in 0..args.number_rows {
            let exponent = codes
                .get(currency.index(row))
                .and_then(|code| memory.exponent_of(code));
            exponents.append_option(exponent.and_then(|exponent| i32::try_from(exponent).ok()));
        }
        let exponents: ArrayRef = Arc::new(exponents.finish());
        Ok(ColumnarValue::Array(exponents))
    }
}
