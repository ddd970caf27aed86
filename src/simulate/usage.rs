//! What an item used: records of every day, in the rhythm of its habit.
//!
//! A day's draws are the same whether the item is in effect or not, so that a fault which ends or
//! moves an item leaves the other records as they were. Nothing is billed here.

use std::sync::Arc;

use super::catalogue::Aggregation;
use super::profile::{Period, Profile};
use super::random::{Dice, Purpose};
use super::rhythm::{WEEK, days_of_use, season};
use super::time::{DAY, HOUR, MINUTE, Micros, SECOND, day_of, weekday};
use super::world::World;

/// What became of a record at the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Processed,
    Pending,
    Voided,
    Error,
    /// A word that the data model does not have.
    HeldBack,
}

impl Status {
    /// As the data model spells it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Processed => "processed",
            Self::Pending => "pending",
            Self::Voided => "voided",
            Self::Error => "error",
            Self::HeldBack => "held_back",
        }
    }
}

/// Whose usage a record says it is, where it is not its item's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) customer: Option<String>,
    pub(super) subscription: Option<String>,
    pub(super) item: Option<String>,
}

/// One record.
#[derive(Clone, Debug)]
pub(super) struct Usage {
    pub(super) serial: i64,
    /// Tells records of one serial apart, in the id and in the key.
    pub(super) id_mark: &'static str,
    pub(super) key_mark: &'static str,
    pub(super) at: Micros,
    pub(super) recorded: Micros,
    pub(super) quantity: i128,
    pub(super) unique: Option<i64>,
    pub(super) status: Status,
    pub(super) reason: Option<&'static str>,
    /// Repeats the key of an earlier record.
    pub(super) is_repeat: bool,
    pub(super) owner: Option<Arc<Owner>>,
    /// Changed after it was received.
    pub(super) updated: Option<Micros>,
}

impl Usage {
    /// Whether a sound biller counts it.
    pub(super) fn counts(&self) -> bool {
        self.status == Status::Processed && !self.is_repeat && self.owner.is_none()
    }

    /// Whether it was the first that its item made on a day.
    pub(super) const fn is_first_of_day(&self) -> bool {
        self.serial % SERIALS_PER_DAY == 0
    }
}

/// Ids of records of one day; more than any item makes.
const SERIALS_PER_DAY: i64 = 1_000;
const LATE_PER_CENT: u64 = 2;
const VOIDED_PER_THOUSAND: u64 = 3;

/// The records of an item, in the order of their moments.
pub(super) fn of_item(
    world: &World,
    profile: &Profile,
    periods: &[Period],
    place: usize,
) -> Vec<Usage> {
    let item = &profile.items[place];
    let mut dice = Dice::of(world.seed, profile.number, Purpose::Usage(place));
    let last = world.timeline.last_day();
    let active = days_of_use(item.habit, day_of(item.from), last, &mut dice);
    let mut records = Vec::new();
    let mut next_period = 0;
    for day in day_of(item.from)..=last {
        let Some(rhythm) = active.get((day - day_of(item.from)) as usize) else {
            break;
        };
        while periods
            .get(next_period)
            .is_some_and(|period| period.stop <= day * DAY)
        {
            next_period += 1;
        }
        let maker = Day {
            world,
            profile,
            periods: &periods[next_period..],
            place,
            day,
        };
        maker.records(*rhythm, &mut dice, &mut records);
    }
    let end = profile.end_of(item);
    records.retain(|record| record.at >= item.from && end.is_none_or(|end| record.at < end));
    records.sort_by_key(|record| record.at);
    records
}

/// One day of one item.
struct Day<'a> {
    world: &'a World,
    profile: &'a Profile,
    /// Periods that end after the day begins.
    periods: &'a [Period],
    place: usize,
    day: i64,
}

impl Day<'_> {
    fn records(&self, part: i64, dice: &mut Dice, records: &mut Vec<Usage>) {
        let item = &self.profile.items[self.place];
        let price = &self.world.catalogue.prices[item.price];
        let noise = dice.between(970, 1_030);
        let is_late = dice.per_cent(LATE_PER_CENT);
        let is_voided = dice.below(1_000) < VOIDED_PER_THOUSAND;
        let late_by = dice.between(3 * 60, 36 * 60) * MINUTE;
        let aggregation = self.world.catalogue.aggregation_of(item.price);
        let grown = 1_000 + item.growth * (self.day - self.world.timeline.first_day());
        let is_level = matches!(aggregation, Aggregation::Max | Aggregation::Last);
        let wave = if is_level {
            100 * 100
        } else {
            WEEK[weekday(self.day) as usize] * season(self.day)
        };
        if part == 0 {
            return;
        }
        // Size in per cent, growth and noise in thousandths, the wave in ten-thousandths.
        let usual = price.level * item.size * grown * noise * wave / 1_000_000_000_000;
        let total = (usual * part / 100).max(1);
        let counts_one = matches!(aggregation, Aggregation::Count | Aggregation::UniqueCount);
        let count = if counts_one {
            total.min(60)
        } else {
            price.records.min(total)
        };
        let start = records.len();
        let width = DAY / count;
        let (mut left, mut made) = (total, 0);
        while made < count {
            let at = self.day * DAY + made * width + dice.between(0, width / SECOND - 1) * SECOND;
            let mean = left / (count - made);
            let take = match aggregation {
                Aggregation::Count | Aggregation::UniqueCount => 1,
                Aggregation::Max | Aggregation::Last => total - (count - 1 - made) * (total / 50),
                Aggregation::Sum if made + 1 == count => left,
                Aggregation::Sum => mean * dice.between(70, 130) / 100,
            };
            left -= take;
            let unique = matches!(aggregation, Aggregation::UniqueCount)
                .then(|| dice.between(0, 10 + item.size / 2));
            let lag = dice.between(90, 2_490) * SECOND;
            records.push(self.record(at, take, unique, lag, made));
            made += 1;
        }
        if is_late {
            for record in &mut records[start..] {
                self.delay(record, late_by);
            }
        }
        if is_voided && aggregation == Aggregation::Sum {
            self.add_voided(records, start);
        }
    }

    fn record(&self, at: Micros, take: i64, unique: Option<i64>, lag: Micros, made: i64) -> Usage {
        let price = self.profile.items[self.place].price;
        let first = self.world.timeline.first_day();
        Usage {
            serial: (self.day - first) * SERIALS_PER_DAY + made,
            id_mark: "",
            key_mark: "",
            at,
            recorded: at + lag,
            quantity: i128::from(take) * self.world.catalogue.least_unit_of(price),
            unique,
            status: Status::Processed,
            reason: None,
            is_repeat: false,
            owner: None,
            updated: None,
        }
    }

    /// Later, where its invoice still waits for it.
    fn delay(&self, record: &mut Usage, by: Micros) {
        let deadline = self
            .periods
            .iter()
            .find(|period| record.at < period.stop)
            .map_or(self.world.timeline.as_of, |period| period.created);
        // Drafts are made at once, so the platform has to have the record some time before.
        if record.at + by < deadline.min(self.world.timeline.as_of) - HOUR / 2 {
            record.recorded = record.at + by;
        }
    }

    /// A record that was sent by mistake and taken back; the right one is there too.
    fn add_voided(&self, records: &mut Vec<Usage>, start: usize) {
        let Some(right) = records.get(start) else {
            return;
        };
        let wrong = Usage {
            id_mark: "v",
            key_mark: "v",
            at: right.at + 1,
            quantity: right.quantity * 10,
            status: Status::Voided,
            reason: Some("sent by mistake"),
            ..right.clone()
        };
        records.push(wrong);
    }
}
