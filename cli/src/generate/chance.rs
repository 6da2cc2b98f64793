//! Seeded randomness in the shapes that traffic has.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

/// A stream of random choices.
#[derive(Debug)]
pub(super) struct Chance(SmallRng);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed))
    }

    /// Evenly from 0 to below 1.
    pub(super) fn unit(&mut self) -> f64 {
        self.0.random()
    }

    /// Evenly from 0 to below `n`; 0 where `n` is 0.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.0.random_range(0..n) }
    }

    /// One of the items.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.choose(&mut self.0)
    }

    /// True with that probability.
    pub(super) fn coin(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// 64 even bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0.random()
    }

    /// 128 even bits.
    pub(super) fn wide_bits(&mut self) -> u128 {
        self.0.random()
    }

    /// A normal number around 0 with standard deviation 1.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// e to the power of a normal number with that mean and standard deviation.
    pub(super) fn log_normal(&mut self, mean: f64, deviation: f64) -> f64 {
        (mean + deviation * self.normal()).exp()
    }

    /// A share near 0: the beta distribution with parameters 1 and `b`.
    pub(super) fn small_share(&mut self, b: f64) -> f64 {
        1.0 - (1.0 - self.unit()).powf(1.0 / b)
    }

    /// A whole number from 1 to `most` with a heavy tail of that exponent.
    pub(super) fn heavy_tail(&mut self, exponent: f64, most: u64) -> u64 {
        let drawn = (1.0 - self.unit()).powf(-1.0 / (exponent - 1.0));
        whole(drawn).clamp(1, most)
    }
}

/// The whole part of a number; 0 for what is negative.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float cast saturates, and the fraction is meant to go"
)]
pub(super) const fn whole(number: f64) -> u64 {
    number as u64
}

/// A count as a float; exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts here stay far below 2^53")]
pub(super) const fn float(number: u64) -> f64 {
    number as f64
}

/// Choosing among items of unequal weight.
#[derive(Debug, Default)]
pub(super) struct Weights {
    sums: Vec<f64>,
}

impl Weights {
    /// Takes new weights, in the order of the items.
    pub(super) fn set(&mut self, weights: impl Iterator<Item = f64>) {
        self.sums.clear();
        let mut sum = 0.0;
        self.sums.extend(weights.map(|weight| {
            sum += weight;
            sum
        }));
    }

    /// The sum of all weights.
    pub(super) fn total(&self) -> f64 {
        self.sums.last().copied().unwrap_or(0.0)
    }

    /// The index of one item.
    pub(super) fn pick(&self, chance: &mut Chance) -> usize {
        let target = chance.unit() * self.total();
        self.sums.partition_point(|sum| *sum <= target)
    }
}
