//! An import into a running server: files are decoded here, batches go over Arrow Flight.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use hindcast_ingest::file::{ImportConfig, ImportSummary, Taken};
use tokio_util::sync::CancellationToken;

use crate::args::ImportArgs;
use crate::flight::{Door, Said};
use crate::progress;
use crate::setup;

/// Decodes the files of the arguments and pushes them. The rows name their files themselves.
pub(super) async fn into_server(
    args: &ImportArgs,
    url: &str,
    config: ImportConfig,
    cancel: CancellationToken,
) -> anyhow::Result<ImportSummary> {
    let began = Instant::now();
    let door = Arc::new(Door::connect(url, &args.access).await?);
    let paths: Vec<String> = args.paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let recorded_at = setup::clock().now();
    let runtime = tokio::runtime::Handle::current();
    let reading = tokio::task::spawn_blocking(move || {
        let bar = progress::bytes(0);
        let take = |_path: &str, batch| {
            if cancel.is_cancelled() {
                bail!("stopped; what was acknowledged is recorded, and the same import again counts it as duplicate");
            }
            let said = Said { source: super::SOURCE, position: None };
            let acknowledged = runtime.block_on(door.put(&batch, &said))?;
            Ok(Taken { recorded: acknowledged.recorded, deduplicated: acknowledged.deduplicated })
        };
        let done = hindcast_ingest::file::read(&paths, &config, recorded_at, take, |now| super::show(&bar, now));
        bar.finish_and_clear();
        done
    });
    let mut summary = reading.await.context("reading broke off")??;
    summary.duration = began.elapsed();
    Ok(summary)
}
