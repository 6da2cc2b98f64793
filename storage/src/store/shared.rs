//! What the front door and the background tasks have in common.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};
use std::time::Duration;

use hindcast_model::{Clock, TableId};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, broadcast};

use super::lock::DirLock;
use crate::RecorderStatus;
use crate::catalog::{Catalog, Shipment};
use crate::clickhouse::recheck::Doubts;
use crate::clickhouse::watch::Watched;
use crate::config::ValidConfig;
use crate::error::AppendError;
use crate::ids::{PartitionKey, SegmentId};
use crate::lake::Published;
use crate::maintain;
use crate::memory::{Limits, State};
use crate::metrics::Metrics;
use crate::segment::{MetadataCache, Segment};
use crate::snapshot::Snapshot;
use crate::status::{StoreStatus, TableStatus};
use crate::tail::Appended;
use crate::tier::Tier;

/// The parts of an open store that its tasks share. Holds no end of a queue, so that tasks end when the door is gone.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: ValidConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) state: RwLock<State>,
    pub(crate) metrics: Metrics,
    pub(crate) tier: Tier,
    pub(crate) catalog: Catalog,
    pub(crate) next_file_id: AtomicU64,
    /// Held by whoever seals.
    pub(crate) sealing: tokio::sync::Mutex<()>,
    /// Held by whoever looks after segments.
    pub(crate) maintaining: tokio::sync::Mutex<()>,
    /// Segments that left the catalogue and may still be in a snapshot.
    pub(crate) leaving: Mutex<Vec<Weak<Segment>>>,
    /// The newest small segment of each kind, as the last round of compaction saw it.
    pub(crate) newest_small: Mutex<BTreeMap<maintain::Kind, SegmentId>>,
    /// Segments whose rows are being sent to ClickHouse, or are there whole.
    pub(crate) shipments: Mutex<BTreeMap<SegmentId, Shipment>>,
    /// Hours whose rows ClickHouse may have lost.
    pub(crate) doubts: Mutex<Doubts>,
    /// What the ClickHouse server last said.
    pub(crate) clickhouse: Watched,
    /// What the shared catalogue says of this store's segments.
    pub(crate) published: Published,
    /// Who writes to the shared lake.
    pub(crate) recorders: Mutex<Vec<RecorderStatus>>,
    pub(crate) cache: Arc<MetadataCache>,
    /// Told when memory was freed.
    pub(crate) room: Notify,
    /// Told when a partition is due.
    pub(crate) due: Notify,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) tail: Mutex<Option<broadcast::Sender<Arc<Appended>>>>,
    /// Held for as long as the store is open; one that only answers has no directory.
    pub(crate) lock: Option<DirLock>,
}

/// What went wrong and still matters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) log: Option<String>,
    pub(crate) seal: Option<String>,
    pub(crate) clickhouse: Option<String>,
    pub(crate) lake: Option<String>,
    /// Hours of which ClickHouse lacks rows that it had taken.
    pub(crate) lacking: BTreeMap<PartitionKey, String>,
    /// Segments that are not sent, and why.
    pub(crate) set_aside: BTreeMap<SegmentId, String>,
    pub(crate) missing: Vec<String>,
    pub(crate) torn_bytes: u64,
    pub(crate) quarantined: Vec<String>,
    pub(crate) log_files: usize,
}

