//! Reading on several threads at once: decoding takes longer than fetching.

use std::sync::Arc;

use crate::QueryError;

/// How many reads run at a time, at most.
pub(super) fn width() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What all of the reads give, in their order.
pub(super) async fn all<T, F>(reads: impl IntoIterator<Item = F>) -> Result<Vec<T>, QueryError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, QueryError>> + Send + 'static,
{
    use futures::{StreamExt as _, TryStreamExt as _};
    let runtime = tokio::runtime::Handle::current();
    let running = futures::stream::iter(reads).map(|read| {
        let runtime = runtime.clone();
        async move {
            let done = tokio::task::spawn_blocking(move || runtime.block_on(read)).await;
            done.map_err(|source| QueryError::Internal { step: "read side by side", source: Arc::new(source) })?
        }
    });
    running.buffered(width()).try_collect().await
}
