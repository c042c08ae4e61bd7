//! Named random streams: one per purpose, derived from a seed, so that one more draw in one place
//! moves nothing elsewhere. Never seeded by the operating system here: a real host brings its own
//! seed. The simulated world derives all of its streams from the scenario's seed.

use rand_chacha::ChaCha8Rng;
pub use rand_chacha::rand_core;
use rand_chacha::rand_core::{Rng, SeedableRng};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// A reproducible stream of random numbers, equal on every platform and in every release.
#[derive(Clone, Debug)]
pub struct RandomStream(ChaCha8Rng);

impl RandomStream {
    /// The stream called `name` under `seed`. Equal arguments give equal streams.
    ///
    /// ```
    /// use slackwater_core::random::RandomStream;
    /// let (mut a, mut b) = (RandomStream::named(7, "net"), RandomStream::named(7, "net"));
    /// assert_eq!(a.next_u64(), b.next_u64());
    /// ```
    pub fn named(seed: u64, name: &str) -> Self {
        let low = xxh3_128_with_seed(name.as_bytes(), seed);
        let high = xxh3_128_with_seed(name.as_bytes(), !seed);
        let mut key = [0; 32];
        key[..16].copy_from_slice(&low.to_le_bytes());
        key[16..].copy_from_slice(&high.to_le_bytes());
        Self(ChaCha8Rng::from_seed(key))
    }

    /// A uniform 64-bit number.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A uniform 128-bit number, as for a job id.
    pub fn next_u128(&mut self) -> u128 {
        (u128::from(self.next_u64()) << 64) | u128::from(self.next_u64())
    }

    /// A uniform number below `bound`, by multiply-shift; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A uniform number in `low..=high`.
    ///
    /// # Panics
    /// If `low > high`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        assert!(low <= high, "a range is not empty");
        let span = high as i128 - low as i128 + 1;
        let drawn = (i128::from(self.next_u64()) * span) >> 64;
        (low as i128 + drawn) as i64
    }

    /// A uniform number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with probability `odds`.
    pub fn chance(&mut self, odds: f64) -> bool {
        self.unit() < odds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_other_names_and_seeds_differ() {
        let first = |seed, name| RandomStream::named(seed, name).next_u64();
        assert_ne!(first(1, "net"), first(1, "disk"));
        assert_ne!(first(1, "net"), first(2, "net"));
    }

    #[test]
    fn a_range_is_drawn_whole_and_no_further() {
        let mut stream = RandomStream::named(3, "range");
        let drawn: Vec<i64> = (0..200).map(|_| stream.between(-1, 1)).collect();
        assert!((-1..=1).all(|n| drawn.contains(&n)));
        assert!(drawn.iter().all(|n| (-1..=1).contains(n)));
    }

    #[test]
    fn the_first_words_are_pinned_for_ever() {
        let mut stream = RandomStream::named(42, "pinned");
        assert_eq!([stream.next_u64(), stream.next_u64()], PINNED);
    }

    const PINNED: [u64; 2] = [17320899086570995617, 13112535009760262817];
}
