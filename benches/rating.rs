//! How many lines a core rates in a second: through the pure function, and through the SQL function
//! on Arrow batches as a query hands them over.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput};
use datafusion::arrow::array::{
    Array, ArrayRef, Decimal128Array, ListArray, StringArray, StructArray,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};
use trueup::model::Decimal;
use trueup::rating::{ChargeModel, Price, Tier, rate, udf};

const ROWS: usize = 8192;
const MODELS: [ChargeModel; 2] = [ChargeModel::Graduated, ChargeModel::Volume];
const DECIMAL: DataType = DataType::Decimal128(38, 12);

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap_or_default()
}

fn tier_rows() -> [(Option<Decimal>, Decimal, Decimal); 4] {
    [
        (Some(decimal("1000")), decimal("0.012"), decimal("5")),
        (Some(decimal("10000")), decimal("0.0095"), decimal("0")),
        (Some(decimal("100000")), decimal("0.00725"), decimal("0")),
        (None, decimal("0.005125"), decimal("0")),
    ]
}

/// Quantities over all four tiers, with decimals.
fn quantities() -> Vec<Decimal> {
    let unit = decimal("37.125").units();
    let mut quantities = Vec::with_capacity(ROWS);
    let mut units = 0i128;
    for _ in 0..ROWS {
        units += unit;
        quantities.push(Decimal::from_units(units));
    }
    quantities
}

fn price(model: ChargeModel) -> Price {
    let tiers = tier_rows().map(|(up_to, unit_price, flat_fee)| Tier {
        up_to,
        unit_price: Some(unit_price),
        flat_fee: Some(flat_fee),
        ..Tier::default()
    });
    Price {
        tiers: tiers.into(),
        currency_exponent: Some(2),
        ..Price::new(model)
    }
}

fn numbers(values: impl IntoIterator<Item = Option<Decimal>>) -> ArrayRef {
    let values: Decimal128Array = values
        .into_iter()
        .map(|value| value.map(Decimal::units))
        .collect();
    Arc::new(values.with_data_type(DECIMAL))
}

fn structs(columns: Vec<(&str, ArrayRef)>) -> StructArray {
    let columns: Vec<_> = columns
        .into_iter()
        .map(|(name, column)| {
            (
                Arc::new(Field::new(name, column.data_type().clone(), true)),
                column,
            )
        })
        .collect();
    StructArray::from(columns)
}

/// Upper bound, unit price, flat fee.
type TierRow = (Option<Decimal>, Decimal, Decimal);

/// One price struct for every row, as a join of lines and prices makes them.
fn prices(model: ChargeModel, rows: usize) -> ArrayRef {
    let tiers = tier_rows();
    let each = |of: fn(&TierRow) -> Option<Decimal>| {
        numbers(
            (0..rows)
                .flat_map(|_| tiers.iter().map(of))
                .collect::<Vec<_>>(),
        )
    };
    let elements = structs(vec![
        ("up_to", each(|tier| tier.0)),
        ("unit_price", each(|tier| Some(tier.1))),
        ("flat_fee", each(|tier| Some(tier.2))),
    ]);
    let list = ListArray::new(
        Arc::new(Field::new("element", elements.data_type().clone(), true)),
        OffsetBuffer::from_lengths(std::iter::repeat_n(tiers.len(), rows)),
        Arc::new(elements),
        None,
    );
    let words = |word: &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n(
            word, rows,
        )))
    };
    let tiers: ArrayRef = Arc::new(list);
    Arc::new(structs(vec![
        ("charge_model", words(model.as_str())),
        ("currency", words("USD")),
        ("unit_price", numbers(std::iter::repeat_n(None, rows))),
        ("rounding_stage", words("line")),
        ("rounding_mode", words("half_up")),
        ("tiers", tiers),
    ]))
}

fn rate_function() -> Option<ScalarUDF> {
    udf::functions()
        .into_iter()
        .find(|function| function.name() == "rate")
}

fn arguments(price: ColumnarValue, quantity: ArrayRef) -> ScalarFunctionArgs {
    let fields = vec![
        Arc::new(Field::new("price", price.data_type(), true)),
        Arc::new(Field::new("quantity", DECIMAL, true)),
    ];
    ScalarFunctionArgs {
        args: vec![price, ColumnarValue::Array(quantity)],
        arg_fields: fields,
        number_rows: ROWS,
        return_field: Arc::new(Field::new("rate", DECIMAL, true)),
        config_options: Arc::new(ConfigOptions::default()),
    }
}

fn pure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pure");
    group.throughput(Throughput::Elements(
        u64::try_from(ROWS).unwrap_or_default(),
    ));
    let quantities = quantities();
    for model in MODELS {
        let price = price(model);
        group.bench_function(model.as_str(), |bencher| {
            bencher.iter(|| {
                for quantity in &quantities {
                    black_box(rate(black_box(&price), *quantity).ok());
                }
            });
        });
    }
    group.finish();
}

fn sql(criterion: &mut Criterion) {
    let Some(function) = rate_function() else {
        return;
    };
    let mut group = criterion.benchmark_group("udf");
    group.throughput(Throughput::Elements(
        u64::try_from(ROWS).unwrap_or_default(),
    ));
    let quantity = numbers(quantities().into_iter().map(Some));
    for model in MODELS {
        let joined = arguments(
            ColumnarValue::Array(prices(model, ROWS)),
            Arc::clone(&quantity),
        );
        group.bench_function(format!("{model}, a price in every row"), |bencher| {
            bencher.iter(|| black_box(function.invoke_with_args(joined.clone())));
        });
        let scalar = datafusion::scalar::ScalarValue::try_from_array(&prices(model, 1), 0);
        let Ok(scalar) = scalar else { continue };
        let shared = arguments(ColumnarValue::Scalar(scalar), Arc::clone(&quantity));
        group.bench_function(format!("{model}, one price"), |bencher| {
            bencher.iter(|| black_box(function.invoke_with_args(shared.clone())));
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    pure(&mut criterion);
    sql(&mut criterion);
    criterion.final_summary();
}
