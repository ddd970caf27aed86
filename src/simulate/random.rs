//! Chance: one independent stream of numbers for each purpose, all of one seed.
//!
//! A stream is named by what it is for, so that a world with one more subscription keeps every number
//! of the others. Nothing here may be drawn in an order that depends on the size of the world.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Streams of one subscription.
const STREAMS: u64 = 16;

/// What a subscription's stream decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Who it is and what it buys.
    Profile,
    /// Its invoices.
    Billing,
    /// Whether and where it goes wrong.
    Fault,
    /// Its credit notes.
    Credit,
    /// The usage of one of its items.
    Usage(usize),
}

impl Purpose {
    fn offset(self) -> u64 {
        match self {
            Self::Profile => 0,
            Self::Billing => 1,
            Self::Fault => 2,
            Self::Credit => 3,
            Self::Usage(item) => 4 + (item as u64).min(STREAMS - 5),
        }
    }
}

/// One stream.
#[derive(Clone, Debug)]
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream of a subscription for a purpose.
    pub(super) fn of(seed: u64, subscription: u64, purpose: Purpose) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let stream = subscription
            .wrapping_mul(STREAMS)
            .wrapping_add(purpose.offset());
        rng.set_stream(stream);
        Self(rng)
    }

    /// From 0 to one less than `count`.
    pub(super) fn below(&mut self, count: u64) -> u64 {
        self.0.random_range(0..count.max(1))
    }

    /// From `low` to `high`, both possible.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        self.0.random_range(low..=high.max(low))
    }

    /// True `part` times in a hundred.
    pub(super) fn per_cent(&mut self, part: u64) -> bool {
        self.below(100) < part
    }

    /// A place in a list of that length.
    pub(super) fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// Letters and digits.
    pub(super) fn code(&mut self, length: usize) -> String {
        (0..length)
            .map(|_| char::from(LETTERS[self.index(LETTERS.len())]))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_its_name_alone() {
        let draw = |subscription, purpose| Dice::of(7, subscription, purpose).below(1_000_000_000);
        assert_eq!(draw(3, Purpose::Profile), draw(3, Purpose::Profile));
        assert_ne!(draw(3, Purpose::Profile), draw(4, Purpose::Profile));
        assert_ne!(draw(3, Purpose::Usage(0)), draw(3, Purpose::Usage(1)));
    }

    #[test]
    fn bounds_are_kept() {
        let mut dice = Dice::of(1, 1, Purpose::Fault);
        for _ in 0..200 {
            assert!(dice.below(3) < 3);
            assert!((-2..=2).contains(&dice.between(-2, 2)));
        }
        assert_eq!(dice.below(0), 0);
        assert_eq!(dice.between(5, 4), 5);
        assert_eq!(dice.code(8).len(), 8);
    }
}
