//! `hindcast up` and `hindcast serve`: builds the parts, joins them, waits for a signal, stops them in order.

mod announce;
mod intake;
mod recording;
mod sensors;
mod sources;

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use hindcast_ingest::Pipeline;
use hindcast_model::report;
use hindcast_query::Engine;
use hindcast_storage::Store;
use hindcast_web_api::{Intake, Metrics, Parts, ServeError, Server};
use prometheus_client::registry::Registry;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::args::{DoorsArgs, ServeArgs, UpArgs};
use crate::config::Settings;
use crate::exit;
use crate::notify;
use crate::setup::{self, Common, Voice};
use crate::shutdown::{self, Ended, Signals, Step};
use announce::Facts;
use intake::{Joint, NoIntake};
use recording::{Recording, Running};

/// Runs `hindcast up`.
///
/// # Errors
/// The configuration has problems, or a part cannot start.
pub(crate) fn up(args: &UpArgs, common: &Common) -> anyhow::Result<u8> {
    run(&args.doors, Recording::Sources { wants_sensors: !args.no_sensors }, common)
}

/// Runs `hindcast serve`.
///
/// # Errors
/// The configuration has problems, there is no data directory, or a part cannot start.
pub(crate) fn serve(args: &ServeArgs, common: &Common) -> anyhow::Result<u8> {
    let recording = if args.read_only { Recording::Nothing } else { Recording::Pushes };
    run(&args.doors, recording, common)
}

fn run(args: &DoorsArgs, recording: Recording, common: &Common) -> anyhow::Result<u8> {
    let mut inputs = setup::inputs(args.config.as_ref(), args.data_dir.as_ref());
    inputs.flag(&["web", "http"], "--http", args.http);
    inputs.flag(&["web", "grpc"], "--grpc", args.grpc);
    let settings = common.settings(Voice::Service, inputs)?;
    if recording == Recording::Pushes {
        setup::require_store(&settings.storage.data_dir)?;
    }
    setup::block_on(async move {
        let mut signals = Signals::take().context("signals cannot be received")?;
        let store = match recording {
            Recording::Nothing => setup::open_read_only(settings.storage.clone(), setup::clock()).await?,
            Recording::Pushes | Recording::Sources { .. } => {
                setup::open_store(settings.storage.clone(), setup::clock()).await?
            }
        };
        // A boxed future: it holds all the parts.
        let lived = Box::pin(live(&store, settings, recording, &mut signals)).await;
        if lived.is_err()
            && let Err(error) = store.close().await
        {
            error!(error = report(&error), "the store was not closed in order");
        }
        lived
    })
}

/// The way in, unless nothing comes in, and what the doors see of it.
async fn intake(
    store: &Store,
    settings: &Settings,
    recording: Recording,
    registry: &mut Registry,
) -> anyhow::Result<(Option<Pipeline>, Arc<dyn Intake>)> {
    if recording == Recording::Nothing {
        return Ok((None, Arc::new(NoIntake)));
    }
    let config = settings.ingest.pipeline.clone();
    let pipeline = Pipeline::start(store.clone(), config, setup::clock(), registry).await?;
    let joint = Joint { pipeline: pipeline.clone(), kinds: sources::kinds(&settings.ingest) };
    Ok((Some(pipeline), Arc::new(joint)))
}

/// From an open store to a closed one.
async fn live(store: &Store, settings: Settings, recording: Recording, signals: &mut Signals) -> anyhow::Result<u8> {
    let clock = setup::clock();
    let mut registry = Registry::default();
    store.register_metrics(&mut registry);
    let (pipeline, intake) = intake(store, &settings, recording, &mut registry).await?;
    let parts = Parts {
        engine: Engine::new(store.clone(), &settings.query, Arc::clone(&clock)),
        intake,
        metrics: Metrics::register(&mut registry),
        registry: Arc::new(registry),
        clock,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    // Checked with the rest of the configuration; a second answer would be the same.
    let web = settings.web.clone().validate().map_err(|_checked| anyhow!("the section [web] has problems"))?;
    let server = Server::open(web, parts)?;
    let (http, grpc) = (server.http_addr(), server.grpc_addr());
    let running = Running::start(recording, pipeline.as_ref(), &settings).await?;
    let mut facts = Facts::new(&settings, recording, store, (http, grpc));
    facts.watch(running.sensors(), running.has_cluster());
    let stop_door = CancellationToken::new();
    let mut door = tokio::spawn(server.run(stop_door.clone()));
    crate::print(&announce::text(&facts))?;
    notify::ready();
    info!(http = %http, grpc = %grpc, "ready");
    let is_asked = wait(&mut door, signals).await;
    notify::stopping();
    let steps = vec![
        Step::new("sources", async {
            running.stop().await;
            Ok(())
        }),
        Step::new("pipeline", async {
            if let Some(pipeline) = pipeline {
                pipeline.shutdown().await;
            }
            Ok(())
        }),
        Step::new("store", async { Ok(store.close().await?) }),
        Step::new("doors", async {
            stop_door.cancel();
            if is_asked { said(door.await) } else { Ok(()) }
        }),
    ];
    Ok(match shutdown::in_order(steps, signals).await {
        Ended::InOrder if is_asked => {
            info!("stopped");
            exit::DONE
        }
        Ended::InOrder | Ended::WithErrors => exit::FAILED,
        Ended::Forced => exit::FORCED,
    })
}

/// Waits for a signal; `false` where the doors ended before one came.
async fn wait(door: &mut JoinHandle<Result<(), ServeError>>, signals: &mut Signals) -> bool {
    // Losing arms: the door's task goes on; a signal not taken is taken by the next wait.
    tokio::select! {
        name = signals.next() => {
            info!(signal = name, "stopping");
            true
        }
        ended = door => {
            let problem = said(ended).err().map_or_else(|| "without a reason".to_owned(), |error| format!("{error:#}"));
            error!(error = problem, "the doors closed; stopping");
            false
        }
    }
}

fn said(ended: Result<Result<(), ServeError>, JoinError>) -> anyhow::Result<()> {
    ended.context("the doors broke")?.context("the doors failed")
}
