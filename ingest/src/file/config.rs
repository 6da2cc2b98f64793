//! Settings of reading files.

use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use hindcast_storage::objects::is_bucket;

use super::blocks::BlockLimits;
use crate::config::{ConfigError, check_size, check_time};

/// Settings of reading files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImportConfig {
    /// Text that is decoded as one batch. Larger makes fewer, larger batches and takes more memory: some ten blocks
    /// are held at a time.
    pub block_size: ByteSize,
    /// A line, or a document over several lines, larger than this is rejected without being held in memory.
    pub max_line_size: ByteSize,
    /// Threads that decode; 0 is one for each processor.
    pub workers: usize,
    /// Rejected lines of a file that are shown for each reason; all are counted.
    pub max_samples: usize,
}

impl Default for ImportConfig {
    fn default() -> Self {
        Self { block_size: ByteSize::mib(4), max_line_size: ByteSize::mib(16), workers: 0, max_samples: 10 }
    }
}

impl ImportConfig {
    pub(crate) fn check(&self, errors: &mut Vec<ConfigError>) {
        check_size("import.block_size", self.block_size, ByteSize::kib(4), ByteSize::mib(64), errors);
        check_size("import.max_line_size", self.max_line_size, ByteSize::kib(1), ByteSize::mib(256), errors);
    }

    pub(super) fn limits(&self) -> BlockLimits {
        let size = |size: ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
        BlockLimits { block: size(self.block_size), line: size(self.max_line_size) }
    }

    pub(super) fn n_workers(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            n => n,
        }
    }
}

/// Files that are followed while they are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FollowConfig {
    /// The source's name in the account; empty means the paths.
    pub name: String,
    /// Paths, globs and directories. New files that match are picked up.
    pub paths: Vec<String>,
    /// How often the files are looked at.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
    /// Whether backups beside a file (`events-<time>.log`, `events.log.1`, packed or not) are read before it.
    pub read_backups: bool,
    /// How long a file that was renamed or removed is still read: its writer may not have noticed yet.
    #[serde(with = "humantime_serde")]
    pub rotate_grace: Duration,
    /// A line larger than this is rejected without being held in memory.
    pub max_line_size: ByteSize,
}

impl Default for FollowConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            paths: Vec::new(),
            poll_interval: Duration::from_millis(250),
            read_backups: true,
            rotate_grace: Duration::from_secs(5),
            max_line_size: ByteSize::mib(16),
        }
    }
}

impl FollowConfig {
    pub(crate) fn check(&self, field: &str, errors: &mut Vec<ConfigError>) {
        if self.paths.is_empty() {
            errors.push(ConfigError::new(format!("{field}.paths"), "must name at least one path"));
        }
        if self.paths.iter().any(|path| path == "-") {
            errors.push(ConfigError::new(format!("{field}.paths"), "standard input cannot be followed; import it"));
        }
        if self.paths.iter().any(|path| is_bucket(path)) {
            errors.push(ConfigError::new(format!("{field}.paths"), "a bucket is named in [[ingest.bucket]]"));
        }
        check_time(&format!("{field}.poll_interval"), self.poll_interval, errors);
        let field = format!("{field}.max_line_size");
        check_size(&field, self.max_line_size, ByteSize::kib(1), ByteSize::mib(256), errors);
    }

    /// The source's name in the account.
    #[must_use]
    pub fn source_name(&self) -> String {
        if self.name.is_empty() { self.paths.join(",") } else { self.name.clone() }
    }
}

/// A bucket of recordings that others fill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BucketConfig {
    /// The source's name in the account; empty means the address.
    pub name: String,
    /// `s3://bucket/folder`, `gs://…` or `az://…`. Who may read it is said by the environment, as the vendors' own tools
    /// read it.
    pub url: String,
    /// How often the bucket is listed.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
    /// Objects that are recorded whole, and were written so long ago, are removed; without it none are. One of which a
    /// line was rejected stays.
    #[serde(with = "humantime_serde")]
    pub delete_after: Option<Duration>,
    /// Whether the recorders of a lake share it: one of them reads it at a time. All of them name it alike.
    pub shared: bool,
    /// A line larger than this is rejected without being held in memory.
    pub max_line_size: ByteSize,
}

impl Default for BucketConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            url: String::new(),
            poll_interval: Duration::from_secs(30),
            delete_after: None,
            shared: false,
            max_line_size: ByteSize::mib(16),
        }
    }
}

impl BucketConfig {
    pub(crate) fn check(&self, field: &str, errors: &mut Vec<ConfigError>) {
        if !is_bucket(&self.url) {
            let problem = format!("{:?} is not the address of a bucket: s3://, gs:// or az:// is wanted", self.url);
            errors.push(ConfigError::new(format!("{field}.url"), problem));
        }
        check_time(&format!("{field}.poll_interval"), self.poll_interval, errors);
        let field = format!("{field}.max_line_size");
        check_size(&field, self.max_line_size, ByteSize::kib(1), ByteSize::mib(256), errors);
    }

    /// The source's name in the account.
    #[must_use]
    pub fn source_name(&self) -> String {
        if self.name.is_empty() { self.url.clone() } else { self.name.clone() }
    }
}
