//! The sensors of this host: what they see goes down the pipeline like everything else.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use hindcast_bpf_sensors::{Config, Counters, Report, Sensors};
use hindcast_ingest::{Pipeline, Source, SourceState};
use hindcast_model::{Batch, report};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::cluster::Names;
use crate::setup;

/// The source's name in the account.
pub(super) const SOURCE: &str = "sensors";
/// Batches that wait for the pipeline; more wait with the sensors, which have a bound of their own.
const QUEUE: usize = 16;
/// Rows that are pushed together at most.
const PUSH_ROWS: usize = 16_384;

/// Sensors that run.
#[derive(Debug)]
pub(super) struct HostSensors {
    sensors: Sensors,
    source: Source,
    taking: JoinHandle<()>,
}

impl HostSensors {
    /// Starts what the kernel allows; the error says why nothing is watched.
    pub(super) fn start(pipeline: &Pipeline, config: &Config, names: Names) -> Result<Self, String> {
        let (sender, receiver) = sync_channel(QUEUE);
        let origin = crate::sensors::origin(config, |_node| SOURCE.to_owned());
        let started = hindcast_bpf_sensors::start(config, origin, setup::clock(), Box::new(sender));
        let sensors = started.map_err(|error| report(&error))?;
        let source = pipeline.source(SOURCE);
        source.set_state(SourceState::Running);
        let taker = Taker {
            pipeline: pipeline.clone(),
            names,
            source: source.clone(),
            counters: sensors.counters(),
            n_missed: 0,
            runtime: Handle::current(),
        };
        let taking = tokio::task::spawn_blocking(move || taker.run(&receiver));
        Ok(Self { sensors, source, taking })
    }

    /// What the kernel lets them see.
    pub(super) const fn report(&self) -> &Report {
        self.sensors.report()
    }

    /// Takes the probes out of the kernel; what was seen until then is recorded.
    pub(super) async fn stop(self) {
        let Self { sensors, source, taking } = self;
        let stopped = tokio::task::spawn_blocking(move || sensors.stop()).await;
        let taken = taking.await;
        if stopped.is_err() || taken.is_err() {
            tracing::error!("the sensors did not stop in order");
        }
        source.set_state(SourceState::Finished);
    }
}

/// Takes batches from the sensors until there are none any more.
struct Taker {
    pipeline: Pipeline,
    names: Names,
    source: Source,
    counters: Arc<Counters>,
    n_missed: u64,
    runtime: Handle,
}

impl Taker {
    fn run(mut self, receiver: &Receiver<Batch>) {
        while let Ok(first) = receiver.recv() {
            let mut n_rows = first.n_rows();
            let mut batches = vec![first];
            while n_rows < PUSH_ROWS
                && let Ok(next) = receiver.try_recv()
            {
                n_rows += next.n_rows();
                batches.push(next);
            }
            let rows =
                batches.into_iter().map(|batch| self.names.give(batch)).map(|batch| (batch.table, batch.records));
            if let Err(error) = self.runtime.block_on(self.pipeline.push(&self.source, rows)) {
                tracing::warn!(error = report(&error), n_rows, "what the sensors saw was not recorded");
            }
            self.count_missed();
        }
        self.count_missed();
    }

    /// What the kernel and the sensors had no room for is in the account as well as in the table of losses.
    fn count_missed(&mut self) {
        let counters = &self.counters;
        let all = [&counters.lost_in_kernel, &counters.undecodable, &counters.shed, &counters.limited];
        let now: u64 = all.into_iter().map(Counters::read).sum();
        self.source.count_missed(now.saturating_sub(self.n_missed));
        self.n_missed = now.max(self.n_missed);
    }
}
