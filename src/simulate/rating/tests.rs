//! Charges reckoned by hand.

use super::*;
use crate::simulate::goods::{blocks, flat, overage, package, per_unit, rates, terms, tiered};
use crate::simulate::money::{plain, units, whole};

fn due(terms: &Terms, currency: &str, quantity: &str) -> String {
    plain(charge(terms, currency, units(quantity)))
}

#[test]
fn simple_models_by_hand() {
    assert_eq!(due(&flat("199"), "USD", "0"), "199");
    assert_eq!(due(&per_unit("0.067"), "USD", "55"), "3.69");
    assert_eq!(due(&per_unit("0.6"), "JPY", "333"), "200");
    assert_eq!(due(&per_unit("0.0055"), "KWD", "1001"), "5.506");
    assert_eq!(due(&package(1_000, "4.50"), "USD", "2000.001"), "13.5");
    assert_eq!(due(&overage(50_000, "0.0045"), "USD", "50000"), "0");
    assert_eq!(due(&overage(50_000, "0.0045"), "USD", "60001"), "45");
    let mut percent = terms(Model::Percentage);
    percent.percentage_rate = Some(units("2.9"));
    assert_eq!(due(&percent, "USD", "1234.56"), "35.8");
    assert_eq!(due(&terms(Model::Prerated), "USD", "40.01"), "40.01");
}

#[test]
fn tiers_by_hand() {
    let list = [(100, "0.10", ""), (0, "0.05", "3")];
    let graduated = tiered(Model::Graduated, &list);
    assert_eq!(due(&graduated, "USD", "100"), "10");
    assert_eq!(due(&graduated, "USD", "150"), "15.5");
    assert_eq!(due(&graduated, "USD", "0"), "0");
    let volume = tiered(Model::Volume, &list);
    assert_eq!(due(&volume, "USD", "100"), "10");
    assert_eq!(due(&volume, "USD", "150"), "10.5");
    let steps = tiered(Model::Stairstep, &[(25, "", "49"), (0, "", "149")]);
    assert_eq!(due(&steps, "EUR", "25"), "49");
    assert_eq!(due(&steps, "EUR", "25.5"), "149");
    let mut over = tiered(Model::TieredOverage, &[(20, "1", ""), (50, "0.8", "")]);
    over.overage_price = Some(units("1.2"));
    assert_eq!(due(&over, "USD", "60"), "56");
    let percent = rates(&[(5_000, "2.5"), (0, "1.9")]);
    assert_eq!(due(&percent, "EUR", "7000"), "163");
}

#[test]
fn blocks_by_hand() {
    let list = [(10_000, "5"), (50_000, "4"), (0, "3")];
    let filled = blocks(Model::GraduatedBlock, 1_000, &list);
    assert_eq!(due(&filled, "USD", "9999"), "50");
    assert_eq!(due(&filled, "USD", "10001"), "54");
    assert_eq!(due(&filled, "USD", "52500"), "219");
    let all = blocks(Model::VolumeBlock, 500, &[(20_000, "6"), (0, "5")]);
    assert_eq!(due(&all, "USD", "20000"), "240");
    assert_eq!(due(&all, "USD", "20001"), "205");
}

#[test]
fn bounds_and_roundings_by_hand() {
    let mut price = per_unit("0.25");
    price.minimum = Some(units("30"));
    price.maximum = Some(units("60"));
    assert_eq!(due(&price, "USD", "0"), "30");
    assert_eq!(due(&price, "USD", "121"), "30.25");
    assert_eq!(due(&price, "USD", "1000"), "60");
    assert_eq!(
        plain(charge_without_minimum(&price, "USD", units("10"))),
        "2.5"
    );
    let mut down = per_unit("0.0125");
    down.rounds_down = true;
    assert_eq!(due(&down, "EUR", "3"), "0.03");
    let mut whole_units = per_unit("0.079");
    whole_units.whole_units = true;
    assert_eq!(due(&whole_units, "EUR", "10.001"), "0.87");
    let mut included = tiered(Model::Graduated, &[(50, "2", ""), (0, "1", "")]);
    included.included = Some(whole(10));
    assert_eq!(due(&included, "USD", "65"), "105");
}
