//! Where batches go, and what is counted on the way.

use std::sync::atomic::{AtomicU64, Ordering};

use hindcast_model::Batch;

/// Takes batches. Called from the sensors' thread, which also empties the kernel's rings: it must not wait.
pub trait Sink: Send {
    /// Takes a batch, or gives it back where there is no room now. It is offered again, and counted as lost when too many
    /// wait.
    ///
    /// # Errors
    /// There is no room; the batch comes back.
    fn offer(&mut self, batch: Batch) -> Result<(), Batch>;
}

/// A bounded channel whose other end waits for batches.
impl Sink for std::sync::mpsc::SyncSender<Batch> {
    fn offer(&mut self, batch: Batch) -> Result<(), Batch> {
        use std::sync::mpsc::TrySendError;
        self.try_send(batch).map_err(|refused| match refused {
            TrySendError::Full(batch) | TrySendError::Disconnected(batch) => batch,
        })
    }
}

/// What the sensors did since they started. All are counts that only grow.
#[derive(Debug, Default)]
pub struct Counters {
    /// Events the kernel's programs handed over.
    pub emitted: AtomicU64,
    /// Events there was no room for in the kernel.
    pub lost_in_kernel: AtomicU64,
    /// Events read from the rings.
    pub received: AtomicU64,
    /// Events whose bytes made no sense.
    pub undecodable: AtomicU64,
    /// Rows made.
    pub rows: AtomicU64,
    /// Rows the sink took.
    pub delivered: AtomicU64,
    /// Rows that were lost because the sink had no room.
    pub shed: AtomicU64,
    /// Rows that were lost because there were more than the configured rate.
    pub limited: AtomicU64,
    /// Places at which bytes of a conversation were missed that was being read.
    pub gaps: AtomicU64,
    /// Jumps of the wall clock.
    pub clock_jumps: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    /// The value of a counter.
    #[must_use]
    pub fn read(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}
