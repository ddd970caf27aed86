//! Values: the last decimal, the first microsecond and every absence come back as written.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use trueup::lake::{Outcome, Upsert, Writer, from_batches, to_batch, upsert};
use trueup::model::Decimal;

use super::{Place, def, unchanged, written};
use crate::support::query_batches;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Tier {
    up_to: Option<Decimal>,
    unit_price: Option<Decimal>,
    flat_fee: Option<Decimal>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Price {
    source: String,
    price_id: String,
    charge_model: String,
    unit_price: Option<Decimal>,
    rounding_scale: Option<i32>,
    tiers: Option<Vec<Tier>>,
    is_active: Option<bool>,
    effective_from: DateTime<Utc>,
    effective_to: Option<DateTime<Utc>>,
}

#[tokio::test(flavor = "multi_thread")]
async fn values_come_back_exactly_as_they_were_written() {
    let decimal = |text: &str| Some(text.parse::<Decimal>().unwrap());
    let price = |id: &str, unit_price, tiers| Price {
        source: "acme".to_owned(),
        price_id: id.to_owned(),
        charge_model: "graduated".to_owned(),
        unit_price,
        rounding_scale: Some(-2),
        tiers,
        is_active: Some(false),
        effective_from: "2026-03-01T10:00:00.000001Z".parse().unwrap(),
        effective_to: "1969-12-31T23:59:59.999999Z".parse().ok(),
    };
    let tiers = vec![
        Tier {
            up_to: decimal("100"),
            unit_price: decimal("0.000000000001"),
            flat_fee: None,
        },
        Tier {
            up_to: None,
            unit_price: decimal("-0.25"),
            flat_fee: decimal("7.5"),
        },
    ];
    let prices = [
        price(
            "p1",
            decimal("12345678901234567890.123456789012"),
            Some(tiers),
        ),
        price("p2", decimal("-0.000000000001"), Some(Vec::new())),
        Price {
            rounding_scale: None,
            is_active: None,
            ..price("p3", None, None)
        },
    ];
    let batch = to_batch(def("prices"), &prices).unwrap();
    assert_eq!(
        from_batches::<Price>(std::slice::from_ref(&batch)).unwrap(),
        prices
    );

    let place = Place::new().await;
    let writer = Writer::new("test", "run_1");
    let change = || Upsert {
        rows: batch.clone(),
        volatile: &[],
        new_since: None,
    };
    let put = async || {
        upsert(&place.lake, &place.ctx, def("prices"), &writer, change())
            .await
            .unwrap()
    };
    assert_eq!(put().await, (written(3), Outcome::Committed(1)));
    assert_eq!(put().await, (unchanged(3), Outcome::Unchanged));
    let held = query_batches(&place.lake, "select * from prices order by price_id").await;
    assert_eq!(from_batches::<Price>(&held).unwrap(), prices);
}
