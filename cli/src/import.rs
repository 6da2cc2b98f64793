//! `hindcast import`: recorded files into a data directory or to a running server.

mod push;
mod summary;

use std::io::Write as _;
use std::sync::Arc;

use anyhow::Context as _;
use hindcast_ingest::Pipeline;
use hindcast_ingest::file::{FollowConfig, Follower, ImportError, ImportSummary, Progress};
use indicatif::ProgressBar;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::args::ImportArgs;
use crate::config::Settings;
use crate::exit;
use crate::human;
use crate::progress;
use crate::setup::{self, Common, Voice};
use crate::shutdown::Signals;

/// The account that imports stand on.
const SOURCE: &str = "import";
/// The account that followed files stand on.
const FOLLOWED: &str = "import --follow";

/// Runs the command.
///
/// # Errors
/// The configuration has problems, or the store does not take what was read.
pub(crate) fn run(args: &ImportArgs, common: &Common) -> anyhow::Result<u8> {
    let settings = common.settings(Voice::Tool, setup::inputs(args.config.as_ref(), args.data_dir.as_ref()))?;
    setup::block_on(async {
        let mut signals = Signals::take().context("signals cannot be received")?;
        let cancel = CancellationToken::new();
        let work = async {
            match &args.server {
                Some(url) => push::into_server(args, url, settings.ingest.import, cancel.clone()).await,
                None => into_data_dir(args, settings, cancel.clone()).await,
            }
        };
        tokio::pin!(work);
        // Losing arm: the import goes on until the blocks under way are recorded; a second signal drops it.
        let summary = tokio::select! {
            summary = &mut work => summary?,
            _ = signals.next() => {
                cancel.cancel();
                tokio::select! {
                    summary = &mut work => summary?,
                    _ = signals.next() => return Ok(exit::FORCED),
                }
            }
        };
        crate::print(&summary::render(&summary, args.summary))?;
        let complaints = summary::complaints(&summary);
        std::io::stderr().write_all(complaints.as_bytes()).context("cannot write to stderr")?;
        Ok(if summary::has_errors(&summary) || summary.is_stopped { exit::FAILED } else { exit::DONE })
    })
}

async fn into_data_dir(
    args: &ImportArgs,
    settings: Settings,
    cancel: CancellationToken,
) -> anyhow::Result<ImportSummary> {
    let clock = setup::clock();
    let store = setup::open_store(settings.storage, Arc::clone(&clock)).await?;
    let mut registry = Registry::default();
    let started = Pipeline::start(store.clone(), settings.ingest.pipeline, clock, &mut registry).await;
    let imported = match started {
        Ok(pipeline) => {
            let source = pipeline.source(SOURCE);
            let paths: Vec<String> = args.paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
            let bar = progress::bytes(0);
            let tell = |now: &Progress| show(&bar, now);
            let import = &settings.ingest.import;
            let imported =
                hindcast_ingest::file::import(&pipeline, &source, &paths, import, cancel.clone(), tell).await;
            bar.finish_and_clear();
            let followed = match args.follow && imported.is_ok() {
                true => follow(&pipeline, paths, cancel).await,
                false => Ok(()),
            };
            pipeline.shutdown().await;
            imported.map_err(broken_off).and_then(|summary| followed.map(|()| summary))
        }
        Err(error) => Err(error.into()),
    };
    let closed = store.close().await;
    let summary = imported?;
    closed.context("the store was not closed in order; what was recorded is in its log")?;
    Ok(summary)
}

/// Records new lines of the files until cancelled, through their rotation.
async fn follow(pipeline: &Pipeline, paths: Vec<String>, cancel: CancellationToken) -> anyhow::Result<()> {
    let config = FollowConfig { name: FOLLOWED.to_owned(), paths, ..FollowConfig::default() };
    std::io::stderr().write_all(b"imported; following for new lines until stopped\n")?;
    let source = pipeline.source(FOLLOWED);
    let followed = Follower::new(pipeline.clone(), config, cancel).run().await;
    let status = source.status();
    let text = format!(
        "followed: {} recorded, {} duplicate, {} rejected\n",
        human::count(status.recorded),
        human::count(status.deduplicated),
        human::count(status.rejected.values().sum()),
    );
    std::io::stderr().write_all(text.as_bytes())?;
    followed.context("the files are no longer followed")
}

fn show(bar: &ProgressBar, now: &Progress) {
    bar.set_length(now.bytes_total.max(now.bytes_done));
    bar.set_position(now.bytes_done);
    let rows = human::count(now.rows);
    bar.set_message(format!("{} of {} files, {rows} events", now.files_done, now.files_total));
}

/// What an import that broke off says: why, and what is recorded all the same.
fn broken_off(error: ImportError) -> anyhow::Error {
    let tally = error.summary.tally();
    let done = format!(
        "{} events were recorded before; run the same import again and it goes on behind them",
        human::count(tally.recorded)
    );
    anyhow::Error::new(error).context(done)
}
