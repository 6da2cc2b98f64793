//! What an operator may set, with units, defaults and trade-offs.

use std::path::PathBuf;
use std::time::Duration;

use crate::clickhouse::KeepConfig;
use crate::lake::LakeConfig;
use bytesize::ByteSize;
use hindcast_model::Kind;
use serde::{Deserialize, Serialize};
use url::Url;

/// What to do with a log file that is damaged in its middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum OnCorruption {
    /// Refuse to open the store: somebody has to look.
    #[default]
    Stop,
    /// Keep the readable records, move the damaged file to `log/quarantine/`, count the loss and go on.
    Quarantine,
}

/// Settings of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Directory of the log, the catalogue and, by default, the segments. Created where it does not exist.
    pub data_dir: PathBuf,
    /// Where segments are kept: `file:///…`, `s3://…`, `gs://…` or `az://…`; empty means `segments/` in the data
    /// directory.
    pub segments_url: String,
    /// Settings of the log.
    pub log: LogConfig,
    /// Settings of the memory in front of the segments.
    pub memory: MemoryConfig,
    /// Settings of segments.
    pub segments: SegmentConfig,
    /// How long rows are kept.
    pub retention: RetentionConfig,
    /// A lake that several share.
    pub lake: LakeConfig,
    /// A ClickHouse server that sealed rows are sent to.
    pub clickhouse: ClickHouseConfig,
}

/// Settings of a ClickHouse server that sealed rows are sent to, each once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClickHouseConfig {
    /// Its HTTP address, `http://127.0.0.1:8123`; empty sends nothing.
    pub url: String,
    /// Its database.
    pub database: String,
    /// The cluster on which `hindcast migrate` makes replicated tables; empty for one server.
    pub cluster: String,
    /// The cluster whose shards are all asked, each of which holds rows of other recorders; empty for one server.
    pub shards: String,
    /// The user who inserts.
    pub user: String,
    /// File that holds the user's password; empty for none.
    pub password_file: PathBuf,
    /// Rows of one insert at most. More makes fewer parts for the server to merge, and takes more memory on both sides.
    pub block_rows: usize,
    /// How long an insert or a question may take before it is tried again.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Rows that are in ClickHouse leave the lake this long after their hour has ended; from then on they are read
    /// there. Not set, they stay as long as retention keeps them.
    #[serde(with = "humantime_serde")]
    pub local_age: Option<Duration>,
    /// How long the server keeps rows of a table.
    pub keep: KeepConfig,
    /// Segments that wait for the server, in bytes. When they take more, appends wait: then the disk is not filled
    /// however long the server is away. The log warns from three quarters on.
    pub max_backlog: ByteSize,
}

/// Settings of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// A log file that has reached this size is followed by a new one. Smaller frees space sooner.
    pub max_file_size: ByteSize,
    /// The largest single append. Bounds the memory recovery needs.
    pub max_record_size: ByteSize,
    /// How long the first append of a group waits for company before it is synced; zero syncs at once what has
    /// gathered during the previous sync.
    #[serde(with = "humantime_serde")]
    pub max_group_wait: Duration,
    /// Appends that may wait for the log; more wait outside.
    pub queue_len: usize,
    /// When the log holds half of this, what has been in memory longest is sealed early. Bounds the time of recovery.
    pub max_size: ByteSize,
    /// What to do with a log file that is damaged in its middle.
    pub on_corruption: OnCorruption,
}

/// Settings of the memory in front of the segments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemoryConfig {
    /// Memory of all rows that are not sealed. When half of it is taken, the largest partition is sealed; when all of
    /// it is taken, appends wait.
    pub max_size: ByteSize,
    /// A partition with this many rows is sealed.
    pub max_partition_rows: usize,
    /// A partition whose oldest row has waited this long is sealed. Shorter shows rows to DuckDB sooner and makes more
    /// small segments to compact.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    /// More open partitions than this and the one that has waited longest is sealed.
    pub max_partitions: usize,
    /// How long an append waits for room before it is refused.
    #[serde(with = "humantime_serde")]
    pub max_wait: Duration,
    /// Appends that a slow reader of the tail may be behind before it misses some.
    pub tail_len: usize,
}

