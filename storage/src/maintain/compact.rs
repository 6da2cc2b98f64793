//! Compaction: small segments of one partition become one. Rows of raw tables stay the same; edges of one key and
//! bucket become one edge. Flows that are folded by the minute and flows that are not stay apart.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use hindcast_model::TableId;
use object_store::ObjectStoreExt as _;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::retain::replace;
use crate::catalog::{NewSegment, Shipment};
use crate::error::{ReadError, SealError};
use crate::ids::{Hour, PartitionKey};
use crate::memory::conform;
use crate::seal::rollup;
use crate::seal::run::derived;
use crate::seal::write::WriteError;
use crate::segment::Segment;
use crate::store::Shared;

/// Compacts the partitions that have enough small segments, one commit each.
pub(super) fn compact(shared: &Shared, cancel: &CancellationToken) -> Result<(), SealError> {
    for ((key, has_minutes, shipment), mut small) in candidates(shared) {
        if cancel.is_cancelled() {
            return Ok(());
        }
        // Sealing and compaction both hold a partition several times over: they take turns.
        let _alone = Handle::current().block_on(shared.sealing.lock());
        // Sending may have begun with one meanwhile.
        small.retain(|segment| joins_as(shared, segment) == Some(shipment));
        if small.len() < 2 {
            continue;
        }
        let mut batches = Vec::new();
        for segment in &small {
            batches.extend(read(segment)?);
        }
        let last_lsn = small.iter().map(|segment| segment.last_lsn).max().unwrap_or_default();
        if matches!(key.table, TableId::Edges1m | TableId::Edges1h) {
            batches = vec![rollup::refold(key.table, &batches).map_err(WriteError::from)?];
        }
        let added = NewSegment { has_minutes, shipment, ..derived(shared, key, batches, last_lsn)? };
        tracing::debug!(partition = %key, n_segments = small.len(), n_rows = added.n_rows, "compacted");
        replace(shared, &small, &[added])?;
        shared.metrics.compactions.inc();
    }
    Ok(())
}

/// What segments that may become one have in common: the partition, whether minutes are folded, and whether their rows
/// are in ClickHouse.
pub(crate) type Kind = (PartitionKey, bool, Option<Shipment>);
type Candidates = BTreeMap<Kind, Vec<Arc<Segment>>>;

/// How far what a segment becomes part of is sent; `None` for a segment that must stay as it is. In ClickHouse rows are
/// told by their segment: it is joined with others before any of it is sent, or once all of it is there.
fn joins_as(shared: &Shared, segment: &Segment) -> Option<Option<Shipment>> {
    match shared.shipments.lock().get(&segment.id).copied() {
        Some(Shipment::Begun(_)) => None,
        Some(Shipment::Again(_)) => Some(None),
        shipment => Some(shipment),
    }
}

fn candidates(shared: &Shared) -> Candidates {
    let config = &shared.config.segments;
    let mut partitions = Candidates::new();
    let state = shared.state.read();
    for segment in state.segments.values().flat_map(|segments| segments.iter()) {
        let key = PartitionKey { table: segment.table, hour: segment.hour };
        // What came late for an hour that has left leaves soon, and in ClickHouse it is told by its segment.
        let has_left = state.moved.contains_key(&crate::clickhouse::source_of(key));
        let Some(shipment) = joins_as(shared, segment) else { continue };
        if segment.n_bytes < config.small_size.as_u64() && !has_left {
            partitions.entry((key, segment.has_minutes, shipment)).or_default().push(Arc::clone(segment));
        }
    }
    let this_hour = Hour::of(shared.clock.now());
    let newest = |small: &[Arc<Segment>]| small.iter().map(|segment| segment.id).max();
    let now = partitions.iter().filter_map(|(key, small)| Some((*key, newest(small)?))).collect();
    let before = std::mem::replace(&mut *shared.newest_small.lock(), now);
    partitions.retain(|key, small| {
        let is_quiet = before.get(key).copied() == newest(small);
        small.sort_by_key(|segment| segment.id);
        let mut n_rows = 0_usize;
        small.retain(|segment| {
            n_rows = n_rows.saturating_add(usize::try_from(segment.n_rows).unwrap_or(usize::MAX));
            n_rows <= config.compact_max_rows
        });
        // An hour that is over and got nothing since the last round will hardly get more: two are enough to make one.
        let enough = if key.0.hour < this_hour && is_quiet { 2 } else { config.compact_min_segments };
        small.len() >= enough
    });
    partitions
}

/// All rows of a segment, in the table's schema.
pub(crate) fn read(segment: &Segment) -> Result<Vec<RecordBatch>, SealError> {
    let bytes = Handle::current()
        .block_on(async { segment.store.get(&segment.path).await?.bytes().await })
        .map_err(|source| ReadError::Store { path: segment.path.to_string(), source: Arc::new(source) })?;
    read_bytes(segment.table, bytes).map_err(|source| segment.read_error(source).into())
}

fn read_bytes(table: TableId, bytes: bytes::Bytes) -> Result<Vec<RecordBatch>, parquet::errors::ParquetError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?.with_batch_size(1 << 16).build()?;
    let mut batches = Vec::new();
    for batch in reader {
        batches.push(conform(table, &batch?)?);
    }
    Ok(batches)
}
