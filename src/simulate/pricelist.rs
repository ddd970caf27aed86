//! The price list of the world: every charge model, four currencies, versions and bounds.
//!
//! Levels are chosen so that a usual month passes the first tier, and so that minima and maxima are
//! reached: otherwise a mistake in them would change nothing. It holds data and nothing else.

use super::catalogue::{CHARGEBEE, Model, STRIPE, Terms, ZUORA};
use super::goods::{Good, NICHES, blocks, flat, overage, package, per_unit, rates, terms, tiered};
use super::money::{units, whole};

/// Everything on sale; a price follows the one that it is like.
pub(super) fn all() -> Vec<Good> {
    let mut goods = zuora();
    goods.extend(stripe());
    goods.extend(chargebee());
    for source in [ZUORA, STRIPE, CHARGEBEE] {
        goods.extend(niches(source));
        goods.extend(fees(source));
    }
    goods
}

fn zuora() -> Vec<Good> {
    use Model::{Graduated, GraduatedBlock, TieredOverage, Volume};
    let usage = |key, currency, meter, terms| Good::usage(key, ZUORA, currency, meter, terms);
    let api = [
        (100_000, "0.002", ""),
        (500_000, "0.0015", ""),
        (0, "0.001", ""),
    ];
    let api_next = [
        (100_000, "0.0022", ""),
        (500_000, "0.0016", ""),
        (0, "0.0011", ""),
    ];
    let team = [(200_000, "0.0017", ""), (0, "0.0012", "")];
    let eur = [
        (100_000, "0.0018", ""),
        (500_000, "0.0013", "25"),
        (0, "0.0009", "40"),
    ];
    let cpu = [
        (1_000, "0.035", ""),
        (5_000, "0.0305", ""),
        (0, "0.0275", ""),
    ];
    let scans = [(20_000, "0.01", ""), (50_000, "0.008", "")];
    vec![
        usage("z-api-usd", "USD", "api_calls", tiered(Graduated, &api))
            .daily(9_000, 4)
            .soon(tiered(Graduated, &api_next)),
        usage(
            "z-api-usd-team",
            "USD",
            "api_calls",
            tiered(Graduated, &team),
        )
        .daily(9_500, 4)
        .like("z-api-usd"),
        usage("z-api-eur", "EUR", "api_calls", tiered(Graduated, &eur)).daily(8_000, 4),
        usage("z-data-usd", "USD", "data_gb", per_unit("0.085"))
            .daily(310_000, 6)
            .later(per_unit("0.092")),
        usage("z-data-eur", "EUR", "data_gb", per_unit("0.079"))
            .daily(280_000, 6)
            .with(|terms| terms.whole_units = true),
        usage("z-msg-usd", "USD", "messages", overage(50_000, "0.0045")).daily(3_500, 3),
        usage("z-msg-eur", "EUR", "messages", overage(45_000, "0.0042")).daily(3_300, 3),
        usage("z-cpu-kwd", "KWD", "compute_hours", tiered(Volume, &cpu)).daily(90, 4),
        usage("z-sto-jpy", "JPY", "storage_peak", per_unit("14")).daily(900, 2),
        usage("z-lkp-eur", "EUR", "lookups", per_unit("0.0125"))
            .daily(2_100, 4)
            .with(|terms| terms.rounds_down = true),
        usage("z-tov-usd", "USD", "scans", tiered(TieredOverage, &scans))
            .daily(2_500, 3)
            .with(|terms| terms.overage_price = Some(units("0.012"))),
        usage(
            "z-blk-usd",
            "USD",
            "renders",
            blocks(
                GraduatedBlock,
                1_000,
                &[(10_000, "5"), (50_000, "4"), (0, "3")],
            ),
        )
        .daily(1_500, 3),
        Good {
            has_minimum_line: true,
            ..usage("z-min-usd", "USD", "sessions", per_unit("0.01"))
                .daily(1_000, 4)
                .with(|terms| terms.minimum = Some(units("900")))
        },
        usage("z-pre-usd", "USD", "partner_fees", terms(Model::Prerated)).daily(4_000, 2),
    ]
}

fn stripe() -> Vec<Good> {
    use Model::{Capacity, Graduated, Stairstep, Volume};
    let usage = |key, currency, meter, terms| Good::usage(key, STRIPE, currency, meter, terms);
    let tokens = |a, b, c| {
        tiered(
            Volume,
            &[(1_000_000, a, ""), (5_000_000, b, ""), (0, c, "")],
        )
    };
    let requests = |a, b, c| tiered(Graduated, &[(50_000, a, ""), (250_000, b, ""), (0, c, "")]);
    let users = [(25, "", "49"), (60, "", "149"), (0, "", "399")];
    let nodes = [(20, "", "90"), (60, "", "240"), (0, "", "800")];
    vec![
        usage(
            "s-tok-usd",
            "USD",
            "tokens",
            tokens("0.000019", "0.000015", "0.000011"),
        )
        .daily(90_000, 5)
        .later(tokens("0.00002", "0.000016", "0.000012"))
        .soon(tokens("0.000022", "0.000018", "0.000014")),
        usage(
            "s-req-usd",
            "USD",
            "requests",
            requests("0.0038", "0.0028", "0.0019"),
        )
        .daily(5_200, 5)
        .later(requests("0.004", "0.003", "0.002")),
        usage(
            "s-req-usd-team",
            "USD",
            "requests",
            requests("0.0031", "0.0024", "0.0018"),
        )
        .daily(5_600, 5)
        .like("s-req-usd"),
        usage(
            "s-req-eur",
            "EUR",
            "requests",
            requests("0.0037", "0.0028", "0.0019"),
        )
        .daily(4_700, 4),
        usage(
            "s-req-jpy",
            "JPY",
            "requests",
            requests("0.6", "0.45", "0.3"),
        )
        .daily(4_400, 4),
        usage("s-sto-usd", "USD", "storage_gb", per_unit("0.12"))
            .daily(2_400, 2)
            .later(per_unit("0.13")),
        usage("s-job-usd", "USD", "jobs", package(1_000, "4.50")).daily(2_100, 4),
        usage("s-exp-usd", "USD", "exports", per_unit("0.25"))
            .daily(6, 6)
            .with(|terms| {
                terms.minimum = Some(units("30"));
                terms.maximum = Some(units("60"));
            }),
        usage(
            "s-usr-eur",
            "EUR",
            "active_users",
            tiered(Stairstep, &users),
        )
        .daily(6, 6),
        usage(
            "s-pct-usd",
            "USD",
            "payments",
            Terms {
                percentage_rate: Some(units("2.9")),
                ..terms(Model::Percentage)
            },
        )
        .daily(50_000, 5),
        usage(
            "s-gpc-eur",
            "EUR",
            "sales",
            rates(&[(5_000, "2.5"), (0, "1.9")]),
        )
        .daily(45_000, 4),
        usage(
            "s-rep-usd",
            "USD",
            "reports",
            tiered(Graduated, &[(50, "5", ""), (200, "4", ""), (0, "3", "")]),
        )
        .daily(10, 3),
        usage("s-nod-usd", "USD", "nodes", tiered(Capacity, &nodes)).daily(40, 2),
    ]
}

