//! The load: a second's flows every second, of that second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hindcast_cli::generate::{Recipe, Shape, Traffic, columns};
use hindcast_model::tables::flows;
use hindcast_model::{TableId, Timestamp};
use hindcast_tests::flight::{Pusher, encode};
use hindcast_tests::pause;

/// Rows of a batch: messages of a good size.
const BATCH_ROWS: u64 = 10_000;

/// Pushes at that rate for so long; how late it ever was.
pub(crate) fn push(url: &str, rate: u64, length: Duration, seed: u64, pushed: &AtomicU64) -> Result<Duration> {
    let now = crate::now()?;
    let recipe = Recipe {
        seed,
        start: Timestamp::from_nanos(i64::try_from(now.as_nanos())?),
        duration: length,
        n_flows: rate * length.as_secs(),
        shape: Shape::BENCH,
        has_uuids: false,
    };
    let fleet = recipe.fleet();
    let mut traffic = Traffic::new(&recipe, &fleet);
    let runtime = tokio::runtime::Runtime::new()?;
    let mut pusher = runtime.block_on(Pusher::connect(url))?;
    let (began, mut latest) = (Instant::now(), Duration::ZERO);
    for second in 1..=length.as_secs() {
        let due = Duration::from_secs(second);
        match due.checked_sub(began.elapsed()) {
            Some(early) => pause(early),
            None => latest = latest.max(began.elapsed().saturating_sub(due)),
        }
        let mut batches = Vec::new();
        let mut left = rate;
        while left > 0 {
            let n_rows = left.min(BATCH_ROWS);
            let mut builder = flows::Builder::default();
            let draws = traffic.by_ref().take(usize::try_from(n_rows)?);
            // Observed a moment ago.
            draws.for_each(|draw| columns::append(&draw, draw.time, &mut builder));
            batches.push(builder.finish()?);
            left -= n_rows;
        }
        let push = async { pusher.push(encode(TableId::Flows, batches).await?).await };
        runtime.block_on(push).context("a push was refused")?;
        pushed.fetch_add(rate, Ordering::Relaxed);
    }
    Ok(latest)
}
