//! The cluster this host belongs to, where it belongs to one: what its API says names what the sensors saw, and is
//! recorded beside it.

use std::sync::Arc;
use std::time::Duration;

use hindcast_ingest::{Pipeline, SourceState};
use hindcast_kubernetes::{Config, Directory, Standing, Watch};
use hindcast_model::{Batch, report};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Settings;
use crate::setup;

/// The source's name in the account.
pub(crate) const SOURCE: &str = "kubernetes";
/// Batches that wait for the pipeline; more wait in the watch, which has a bound of its own.
const QUEUE: usize = 16;
/// How long the sensors wait for the names of what runs already. A cluster that answers later names what comes then.
const PATIENCE: Duration = Duration::from_secs(10);

/// Names for rows of sensors; none where there is no cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(Option<Arc<Directory>>);

impl Names {
    /// The batch with the names that held at the time of each row.
    pub(crate) fn give(&self, batch: Batch) -> Batch {
        let Some(directory) = &self.0 else { return batch };
        let nameless = batch.clone();
        directory.reader().name(batch).unwrap_or_else(|error| {
            // The rows are good without: they were made for their table.
            warn!(error = report(&error), "rows of sensors cannot be named");
            nameless
        })
    }
}

/// A cluster that is watched.
#[derive(Debug)]
pub(crate) struct Cluster {
    directory: Arc<Directory>,
    stop: CancellationToken,
    watching: JoinHandle<()>,
    recording: JoinHandle<()>,
}

impl Cluster {
    /// Begins to watch, where there is a cluster; what changes is recorded if there is a pipeline. Waits a while for the
    /// first answers. A cluster that cannot be had is said, and is no error: the sensors see without names.
    pub(crate) async fn watch(settings: &Settings, pipeline: Option<&Pipeline>) -> Option<Self> {
        // Rows of the sensors and of the directory are of one cluster.
        let config = Config { cluster: settings.sensors.cluster.clone(), ..settings.kubernetes.clone() };
        if !config.is_wanted() {
            return None;
        }
        let directory = Arc::new(Directory::new(&config));
        let watch = match Watch::connect(config, Arc::clone(&directory), setup::clock()).await {
            Ok(watch) => watch,
            Err(error) => {
                warn!(error = report(&error), "the cluster is not watched; what the sensors see stays without names");
                return None;
            }
        };
        let mut standings = watch.standings();
        let stop = CancellationToken::new();
        let (sender, receiver) = mpsc::channel(QUEUE);
        let watching = tokio::spawn(watch.run(sender, stop.clone()));
        let recording = tokio::spawn(record(receiver, pipeline.cloned()));
        let is_heard = |standing: &Standing| *standing != Standing::Starting;
        let heard = standings.wait_for(|standings| standings.values().all(is_heard));
        let is_in_time = tokio::time::timeout(PATIENCE, heard).await.is_ok();
        if is_in_time {
            info!(objects = directory.counts().objects, "watching the cluster");
        } else {
            warn!("the cluster's API has not told all yet; what is seen until then stays without names");
        }
        Some(Self { directory, stop, watching, recording })
    }

    /// Names from this cluster.
    pub(crate) fn names(cluster: Option<&Self>) -> Names {
        Names(cluster.map(|cluster| Arc::clone(&cluster.directory)))
    }

    /// Stops; what was learned until then is recorded.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        if self.watching.await.is_err() || self.recording.await.is_err() {
            tracing::error!("the watch of the cluster did not stop in order");
        }
    }
}

/// Records what changes, on an account of its own; without a pipeline it only names.
async fn record(mut receiver: mpsc::Receiver<Batch>, pipeline: Option<Pipeline>) {
    let source = pipeline.as_ref().map(|pipeline| pipeline.source(SOURCE));
    if let Some(source) = &source {
        source.set_state(SourceState::Running);
    }
    while let Some(batch) = receiver.recv().await {
        if let (Some(pipeline), Some(source)) = (&pipeline, &source)
            && let Err(error) = pipeline.push(source, [(batch.table, batch.records)]).await
        {
            warn!(error = report(&error), "what the cluster's API said was not recorded");
        }
    }
    if let Some(source) = &source {
        source.set_state(SourceState::Finished);
    }
}
