//! What every subscription is made from: the seed, the price list and the span of time.

use super::catalogue::Catalogue;
use super::drift::Drift;
use super::timeline::Timeline;

/// The fixed part of a world.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) timeline: Timeline,
    pub(super) catalogue: Catalogue,
    pub(super) drift: Drift,
}

impl World {
    pub(super) fn new(seed: u64, months: u32) -> Self {
        let timeline = Timeline::new(months);
        Self {
            seed,
            catalogue: Catalogue::new(&timeline),
            drift: Drift::none(&timeline),
            timeline,
        }
    }
}
