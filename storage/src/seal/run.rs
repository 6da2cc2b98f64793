//! Sealing: frozen rows become files, the catalogue names them, the snapshot swaps them in, the log is freed.
//!
//! Every step before the commit may fail and leaves rows in memory and log; files without a commit are orphans that the
//! next open removes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use hindcast_model::{TableId, Timestamp};
use object_store::path::Path;

use super::merge::Merged;
use super::order::{Keys, row_groups};
use super::rollup;
use super::write::{WriteOptions, write};
use crate::catalog::{Commit, NewSegment};
use crate::error::SealError;
use crate::ids::{Hour, Lsn, PartitionKey, SegmentId};
use crate::memory::Frozen;
use crate::segment::Segment;
use crate::store::Shared;

/// Seals what is frozen and the named partitions. Blocks. Requires: one caller at a time.
pub(crate) fn seal(shared: &Shared, due: &[PartitionKey]) -> Result<usize, SealError> {
    let frozen = {
        let mut state = shared.state.write();
        state.freeze(due);
        state.frozen.clone()
    };
    if frozen.is_empty() {
        return Ok(0);
    }
    let mut partitions: BTreeMap<PartitionKey, Vec<Arc<Frozen>>> = BTreeMap::new();
    for part in &frozen {
        partitions.entry(part.key).or_default().push(Arc::clone(part));
    }
    let mut added: Vec<NewSegment> = Vec::new();
    let mut marks = Vec::with_capacity(partitions.len());
    for (key, parts) in &partitions {
        let batches: Vec<RecordBatch> =
            parts.iter().flat_map(|part| part.batches.iter()).map(|batch| batch.records.clone()).collect();
        let mark = parts.iter().map(|part| part.mark).max().unwrap_or_default();
        let n_rows = parts.iter().map(|part| part.n_rows).sum::<usize>();
        tracing::debug!(partition = %key, n_rows, "sealing");
        added.extend(partition(shared, *key, &batches, mark)?);
        marks.push((*key, mark));
    }
    let (oldest_needed, last_lsn) = {
        let state = shared.state.read();
        (state.oldest_unsealed_but(&frozen), state.lsn)
    };
    let now = shared.clock.now();
    let commit =
        Commit { now, added: &added, removed: &[], marks: &marks, moved: &[], brought: &[], oldest_needed, last_lsn };
    shared.catalog.commit(&commit)?;
    let segments: Vec<Arc<Segment>> = added.iter().map(|new| segment(shared, new)).collect();
    shared.state.write().replace(&frozen, &[], &segments);
    for new in &added {
        shared.metrics.sealed_rows.inc_by(new.n_rows);
        shared.metrics.sealed_bytes.inc_by(new.n_bytes);
    }
    shared.room.notify_waiters();
    Ok(added.len())
}

/// Writes the segments of one partition: its own, and the roll-ups of flows.
pub(crate) fn partition(
    shared: &Shared,
    key: PartitionKey,
    batches: &[RecordBatch],
    last_lsn: Lsn,
) -> Result<Vec<NewSegment>, SealError> {
    let merged = Merged::new(key.table, batches).map_err(super::write::WriteError::from)?;
    let keys = Keys::of(&merged).map_err(super::write::WriteError::from)?;
    let mut own = file(shared, key, &merged, &keys, last_lsn)?;
    if key.table != TableId::Flows {
        return Ok(vec![own]);
    }
    let keys = keys.into_edges();
    let edges = rollup::Rolled::of(&merged, &keys);
    own.has_minutes = edges.n_minutes().saturating_mul(shared.config.segments.rollup_1m_min_flows) <= merged.n_rows;
    let mut added = Vec::with_capacity(3);
    for (table, is_wanted) in [(TableId::Edges1m, own.has_minutes), (TableId::Edges1h, true)] {
        if is_wanted {
            let records = edges.table(table, &keys).map_err(super::write::WriteError::from)?;
            added.push(derived(shared, PartitionKey { table, hour: key.hour }, vec![records], last_lsn)?);
        }
    }
    added.push(own);
    Ok(added)
}

