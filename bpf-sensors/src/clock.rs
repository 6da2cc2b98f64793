//! Times of the kernel (nanoseconds after boot) as instants. The wall clock may jump; the kernel's never does, and order
//! and durations come from it alone.

use std::sync::Arc;

use hindcast_model::{Clock, Timestamp};

/// A step of the wall clock from which on it counts as a jump.
const JUMP_NS: i64 = 500_000_000;

/// Where the kernel's time comes from.
pub(crate) trait BootClock: Send {
    /// Nanoseconds after boot, sleep included.
    fn now(&self) -> u64;
}

/// The machine's own.
#[derive(Debug)]
pub(crate) struct SystemBoot;

impl BootClock for SystemBoot {
    fn now(&self) -> u64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        now.tv_sec.cast_unsigned().saturating_mul(1_000_000_000).saturating_add(now.tv_nsec.cast_unsigned())
    }
}

/// Both clocks and the distance between them.
pub(crate) struct Clocks {
    wall: Arc<dyn Clock>,
    boot: Box<dyn BootClock>,
    offset: i64,
}

impl std::fmt::Debug for Clocks {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Clocks").field("offset", &self.offset).finish_non_exhaustive()
    }
}

impl Clocks {
    pub(crate) fn new(wall: Arc<dyn Clock>, boot: Box<dyn BootClock>) -> Self {
        let mut clocks = Self { wall, boot, offset: 0 };
        clocks.offset = clocks.measure();
        clocks
    }

    /// Wall minus boot. Of three readings the one taken fastest counts: in between the thread may have been put aside.
    fn measure(&self) -> i64 {
        let readings = (0..3).map(|_attempt| {
            let (before, wall, after) = (self.boot.now(), self.wall.now(), self.boot.now());
            let width = after.saturating_sub(before);
            (width, wall.as_nanos().wrapping_sub_unsigned(before.wrapping_add(width / 2)))
        });
        readings.min().map_or(0, |(_width, offset)| offset)
    }

    /// Nanoseconds after boot.
    pub(crate) fn boot(&self) -> u64 {
        self.boot.now()
    }

    /// The wall clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.wall.now()
    }

    /// The instant of a kernel time, nanoseconds since the epoch.
    pub(crate) fn instant(&self, ts: u64) -> i64 {
        self.offset.wrapping_add_unsigned(ts)
    }

    /// Looks at both clocks again. Gives the step if the wall clock jumped: what the kernel saw before it was drained by
    /// then, up to one interval.
    pub(crate) fn adjust(&mut self) -> Option<i64> {
        let step = std::mem::replace(&mut self.offset, 0);
        self.offset = self.measure();
        let step = self.offset.wrapping_sub(step);
        (step.abs() >= JUMP_NS).then_some(step)
    }
}

#[cfg(test)]
mod tests;
