//! What waits between the sensors and the server: the spool, the ledger of what did not get into it, and the account.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::Context as _;
use hindcast_bpf_sensors::Origin;
use hindcast_model::{Batch, Clock, TableId, report};
use hindcast_storage::log::payload;
use hindcast_storage::{Lsn, Spool, SpoolError, SpoolStatus, Spooled};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::lost::{Ledger, Reason};
use crate::cluster::Names;

/// Batches that are spooled with one sync at most.
const GROUP: usize = 16;
/// How often losses are offered to the spool while nothing else is.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes that are read from the spool together, unless one record has more.
const READ_BYTES: usize = 8 << 20;

/// Rows by what became of them since the start.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) spooled: AtomicU64,
    pub(super) recorded: AtomicU64,
    pub(super) deduplicated: AtomicU64,
    pub(super) lost: AtomicU64,
}

impl Account {
    pub(super) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn read(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

/// What is next on its way.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) position: Lsn,
    /// Nothing where it cannot be read any more; that is counted already.
    pub(super) batch: Option<Batch>,
}

/// What waits; the sensors' side appends, the server's side takes.
#[derive(Debug)]
pub(super) struct Waiting {
    dir: PathBuf,
    spool: Mutex<Spool>,
    ledger: Mutex<Ledger>,
    clock: Arc<dyn Clock>,
    /// Something was appended.
    pub(super) news: Notify,
    pub(super) account: Account,
}

impl Waiting {
    /// Opens the spool.
    pub(super) fn open(dir: &Path, limit: u64, origin: Origin, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let spool = Spool::open(dir, limit).with_context(|| format!("the spool {} cannot be used", dir.display()))?;
        let torn_bytes = spool.status().torn_bytes;
        let waiting = Self {
            dir: dir.to_path_buf(),
            spool: Mutex::new(spool),
            ledger: Mutex::new(Ledger::open(dir, origin)),
            clock,
            news: Notify::new(),
            account: Account::default(),
        };
        if torn_bytes > 0 {
            waiting.lose(Reason::Torn, format!("{torn_bytes} bytes of a record that was being written"), None);
        }
        Ok(waiting)
    }

    pub(super) fn status(&self) -> SpoolStatus {
        self.spool.lock().status()
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Notes a loss, here and for the server.
    pub(super) fn lose(&self, reason: Reason, detail: String, n_rows: Option<u64>) {
        tracing::debug!(?reason, detail, n_rows, "lost");
        Account::add(&self.account.lost, n_rows.unwrap_or(0));
        self.ledger.lock().note(reason, detail, n_rows, self.clock.now());
    }

    /// Spools what the sensors hand over until they end.
    pub(super) fn fill(&self, receiver: &Receiver<Batch>, names: &Names) {
        loop {
            match receiver.recv_timeout(PATIENCE) {
                Ok(first) => {
                    let mut batches = vec![first];
                    batches.extend(receiver.try_iter().take(GROUP - 1));
                    let batches: Vec<Batch> = batches.into_iter().map(|batch| names.give(batch)).collect();
                    self.spool(&batches);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.tell_losses();
                    return;
                }
            }
            self.tell_losses();
        }
    }

    /// Spools batches; those that do not fit are lost.
    pub(super) fn spool(&self, batches: &[Batch]) {
        let encoded = batches.iter().map(|batch| payload::encode([batch].into_iter())).collect();
        // With one sync; where that is too much, each for itself: a smaller one may fit.
        if batches.len() > 1
            && let Ok(_first) = self.spool.lock().append(encoded)
        {
            batches.iter().for_each(|batch| self.count_spooled(batch));
            return;
        }
        for batch in batches {
            match self.spool.lock().append(vec![payload::encode([batch].into_iter())]) {
                Ok(_position) => self.count_spooled(batch),
                Err(error) => {
                    let reason = if matches!(error, SpoolError::Full { .. }) { Reason::Full } else { Reason::Disk };
                    if reason == Reason::Disk {
                        tracing::error!(error = report(&error), "cannot spool");
                    }
                    self.lose(reason, batch.table.name().to_owned(), Some(batch.n_rows() as u64));
                }
            }
        }
    }

    fn count_spooled(&self, batch: &Batch) {
        Account::add(&self.account.spooled, batch.n_rows() as u64);
        self.news.notify_one();
    }

    /// Spools the losses, where there is room.
    pub(super) fn tell_losses(&self) {
        let mut ledger = self.ledger.lock();
        if ledger.is_empty() {
            return;
        }
        let batch = match ledger.rows() {
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(%error, "losses do not fit their table");
                return;
            }
        };
        if self.spool.lock().append(vec![payload::encode([&batch].into_iter())]).is_ok() {
            ledger.told();
            self.count_spooled(&batch);
        }
    }

    /// What is next, in order: so much, or less where it is large. What cannot be read is counted as lost.
    pub(super) fn take(&self, most: usize) -> Result<Vec<Next>, SpoolError> {
        let (mut taken, mut n_bytes) = (Vec::new(), 0);
        while taken.len() < most && n_bytes < READ_BYTES {
            let Some(next) = self.spool.lock().take()? else { break };
            let position = next.last();
            let batch = match next {
                Spooled::Record { payload, .. } => {
                    n_bytes += payload.len();
                    self.decode(position, &payload)
                }
                Spooled::Damaged { first, .. } => {
                    let n_batches = position.get().saturating_sub(first.get()) + 1;
                    self.lose(Reason::Damaged, format!("{n_batches} batches or more"), None);
                    None
                }
            };
            taken.push(Next { position, batch });
        }
        Ok(taken)
    }

    fn decode(&self, position: Lsn, bytes: &[u8]) -> Option<Batch> {
        match payload::decode(bytes) {
            Ok(batches) => batches.into_iter().next(),
            Err(error) => {
                tracing::error!(error = report(&error), position = position.get(), "a batch cannot be decoded");
                self.lose(Reason::Damaged, "1 batch".to_owned(), None);
                None
            }
        }
    }

    /// The server has everything up to that position.
    pub(super) fn done(&self, position: Lsn) {
        if let Err(error) = self.spool.lock().acknowledge(position) {
            tracing::warn!(%error, "what the server has cannot be noted; it will be sent again after a restart");
        }
    }
}

/// What a table's rows are called in a message: the name that a user types.
pub(super) fn detail(table: TableId, more: &str) -> String {
    format!("{table}: {more}")
}
