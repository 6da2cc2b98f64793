//! What is in memory and which segments there are: the part of the store a snapshot copies.

use std::collections::BTreeMap;
use std::sync::Arc;

use hindcast_model::{TableId, Timestamp};

use super::{MemoryBatch, Prepared};
use crate::catalog::MovedRows;
use crate::ids::{Lsn, PartitionKey, SegmentId};
use crate::segment::Segment;

/// A partition's rows that are being sealed. They are visible until their segment is.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) key: PartitionKey,
    pub(crate) batches: Arc<Vec<MemoryBatch>>,
    pub(crate) n_rows: usize,
    pub(crate) n_bytes: usize,
    pub(crate) first: Lsn,
    pub(crate) opened_at: Timestamp,
    /// Every row of the partition with an lsn up to here is in this or an earlier segment.
    pub(crate) mark: Lsn,
}

/// A partition's rows that more may join.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) batches: Arc<Vec<MemoryBatch>>,
    pub(crate) n_rows: usize,
    pub(crate) n_bytes: usize,
    pub(crate) first: Lsn,
    pub(crate) opened_at: Timestamp,
}

/// When a partition is sealed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_bytes: usize,
    pub(crate) max_rows: usize,
    pub(crate) max_age: std::time::Duration,
    pub(crate) max_partitions: usize,
}

/// Memory and segments as of one position in the log.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) lsn: Lsn,
    pub(crate) open: BTreeMap<PartitionKey, Open>,
    pub(crate) frozen: Vec<Arc<Frozen>>,
    /// Per table, newest first.
    pub(crate) segments: BTreeMap<TableId, Arc<Vec<Arc<Segment>>>>,
    /// Hours whose rows are in ClickHouse only, but for those that came late.
    pub(crate) moved: Arc<BTreeMap<PartitionKey, MovedRows>>,
    /// The last segment that was ever linked in: rows of a later one are not sealed yet.
    pub(crate) newest: SegmentId,
}

impl State {
    /// Links an append's rows in.
    pub(crate) fn apply(&mut self, lsn: Lsn, parts: &[Prepared], now: Timestamp) {
        debug_assert!(lsn > self.lsn, "appends are applied in order");
        self.lsn = lsn;
        for part in parts {
            let open = self.open.entry(part.key).or_insert_with(|| Open {
                batches: Arc::default(),
                n_rows: 0,
                n_bytes: 0,
                first: lsn,
                opened_at: now,
            });
            open.n_rows += part.records.num_rows();
            open.n_bytes += part.n_bytes;
            Arc::make_mut(&mut open.batches).push(MemoryBatch {
                records: part.records.clone(),
                lsn,
                min_time: part.min_time,
                max_time: part.max_time,
            });
        }
    }

    /// Memory of open and frozen rows.
    pub(crate) fn n_bytes(&self) -> usize {
        self.open_bytes() + self.frozen.iter().map(|frozen| frozen.n_bytes).sum::<usize>()
    }

    fn open_bytes(&self) -> usize {
        self.open.values().map(|open| open.n_bytes).sum()
    }

    /// The position of the oldest append with a row that is not sealed.
    pub(crate) fn oldest_unsealed(&self) -> Lsn {
        let open = self.open.values().map(|open| open.first);
        let frozen = self.frozen.iter().map(|frozen| frozen.first);
        open.chain(frozen).min().unwrap_or_else(|| self.lsn.next())
    }

    /// [`State::oldest_unsealed`] once `sealed` is.
    pub(crate) fn oldest_unsealed_but(&self, sealed: &[Arc<Frozen>]) -> Lsn {
        let is_left = |frozen: &&Arc<Frozen>| !sealed.iter().any(|done| Arc::ptr_eq(done, frozen));
        let frozen = self.frozen.iter().filter(is_left).map(|frozen| frozen.first);
        self.open.values().map(|open| open.first).chain(frozen).min().unwrap_or_else(|| self.lsn.next())
    }

    /// When the oldest row that is not sealed arrived.
    pub(crate) fn oldest_arrival(&self) -> Option<Timestamp> {
        let open = self.open.values().map(|open| open.opened_at);
        open.chain(self.frozen.iter().map(|frozen| frozen.opened_at)).min()
    }

