//! An unchanging view of the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use hindcast_model::{TableId, TimeRange, Timestamp};
use object_store::ObjectStore;

use crate::clickhouse::{Remote, View};
use crate::ids::{Lsn, PartitionKey, SegmentId};
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
    /// The ClickHouse server, where one is configured.
    view: Option<View>,
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
    /// Rows of this store that are in ClickHouse and no longer in segments.
    pub moved_rows: u64,
}

impl TableStats {
    /// This store's rows, wherever they are.
    #[must_use]
    pub const fn n_rows(&self) -> u64 {
        self.segment_rows + self.memory_rows + self.moved_rows
    }
}

impl Snapshot {
    pub(crate) fn of(state: &State, store: Arc<dyn ObjectStore>, view: Option<View>) -> Self {
        let frozen = state.frozen.iter().map(|frozen| (frozen.key, Arc::clone(&frozen.batches)));
        let open = state.open.iter().map(|(key, open)| (*key, Arc::clone(&open.batches)));
        Self(Arc::new(Held {
            lsn: state.lsn,
            memory: frozen.chain(open).collect(),
            segments: state.segments.clone(),
            store,
            view,
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

    /// Rows of a table in `range` that are in ClickHouse and not in this snapshot's segments or memory; `None` if there
    /// are none.
    #[must_use]
    pub fn remote(&self, table: TableId, range: TimeRange) -> Option<Remote> {
        self.0.view.as_ref()?.remote(table, range, |key| self.here(key))
    }

    /// Whether rows of a table in `range` may be missing, because ClickHouse is to be asked for them and does not answer.
    #[must_use]
    pub fn is_remote_away(&self, table: TableId, range: TimeRange) -> bool {
        let Some(view) = self.0.view.as_ref().filter(|view| view.is_away()) else { return false };
        table != TableId::Ingested && (view.may_have_others || self.remote(table, range).is_some())
    }

    /// The segments that hold rows of a partition, if it has any rows here.
    fn here(&self, key: PartitionKey) -> Option<Vec<SegmentId>> {
        let segments = self.0.segments.get(&key.table).into_iter().flat_map(|segments| segments.iter());
        let ids = segments.filter(|segment| segment.hour == key.hour).map(|segment| segment.id).collect::<Vec<_>>();
        let is_in_memory = || self.0.memory.iter().any(|(found, _)| *found == key);
        (!ids.is_empty() || is_in_memory()).then_some(ids)
    }

    /// Whether it has rows of a partition in segments or memory.
    pub(crate) fn has_rows_here(&self, key: PartitionKey) -> bool {
        self.here(key).is_some()
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
        let remote = self.remote(table, TimeRange::ALL).map(|remote| remote.bounds());
        sealed.chain(unsealed).chain(remote).reduce(|held, next| (held.0.min(next.0), held.1.max(next.1)))
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
        let moved = self.0.view.iter().flat_map(|view| view.moved.iter()).filter(|(key, _)| key.table == table);
        stats.moved_rows = moved.map(|(_, rows)| rows.n_rows).sum();
        stats
    }
}
