//! `hindcast demo`: fills an empty data directory with a generated recording.

use std::time::Duration;

use anyhow::{Context as _, bail};
use hindcast_model::{Batch, SourceKind, TableId, Timestamp};
use hindcast_proto::{EventBuilders, Origin, line};
use hindcast_storage::{Append, Store};
use indicatif::ProgressBar;
use tokio::sync::mpsc;

use crate::args::DemoArgs;
use crate::exit;
use crate::generate::{self, Recipe, Shape, Traffic};
use crate::human;
use crate::progress;
use crate::setup::{self, Common, Voice};
use crate::time_input;

/// Rows of one append.
const CHUNK_ROWS: usize = 65_536;
/// Chunks that may wait to be recorded while the next is drawn.
const QUEUE_LEN: usize = 2;

/// Runs the command.
///
/// # Errors
/// The directory holds a recording already, or cannot be written.
pub(crate) fn run(args: &DemoArgs, common: &Common) -> anyhow::Result<u8> {
    let settings = common.settings(Voice::Tool, setup::inputs(None, args.data_dir.as_ref()))?;
    let clock = setup::clock();
    let now = clock.now();
    let end = match &args.until {
        Some(text) => time_input::parse(text, now).map_err(|error| exit::usage(format!("--until {error}")))?,
        None => now,
    };
    let duration = Duration::from_secs(u64::from(args.days) * 86_400);
    let recipe = Recipe {
        seed: args.seed,
        start: end.saturating_sub(duration),
        duration,
        n_flows: args.flows,
        shape: Shape::Shops,
        has_uuids: true,
    };
    let data_dir = settings.storage.data_dir.clone();
    setup::block_on(async move {
        let store = setup::open_store(settings.storage, setup::clock()).await?;
        let filled = fill(&store, recipe, now).await;
        let closed = store.close().await;
        let filled = filled?;
        closed.context("the store was not closed in order")?;
        let text = format!(
            "{} generated flows and {} generated runtime events from {} to {} are in {}\n\
             They are invented, and every one says so: source_kind = 'generated'.\n\
             Look at them with: hindcast up --data-dir {}\n",
            human::count(filled.n_flows),
            human::count(filled.n_runtime),
            human::time(end.saturating_sub(duration)),
            human::time(end),
            data_dir.display(),
            data_dir.display(),
        );
        crate::print(&text)
    })
}

#[derive(Clone, Copy, Debug, Default)]
struct Filled {
    n_flows: u64,
    n_runtime: u64,
}

async fn fill(store: &Store, recipe: Recipe, recorded_at: Timestamp) -> anyhow::Result<Filled> {
    let held: u64 =
        TableId::ALL.into_iter().map(|table| store.snapshot().stats(table)).map(|stats| stats.n_rows()).sum();
    if held > 0 {
        bail!(
            "the data directory holds {} rows already: a generated recording does not belong among real ones, so give \
             another --data-dir",
            human::count(held)
        );
    }
    let bar = progress::count(recipe.n_flows, "flows");
    bar.set_message("generating");
    let (chunks, mut arriving) = mpsc::channel(QUEUE_LEN);
    let drawing = tokio::task::spawn_blocking(move || draw(&recipe, recorded_at, &chunks));
    let mut filled = Filled::default();
    while let Some(batch) = arriving.recv().await {
        record(store, batch, &bar, &mut filled).await?;
    }
    drawing.await.context("the generator broke off")??;
    bar.finish_and_clear();
    Ok(filled)
}

async fn record(store: &Store, batches: Vec<Batch>, bar: &ProgressBar, filled: &mut Filled) -> anyhow::Result<()> {
    for batch in &batches {
        let n_rows = u64::try_from(batch.n_rows()).unwrap_or(0);
        match batch.table {
            TableId::Flows => {
                filled.n_flows += n_rows;
                bar.inc(n_rows);
            }
            _ => filled.n_runtime += n_rows,
        }
    }
    store.append(Append { batches }).await.context("the generated rows cannot be recorded")?;
    Ok(())
}

/// Draws the recording in order of time, chunk by chunk. Ends early when nobody takes the chunks any more.
fn draw(recipe: &Recipe, recorded_at: Timestamp, chunks: &mpsc::Sender<Vec<Batch>>) -> anyhow::Result<()> {
    let fleet = recipe.fleet();
    let origin = Origin { kind: SourceKind::Generated, source: generate::columns::SOURCE, recorded_at };
    let mut builders = EventBuilders::default();
    let mut lines = generate::runtime::lines(recipe, &fleet).into_iter().peekable();
    let mut add_lines = |until: Timestamp, builders: &mut EventBuilders| -> anyhow::Result<()> {
        while let Some((_, line)) = lines.next_if(|(time, _)| *time <= until) {
            let mut line = line.trim_end().to_owned().into_bytes();
            line::decode_line(&mut line, &origin, builders).context("a generated event is none")?;
        }
        Ok(())
    };
    for flow in Traffic::new(recipe, &fleet) {
        add_lines(flow.time, &mut builders)?;
        generate::columns::append(&flow, recorded_at, &mut builders.flows);
        if builders.n_rows() >= CHUNK_ROWS && chunks.blocking_send(builders.finish()?).is_err() {
            return Ok(());
        }
    }
    add_lines(Timestamp::MAX, &mut builders)?;
    if builders.n_rows() > 0 && chunks.blocking_send(builders.finish()?).is_err() {
        return Ok(());
    }
    Ok(())
}
