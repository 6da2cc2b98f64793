//! What a walk goes through: segments, their row groups, and batches in memory, ordered by the time they begin at.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::RecordBatch;
use hindcast_model::{TableId, TimeRange, Timestamp};
use hindcast_storage::Segment;

use super::read::SegmentReader;
use super::statistics::time_bounds;
use crate::remote::{Span, Window};

/// The column that a table is ordered and partitioned by.
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

/// A direction of time; ranks ascend in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Backward,
}

impl Direction {
    /// A time as a number that ascends in this direction.
    pub(super) const fn rank(self, time: i64) -> i64 {
        match self {
            Self::Forward => time,
            Self::Backward => !time,
        }
    }

    /// The first rank of rows between two times.
    pub(super) const fn first_rank(self, min: i64, max: i64) -> i64 {
        match self {
            Self::Forward => min,
            Self::Backward => !max,
        }
    }

    /// An id as a number that ascends in this direction.
    pub(super) const fn id_rank(self, id: u64) -> u64 {
        match self {
            Self::Forward => id,
            Self::Backward => !id,
        }
    }
}

/// Rows that are read together.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// A whole segment, whose footer was not looked at yet.
    Segment(Arc<Segment>),
    /// A row group of a segment.
    Group(Arc<SegmentReader>, usize),
    /// Rows in memory.
    Memory(RecordBatch),
    /// Rows in ClickHouse that were not asked for yet.
    Remote(Span),
    /// Rows in ClickHouse that are on their way, in order.
    Window(Window),
}

impl Part {
    /// Whether all its rows are known to lie in a range.
    pub(crate) fn lies_in(&self, table: TableId, range: TimeRange) -> bool {
        let (min, max) = match self {
            Self::Segment(segment) => (segment.min_time, segment.max_time),
            Self::Group(reader, group) => {
                let group = reader.group(*group);
                let bounds = group.and_then(|group| time_bounds(reader, group, time_column(table)));
                bounds.map_or((reader.segment.min_time, reader.segment.max_time), |(min, max)| {
                    (Timestamp::from_nanos(min), Timestamp::from_nanos(max))
                })
            }
            Self::Memory(_) => return false,
            // The server leaves out what lies beyond.
            Self::Remote(_) | Self::Window(_) => return true,
        };
        range.covers(min, max)
    }
}

/// A part that was not opened yet.
#[derive(Debug)]
pub(super) struct Queued {
    /// No row of it comes before this.
    pub(super) rank: i64,
    pub(super) part: Part,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    /// The first rank is the greatest, as a heap wants it.
    fn cmp(&self, other: &Self) -> Ordering {
        other.rank.cmp(&self.rank)
    }
}
