//! Rows in ClickHouse come back into the lake: what is asked for seldom is kept where keeping is cheap.
//!
//! An hour is read, written as segments, and committed together with the note that it is here again; only then are its
//! rows deleted there. Whoever asks meanwhile reads it in one place or in the other.

use std::sync::Arc;

use arrow::array::RecordBatch;
use hindcast_model::{TableId, TimeRange, Timestamp};

use crate::catalog::{Commit, NewSegment, Shipment};
use crate::clickhouse::{Column, Remote, Select, delete};
use crate::error::{MoveError, SealError};
use crate::ids::PartitionKey;
use crate::memory::conform;
use crate::seal::run::partition;
use crate::seal::write::WriteError;
use crate::store::{Shared, blocking};
use crate::{MovedOut, seal};

/// Rows that are written as one segment.
const SEGMENT_ROWS: usize = 1 << 20;
/// What ClickHouse may take to read an hour.
const READ_TIME: std::time::Duration = std::time::Duration::from_secs(3600);
const READ_MEMORY: u64 = 8 << 30;

/// Brings back the hours that ended before `before`, the oldest first; `tell` hears of each.
pub(crate) async fn move_in(
    shared: &Arc<Shared>,
    before: Timestamp,
    mut tell: impl FnMut(&MovedOut),
) -> Result<MovedOut, MoveError> {
    let mut done = MovedOut::default();
    let mut hours: Vec<PartitionKey> = shared.state.read().moved.keys().copied().collect();
    hours.retain(|key| key.hour.last() < before);
    hours.sort_unstable_by_key(|key| (key.hour, key.table));
    for key in hours {
        if shared.snapshot().has_rows_here(key) {
            // Some of it is on its way there; once it has arrived the hour can come.
            continue;
        }
        let added = bring(shared, key).await?;
        done.n_hours += 1;
        done.n_rows += added.iter().filter(|new| new.key.table == key.table).map(|new| new.n_rows).sum::<u64>();
        done.n_bytes += added.iter().map(|new| new.n_bytes).sum::<u64>();
        tell(&done);
    }
    // Also what an earlier attempt brought and did not come to delete.
    for key in brought(shared, before) {
        delete(shared, key).await?;
    }
    Ok(done)
}

/// Writes the rows of an hour, and notes that they are here.
async fn bring(shared: &Arc<Shared>, key: PartitionKey) -> Result<Vec<NewSegment>, MoveError> {
    let next = key.hour.last().as_nanos().saturating_add(1);
    let range = TimeRange::new(key.hour.start(), Timestamp::from_nanos(next)).unwrap_or(TimeRange::ALL);
    let mut added = Vec::new();
    if let Some(remote) = shared.snapshot().remote(key.table, range).and_then(Remote::own) {
        let select = Select {
            columns: key.table.columns().iter().map(|column| Column::plain(column.name)).collect(),
            max_time: READ_TIME,
            max_memory: READ_MEMORY,
            ..Select::default()
        };
        let mut rows = remote.select(&select).ok_or(MoveError::Away)?;
        let mut held: Vec<RecordBatch> = Vec::new();
        loop {
            let batch = rows.next().await.transpose()?;
            let is_end = batch.is_none();
            held.extend(batch);
            let n_rows: usize = held.iter().map(RecordBatch::num_rows).sum();
            if n_rows >= SEGMENT_ROWS || (is_end && n_rows > 0) {
                added.extend(write(shared, key, std::mem::take(&mut held)).await?);
            }
            if is_end {
                break;
            }
        }
    }
    let found: u64 = added.iter().filter(|new| new.key.table == key.table).map(|new| new.n_rows).sum();
    let left = shared.state.read().moved.get(&key).map_or(0, |rows| rows.n_rows);
    if found < left {
        return Err(MoveError::Fewer { key, found, left });
    }
    commit(shared, key, added).await
}

async fn write(shared: &Arc<Shared>, key: PartitionKey, rows: Vec<RecordBatch>) -> Result<Vec<NewSegment>, SealError> {
    let shared = Arc::clone(shared);
    blocking(move || {
        let rows = rows.iter().map(|batch| conform(key.table, batch)).collect::<Result<Vec<_>, _>>();
        let rows = rows.map_err(WriteError::from)?;
        let last_lsn = shared.state.read().lsn;
        let added = partition(&shared, key, &rows, last_lsn)?;
        Ok(added.into_iter().map(|new| NewSegment { shipment: Some(Shipment::Cold), ..new }).collect())
    })
    .await
}

async fn commit(shared: &Arc<Shared>, key: PartitionKey, added: Vec<NewSegment>) -> Result<Vec<NewSegment>, MoveError> {
    let shared = Arc::clone(shared);
    let committed = blocking(move || {
        let (oldest_needed, last_lsn) = {
            let state = shared.state.read();
            (state.oldest_unsealed(), state.lsn)
        };
        let commit = Commit {
            now: shared.clock.now(),
            added: &added,
            removed: &[],
            marks: &[],
            moved: &[],
            brought: &[key],
            oldest_needed,
            last_lsn,
        };
        shared.catalog.commit(&commit).map_err(SealError::from)?;
        shared.shipments.lock().extend(added.iter().map(|new| (new.id, Shipment::Cold)));
        let segments: Vec<_> = added.iter().map(|new| seal::run::segment(&shared, new)).collect();
        shared.state.write().move_in(key, &segments);
        Ok::<_, SealError>(added)
    });
    Ok(committed.await?)
}

/// Hours that came back.
fn brought(shared: &Shared, before: Timestamp) -> Vec<PartitionKey> {
    let state = shared.state.read();
    let shipments = shared.shipments.lock();
    let tables = TableId::ALL.iter().filter(|table| crate::clickhouse::ship::is_sent(**table));
    let segments = tables.filter_map(|table| state.segments.get(table)).flat_map(|segments| segments.iter());
    let cold = segments.filter(|segment| shipments.get(&segment.id) == Some(&Shipment::Cold));
    let mut keys: Vec<_> = cold.map(|segment| PartitionKey { table: segment.table, hour: segment.hour }).collect();
    keys.retain(|key| key.hour.last() < before);
    keys.sort_unstable();
    keys.dedup();
    keys
}