fn chargebee() -> Vec<Good> {
    use Model::{Graduated, Stairstep, Volume, VolumeBlock};
    let usage = |key, currency, meter, terms| Good::usage(key, CHARGEBEE, currency, meter, terms);
    let mail = [
        (50_000, "0.0009", ""),
        (200_000, "0.0007", ""),
        (0, "0.0005", ""),
    ];
    // The first tier when full is no whole amount, so that it matters where one rounds.
    let yen = [
        (19_999, "0.8", ""),
        (100_000, "0.65", "500"),
        (0, "0.5", "900"),
    ];
    let steps = [(50_000, "", "99"), (80_000, "", "249"), (0, "", "599")];
    vec![
        usage("c-eml-eur", "EUR", "emails", tiered(Volume, &mail)).daily(4_100, 3),
        usage("c-sms-eur", "EUR", "sms", package(500, "19.90")).daily(640, 4),
        usage("c-api-jpy", "JPY", "api", tiered(Graduated, &yen)).daily(2_900, 4),
        usage("c-api-usd", "USD", "api", tiered(Stairstep, &steps)).daily(3_300, 4),
        usage("c-min-usd", "USD", "minutes", per_unit("0.018"))
            .daily(1_500, 5)
            .later(per_unit("0.0195")),
        usage("c-min-usd-team", "USD", "minutes", per_unit("0.0155"))
            .daily(1_600, 5)
            .like("c-min-usd"),
        usage("c-min-kwd", "KWD", "minutes", per_unit("0.0055"))
            .daily(900, 5)
            .with(|terms| terms.minimum = Some(units("600"))),
        usage(
            "c-inc-usd",
            "USD",
            "checks",
            tiered(Graduated, &[(50_000, "0.006", ""), (0, "0.004", "")]),
        )
        .daily(3_000, 4)
        .with(|terms| terms.included = Some(whole(10_000))),
        usage("c-cap-usd", "USD", "streams", per_unit("0.02"))
            .daily(2_000, 3)
            .with(|terms| terms.maximum = Some(units("500"))),
        usage(
            "c-vbl-usd",
            "USD",
            "labels",
            blocks(VolumeBlock, 500, &[(20_000, "6"), (0, "5")]),
        )
        .daily(1_200, 3),
        usage("c-cus-usd", "USD", "models", terms(Model::Custom)).daily(400, 2),
    ]
}

/// Products with few buyers, each with a meter of its own.
fn niches(source: usize) -> Vec<Good> {
    let prefix = ["z", "s", "c"][source];
    (0..NICHES)
        .map(|number| {
            let terms = if number % 2 == 0 {
                per_unit("0.04")
            } else {
                tiered(
                    Model::Graduated,
                    &[
                        (10_000, "0.05", ""),
                        (1_000_000, "0.03", ""),
                        (0, "0.02", ""),
                    ],
                )
            };
            let (key, meter) = (format!("{prefix}-beta-{number}"), format!("beta_{number}"));
            Good {
                is_niche: true,
                ..Good::usage(&key, source, "USD", &meter, terms).daily(1_400, 6)
            }
        })
        .collect()
}

/// Recurring fees, a usual and a dearer one in each currency.
fn fees(source: usize) -> Vec<Good> {
    let listed = [
        ("USD", "199", "349", "12", "19"),
        ("EUR", "179", "319", "11", "17"),
        ("JPY", "24000", "42000", "1500", "2400"),
        ("KWD", "59.5", "104.25", "3.25", "5.75"),
    ];
    let prefix = ["z", "s", "c"][source];
    let mut goods = Vec::new();
    for (currency, plan, pro, seat, seat_pro) in listed {
        let name = currency.to_lowercase();
        let (low, high) = if source == CHARGEBEE {
            (per_unit(seat), per_unit(seat_pro))
        } else {
            (flat(plan), flat(pro))
        };
        goods.push(Good::recurring(
            format!("{prefix}-fee-{name}"),
            source,
            currency,
            low,
        ));
        goods.push(Good::recurring(
            format!("{prefix}-fee-{name}-pro"),
            source,
            currency,
            high,
        ));
    }
    goods
}
