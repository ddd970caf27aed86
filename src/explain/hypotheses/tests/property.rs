//! Mistakes made at random: whatever they bill, their own name is among the explanations.

use proptest::prelude::*;

use super::*;

/// A mistake made by other means than the hypotheses': what it bills.
type Made = (&'static str, fn(&Price, Decimal) -> Option<Decimal>);

fn rated(price: &Price, quantity: Decimal) -> Option<Decimal> {
    rate(price, quantity).ok().map(|rated| rated.amount)
}

fn thousandfold(value: Decimal) -> Option<Decimal> {
    value.checked_mul(Decimal::from_i64(1000))
}

const MADE: &[Made] = &[
    ("volume_billed_as_graduated", |price, quantity| {
        let mut other = price.clone();
        (price.charge_model == ChargeModel::Volume).then_some(())?;
        other.charge_model = ChargeModel::Graduated;
        rated(&other, quantity)
    }),
    ("graduated_billed_as_volume", |price, quantity| {
        let mut other = price.clone();
        (price.charge_model == ChargeModel::Graduated).then_some(())?;
        other.charge_model = ChargeModel::Volume;
        rated(&other, quantity)
    }),
    ("duplicates_counted", |price, quantity| {
        rated(price, quantity.checked_add(Decimal::from_i64(17))?)
    }),
    ("included_units_ignored", |price, quantity| {
        let mut other = price.clone();
        other.included_quantity = None;
        rated(&other, quantity)
    }),
    ("minimum_ignored", |price, quantity| {
        let mut other = price.clone();
        other.minimum_amount = None;
        rated(&other, quantity)
    }),
    ("other_charge_model", |price, quantity| {
        let paid = quantity
            .checked_sub(price.included_quantity?)?
            .max(Decimal::ZERO);
        let amount = paid.checked_mul(price.tiers.first()?.unit_price?)?;
        let amount = round(amount, 2, RoundingMode::HalfUp).ok()?;
        Some(amount.max(price.minimum_amount?))
    }),
    ("truncated", |price, quantity| {
        let unrounded = rate(price, quantity).ok()?.unrounded;
        round(unrounded, 2, RoundingMode::Down).ok()
    }),
    ("minor_unit_slip", |price, quantity| {
        thousandfold(rated(price, quantity)?)
    }),
    ("unit_factor", |price, quantity| {
        rated(price, thousandfold(quantity)?)
    }),
    ("missing_tier", |price, quantity| {
        let mut other = price.clone();
        other.tiers.remove(0);
        rated(&other, quantity)
    }),
    ("boundary_off_by_one", |price, quantity| {
        let mut other = price.clone();
        for tier in &mut other.tiers {
            tier.up_to = match tier.up_to {
                Some(up_to) => Some(up_to.checked_add(Decimal::ONE)?),
                None => None,
            };
        }
        rated(&other, quantity)
    }),
];

fn any_price() -> impl Strategy<Value = Price> {
    let prices = prop::collection::vec(1i64..100_000_000, 3);
    (
        any::<bool>(),
        prices,
        1i64..2000,
        1i64..200_000,
        0i64..50,
        0i64..100,
    )
        .prop_map(|(is_volume, prices, first, second, included, minimum)| {
            let model = if is_volume {
                ChargeModel::Volume
            } else {
                ChargeModel::Graduated
            };
            let mut price = price(model, &[]);
            let bounds = [
                Some(Decimal::from_i64(first)),
                Some(Decimal::from_i64(first + second)),
                None,
            ];
            price.tiers = bounds
                .into_iter()
                .zip(prices)
                .map(|(up_to, units)| Tier {
                    up_to,
                    // Up to 100, with eight decimals.
                    unit_price: Some(Decimal::from_units(i128::from(units) * 1_000_000)),
                    ..Tier::default()
                })
                .collect();
            price.included_quantity = Some(Decimal::from_i64(included));
            price.minimum_amount = Some(Decimal::from_i64(minimum));
            price
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_mistake_on_any_price_and_quantity_is_found(
        price in any_price(),
        thousandths in 1i64..1_000_000_000,
        which in 0..MADE.len(),
    ) {
        let quantity = Decimal::from_units(i128::from(thousandths) * 1_000_000_000);
        let (word, bill) = MADE[which];
        let mut case = Case::of(price, "0");
        case.quantity = quantity;
        case.explain = Explain::Both;
        let repeated = quantity.checked_add(Decimal::from_i64(17)).unwrap();
        let case = case
            .measured(measure::OWN, &quantity.to_string())
            .measured(measure::WITH_REPEATS, &repeated.to_string());
        let due = rated(&case.line.price, quantity);
        let billed = bill(&case.line.price, quantity);
        let Some(billed) = billed.filter(|billed| Some(*billed) != due && !billed.is_zero()) else {
            return Ok(());
        };
        let fits = case.fits(&billed.to_string());
        prop_assert!(fits.iter().any(|fit| fit == word), "{billed}: {word} not in {fits:?}");
    }
}
