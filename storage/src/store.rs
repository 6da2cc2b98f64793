//! The front door: opening, appending, snapshots, closing.

mod background;
pub(crate) mod lock;
mod log_task;
mod open;
mod shared;

pub(crate) use shared::{Shared, blocking};

use std::sync::Arc;

use hindcast_model::{Batch, Clock, TableId, Timestamp};
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::config::ValidConfig;
use crate::error::{AppendError, MoveError, OpenError, ReleaseError, SealError};
use crate::ids::Lsn;
use crate::lake::{LakeError, Share};
use crate::log::fs::{LogFs, RealFs};
use crate::log::payload;
use crate::log::writer::Payload;
use crate::snapshot::Snapshot;
use crate::status::StoreStatus;
use crate::tail::Tail;
use crate::{MovedOut, maintain, memory};

/// Batches that become durable together or not at all.
#[derive(Clone, Debug, Default)]
pub struct Append {
    /// The batches, of any tables.
    pub batches: Vec<Batch>,
}

/// Proof that an append is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its position in the log.
    pub lsn: Lsn,
    /// How many rows it had.
    pub n_rows: usize,
}

/// An open store. Clones share it; when the last is dropped without [`Store::close`], what was appended is still
/// durable and the next open recovers it.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    log: mpsc::Sender<log_task::Command>,
    tracker: TaskTracker,
    cancel: CancellationToken,
    _cancel_on_drop: DropGuard,
}

impl Store {
    /// Opens the store in its data directory, takes the directory's lock and recovers the log.
    ///
    /// # Errors
    /// The directory cannot be used or is in use; the log or the catalogue is damaged or from a later build.
    pub async fn open(config: ValidConfig, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Self::open_on(config, clock, Arc::new(RealFs)).await
    }

