//! What a flow costs, as measured. docs/sizing.md says where each number comes from and how to measure it again.

/// Flows an edge and hour at which sizes were measured, and bytes of a flow there: in the lake with its roll-ups, and
/// in ClickHouse.
pub(super) const DENSITIES: [Density; 2] = [
    Density { flows_per_edge_hour: 278.0, lake: 14.7, clickhouse: 17.1 },
    Density { flows_per_edge_hour: 36_000.0, lake: 14.7, clickhouse: 15.6 },
];

/// Sizes at one density of traffic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Density {
    pub(super) flows_per_edge_hour: f64,
    pub(super) lake: f64,
    pub(super) clickhouse: f64,
}

/// Microseconds of a processor for a flow: a recorder that takes it over Flight, syncs, seals and sends it, and answers
/// a question a second.
pub(super) const RECORDER_US: f64 = 6.8;
/// The same of ClickHouse: inserts, roll-ups, merges.
pub(super) const CLICKHOUSE_US: f64 = 11.8;
/// Flows a second that one recorder took at most.
pub(super) const RECORDER_MOST: f64 = 370_000.0;
/// Share of a processor that is planned with; the rest is for questions and peaks.
pub(super) const USE: f64 = 0.5;
/// Share of a disk that is planned with.
pub(super) const FILL: f64 = 0.7;

/// Rows that an edge can have in a bucket of a roll-up: both ways, verdicts, kinds of answer.
pub(super) const KEYS_PER_EDGE: f64 = 4.0;
/// The share of those that flows fall on, `1 - exp(-SPREAD * x ^ SPREAD_POWER)` at `x` flows for each: edges are very
/// unequal.
pub(super) const SPREAD: f64 = 0.258;
pub(super) const SPREAD_POWER: f64 = 0.376;
/// Bytes of a row of `edges_1m` and of `edges_1h` in ClickHouse.
pub(super) const MINUTE_BYTES: f64 = 24.8;
pub(super) const HOUR_BYTES: f64 = 34.2;

/// Rows of an insert at most (half of `storage.memory.max_size`), and seconds until one is made
/// (`storage.memory.max_age`).
pub(super) const INSERT_ROWS: f64 = 620_000.0;
pub(super) const INSERT_SECONDS: f64 = 60.0;
/// Parts that are merged at once (`merge_selector_base`), and the largest part that merging makes.
pub(super) const MERGED: f64 = 12.0;
pub(super) const LARGEST_PART: f64 = 150.0 * 1024.0 * 1024.0 * 1024.0;

/// Memory: a recorder's; a ClickHouse server's for itself, merges and questions; its key's for a flow.
pub(super) const RECORDER_MEMORY: f64 = 2.0 * 1024.0 * 1024.0 * 1024.0;
pub(super) const CLICKHOUSE_MEMORY: f64 = 8.0 * 1024.0 * 1024.0 * 1024.0;
pub(super) const KEY_BYTES: f64 = 0.02;
/// Bytes that a flow takes in the log, before it is sealed.
pub(super) const LOGGED_BYTES: f64 = 307.0;
/// The log of a recorder at most (`storage.log.max_size`).
pub(super) const LOG_BYTES: f64 = 1024.0 * 1024.0 * 1024.0;
