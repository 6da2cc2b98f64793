//! What runs while the store is open: sealing, and looking after segments.

use std::sync::Arc;
use std::time::Duration;

use hindcast_model::report;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::log_task::Command;
use super::{Shared, blocking};
use crate::error::SealError;
use crate::ids::PartitionKey;
use crate::{maintain, seal};

/// How often partitions are looked at for their age.
const AGE_CHECK: Duration = Duration::from_millis(500);
/// The first wait after a failed seal; it doubles up to [`MAX_BACK_OFF`].
const BACK_OFF: Duration = Duration::from_secs(1);
const MAX_BACK_OFF: Duration = Duration::from_secs(60);

/// Seals partitions that are due until cancelled. After a failure it waits longer each time; rows stay in memory and
/// in the log.
pub(crate) async fn seal_loop(shared: Arc<Shared>, log: mpsc::WeakSender<Command>, cancel: CancellationToken) {
    let mut back_off = BACK_OFF;
    loop {
        // The losing futures hold nothing: a notification is kept by `due`, the others are only waits.
        tokio::select! {
            () = cancel.cancelled() => return,
            () = shared.due.notified() => {}
            () = tokio::time::sleep(AGE_CHECK) => {}
        }
        let due = due(&shared);
        if due.is_empty() && shared.state.read().frozen.is_empty() {
            continue;
        }
        if seal_now(&shared, &log, due).await.is_ok() {
            back_off = BACK_OFF;
            continue;
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(back_off) => {}
        }
        back_off = MAX_BACK_OFF.min(back_off * 2);
    }
}

fn due(shared: &Shared) -> Vec<PartitionKey> {
    let state = shared.state.read();
    let mut due = state.due(shared.limits(), shared.clock.now());
    // A few rows that wait for their age pin all of the log behind them: they go first, long before it is full.
    if shared.metrics.log_bytes.get() > shared.config.log.max_size.as_u64() / 2 {
        due.extend(state.oldest());
        due.sort_unstable();
        due.dedup();
    }
    due
}

/// Seals partitions and everything that an earlier attempt left frozen; then frees the log.
pub(crate) async fn seal_now(
    shared: &Arc<Shared>,
    log: &mpsc::WeakSender<Command>,
    due: Vec<PartitionKey>,
) -> Result<(), SealError> {
    let _one_at_a_time = shared.sealing.lock().await;
    let worker = Arc::clone(shared);
    let sealed = blocking(move || seal::run::seal(&worker, &due)).await;
    match sealed {
        Ok(_) => {
            shared.faults.lock().seal = None;
            if let Some(log) = log.upgrade() {
                let rotate = shared.metrics.log_bytes.get() > shared.config.log.max_file_size.as_u64() / 4;
                // A full queue frees the log after the next seal.
                drop(log.try_send(Command::Free { rotate }));
            }
            Ok(())
        }
        Err(error) => {
            tracing::error!(error = report(&error), "sealing failed, rows stay in memory and in the log");
            shared.metrics.seal_errors.inc();
            shared.faults.lock().seal = Some(report(&error));
            Err(error)
        }
    }
}

/// Compacts, retires and deletes until cancelled.
pub(crate) async fn maintain_loop(shared: Arc<Shared>, cancel: CancellationToken) {
    let interval = shared.config.segments.maintenance_interval;
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        let worker = Arc::clone(&shared);
        let stop = cancel.clone();
        if let Err(error) = maintain::run(worker, stop).await {
            tracing::error!(error = report(&error), "looking after segments failed");
            shared.metrics.seal_errors.inc();
            shared.faults.lock().seal = Some(report(&error));
        }
    }
}
