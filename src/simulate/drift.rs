//! What a system sends otherwise from some day on: a column left empty, a word that nobody knows.
//!
//! The change meets every record of the system, whatever else is wrong with it, and is put in as the
//! records are written: usage and invoices stay as they are.

use super::catalogue::SOURCES;
use super::profile::Profile;
use super::time::{DAY, Micros};
use super::timeline::Timeline;
use super::usage::Usage;

/// Of how many subscriptions one has records under a word that nobody knows.
const HELD_ONE_IN: u64 = 16;

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Records come without the key that tells repeats from new ones.
    NoKeys,
    /// Some records come with a status that was never there, and are not billed.
    NewStatus,
}

impl Change {
    /// The column that it shows in.
    pub(super) const fn column(self) -> &'static str {
        match self {
            Self::NoKeys => "usage_records.idempotency_key",
            Self::NewStatus => "usage_records.status",
        }
    }
}

/// What changed at each system, and since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drift {
    pub(super) changes: [Option<Change>; SOURCES.len()],
    pub(super) since: Micros,
}

impl Drift {
    /// Nothing changed.
    pub(super) const fn none(timeline: &Timeline) -> Self {
        Self {
            changes: [None; SOURCES.len()],
            since: (timeline.last_day() - 1) * DAY,
        }
    }

    /// Whether records of the subscription are changed, if it has any since.
    pub(super) fn meets(&self, profile: &Profile) -> bool {
        let lives = profile.ended.is_none_or(|end| end > self.since + DAY);
        let is_met = match self.changes[profile.source] {
            None => false,
            Some(Change::NoKeys) => true,
            Some(Change::NewStatus) => profile.number.is_multiple_of(HELD_ONE_IN),
        };
        lives && is_met
    }

    /// Whether a record comes without its key.
    pub(super) fn takes_key(&self, profile: &Profile, record: &Usage) -> bool {
        self.changes[profile.source] == Some(Change::NoKeys) && self.is_since(record)
    }

    /// Whether another record comes with this one, under the new word.
    pub(super) fn holds_back(&self, profile: &Profile, record: &Usage) -> bool {
        self.changes[profile.source] == Some(Change::NewStatus)
            && self.meets(profile)
            && self.is_since(record)
            && record.counts()
            && record.is_first_of_day()
    }

    fn is_since(&self, record: &Usage) -> bool {
        record.at >= self.since && record.recorded >= self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::case::Case;
    use crate::simulate::catalogue::{CHARGEBEE, STRIPE};
    use crate::simulate::draw;
    use crate::simulate::world::World;

    #[test]
    fn a_change_meets_its_own_system_and_only_since_its_day() {
        let mut world = World::new(3, 4);
        world.drift.changes[STRIPE] = Some(Change::NoKeys);
        world.drift.changes[CHARGEBEE] = Some(Change::NewStatus);
        let (mut keyless, mut held) = (0, 0);
        for number in (1..=40).chain((48..=960).step_by(16)) {
            let case = Case::clean(&world, draw::subscription(&world, number));
            let profile = &case.profile;
            for record in case.usage.iter().flatten() {
                let (takes, holds) = (
                    world.drift.takes_key(profile, record),
                    world.drift.holds_back(profile, record),
                );
                let is_new = record.at >= world.drift.since;
                assert_eq!(takes, is_new && profile.source == STRIPE);
                let is_one = profile.source == CHARGEBEE && number.is_multiple_of(HELD_ONE_IN);
                assert!(!holds || (is_new && is_one && world.drift.meets(profile)));
                (keyless, held) = (keyless + u64::from(takes), held + u64::from(holds));
            }
        }
        assert!(keyless > 50 && held > 2, "{keyless} {held}");
    }
}
