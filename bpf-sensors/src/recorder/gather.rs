//! Events of all rings in the order in which they happened.
//!
//! A process may have started another program by the time that an event of it is read: what the event says must be set
//! beside what was true at its time. So the rings are emptied first, life last (what a process did comes after what made
//! it, and must not be found without it), and then all of it is taken in order of time, up to the moment at which the
//! emptying began. What is younger waits for the next turn.

use super::Ring;
use crate::decode;

/// Bytes taken out of one ring at a time. What is left stays there: the memory this takes is bounded, and a flood in one
/// ring does not keep the others waiting.
const MAX_BYTES: usize = 1 << 20;

/// Where an event stands in the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    ts: u64,
    start: usize,
    end: usize,
}

/// Events that were taken out of the rings.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    until: u64,
}

impl Gathered {
    /// Begins a turn at a kernel time.
    pub(super) const fn begin(&mut self, now: u64) {
        self.until = now;
    }

    /// Takes what a ring holds; `false` if it holds more.
    pub(super) fn take(&mut self, ring: &mut Ring) -> bool {
        let budget = self.bytes.len() + MAX_BYTES;
        while let Some(item) = ring.next() {
            let last = self.push(&item);
            if self.bytes.len() >= budget {
                // What is still in the ring is not older than this.
                self.until = self.until.min(last);
                return false;
            }
        }
        true
    }

    /// Adds an event; gives its time. One without a header is as old as can be, to be counted at once.
    fn push(&mut self, event: &[u8]) -> u64 {
        let ts = decode::header(event).map_or(0, |header| header.ts);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(event);
        self.slots.push(Slot { ts, start, end: self.bytes.len() });
        ts
    }

    /// Gives the events up to the beginning of the turn, in order, and keeps the others.
    pub(super) fn in_order(&mut self, mut each: impl FnMut(&[u8])) {
        self.slots.sort_by_key(|slot| slot.ts);
        let n_ready = self.slots.partition_point(|slot| slot.ts <= self.until);
        let (ready, early) = self.slots.split_at(n_ready);
        for slot in ready {
            each(self.bytes.get(slot.start..slot.end).unwrap_or_default());
        }
        let mut kept = Self { until: self.until, ..Self::default() };
        for slot in early {
            kept.push(self.bytes.get(slot.start..slot.end).unwrap_or_default());
        }
        // The memory is used again in the next turn; there is seldom much to move.
        self.bytes.clear();
        self.slots.clear();
        self.bytes.extend_from_slice(&kept.bytes);
        self.slots.extend_from_slice(&kept.slots);
    }
}

#[cfg(test)]
mod tests;
