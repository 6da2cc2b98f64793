//! Positions and names inside the store.

use std::fmt;

use hindcast_model::{TableId, TimeRange, Timestamp};

/// Nanoseconds in an hour, the width of a partition.
pub(crate) const HOUR_NS: i64 = 3_600_000_000_000;

/// The position of an append in the log: 1 for the first, then one more for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Lsn(u64);

impl Lsn {
    /// Before the first append.
    pub const ZERO: Self = Self(0);

    /// The position with that number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The number of a segment: `data_file_id` of the catalogue. Never used for two committed files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SegmentId(u64);

impl SegmentId {
    /// The segment with that number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// An hour, counted from the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hour(i64);

impl Hour {
    /// The hour with that number.
    #[must_use]
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The hour an instant lies in.
    #[must_use]
    pub const fn of(time: Timestamp) -> Self {
        Self(time.as_nanos().div_euclid(HOUR_NS))
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Its first instant.
    #[must_use]
    pub const fn start(self) -> Timestamp {
        Timestamp::from_nanos(self.0.saturating_mul(HOUR_NS))
    }

    /// Its last instant.
    #[must_use]
    pub const fn last(self) -> Timestamp {
        Timestamp::from_nanos(self.start().as_nanos().saturating_add(HOUR_NS - 1))
    }

    /// Whether any instant of it lies in `range`.
    #[must_use]
    pub fn overlaps(self, range: TimeRange) -> bool {
        range.overlaps_inclusive(self.start(), self.last())
    }
}

/// A table and an hour of its time column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionKey {
    /// The table.
    pub table: TableId,
    /// The hour.
    pub hour: Hour,
}

impl fmt::Display for PartitionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.table, self.hour.0)
    }
}

/// The column that decides a row's partition.
#[must_use]
pub(crate) const fn time_column(table: TableId) -> &'static str {
    match table {
        TableId::Workloads | TableId::Policies => "valid_from",
        TableId::Flows
        | TableId::RuntimeEvents
        | TableId::AgentEvents
        | TableId::Edges1m
        | TableId::Edges1h
        | TableId::Losses
        | TableId::Ingested => "time",
    }
}
