//! Rows that are in ClickHouse leave the lake: hour by hour, all of an hour at once, so that it is plain who is asked
//! for it. Rows that come late for such an hour are read here until they are there too.

use std::collections::BTreeMap;
use std::sync::Arc;

use hindcast_model::{TableId, Timestamp};
use tokio::runtime::Handle;

use crate::catalog::{Commit, MovedRows, Shipment};
use crate::clickhouse::keep::may_be_over;
use crate::clickhouse::recheck;
use crate::clickhouse::ship::SENT;
use crate::error::SealError;
use crate::ids::{PartitionKey, SegmentId};
use crate::segment::Segment;
use crate::store::Shared;

/// What left the lake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MovedOut {
    /// Hours of tables.
    pub n_hours: usize,
    /// Rows, those of roll-ups not counted.
    pub n_rows: u64,
    /// Bytes of segments, those of roll-ups counted.
    pub n_bytes: u64,
}

/// Tables whose rows leave together with those of `table`: the roll-ups that are made of them.
pub(crate) const fn together(table: TableId) -> &'static [TableId] {
    match table {
        TableId::Flows => &[TableId::Flows, TableId::Edges1m, TableId::Edges1h],
        TableId::RuntimeEvents => &[TableId::RuntimeEvents],
        TableId::AgentEvents => &[TableId::AgentEvents],
        TableId::Workloads => &[TableId::Workloads],
        TableId::Policies => &[TableId::Policies],
        TableId::Losses => &[TableId::Losses],
        TableId::Edges1m | TableId::Edges1h | TableId::Ingested => &[],
    }
}

/// Moves the hours that ended before `before`, and what came late for hours that were moved already. An hour of which
/// not every row has been sent waits.
pub(crate) fn move_out(shared: &Shared, before: Timestamp) -> Result<MovedOut, SealError> {
    // ClickHouse is asked before the lock is taken: while it is slow, rows are sealed all the same.
    let there = there(shared, ready(shared, before));
    // No segment may join an hour between the look at it and the note that it has left.
    let _alone = Handle::current().block_on(shared.sealing.lock());
    let mut removed: Vec<Arc<Segment>> = Vec::new();
    let mut moved = Vec::new();
    for (key, segments) in ready(shared, before) {
        if there.get(&key) != Some(&ids(&segments)) {
            continue;
        }
        let rows = segments.iter().filter(|segment| segment.table == key.table).map(|segment| MovedRows {
            n_rows: segment.n_rows,
            min_time: segment.min_time,
            max_time: segment.max_time,
        });
        moved.extend(rows.reduce(MovedRows::and).map(|rows| (key, rows)));
        removed.extend(segments);
    }
    if moved.is_empty() {
        return Ok(MovedOut::default());
    }
    let ids: Vec<_> = removed.iter().map(|segment| (segment.id, segment.table)).collect();
    let (oldest_needed, last_lsn) = {
        let state = shared.state.read();
        (state.oldest_unsealed(), state.lsn)
    };
    let now = shared.clock.now();
    let commit =
        Commit { now, added: &[], removed: &ids, marks: &[], moved: &moved, brought: &[], oldest_needed, last_lsn };
    shared.catalog.commit(&commit)?;
    shared.state.write().move_out(&removed, &moved);
    shared.shipments.lock().retain(|id, _| removed.iter().all(|segment| segment.id != *id));
    shared.leaving.lock().extend(removed.iter().map(Arc::downgrade));
    let done = MovedOut {
        n_hours: moved.len(),
        n_rows: moved.iter().map(|(_, rows)| rows.n_rows).sum(),
        n_bytes: removed.iter().map(|segment| segment.n_bytes).sum(),
    };
    tracing::info!(n_hours = done.n_hours, n_rows = done.n_rows, "rows that are in ClickHouse leave the lake");
    Ok(done)
}

fn ids(segments: &[Arc<Segment>]) -> Vec<SegmentId> {
    segments.iter().map(|segment| segment.id).collect()
}

/// The hours, with their segments, that ClickHouse still has whole.
fn there(shared: &Shared, ready: BTreeMap<PartitionKey, Vec<Arc<Segment>>>) -> BTreeMap<PartitionKey, Vec<SegmentId>> {
    let mut there = BTreeMap::new();
    for (key, segments) in ready {
        // One that does not answer for an hour is not asked for the next.
        let Some(is_there) = recheck::has(shared, key) else { break };
        if is_there {
            there.insert(key, ids(&segments));
        }
    }
    there
}

/// The hours that may leave, with all their segments.
fn ready(shared: &Shared, before: Timestamp) -> BTreeMap<PartitionKey, Vec<Arc<Segment>>> {
    let state = shared.state.read();
    let shipments = shared.shipments.lock();
    let mut ready: BTreeMap<PartitionKey, Vec<Arc<Segment>>> = BTreeMap::new();
    for table in SENT {
        for of in together(table) {
            for segment in state.segments.get(of).into_iter().flat_map(|segments| segments.iter()) {
                let key = PartitionKey { table, hour: segment.hour };
                let may_leave = segment.hour.last() < before || state.moved.contains_key(&key);
                if may_leave && !may_be_over(shared, key) {
                    ready.entry(key).or_default().push(Arc::clone(segment));
                }
            }
        }
    }
    ready.retain(|key, segments| {
        let mut own = segments.iter().filter(|segment| segment.table == key.table).peekable();
        own.peek().is_some() && own.all(|segment| shipments.get(&segment.id) == Some(&Shipment::Done))
    });
    ready
}
