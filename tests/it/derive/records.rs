//! Usage records to derive from: a few by hand, or many that are the same on every machine.

use serde::Serialize;

/// A usage record as a metering system has it.
#[derive(Clone, Serialize)]
pub(super) struct Usage {
    pub(super) source: String,
    pub(super) usage_id: String,
    item_id: Option<String>,
    customer_id: Option<String>,
    meter: Option<String>,
    quantity: Option<String>,
    occurred_at: String,
    recorded_at: Option<String>,
    idempotency_key: Option<String>,
    status: Option<String>,
    pub(super) usage_date: String,
}

impl Usage {
    pub(super) fn new(id: &str, day: u64, key: Option<&str>) -> Self {
        Self {
            source: "east".to_owned(),
            usage_id: id.to_owned(),
            item_id: Some("i1".to_owned()),
            customer_id: None,
            meter: Some("calls".to_owned()),
            quantity: Some("2.5".to_owned()),
            occurred_at: time(day, 10),
            recorded_at: None,
            idempotency_key: key.map(str::to_owned),
            status: None,
            usage_date: date(day),
        }
    }

    pub(super) fn on(mut self, day: u64) -> Self {
        self.usage_date = date(day);
        self.occurred_at.replace_range(..10, &self.usage_date);
        self
    }

    pub(super) fn voided(mut self) -> Self {
        self.status = Some("voided".to_owned());
        self
    }

    pub(super) fn measuring(mut self, quantity: &str) -> Self {
        self.quantity = Some(quantity.to_owned());
        self
    }
}

pub(super) fn date(day: u64) -> String {
    format!("2026-03-{day:02}")
}

fn time(day: u64, hour: u64) -> String {
    format!("2026-03-{day:02}T{hour:02}:00:00Z")
}

/// Twelve days of three sources: the same on every machine, and the fewer keys, the more repeats.
pub(super) fn generate(count: usize, keys: u64) -> Vec<Usage> {
    let mut state = 42u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005);
        state = state.wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let record = |n: usize| {
        let d: [u64; 10] = std::array::from_fn(|_| next());
        let (day, hour) = (1 + d[2] % 12, d[2] / 12 % 6);
        let (sign, tenths) = (if d[5].is_multiple_of(13) { "-" } else { "" }, d[5] % 1000);
        let has_item = !d[3].is_multiple_of(4);
        Usage {
            source: ["east", "west", "north"][usize::try_from(d[1] % 3).unwrap()].to_owned(),
            usage_id: format!("u{n:04}"),
            item_id: has_item.then(|| format!("i{}", d[3] % 2)),
            customer_id: (!has_item && !d[4].is_multiple_of(3)).then(|| format!("c{}", d[4] % 2)),
            meter: (!d[0].is_multiple_of(10)).then(|| "calls".to_owned()),
            quantity: (!d[5].is_multiple_of(9))
                .then(|| format!("{sign}{}.{}", tenths / 10, tenths % 10)),
            occurred_at: time(day, hour),
            // A day later to the second is not late yet.
            recorded_at: match d[9] % 6 {
                0 => None,
                1 => Some(time(day + 2, hour)),
                2 => Some(time(day + 1, hour)),
                _ => Some(time(day, hour + 1)),
            },
            idempotency_key: match d[6] % 10 {
                0 | 1 => None,
                9 => Some(format!("day{day}-{}", d[7] % 4)),
                _ => Some(format!("k{}", d[7] % keys)),
            },
            status: match d[8] % 20 {
                0 => Some("voided".to_owned()),
                1 => Some("error".to_owned()),
                2 => Some("billed".to_owned()),
                3..=10 => Some("processed".to_owned()),
                _ => None,
            },
            usage_date: date(day),
        }
    };
    (0..count).map(record).collect()
}