    /// [`Store::open`] on another file system.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_on(config: ValidConfig, clock: Arc<dyn Clock>, fs: Arc<dyn LogFs>) -> Result<Self, OpenError> {
        let opened = blocking(move || open::open(config, clock, fs)).await?;
        let lake = match opened.shared.config.lake.is_on() {
            true => Some(crate::lake::first_connect(&opened.shared).await?),
            false => None,
        };
        let tracker = TaskTracker::new();
        let cancel = CancellationToken::new();
        let queue_len = opened.shared.config.log.queue_len;
        let (log, commands) = mpsc::channel(queue_len);
        let (shared, writer) = (Arc::clone(&opened.shared), opened.writer);
        tracker.spawn_blocking(move || log_task::run(&shared, writer, commands));
        tracker.spawn(background::seal_loop(Arc::clone(&opened.shared), log.downgrade(), cancel.clone()));
        tracker.spawn(background::maintain_loop(Arc::clone(&opened.shared), cancel.clone()));
        if let Some(publisher) = lake {
            tracker.spawn(crate::lake::publish_loop(Arc::clone(&opened.shared), publisher, cancel.clone()));
        }
        if opened.shared.has_clickhouse() {
            crate::clickhouse::watch::first_look(&opened.shared).await;
            tracker.spawn(crate::clickhouse::watch::watch_loop(Arc::clone(&opened.shared), cancel.clone()));
            tracker.spawn(crate::clickhouse::ship::ship_loop(Arc::clone(&opened.shared), cancel.clone()));
        }
        let guard = cancel.clone().drop_guard();
        Ok(Self(Arc::new(Inner { shared: opened.shared, log, tracker, cancel, _cancel_on_drop: guard })))
    }

    /// Opens what others wrote, to answer from it: no directory, no log, nothing is written. It reads a shared lake, or a
    /// ClickHouse server.
    ///
    /// # Errors
    /// Neither or both are configured, or what is there is from a later build.
    pub async fn open_read_only(config: ValidConfig, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let shared = blocking(move || open::read_only(config, clock)).await?;
        let tracker = TaskTracker::new();
        let cancel = CancellationToken::new();
        if shared.config.lake.is_on() {
            crate::lake::first_read(&shared).await?;
            tracker.spawn(crate::lake::read_loop(Arc::clone(&shared), cancel.clone()));
        }
        if shared.has_clickhouse() {
            crate::clickhouse::watch::first_look(&shared).await;
            tracker.spawn(crate::clickhouse::watch::watch_loop(Arc::clone(&shared), cancel.clone()));
        }
        // Nobody takes from this queue: an append is refused before.
        let (log, _nobody) = mpsc::channel(1);
        let guard = cancel.clone().drop_guard();
        Ok(Self(Arc::new(Inner { shared, log, tracker, cancel, _cancel_on_drop: guard })))
    }

    /// Whether it only answers.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.0.shared.is_read_only()
    }

    /// Makes batches durable and visible. On return the rows survive a crash and are in every later snapshot.
    ///
    /// Waits while the memory is full. Cancel safety: a dropped append is either recorded whole or not at all.
    ///
    /// # Errors
    /// The batches do not fit their tables, or the log cannot be written.
    pub async fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        let shared = &self.0.shared;
        let result = self.append_counted(append).await;
        if result.is_err() {
            shared.metrics.append_errors.inc();
        }
        result
    }

    async fn append_counted(&self, append: Append) -> Result<Receipt, AppendError> {
        let shared = &self.0.shared;
        if shared.is_read_only() {
            return Err(AppendError::ReadOnly);
        }
        let n_rows = append.batches.iter().map(Batch::n_rows).sum();
        if n_rows == 0 {
            return Ok(Receipt { lsn: shared.state.read().lsn, n_rows });
        }
        shared.wait_for_room().await?;
        let limit = usize::try_from(shared.config.log.max_record_size.as_u64()).unwrap_or(usize::MAX);
        let pending = blocking(move || encode(append, limit)).await?;
        let (reply, replied) = oneshot::channel();
        shared.metrics.log_queue.inc();
        let sent = self.0.log.send(log_task::Command::Append(Box::new(pending), reply)).await;
        if sent.is_err() {
            shared.metrics.log_queue.dec();
            return Err(AppendError::Closed);
        }
        let lsn = replied.await.map_err(|_closed| AppendError::Closed)??;
        Ok(Receipt { lsn, n_rows })
    }

    /// The store as it is now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.0.shared.snapshot()
    }

    /// The appends from now on.
    #[must_use]
    pub fn tail(&self) -> Tail {
        Tail::new(self.0.shared.tail_receiver())
    }

    /// Seals all rows that are in memory now.
    ///
    /// # Errors
    /// A segment or the catalogue cannot be written; the rows stay in memory and in the log.
    pub async fn seal_all(&self) -> Result<(), SealError> {
        let keys = self.0.shared.state.read().open.keys().copied().collect();
        background::seal_now(&self.0.shared, &self.0.log.downgrade(), keys).await
    }

    /// Does now what is otherwise done every `segments.maintenance_interval`: retention, compaction, deletion.
    ///
    /// # Errors
    /// A segment or the catalogue cannot be read or written.
    pub async fn maintain(&self) -> Result<(), SealError> {
        maintain::run(Arc::clone(&self.0.shared), self.0.cancel.clone()).await
    }

    /// Takes out of the lake what ended before `before` and is in ClickHouse: from then on it is read there. Hours with
    /// rows that are not there yet stay.
    ///
    /// # Errors
    /// The catalogue cannot be written.
    pub async fn move_out(&self, before: Timestamp) -> Result<MovedOut, SealError> {
        let _one_at_a_time = self.0.shared.maintaining.lock().await;
        let shared = Arc::clone(&self.0.shared);
        blocking(move || maintain::move_out(&shared, before)).await
    }

    /// How many segments have rows that are to be sent to ClickHouse and are not there yet; 0 where none is configured.
    #[must_use]
    pub fn n_unsent(&self) -> usize {
        let shared = &self.0.shared;
        if shared.has_clickhouse() { crate::clickhouse::ship::waiting(shared).len() } else { 0 }
    }

    /// Brings rows back from ClickHouse whose hour ended before `before`, and deletes them there; `tell` hears of each
    /// hour. They are not sent again.
    ///
    /// # Errors
    /// The server does not answer, or rows cannot be written; what came before stays.
    pub async fn move_in(&self, before: Timestamp, tell: impl FnMut(&MovedOut)) -> Result<MovedOut, MoveError> {
        let _one_at_a_time = self.0.shared.maintaining.lock().await;
        maintain::move_in(&self.0.shared, before, tell).await
    }

    /// Claims of `sources` that nobody reads a fair share for this recorder of a shared lake, and says which of those it
    /// has, `held`, are too many.
    ///
    /// # Errors
    /// The shared catalogue does not answer, or the recorder was retired.
    pub async fn share_sources(&self, sources: &[String], held: &[String]) -> Result<Share, LakeError> {
        crate::lake::lease::balance(&self.0.shared.config.lake, sources, held).await
    }

    /// Gives back a source that is not read here any more, once all that was read of it is published.
    ///
    /// # Errors
    /// Rows cannot be sealed or published; the source stays with this recorder.
    pub async fn release_source(&self, source: &str) -> Result<(), ReleaseError> {
        self.seal_all().await?;
        crate::lake::publish_now(&self.0.shared).await?;
        crate::lake::lease::release(&self.0.shared.config.lake, Some(&[source.to_owned()])).await?;
        Ok(())
    }

    /// Takes over what is in the shared lake by now, for a store that only answers.
    ///
    /// # Errors
    /// The shared catalogue does not answer.
    pub async fn refresh(&self) -> Result<(), LakeError> {
        crate::lake::read_now(&self.0.shared).await
    }

    /// What was received until then, the shared lake has; `None` where none is, or before it has answered.
    #[must_use]
    pub fn published_until(&self) -> Option<Timestamp> {
        self.0.shared.published.until()
    }

    /// What the store says of itself.
    #[must_use]
    pub fn status(&self) -> StoreStatus {
        self.0.shared.status()
    }

    /// Registers the store's metrics as `hindcast_storage_…`.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.0.shared.metrics.register(registry);
    }

    /// Stops taking appends, finishes those under way, ends the background work and seals what is in memory.
    ///
    /// # Errors
    /// The last seal failed; the rows are in the log.
    pub async fn close(&self) -> Result<(), SealError> {
        let sealed = self.seal_all().await;
        // The log task ends when it has answered what is queued; the others when they see the token.
        let stopped = self.0.log.send(log_task::Command::Stop).await;
        if stopped.is_err() {
            tracing::debug!("the log task had ended before");
        }
        self.0.cancel.cancel();
        self.0.tracker.close();
        self.0.tracker.wait().await;
        if self.0.shared.config.lake.is_on() && !self.is_read_only() {
            crate::lake::publish_last(&self.0.shared).await;
        }
        self.0.shared.close_tail();
        sealed
    }
}

fn encode(append: Append, limit: usize) -> Result<log_task::Pending, AppendError> {
    let is_derived = |batch: &&Batch| matches!(batch.table, TableId::Edges1m | TableId::Edges1h);
    if let Some(batch) = append.batches.iter().find(is_derived) {
        return Err(AppendError::Derived(batch.table));
    }
    let (batches, parts) =
        memory::prepare(&append.batches).map_err(|(table, source)| AppendError::Schema { table, source })?;
    let payload = Payload::new(payload::encode(batches.iter()));
    let n_bytes = payload.bytes.len();
    if n_bytes > limit {
        return Err(AppendError::TooLarge { n_bytes, limit });
    }
    Ok(log_task::Pending { payload, batches, parts })
}

#[cfg(test)]
mod tests;
