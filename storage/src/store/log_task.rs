//! The one owner of the log: writes what is queued together and syncs it once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hindcast_model::Batch;
use tokio::sync::{mpsc, oneshot};

use super::Shared;
use crate::error::AppendError;
use crate::ids::Lsn;
use crate::log::writer::{LogWriter, Payload};
use crate::memory::Prepared;
use crate::tail::Appended;

/// Appends that are written and synced together at most.
const MAX_GROUP: usize = 256;
/// Bytes after which a group takes no more.
const MAX_GROUP_BYTES: usize = 16 << 20;

/// An append, checked and encoded.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) payload: Payload,
    pub(crate) batches: Vec<Batch>,
    pub(crate) parts: Vec<Prepared>,
}

type Reply = oneshot::Sender<Result<Lsn, AppendError>>;

/// What the log's owner is asked for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Write and answer.
    Append(Box<Pending>, Reply),
    /// Remove the files whose records are all sealed.
    Free {
        /// Whether to end the active file first, so that it can go too.
        rotate: bool,
    },
    /// End.
    Stop,
}

#[derive(Default)]
struct Group {
    appends: Vec<(Box<Pending>, Reply)>,
    n_bytes: usize,
    free: Option<bool>,
    stop: bool,
}

impl Group {
    fn add(&mut self, command: Command) {
        match command {
            Command::Append(pending, reply) => {
                self.n_bytes += pending.payload.bytes.len();
                self.appends.push((pending, reply));
            }
            Command::Free { rotate } => self.free = Some(rotate || self.free.unwrap_or(false)),
            Command::Stop => self.stop = true,
        }
    }

    fn is_full(&self) -> bool {
        self.stop || self.appends.len() >= MAX_GROUP || self.n_bytes >= MAX_GROUP_BYTES
    }
}

/// Runs until told to stop or until nobody can ask any more.
pub(crate) fn run(shared: &Shared, mut writer: LogWriter, mut commands: mpsc::Receiver<Command>) {
    loop {
        let Some(command) = commands.blocking_recv() else { break };
        let mut group = Group::default();
        group.add(command);
        gather(&mut group, &mut commands, shared.config.log.max_group_wait);
        shared.metrics.log_queue.dec_by(i64::try_from(group.appends.len()).unwrap_or(0));
        if !group.appends.is_empty() {
            write(shared, &mut writer, group.appends);
        }
        if let Some(rotate) = group.free {
            free(shared, &mut writer, rotate);
        }
        shared.metrics.log_bytes.set(writer.n_bytes());
        shared.faults.lock().log_files = writer.n_files();
        if group.stop {
            break;
        }
    }
}

fn gather(group: &mut Group, commands: &mut mpsc::Receiver<Command>, max_wait: Duration) {
    let start = Instant::now();
    while !group.is_full() {
        match commands.try_recv() {
            Ok(command) => group.add(command),
            Err(_) if start.elapsed() < max_wait => std::thread::yield_now(),
            Err(_) => break,
        }
    }
}

fn write(shared: &Shared, writer: &mut LogWriter, appends: Vec<(Box<Pending>, Reply)>) {
    let payloads: Vec<&Payload> = appends.iter().map(|(pending, _)| &pending.payload).collect();
    let result = writer.append(&payloads);
    let first = match result {
        Ok(first) => first,
        Err(error) => {
            tracing::error!(error = hindcast_model::report(&error), n_appends = appends.len(), "log write failed");
            shared.faults.lock().log = Some(hindcast_model::report(&error));
            for (_, reply) in appends {
                answer(reply, Err(error.clone()));
            }
            return;
        }
    };
    shared.faults.lock().log = None;
    shared.metrics.log_syncs.inc();
    let now = shared.clock.now();
    let mut lsn = first;
    let n_bytes = {
        let mut state = shared.state.write();
        for (pending, _) in &appends {
            state.apply(lsn, &pending.parts, now);
            lsn = lsn.next();
        }
        if !state.due(shared.limits(), now).is_empty() {
            shared.due.notify_one();
        }
        state.n_bytes()
    };
    shared.metrics.memory_bytes.set(u64::try_from(n_bytes).unwrap_or(u64::MAX));
    let tail = shared.tail.lock().clone();
    let mut lsn = first;
    for (pending, reply) in appends {
        let Pending { payload, batches, .. } = *pending;
        let n_rows: usize = batches.iter().map(Batch::n_rows).sum();
        shared.metrics.appends.inc();
        shared.metrics.appended_rows.inc_by(u64::try_from(n_rows).unwrap_or_default());
        shared.metrics.log_bytes_written.inc_by(u64::try_from(payload.bytes.len()).unwrap_or_default());
        if let Some(tail) = tail.as_ref().filter(|tail| tail.receiver_count() > 0) {
            // Without a reader there is nobody to tell.
            drop(tail.send(Arc::new(Appended { lsn, batches })));
        }
        answer(reply, Ok(lsn));
        lsn = lsn.next();
    }
}

fn answer(reply: Reply, result: Result<Lsn, AppendError>) {
    if reply.send(result).is_err() {
        tracing::debug!("an append was given up before its answer");
    }
}

fn free(shared: &Shared, writer: &mut LogWriter, rotate: bool) {
    let oldest_needed = shared.state.read().oldest_unsealed();
    if rotate && oldest_needed == writer.next() {
        writer.rotate();
    }
    match writer.free(oldest_needed) {
        Ok(n_freed) if n_freed > 0 => tracing::debug!(n_freed, oldest_needed = oldest_needed.get(), "freed log files"),
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(error = hindcast_model::report(&error), "cannot free log files");
            shared.faults.lock().log = Some(hindcast_model::report(&error));
        }
    }
}
