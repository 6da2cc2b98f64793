//! What an operator may set, with units, defaults and trade-offs.

use std::collections::BTreeMap;
use std::time::Duration;

use bytesize::ByteSize;
use hindcast_model::Kind;
use serde::{Deserialize, Serialize};

use crate::file::{BucketConfig, FollowConfig, ImportConfig};
use crate::hubble_client::HubbleConfig;
use crate::netflow::NetflowConfig;
use crate::tetragon_client::TetragonConfig;

/// Settings of everything that brings events in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// From a source's batch to the log.
    pub pipeline: PipelineConfig,
    /// Reading files.
    pub import: ImportConfig,
    /// Files that are followed while they are written.
    pub follow: Vec<FollowConfig>,
    /// Buckets of recordings that others fill.
    pub bucket: Vec<BucketConfig>,
    /// Hubble relays and agents to listen to.
    pub hubble: Vec<HubbleConfig>,
    /// Tetragon agents to listen to.
    pub tetragon: Vec<TetragonConfig>,
    /// Addresses at which routers and switches send flow exports.
    pub netflow: Vec<NetflowConfig>,
}

/// Settings of the way from a source's batch to the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PipelineConfig {
    /// Submissions that may wait; a source with more waits itself. Each holds up to one append of rows.
    pub queue_len: usize,
    /// Rows of waiting submissions that are appended together at most. More makes fewer, larger syncs.
    pub max_append_rows: usize,
    /// Events whose keys are kept in memory to tell repeats, at about 25 bytes each. Minutes beyond it are read from
    /// the store when they are needed again.
    pub max_seen_keys: usize,
    /// An event further in the future than this is recorded all the same, and counted as a warning.
    #[serde(with = "humantime_serde")]
    pub future_tolerance: Duration,
    /// How long an append is tried again while the store is full or away, before the source is told.
    #[serde(with = "humantime_serde")]
    pub append_patience: Duration,
    /// Names of clusters as they are recorded, by the source's name and the name that its events bring: an empty name
    /// is an event without one, the source `*` is every source that is not named. What was recorded keeps its name.
    pub rename_clusters: BTreeMap<String, BTreeMap<String, String>>,
    /// Addresses and pods whose workload is remembered; of more the longest unseen is forgotten and learned again.
    pub max_directory_entries: usize,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            queue_len: 16,
            max_append_rows: 65_536,
            max_seen_keys: 4_000_000,
            future_tolerance: Duration::from_secs(3600),
            append_patience: Duration::from_secs(30),
            rename_clusters: BTreeMap::new(),
            max_directory_entries: 200_000,
        }
    }
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ingest.{field}: {problem}")]
pub struct ConfigError {
    /// The setting.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl ConfigError {
    /// A setting and what is wrong with it.
    pub(crate) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    /// Who has to act.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

/// Settings that were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidConfig(Config);

impl ValidConfig {
    /// The settings.
    #[must_use]
    pub const fn get(&self) -> &Config {
        &self.0
    }
}

impl Config {
    /// Checks all settings.
    ///
    /// # Errors
    /// Every setting that cannot be.
    pub fn validate(self) -> Result<ValidConfig, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let pipeline = &self.pipeline;
        let counts = [
            ("pipeline.queue_len", pipeline.queue_len),
            ("pipeline.max_append_rows", pipeline.max_append_rows),
            ("pipeline.max_seen_keys", pipeline.max_seen_keys),
            ("pipeline.max_directory_entries", pipeline.max_directory_entries),
        ];
        for (field, _) in counts.iter().filter(|(_, value)| *value == 0) {
            errors.push(ConfigError::new(*field, "must be at least 1"));
        }
        for (source, names) in &pipeline.rename_clusters {
            for (from, _) in names.iter().filter(|(_, to)| to.is_empty()) {
                let problem = format!("the cluster {from:?} would have no name");
                errors.push(ConfigError::new(format!("pipeline.rename_clusters.{source:?}"), problem));
            }
        }
        self.import.check(&mut errors);
        for (index, follow) in self.follow.iter().enumerate() {
            follow.check(&format!("follow[{index}]"), &mut errors);
        }
        for (index, bucket) in self.bucket.iter().enumerate() {
            bucket.check(&format!("bucket[{index}]"), &mut errors);
        }
        for (index, hubble) in self.hubble.iter().enumerate() {
            hubble.check(&format!("hubble[{index}]"), &mut errors);
        }
        for (index, tetragon) in self.tetragon.iter().enumerate() {
            tetragon.check(&format!("tetragon[{index}]"), &mut errors);
        }
        for (index, netflow) in self.netflow.iter().enumerate() {
            netflow.check(&format!("netflow[{index}]"), &mut errors);
        }
        if errors.is_empty() { Ok(ValidConfig(self)) } else { Err(errors) }
    }
}

/// Checks that a size lies between two bounds.
pub(crate) fn check_size(field: &str, value: ByteSize, min: ByteSize, max: ByteSize, errors: &mut Vec<ConfigError>) {
    if value < min || value > max {
        errors.push(ConfigError::new(field, format!("{value} is not between {min} and {max}")));
    }
}

/// Checks that a time is not zero.
pub(crate) fn check_time(field: &str, value: Duration, errors: &mut Vec<ConfigError>) {
    if value.is_zero() {
        errors.push(ConfigError::new(field, "must be longer than zero"));
    }
}

#[cfg(test)]
mod tests;
