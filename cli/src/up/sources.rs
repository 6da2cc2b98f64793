//! The sources of the configuration: each a task of its own, all stopped together.

use std::collections::BTreeMap;

use hindcast_ingest::file::{BucketReader, Follower, SharedBuckets};
use hindcast_ingest::{Config, Pipeline, hubble_client, netflow, tetragon_client};
use hindcast_model::report;
use hindcast_storage::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster;

/// Running sources.
#[derive(Debug)]
pub(super) struct Sources {
    tasks: TaskTracker,
    cancel: CancellationToken,
}

impl Sources {
    /// No source at all.
    pub(super) fn none() -> Self {
        Self { tasks: TaskTracker::new(), cancel: CancellationToken::new() }
    }

    /// Starts every source of the configuration.
    ///
    /// `lake` is the lake as all who share it see it, with this recorder's name: for buckets that are shared.
    pub(super) fn start(pipeline: &Pipeline, config: &Config, lake: Option<(Store, String)>) -> Self {
        let sources = Self::none();
        for follow in &config.follow {
            let follower = Follower::new(pipeline.clone(), follow.clone(), sources.cancel.clone());
            let name = follow.source_name();
            sources.tasks.spawn(async move {
                if let Err(error) = follower.run().await {
                    tracing::error!(source = name, error = report(&error), "files are no longer followed");
                }
            });
        }
        if let Some((view, own)) = lake {
            let buckets = config.bucket.iter().filter(|bucket| bucket.shared).cloned();
            let shared = SharedBuckets::new(pipeline.clone(), buckets, view, own, sources.cancel.clone());
            sources.tasks.spawn(shared.run());
        }
        for bucket in config.bucket.iter().filter(|bucket| !bucket.shared) {
            let reader = BucketReader::new(pipeline.clone(), bucket.clone(), sources.cancel.clone());
            let name = bucket.source_name();
            sources.tasks.spawn(async move {
                if let Err(error) = reader.run().await {
                    tracing::error!(source = name, error = report(&error), "the bucket is no longer read");
                }
            });
        }
        for hubble in &config.hubble {
            let cancel = sources.cancel.clone();
            sources.tasks.spawn(hubble_client::run(pipeline.clone(), hubble.clone(), cancel, rand::random()));
        }
        for tetragon in &config.tetragon {
            let cancel = sources.cancel.clone();
            sources.tasks.spawn(tetragon_client::run(pipeline.clone(), tetragon.clone(), cancel, rand::random()));
        }
        for listener in &config.netflow {
            sources.tasks.spawn(netflow::run(pipeline.clone(), listener.clone(), sources.cancel.clone()));
        }
        sources
    }

    /// Stops them; what they have read is handed over before.
    pub(super) async fn stop(&self) {
        self.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Which wire each source reads, by its name.
pub(super) fn kinds(config: &Config) -> BTreeMap<String, &'static str> {
    let followed = config.follow.iter().map(|follow| (follow.source_name(), "file"));
    let hubble = config.hubble.iter().map(|hubble| (hubble.source_name(), "hubble"));
    let tetragon = config.tetragon.iter().map(|tetragon| (tetragon.source_name(), "tetragon"));
    let buckets = config.bucket.iter().map(|bucket| (bucket.source_name(), "bucket"));
    let netflow = config.netflow.iter().map(|listener| (listener.source_name(), "netflow"));
    let sensors = [(super::sensors::SOURCE.to_owned(), "sensors"), (cluster::SOURCE.to_owned(), "kubernetes")];
    followed.chain(buckets).chain(hubble).chain(tetragon).chain(netflow).chain(sensors).collect()
}

/// What the sources record, one line each.
pub(super) fn describe(config: &Config) -> Vec<String> {
    let followed = config.follow.iter().map(|follow| format!("files {}, as they grow", follow.paths.join(", ")));
    let buckets = config.bucket.iter().map(|bucket| {
        let how = if bucket.shared { ", shared with other recorders" } else { "" };
        format!("recordings in {}{how}", bucket.url)
    });
    let hubble = config.hubble.iter().map(|hubble| format!("flows of Hubble at {}", hubble.connect.address));
    let tetragon = config.tetragon.iter().map(|tetragon| format!("events of Tetragon at {}", tetragon.connect.address));
    let netflow = config.netflow.iter().map(|listener| format!("flow exports sent to {} (UDP)", listener.listen));
    followed.chain(buckets).chain(hubble).chain(tetragon).chain(netflow).collect()
}
