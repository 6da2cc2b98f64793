//! Instants, ranges and the clock. All times are nanoseconds since 1970-01-01T00:00:00Z in an `i64`
//! (1677-09-21 to 2262-04-11).

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// An instant, in nanoseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(i64);

/// A time outside of what a [`Timestamp`] can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("time {seconds} s + {nanos} ns is outside 1677-09-21 to 2262-04-11, or its nanoseconds are not 0 to 999999999")]
pub struct TimestampError {
    /// Seconds since the epoch.
    pub seconds: i64,
    /// Nanoseconds on top.
    pub nanos: i32,
}

const NANOS_PER_SECOND: i64 = 1_000_000_000;

impl Timestamp {
    /// The earliest instant.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest instant.
    pub const MAX: Self = Self(i64::MAX);

    /// From nanoseconds since the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From the parts of a `google.protobuf.Timestamp`.
    ///
    /// # Errors
    /// The parts are out of range.
    pub fn from_parts(seconds: i64, nanos: i32) -> Result<Self, TimestampError> {
        if !(0..1_000_000_000).contains(&nanos) {
            return Err(TimestampError { seconds, nanos });
        }
        i128::from(seconds)
            .checked_mul(i128::from(NANOS_PER_SECOND))
            .and_then(|total| i64::try_from(total + i128::from(nanos)).ok())
            .map(Self)
            .ok_or(TimestampError { seconds, nanos })
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Seconds and nanoseconds as a `google.protobuf.Timestamp` holds them (nanoseconds never negative).
    #[must_use]
    pub fn to_parts(self) -> (i64, i32) {
        let nanos = self.0.rem_euclid(NANOS_PER_SECOND);
        (self.0.div_euclid(NANOS_PER_SECOND), i32::try_from(nanos).unwrap_or(0))
    }

    /// The start of the bucket of `width` nanoseconds this instant lies in. Requires: `width` > 0.
    #[must_use]
    pub fn bucket(self, width: i64) -> Self {
        debug_assert!(width > 0, "a bucket has a width");
        Self(self.0.div_euclid(width).saturating_mul(width))
    }

    /// This instant moved forward, stopping at [`Timestamp::MAX`].
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// This instant moved back, stopping at [`Timestamp::MIN`].
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// The time since `earlier`, zero if it is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(i128::from(self.0) - i128::from(earlier.0)).unwrap_or(0))
    }
}

/// A half-open range of time: `start` belongs to it, `end` does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    start: Timestamp,
    end: Timestamp,
}

/// A range that would end before it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time range cannot end before it starts")]
pub struct TimeRangeError;

impl TimeRange {
    /// Everything but the last nanosecond of [`Timestamp::MAX`].
    pub const ALL: Self = Self { start: Timestamp::MIN, end: Timestamp::MAX };

    /// From `start` up to but without `end`; may be empty.
    ///
    /// # Errors
    /// `end` is before `start`.
    pub fn new(start: Timestamp, end: Timestamp) -> Result<Self, TimeRangeError> {
        if end < start { Err(TimeRangeError) } else { Ok(Self { start, end }) }
    }

    /// The first instant inside.
    #[must_use]
    pub const fn start(self) -> Timestamp {
        self.start
    }

    /// The first instant after.
    #[must_use]
    pub const fn end(self) -> Timestamp {
        self.end
    }

    /// Whether nothing lies inside.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Whether an instant lies inside.
    #[must_use]
    pub fn contains(self, time: Timestamp) -> bool {
        self.start <= time && time < self.end
    }

    /// Whether any instant between `min` and `max`, both included, lies inside.
    #[must_use]
    pub fn overlaps_inclusive(self, min: Timestamp, max: Timestamp) -> bool {
        self.start <= max && min < self.end
    }

    /// Whether everything between `min` and `max`, both included, lies in it.
    #[must_use]
    pub fn covers(self, min: Timestamp, max: Timestamp) -> bool {
        self.start <= min && max < self.end
    }
}

/// Where the present comes from. The system clock is read in `cli` only, so that everything else can be replayed.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present.
    fn now(&self) -> Timestamp;
}

/// A clock that stands still until it is told to move.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.as_nanos()))
    }

    /// Sets the clock.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_nanos(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.0.load(Ordering::SeqCst))
    }
}
