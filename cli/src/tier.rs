//! `hindcast tier`: which rows are in the lake, which in ClickHouse only, and moving them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hindcast_model::TableId;
use hindcast_storage::{MovedOut, Store};

use crate::args::{Tier, TierArgs, TierCommand, TierMoveArgs};
use crate::exit;
use crate::human;
use crate::progress;
use crate::setup::{self, Common, Voice};
use crate::time_input;

/// How often to look whether everything was sent.
const LOOK: Duration = Duration::from_millis(200);

/// Runs the command.
///
/// # Errors
/// The configuration has problems, the data directory is in use, or ClickHouse does not answer.
pub(crate) fn run(command: &TierCommand, common: &Common) -> anyhow::Result<u8> {
    let (TierCommand::Status(TierArgs { data_dir, config })
    | TierCommand::Move(TierMoveArgs { place: TierArgs { data_dir, config }, .. })) = command;
    let settings = common.settings(Voice::Tool, setup::inputs(config.as_ref(), data_dir.as_ref()))?;
    if settings.storage.clickhouse.url.is_empty() {
        return Err(exit::usage("storage.clickhouse.url is not set: there is only the lake".to_owned()));
    }
    let clock = setup::clock();
    setup::block_on(async {
        let now = clock.now();
        let store = setup::open_store(settings.storage, Arc::clone(&clock)).await?;
        let done = match command {
            TierCommand::Status(_) => Ok(status(&store)),
            TierCommand::Move(args) => {
                let before = args.before.as_deref().map_or(Ok(now), |text| time_input::parse(text, now));
                let before = before.map_err(|error| exit::usage(format!("--before: {error}")))?;
                match args.to {
                    Tier::Clickhouse => move_out(&store, before).await,
                    Tier::Lake => move_in(&store, before).await,
                }
            }
        };
        let closed = store.close().await;
        crate::print(&done?)?;
        closed.context("the store was not closed in order; what was recorded is in its log")?;
        Ok(exit::DONE)
    })
}

fn status(store: &Store) -> String {
    let mut text = format!("{:<16} {:>14} {:>14} {:>14}\n", "table", "lake", "memory", "ClickHouse only");
    for status in store.status().tables.iter().filter(|status| status.table != TableId::Ingested) {
        let stats = status.stats;
        let _infallible = writeln!(
            text,
            "{:<16} {:>14} {:>14} {:>14}",
            status.table.name(),
            human::count(stats.segment_rows),
            human::count(stats.memory_rows),
            human::count(stats.moved_rows)
        );
    }
    let _infallible = writeln!(text, "{} segments wait to be sent", store.n_unsent());
    text
}

async fn move_out(store: &Store, before: hindcast_model::Timestamp) -> anyhow::Result<String> {
    store.seal_all().await.context("what is in memory cannot be sealed")?;
    let bar = progress::count(u64::try_from(store.n_unsent())?, "segments sent");
    let total = store.n_unsent();
    loop {
        let left = store.n_unsent();
        bar.set_position(u64::try_from(total.saturating_sub(left))?);
        if left == 0 {
            break;
        }
        if let Some(error) = store.status().last_clickhouse_error {
            bar.finish_and_clear();
            bail!("{left} segments are not in ClickHouse: {error}");
        }
        tokio::time::sleep(LOOK).await;
    }
    bar.finish_and_clear();
    Ok(said(store.move_out(before).await.context("the catalogue cannot be written")?, "left the lake"))
}

async fn move_in(store: &Store, before: hindcast_model::Timestamp) -> anyhow::Result<String> {
    let bar = progress::count(0, "rows");
    let tell = |done: &MovedOut| {
        bar.set_length(done.n_rows);
        bar.set_position(done.n_rows);
    };
    let done = store.move_in(before, tell).await;
    bar.finish_and_clear();
    Ok(said(done.context("not everything came back")?, "came back into the lake"))
}

fn said(moved: MovedOut, what: &str) -> String {
    format!(
        "{} rows of {} hours {what} ({} of segments)\n",
        human::count(moved.n_rows),
        human::count(u64::try_from(moved.n_hours).unwrap_or(u64::MAX)),
        human::size(moved.n_bytes)
    )
}
