//! What a question may take, and what an answer says when that was not enough (QU-3).

use std::fmt;
use std::time::{Duration, Instant};

use bytesize::ByteSize;

/// What one question may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most rows in the answer.
    pub max_rows: u64,
    /// Most bytes of Arrow data in the answer.
    pub max_bytes: ByteSize,
    /// Most memory while it is worked out.
    pub max_memory: ByteSize,
    /// Longest time until the answer is complete.
    pub max_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_rows: 1_000_000,
            max_bytes: ByteSize::gib(1),
            max_memory: ByteSize::mib(512),
            max_time: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// For an answer that a client takes as fast as it likes: only memory is bounded.
    #[must_use]
    pub fn unbounded_answer() -> Self {
        Self {
            max_rows: u64::MAX,
            max_bytes: ByteSize(u64::MAX),
            max_time: Duration::from_secs(u64::from(u32::MAX)),
            ..Self::default()
        }
    }
}

/// Why an answer ends before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutReason {
    /// Its rows reached the limit.
    Rows,
    /// Its bytes reached the limit.
    Bytes,
    /// Going on would have taken more memory than allowed.
    Memory,
    /// The time was over.
    Time,
    /// ClickHouse did not answer: rows that are only there are missing.
    Away,
}

impl CutReason {
    /// One word for a client.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Bytes => "bytes",
            Self::Memory => "memory",
            Self::Time => "time",
            Self::Away => "away",
        }
    }
}

/// That an answer was cut, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Why.
    pub reason: CutReason,
    /// How many rows were given before.
    pub n_rows: u64,
}

impl fmt::Display for Cut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            CutReason::Away => formatter
                .write_str("ClickHouse, or a shard of it, does not answer: rows that are only there are missing"),
            reason => write!(formatter, "the limit of {} was reached after {} rows", reason.as_str(), self.n_rows),
        }
    }
}

/// What of the limits is left.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    started: Instant,
    n_rows: u64,
    n_bytes: u64,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, started: Instant::now(), n_rows: 0, n_bytes: 0 }
    }

    /// What was allowed at first.
    pub(crate) const fn limits(&self) -> Limits {
        self.limits
    }

    /// Rows that may still be given.
    pub(crate) const fn rows_left(&self) -> u64 {
        self.limits.max_rows.saturating_sub(self.n_rows)
    }

    /// Counts rows that are given; says if they are the last.
    pub(crate) fn give(&mut self, n_rows: usize, n_bytes: usize) -> Option<Cut> {
        self.n_rows = self.n_rows.saturating_add(u64::try_from(n_rows).unwrap_or(u64::MAX));
        self.n_bytes = self.n_bytes.saturating_add(u64::try_from(n_bytes).unwrap_or(u64::MAX));
        (self.n_bytes >= self.limits.max_bytes.0).then(|| self.cut(CutReason::Bytes))
    }

    /// Whether the time is over.
    pub(crate) fn over(&self) -> Option<Cut> {
        (self.started.elapsed() >= self.limits.max_time).then(|| self.cut(CutReason::Time))
    }

    /// The time that is left.
    pub(crate) fn time_left(&self) -> Duration {
        self.limits.max_time.saturating_sub(self.started.elapsed())
    }

    /// Whether so much memory is too much.
    pub(crate) fn holds(&self, n_bytes: usize) -> Option<Cut> {
        let held = u64::try_from(n_bytes).unwrap_or(u64::MAX);
        (held > self.limits.max_memory.0).then(|| self.cut(CutReason::Memory))
    }

    pub(crate) const fn cut(&self, reason: CutReason) -> Cut {
        Cut { reason, n_rows: self.n_rows }
    }
}