impl Shared {
    pub(crate) fn limits(&self) -> Limits {
        let memory = &self.config.memory;
        Limits {
            max_bytes: usize::try_from(memory.max_size.as_u64()).unwrap_or(usize::MAX),
            max_rows: memory.max_partition_rows,
            max_age: memory.max_age,
            max_partitions: memory.max_partitions,
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let state = self.state.read();
        let view = self.has_clickhouse().then(|| self.clickhouse.view(&state, self.catalog.store_name()));
        Snapshot::of(&state, Arc::clone(&self.tier.store), view)
    }

    pub(crate) fn tail_receiver(&self) -> broadcast::Receiver<Arc<Appended>> {
        match self.tail.lock().as_ref() {
            Some(sender) => sender.subscribe(),
            // After close: a receiver whose sender is gone.
            None => broadcast::channel(1).1,
        }
    }

    pub(crate) fn close_tail(&self) {
        drop(self.tail.lock().take());
    }

    /// Waits until the memory has room.
    pub(crate) async fn wait_for_room(&self) -> Result<(), AppendError> {
        let limit = self.limits().max_bytes;
        let wait = async {
            loop {
                let mut freed = std::pin::pin!(self.room.notified());
                // Enabled before the look, so that room made in between is not missed.
                freed.as_mut().enable();
                if self.state.read().n_bytes() < limit && !self.is_backlog_full() {
                    return;
                }
                self.due.notify_one();
                freed.await;
            }
        };
        let patience: Duration = self.config.memory.max_wait;
        tokio::time::timeout(patience, wait)
            .await
            .map_err(|_elapsed| AppendError::MemoryFull { waited: patience, cause: self.why_full() })
    }

    fn why_full(&self) -> String {
        let faults = self.faults.lock();
        if self.is_backlog_full() {
            let cause = faults.clickhouse.as_deref().unwrap_or("it is slower than what comes in");
            return format!("rows that wait for ClickHouse take all of their place: {cause}");
        }
        faults.seal.clone().unwrap_or_else(|| "sealing is behind".to_owned())
    }

    /// Whether a ClickHouse server is to have every row.
    pub(crate) fn has_clickhouse(&self) -> bool {
        !self.config.clickhouse.url.is_empty()
    }

    /// Whether it only answers: it has no log, and another process's rows.
    pub(crate) const fn is_read_only(&self) -> bool {
        self.lock.is_none()
    }

    fn is_backlog_full(&self) -> bool {
        self.has_clickhouse() && self.metrics.ship_backlog.get() > self.config.clickhouse.max_backlog.as_u64()
    }

    /// Whether rows of a segment are on their way to ClickHouse or still to be sent.
    pub(crate) fn is_to_be_sent(&self, segment: &Segment) -> bool {
        match self.shipments.lock().get(&segment.id) {
            Some(shipment) => matches!(shipment, Shipment::Begun(_) | Shipment::Again(_)),
            None => self.has_clickhouse() && crate::clickhouse::ship::is_sent(segment.table),
        }
    }

    pub(crate) fn status(&self) -> StoreStatus {
        let snapshot = self.snapshot();
        let tables = TableId::ALL.map(|table| TableStatus {
            table,
            stats: snapshot.stats(table),
            held: snapshot.held_range(table),
        });
        let faults = self.faults.lock().clone();
        let state = self.state.read();
        StoreStatus {
            lsn: state.lsn,
            tables: tables.to_vec(),
            log_bytes: self.metrics.log_bytes.get(),
            log_files: faults.log_files,
            memory_bytes: state.n_bytes(),
            oldest_unsealed_lsn: state.oldest_unsealed(),
            oldest_unsealed_at: state.oldest_arrival(),
            last_log_error: faults.log,
            last_seal_error: faults.seal,
            last_clickhouse_error: faults.clickhouse,
            clickhouse_backlog_bytes: self.has_clickhouse().then(|| self.metrics.ship_backlog.get()),
            clickhouse_shards_away: self.clickhouse.n_away(),
            clickhouse_lacking: faults.lacking.into_values().collect(),
            clickhouse_set_aside: faults.set_aside.into_values().collect(),
            lake: self.lake_status(),
            missing_segments: faults.missing,
            torn_bytes: faults.torn_bytes,
            quarantined: faults.quarantined,
        }
    }
}

/// Runs what blocks or computes on a thread for that. A panic there is a panic here.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failure) => std::panic::resume_unwind(failure.into_panic()),
    }
}
