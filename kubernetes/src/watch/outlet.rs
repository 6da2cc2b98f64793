//! Handing over what changed, a batch at a time.

use std::collections::VecDeque;
use std::time::Duration;

use hindcast_model::{Batch, Clock, report};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{Config, Directory};

/// How long the last rows wait for whoever takes them.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Hands over rows until told to stop, or until nobody takes them.
pub(super) async fn run(
    config: &Config,
    directory: &Directory,
    clock: &dyn Clock,
    sink: &mpsc::Sender<Batch>,
    stop: &CancellationToken,
) {
    let mut ticks = tokio::time::interval(config.flush_interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        // A tick that loses comes again; rows are only taken once there is room for them.
        tokio::select! {
            () = stop.cancelled() => return,
            () = sink.closed() => return,
            _ = ticks.tick() => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            room = sink.reserve() => if room.is_err() { return },
        }
        if !hand_over(config, directory, clock, sink).await {
            return;
        }
    }
}

/// Hands over what is left.
pub(super) async fn drain(config: &Config, directory: &Directory, clock: &dyn Clock, sink: &mpsc::Sender<Batch>) {
    let handed_over = tokio::time::timeout(LAST_WAIT, hand_over(config, directory, clock, sink)).await;
    if handed_over.is_err() {
        tracing::warn!("rows of the cluster's directory were lost: nobody took them");
    }
}

/// Hands over everything that waits; `false` where nobody takes it.
async fn hand_over(config: &Config, directory: &Directory, clock: &dyn Clock, sink: &mpsc::Sender<Batch>) -> bool {
    loop {
        let mut batches: VecDeque<Batch> = match directory.take(config.batch_rows, clock.now()) {
            Ok(batches) => batches.into(),
            Err(error) => {
                tracing::error!(error = report(&error), "rows of the cluster's directory were lost");
                return true;
            }
        };
        if batches.is_empty() {
            return true;
        }
        while let Some(batch) = batches.pop_front() {
            if sink.send(batch).await.is_err() {
                return false;
            }
        }
    }
}
