//! Looking after segments: retention, compaction of small ones, deletion of files nobody names.

mod compact;
mod retain;

pub(crate) use compact::{Kind, read};

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
        compact::compact(&worker, &cancel)?;
        retain::sweep(&worker)
    })
    .await
}
