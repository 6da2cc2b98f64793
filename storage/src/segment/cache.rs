//! Footers of segments, the recently used ones, within a budget of memory.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use parquet::file::metadata::ParquetMetaData;

use crate::ids::SegmentId;

/// Footers by segment; the least recently used are dropped when the budget is spent.
#[derive(Debug)]
pub(crate) struct MetadataCache {
    max_bytes: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    entries: HashMap<SegmentId, Entry>,
    n_bytes: usize,
    tick: u64,
}

#[derive(Debug)]
struct Entry {
    metadata: Arc<ParquetMetaData>,
    n_bytes: usize,
    used: u64,
}

impl MetadataCache {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, held: Mutex::default() }
    }

    pub(crate) fn get(&self, id: SegmentId) -> Option<Arc<ParquetMetaData>> {
        let mut held = self.held.lock();
        held.tick += 1;
        let tick = held.tick;
        let entry = held.entries.get_mut(&id)?;
        entry.used = tick;
        Some(Arc::clone(&entry.metadata))
    }

    pub(crate) fn put(&self, id: SegmentId, metadata: Arc<ParquetMetaData>) {
        let n_bytes = metadata.memory_size();
        let mut held = self.held.lock();
        held.tick += 1;
        let used = held.tick;
        if let Some(old) = held.entries.insert(id, Entry { metadata, n_bytes, used }) {
            held.n_bytes -= old.n_bytes;
        }
        held.n_bytes += n_bytes;
        while held.n_bytes > self.max_bytes && held.entries.len() > 1 {
            let oldest = held.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(id, _)| *id);
            let Some(gone) = oldest.and_then(|oldest| held.entries.remove(&oldest)) else { break };
            held.n_bytes -= gone.n_bytes;
        }
    }
}
