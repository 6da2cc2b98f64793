//! The fixed buckets of the latency histogram that every roll-up row carries.

/// Upper bounds of the buckets, in nanoseconds, both sides of the wire's usual range; above the last is one more
/// bucket, so there are [`BUCKETS`] in all. The columns are `latency_le_100us` … `latency_le_10s`, `latency_le_inf`.
pub const UPPER_BOUNDS_NS: [u64; 16] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// How many buckets there are.
pub const BUCKETS: usize = UPPER_BOUNDS_NS.len() + 1;

/// The bucket a latency falls into: bounds are inclusive.
#[must_use]
pub fn bucket(latency_ns: u64) -> usize {
    UPPER_BOUNDS_NS.partition_point(|bound| *bound < latency_ns)
}