/// Settings of segments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SegmentConfig {
    /// Rows of a row group at most. Row groups of a segment have disjoint ranges of time: smaller ones leave out more of
    /// an hour, larger ones have fewer places to look for one pod's rows, and take less space.
    pub row_group_rows: usize,
    /// zstd level, 1 to 19. Higher is smaller and slower to write.
    pub zstd_level: i32,
    /// `edges_1m` is written for a segment of flows if its rows sum at least this many flows each on average; who asks
    /// for minutes of another segment folds its flows. Lower answers by the minute faster and takes more space.
    pub rollup_1m_min_flows: usize,
    /// Segments of one partition with fewer bytes than this are compacted together.
    pub small_size: ByteSize,
    /// A partition is compacted when it has at least this many small segments; one whose hour is over and that got none
    /// since the last round, when it has two.
    pub compact_min_segments: usize,
    /// Rows of one compaction at most. Bounds its memory.
    pub compact_max_rows: usize,
    /// Memory for cached segment footers.
    pub metadata_cache_size: ByteSize,
    /// How often retention and compaction look for work.
    #[serde(with = "humantime_serde")]
    pub maintenance_interval: Duration,
    /// How long a file that the catalogue no longer names is kept for readers outside of this process.
    #[serde(with = "humantime_serde")]
    pub delete_grace: Duration,
}

/// How long rows are kept. A limit that is not set does not apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// Limits for tables without limits of their own.
    pub default: Retention,
    /// Limits by table name.
    pub tables: std::collections::BTreeMap<String, Retention>,
}

/// Limits of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Rows older than this are dropped, an hour at a time.
    #[serde(with = "humantime_serde")]
    pub max_age: Option<Duration>,
    /// The oldest segments are dropped while the table is larger than this.
    pub max_size: Option<ByteSize>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("hindcast-data"),
            segments_url: String::new(),
            log: LogConfig::default(),
            memory: MemoryConfig::default(),
            segments: SegmentConfig::default(),
            retention: RetentionConfig::default(),
            lake: LakeConfig::default(),
            clickhouse: ClickHouseConfig::default(),
        }
    }
}

impl Default for ClickHouseConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            database: "hindcast".to_owned(),
            cluster: String::new(),
            shards: String::new(),
            user: "default".to_owned(),
            password_file: PathBuf::new(),
            block_rows: 1 << 20,
            timeout: Duration::from_secs(60),
            local_age: None,
            keep: KeepConfig::default(),
            max_backlog: ByteSize::gib(50),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            max_file_size: ByteSize::mib(128),
            max_record_size: ByteSize::mib(64),
            max_group_wait: Duration::ZERO,
            queue_len: 256,
            max_size: ByteSize::gib(1),
            on_corruption: OnCorruption::Stop,
        }
    }
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self {
            max_size: ByteSize::mib(512),
            max_partition_rows: 1 << 20,
            max_age: Duration::from_secs(60),
            max_partitions: 64,
            max_wait: Duration::from_secs(30),
            tail_len: 1024,
        }
    }
}

impl Default for SegmentConfig {
    fn default() -> Self {
        Self {
            row_group_rows: 1 << 20,
            zstd_level: 1,
            rollup_1m_min_flows: 8,
            small_size: ByteSize::mib(16),
            compact_min_segments: 8,
            compact_max_rows: 2 << 20,
            metadata_cache_size: ByteSize::mib(64),
            maintenance_interval: Duration::from_secs(15),
            delete_grace: Duration::from_secs(600),
        }
    }
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A number outside of its bounds.
    #[error("storage.{option} is {found}, allowed is {allowed}")]
    OutOfBounds {
        /// The setting.
        option: &'static str,
        /// Its value.
        found: String,
        /// What may be.
        allowed: &'static str,
    },
    /// Limits for a table that does not exist.
    #[error("storage.retention.tables.{0} is no table")]
    UnknownTable(String),
    /// An object store of another kind.
    #[error("storage.segments_url {0} is not file, s3, gs or az")]
    UnknownScheme(String),
}

impl ConfigError {
    /// Who has to act.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

/// Settings that were checked.
#[derive(Clone, Debug)]
pub struct ValidConfig(Config);

impl std::ops::Deref for ValidConfig {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.0
    }
}

