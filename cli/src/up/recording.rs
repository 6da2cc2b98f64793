//! What is recorded: the sources of the configuration and the sensors of this host, started and stopped together.

use hindcast_bpf_sensors::Report;
use hindcast_ingest::Pipeline;
use hindcast_model::report;
use hindcast_storage::Store;

use super::sensors::HostSensors;
use super::sources::Sources;
use crate::cluster::Cluster;
use crate::config::Settings;
use crate::setup;

/// What is recorded besides pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recording {
    /// The sources of the configuration, and the sensors of this host if they are wanted.
    Sources {
        /// Whether they are wanted.
        wants_sensors: bool,
    },
    /// Nothing but pushes: the data directory is served.
    Pushes,
    /// Nothing at all: there is no data directory.
    Nothing,
}

/// What runs.
#[derive(Debug)]
pub(super) struct Running {
    sources: Sources,
    /// Sensors, or why there are none; `None` where nobody wants them.
    sensors: Option<Result<HostSensors, String>>,
    /// The cluster that names what they see, where there is one.
    cluster: Option<Cluster>,
    /// The lake as all who share it see it, where buckets are shared.
    lake: Option<Store>,
}

impl Running {
    /// Starts what is to be recorded. What this host does not let us see is no error.
    pub(super) async fn start(
        recording: Recording,
        pipeline: Option<&Pipeline>,
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        let (Recording::Sources { wants_sensors }, Some(pipeline)) = (recording, pipeline) else {
            return Ok(Self { sources: Sources::none(), sensors: None, cluster: None, lake: None });
        };
        let lake = match settings.ingest.bucket.iter().any(|bucket| bucket.shared) {
            true => Some(open_lake(settings).await?),
            false => None,
        };
        let shared = lake.as_ref().map(|view| (view.clone(), settings.storage.lake.recorder.clone()));
        let sources = Sources::start(pipeline, &settings.ingest, shared);
        let cluster = Cluster::watch(settings, Some(pipeline)).await;
        let names = Cluster::names(cluster.as_ref());
        let sensors = wants_sensors.then(|| HostSensors::start(pipeline, &settings.sensors, names));
        Ok(Self { sources, sensors, cluster, lake })
    }

    /// What the kernel lets the sensors see, or why nothing; `None` where nobody wants them.
    pub(super) fn sensors(&self) -> Option<Result<&Report, &String>> {
        self.sensors.as_ref().map(|started| started.as_ref().map(HostSensors::report))
    }

    /// Whether a cluster's API is watched.
    pub(super) const fn has_cluster(&self) -> bool {
        self.cluster.is_some()
    }

    /// Stops everything; what was seen and read until then is handed over.
    pub(super) async fn stop(self) {
        if let Some(Ok(sensors)) = self.sensors {
            sensors.stop().await;
        }
        if let Some(cluster) = self.cluster {
            cluster.stop().await;
        }
        self.sources.stop().await;
        if let Some(lake) = self.lake
            && let Err(error) = lake.close().await
        {
            tracing::warn!(error = report(&error), "the view of the shared lake was not closed in order");
        }
    }
}

/// The lake of the configuration, as all who share it see it.
async fn open_lake(settings: &Settings) -> anyhow::Result<Store> {
    let mut storage = settings.storage.clone();
    // What a recorder sends to ClickHouse beside it is in the lake as well, or it is nobody's to read again.
    storage.clickhouse.url.clear();
    setup::open_read_only(storage, setup::clock()).await
}