    /// The partitions that have reached a limit.
    pub(crate) fn due(&self, limits: Limits, now: Timestamp) -> Vec<PartitionKey> {
        let mut due: Vec<PartitionKey> = self
            .open
            .iter()
            .filter(|(_, open)| open.n_rows >= limits.max_rows || now.since(open.opened_at) >= limits.max_age)
            .map(|(key, _)| *key)
            .collect();
        let rest = |due: &[PartitionKey]| {
            let mut rest: Vec<_> = self.open.iter().filter(|(key, _)| !due.contains(key)).collect();
            rest.sort_by_key(|(_, open)| open.n_bytes);
            rest.into_iter().map(|(key, open)| (*key, open.n_bytes, open.opened_at)).collect::<Vec<_>>()
        };
        let mut left = rest(&due);
        let mut n_bytes: usize = left.iter().map(|(_, n_bytes, _)| n_bytes).sum();
        // The largest first: they make the best segments.
        while n_bytes > limits.max_bytes / 2 {
            let Some((key, size, _)) = left.pop() else { break };
            n_bytes -= size;
            due.push(key);
        }
        left.sort_by_key(|(_, _, opened_at)| std::cmp::Reverse(*opened_at));
        while left.len() > limits.max_partitions {
            let Some((key, _, _)) = left.pop() else { break };
            due.push(key);
        }
        due
    }

    /// The partitions that began in the older half of what is not sealed: they are what keeps the log from being freed.
    pub(crate) fn oldest(&self) -> Vec<PartitionKey> {
        let Some(first) = self.open.values().map(|open| open.first.get()).min() else { return Vec::new() };
        let middle = first + self.lsn.get().saturating_sub(first) / 2;
        self.open.iter().filter(|(_, open)| open.first.get() <= middle).map(|(key, _)| *key).collect()
    }

    /// Moves partitions from open to frozen.
    pub(crate) fn freeze(&mut self, keys: &[PartitionKey]) -> Vec<Arc<Frozen>> {
        let mut frozen = Vec::with_capacity(keys.len());
        for key in keys {
            let Some(open) = self.open.remove(key) else { continue };
            frozen.push(Arc::new(Frozen {
                key: *key,
                batches: open.batches,
                n_rows: open.n_rows,
                n_bytes: open.n_bytes,
                first: open.first,
                opened_at: open.opened_at,
                mark: self.lsn,
            }));
        }
        self.frozen.extend(frozen.iter().map(Arc::clone));
        frozen
    }

    /// Swaps frozen rows for their segments and compacted segments for their successor, in one step.
    pub(crate) fn replace(&mut self, sealed: &[Arc<Frozen>], removed: &[Arc<Segment>], added: &[Arc<Segment>]) {
        self.frozen.retain(|frozen| !sealed.iter().any(|done| Arc::ptr_eq(done, frozen)));
        self.newest = added.iter().map(|segment| segment.id).fold(self.newest, SegmentId::max);
        let mut tables: Vec<TableId> = removed.iter().chain(added).map(|segment| segment.table).collect();
        tables.sort_unstable();
        tables.dedup();
        for table in tables {
            let held = self.segments.entry(table).or_default();
            let mut next: Vec<_> = held
                .iter()
                .filter(|segment| !removed.iter().any(|gone| gone.id == segment.id))
                .chain(added.iter().filter(|segment| segment.table == table))
                .map(Arc::clone)
                .collect();
            next.sort_by_key(|segment| std::cmp::Reverse((segment.max_time, segment.id)));
            *held = Arc::new(next);
        }
    }

    /// Forgets hours of which nothing is left anywhere.
    pub(crate) fn forget(&mut self, hours: &[PartitionKey]) {
        Arc::make_mut(&mut self.moved).retain(|key, _| !hours.contains(key));
    }

    /// Links in the segments of an hour that came back.
    pub(crate) fn move_in(&mut self, key: PartitionKey, added: &[Arc<Segment>]) {
        Arc::make_mut(&mut self.moved).remove(&key);
        self.replace(&[], &[], added);
    }

    /// Takes segments out whose rows are in ClickHouse, in one step with the note that they are read there.
    pub(crate) fn move_out(&mut self, removed: &[Arc<Segment>], moved: &[(PartitionKey, MovedRows)]) {
        let hours = Arc::make_mut(&mut self.moved);
        for (key, rows) in moved {
            hours.entry(*key).and_modify(|held| *held = held.and(*rows)).or_insert(*rows);
        }
        self.replace(&[], removed, &[]);
    }
}