/// Writes one segment of rows that are in no order yet.
pub(crate) fn derived(
    shared: &Shared,
    key: PartitionKey,
    batches: Vec<RecordBatch>,
    last_lsn: Lsn,
) -> Result<NewSegment, SealError> {
    let merged = Merged::new(key.table, &batches).map_err(super::write::WriteError::from)?;
    drop(batches);
    let keys = Keys::of(&merged).map_err(super::write::WriteError::from)?;
    file(shared, key, &merged, &keys, last_lsn)
}

fn file(
    shared: &Shared,
    key: PartitionKey,
    merged: &Merged,
    keys: &Keys,
    last_lsn: Lsn,
) -> Result<NewSegment, SealError> {
    let field_ids = shared.catalog.table(key.table).map(|ids| ids.column_ids.as_slice()).unwrap_or_default();
    let options = WriteOptions { zstd_level: shared.config.segments.zstd_level, field_ids };
    let row_groups = row_groups(merged, keys, shared.config.segments.row_group_rows);
    let written = write(merged, &row_groups, options)?;
    let id = shared.next_segment();
    let path = format!("{}/{:012}.parquet", hour_name(key.hour), id.get());
    let checksum = xxhash_rust::xxh3::xxh3_64(&written.bytes);
    let n_bytes = u64::try_from(written.bytes.len()).unwrap_or(u64::MAX);
    shared.tier.put(&Path::from(format!("{}/{path}", key.table)), written.bytes)?;
    let (min_time, max_time) = merged.time_bounds();
    debug_assert!(Hour::of(min_time) == key.hour && Hour::of(max_time) == key.hour, "a segment lies in its partition");
    Ok(NewSegment {
        id,
        key,
        path,
        n_rows: u64::try_from(merged.n_rows).unwrap_or(u64::MAX),
        n_bytes,
        footer_bytes: written.footer_bytes,
        min_time,
        max_time,
        last_lsn,
        checksum,
        has_minutes: true,
        shipment: None,
        columns: written.columns,
    })
}

/// An hour as people write it: `2026-05-28T21`.
pub(crate) fn hour_name(hour: Hour) -> String {
    let text = crate::catalog::time_text(hour.start());
    text.get(..13).unwrap_or(&text).replace(' ', "T")
}

/// The segment a commit added.
pub(crate) fn segment(shared: &Shared, new: &NewSegment) -> Arc<Segment> {
    Arc::new(Segment {
        id: new.id,
        table: new.key.table,
        hour: new.key.hour,
        path: Path::from(format!("{}/{}", new.key.table, new.path)),
        n_rows: new.n_rows,
        n_bytes: new.n_bytes,
        footer_bytes: new.footer_bytes,
        min_time: new.min_time,
        max_time: new.max_time,
        last_lsn: new.last_lsn,
        has_minutes: new.has_minutes,
        store: Arc::clone(&shared.tier.store),
        cache: Arc::clone(&shared.cache),
    })
}

impl Shared {
    fn next_segment(&self) -> SegmentId {
        SegmentId::new(self.next_file_id.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }
}

impl Merged {
    /// Earliest and latest time.
    pub(crate) fn time_bounds(&self) -> (Timestamp, Timestamp) {
        use arrow::array::AsArray as _;
        use arrow::datatypes::TimestampNanosecondType;
        let times = match self.column(crate::ids::time_column(self.table)) {
            Some(super::merge::Column::Plain(array)) => array.as_primitive_opt::<TimestampNanosecondType>(),
            _ => None,
        };
        let bound = |of: fn(&arrow::array::TimestampNanosecondArray) -> Option<i64>| {
            Timestamp::from_nanos(times.and_then(of).unwrap_or(0))
        };
        (bound(arrow::compute::min), bound(arrow::compute::max))
    }
}