impl Config {
    /// The default settings with that data directory.
    #[must_use]
    pub fn at(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), ..Self::default() }
    }

    /// The object store of the segments, if it is not the data directory.
    #[must_use]
    pub fn object_store_url(&self) -> Option<Url> {
        let url = Url::parse(&self.segments_url).ok()?;
        matches!(url.scheme(), "file" | "s3" | "gs" | "az").then_some(url)
    }

    /// Where the segments of all who share the lake are: what paths in its catalogue are relative to.
    pub(crate) fn lake_path(&self) -> String {
        format!("{}/", self.segments_url.trim_end_matches('/'))
    }

    /// All problems at once.
    #[must_use]
    pub fn problems(&self) -> Vec<ConfigError> {
        let mut problems = Vec::new();
        let mut check = |is_good: bool, option: &'static str, found: String, allowed: &'static str| {
            if !is_good {
                problems.push(ConfigError::OutOfBounds { option, found, allowed });
            }
        };
        self.check_log(&mut check);
        let (memory, segments) = (&self.memory, &self.segments);
        check(memory.max_size.as_u64() >= 1 << 20, "memory.max_size", memory.max_size.to_string(), "at least 1 MiB");
        check(
            (1..=16 << 20).contains(&memory.max_partition_rows),
            "memory.max_partition_rows",
            memory.max_partition_rows.to_string(),
            "1 to 16777216",
        );
        check(
            (1..=4096).contains(&memory.max_partitions),
            "memory.max_partitions",
            memory.max_partitions.to_string(),
            "1 to 4096",
        );
        check((1..=65_536).contains(&memory.tail_len), "memory.tail_len", memory.tail_len.to_string(), "1 to 65536");
        check(
            (1024..=1 << 22).contains(&segments.row_group_rows),
            "segments.row_group_rows",
            segments.row_group_rows.to_string(),
            "1024 to 4194304",
        );
        check(
            (1..=19).contains(&segments.zstd_level),
            "segments.zstd_level",
            segments.zstd_level.to_string(),
            "1 to 19",
        );
        check(
            segments.compact_min_segments >= 2,
            "segments.compact_min_segments",
            segments.compact_min_segments.to_string(),
            "at least 2",
        );
        check(
            !segments.maintenance_interval.is_zero(),
            "segments.maintenance_interval",
            format!("{:?}", segments.maintenance_interval),
            "more than zero",
        );
        self.check_clickhouse(&mut check);
        for (option, found, allowed) in self.lake.problems(&self.segments_url) {
            check(false, option, found, allowed);
        }
        for (option, found, allowed) in self.clickhouse.keep.problems(self.clickhouse.local_age) {
            check(false, option, found, allowed);
        }
        for name in self.retention.tables.keys() {
            if hindcast_model::TableId::parse(name).is_none() {
                problems.push(ConfigError::UnknownTable(name.clone()));
            }
        }
        if !self.segments_url.is_empty() && self.object_store_url().is_none() {
            problems.push(ConfigError::UnknownScheme(self.segments_url.clone()));
        }
        problems
    }

    fn check_clickhouse(&self, check: &mut impl FnMut(bool, &'static str, String, &'static str)) {
        let clickhouse = &self.clickhouse;
        let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let is_url = Url::parse(&clickhouse.url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        check(
            clickhouse.url.is_empty() || is_url,
            "clickhouse.url",
            clickhouse.url.clone(),
            "empty, http://… or https://…",
        );
        check(
            is_name(&clickhouse.database) && !clickhouse.database.is_empty(),
            "clickhouse.database",
            clickhouse.database.clone(),
            "letters, digits and underscores",
        );
        check(
            is_name(&clickhouse.cluster),
            "clickhouse.cluster",
            clickhouse.cluster.clone(),
            "letters, digits and underscores",
        );
        check(
            is_name(&clickhouse.shards),
            "clickhouse.shards",
            clickhouse.shards.clone(),
            "letters, digits and underscores",
        );
        check(
            (1000..=1 << 21).contains(&clickhouse.block_rows),
            "clickhouse.block_rows",
            clickhouse.block_rows.to_string(),
            "1000 to 2097152",
        );
        check(
            clickhouse.timeout >= Duration::from_secs(1),
            "clickhouse.timeout",
            format!("{:?}", clickhouse.timeout),
            "at least 1s",
        );
    }

    fn check_log(&self, check: &mut impl FnMut(bool, &'static str, String, &'static str)) {
        let log = &self.log;
        let record = log.max_record_size.as_u64();
        check(
            (1 << 16..=1 << 30).contains(&record),
            "log.max_record_size",
            log.max_record_size.to_string(),
            "64 KiB to 1 GiB",
        );
        check(
            log.max_file_size.as_u64() >= 1 << 16,
            "log.max_file_size",
            log.max_file_size.to_string(),
            "at least 64 KiB",
        );
        check(
            log.max_group_wait <= Duration::from_secs(1),
            "log.max_group_wait",
            format!("{:?}", log.max_group_wait),
            "at most 1s",
        );
        check((1..=65_536).contains(&log.queue_len), "log.queue_len", log.queue_len.to_string(), "1 to 65536");
    }

    /// The checked settings.
    ///
    /// # Errors
    /// The first of [`Config::problems`].
    pub fn validate(self) -> Result<ValidConfig, ConfigError> {
        match self.problems().into_iter().next() {
            Some(problem) => Err(problem),
            None => Ok(ValidConfig(self)),
        }
    }
}
