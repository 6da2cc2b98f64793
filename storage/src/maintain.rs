//! Looking after segments: retention, compaction of small ones, deletion of files nobody names.

mod compact;
mod move_in;
mod move_out;
mod retain;

pub(crate) use compact::{Kind, read};
pub(crate) use move_in::move_in;
pub use move_out::MovedOut;
pub(crate) use move_out::{move_out, together};

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::error::SealError;
use crate::store::{Shared, blocking};

/// One round of everything there is to do.
pub(crate) async fn run(shared: Arc<Shared>, cancel: CancellationToken) -> Result<(), SealError> {
    let _one_at_a_time = shared.maintaining.lock().await;
    let worker = Arc::clone(&shared);
    blocking(move || -> Result<(), SealError> {
        retain::retire(&worker)?;
        retain::forget_old(&worker)?;
        if let Some(age) = worker.config.clickhouse.local_age.filter(|_| worker.has_clickhouse()) {
            move_out(&worker, worker.clock.now().saturating_sub(age))?;
        }
        compact::compact(&worker, &cancel)?;
        retain::sweep(&worker)
    })
    .await
}
