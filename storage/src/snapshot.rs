//! An unchanging view of the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use hindcast_model::{TableId, TimeRange, Timestamp};
use object_store::ObjectStore;

use crate::ids::{Lsn, PartitionKey};
use crate::memory::{MemoryBatch, State};
use crate::segment::Segment;

/// The store as of one position in the log: every append up to [`Snapshot::lsn`], and none after. Reading it twice
/// gives the same rows. The files of its segments stay while it lives.
#[derive(Clone, Debug)]
pub struct Snapshot(Arc<Held>);

#[derive(Debug)]
struct Held {
    lsn: Lsn,
    memory: Vec<(PartitionKey, Arc<Vec<MemoryBatch>>)>,
    segments: BTreeMap<TableId, Arc<Vec<Arc<Segment>>>>,
    store: Arc<dyn ObjectStore>,
}

/// What a snapshot holds of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TableStats {
    /// Rows in segments.
    pub segment_rows: u64,
    /// Bytes of segments.
    pub segment_bytes: u64,
    /// How many segments.
    pub n_segments: usize,
    /// Rows in memory.
    pub memory_rows: u64,
}

impl Snapshot {
    pub(crate) fn of(state: &State, store: Arc<dyn ObjectStore>) -> Self {
        let frozen = state.frozen.iter().map(|frozen| (frozen.key, Arc::clone(&frozen.batches)));
        let open = state.open.iter().map(|(key, open)| (*key, Arc::clone(&open.batches)));
        Self(Arc::new(Held {
            lsn: state.lsn,
            memory: frozen.chain(open).collect(),
            segments: state.segments.clone(),
            store,
        }))
    }

    /// The last append it holds.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.0.lsn
    }

    /// Segments of a table with a row in `range`, the one with the newest row first.
    #[must_use]
    pub fn segments(&self, table: TableId, range: TimeRange) -> Vec<Arc<Segment>> {
        let Some(segments) = self.0.segments.get(&table) else { return Vec::new() };
        segments
            .iter()
            .filter(|segment| range.overlaps_inclusive(segment.min_time, segment.max_time))
            .map(Arc::clone)
            .collect()
    }

    /// Batches of a table that are not sealed and have a row in `range`, in no order.
    #[must_use]
    pub fn memory(&self, table: TableId, range: TimeRange) -> Vec<MemoryBatch> {
        self.0
            .memory
            .iter()
            .filter(|(key, _)| key.table == table && key.hour.overlaps(range))
            .flat_map(|(_, batches)| batches.iter())
            .filter(|batch| range.overlaps_inclusive(batch.min_time, batch.max_time))
            .cloned()
            .collect()
    }

    /// Where the paths of segments lead.
    #[must_use]
    pub fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.0.store)
    }

    /// Time of the first and of the last row of a table.
    #[must_use]
    pub fn held_range(&self, table: TableId) -> Option<(Timestamp, Timestamp)> {
        let segments = self.0.segments.get(&table).into_iter().flat_map(|segments| segments.iter());
        let sealed = segments.map(|segment| (segment.min_time, segment.max_time));
        let batches =
            self.0.memory.iter().filter(|(key, _)| key.table == table).flat_map(|(_, batches)| batches.iter());
        let unsealed = batches.map(|batch| (batch.min_time, batch.max_time));
        sealed.chain(unsealed).reduce(|held, next| (held.0.min(next.0), held.1.max(next.1)))
    }

    /// Rows and bytes of a table.
    #[must_use]
    pub fn stats(&self, table: TableId) -> TableStats {
        let mut stats = TableStats::default();
        for segment in self.0.segments.get(&table).into_iter().flat_map(|segments| segments.iter()) {
            stats.segment_rows += segment.n_rows;
            stats.segment_bytes += segment.n_bytes;
            stats.n_segments += 1;
        }
        let batches =
            self.0.memory.iter().filter(|(key, _)| key.table == table).flat_map(|(_, batches)| batches.iter());
        for batch in batches {
            stats.memory_rows += u64::try_from(batch.records.num_rows()).unwrap_or_default();
        }
        stats
    }
}
