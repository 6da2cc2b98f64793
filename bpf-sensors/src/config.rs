//! What an operator may set, with units, defaults and trade-offs.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use hindcast_packets::redact::{Place, Redactor, Rule};
use serde::{Deserialize, Serialize};

/// Settings of the sensors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Cluster of this host, in every row; empty for none.
    pub cluster: String,
    /// Name of this host, in every row and part of every `exec_id`: it must not change. Empty takes the host name.
    pub node: String,
    /// How often the kernel's rings are emptied. Longer takes less CPU and bounds the rate a ring can carry.
    #[serde(with = "humantime_serde")]
    pub drain_interval: Duration,
    /// Size of the kernel's ring of payload, a power of two; that of sockets has half of it, that of files a quarter. The
    /// ring of process life has 2 MiB always, that of privileges 512 KiB. The kernel takes the memory for good, and
    /// counts it twice as ours: a ring is mapped twice.
    pub ring_size: ByteSize,
    /// Nice value of the thread that empties the rings, -20 to 19. Where all CPUs are busy, one that has to queue loses
    /// what the rings cannot hold meanwhile; it needs little.
    pub nice: i32,
    /// How long a row waits for others before it is handed over.
    #[serde(with = "humantime_serde")]
    pub flush_interval: Duration,
    /// Rows of a batch at most.
    pub batch_rows: usize,
    /// Batches that wait for whoever takes them, at most; what comes on top is lost and counted.
    pub pending_batches: usize,
    /// Processes that are remembered. Of one that is forgotten, later events keep the id and lose the name.
    pub max_processes: usize,
    /// Rows a second of one table at most; more are lost and counted. Zero sets no limit.
    pub max_rows_per_second: u64,
    /// Root of the unified cgroup hierarchy; empty looks for it.
    pub cgroup_root: PathBuf,
    /// Capabilities that the sensors no longer need are given up once they run.
    pub drop_capabilities: bool,
    /// Settings of processes.
    pub processes: ProcessConfig,
    /// Settings of connections.
    pub sockets: SocketConfig,
    /// Settings of files.
    pub files: FileConfig,
    /// Settings of application protocols.
    pub payload: PayloadConfig,
    /// What is taken out of texts before anybody sees them.
    pub redaction: RedactionConfig,
}

/// Settings of processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessConfig {
    /// Arguments of a process are recorded. Without them nothing secret can stand there.
    pub arguments: bool,
    /// A row for each new process, besides that of the program it starts.
    pub forks: bool,
    /// Changes of credentials, capabilities and namespaces are recorded.
    pub privileges: bool,
}

/// Settings of connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SocketConfig {
    /// Connections are recorded.
    pub enabled: bool,
    /// How often what stands open is reported.
    #[serde(with = "humantime_serde")]
    pub sweep_interval: Duration,
    /// Connections that are followed at a time; more are lost and counted. Each takes some 200 bytes of the kernel's
    /// memory.
    pub max_connections: u32,
    /// Connections and listeners are runtime events too, as hooks of `tcp_connect`, `inet_csk_accept` and
    /// `inet_csk_listen_start`.
    pub runtime_events: bool,
    /// Dropped packets are recorded.
    pub drops: bool,
    /// Reasons of drops that are not recorded, by the kernel's names: they are the ordinary end of packets.
    pub ignored_drops: Vec<String>,
}

/// Settings of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileConfig {
    /// Files that are opened to be written are recorded.
    pub enabled: bool,
    /// Files that are recorded when read too: a path is one file, or every file directly in a directory when it ends in
    /// a slash.
    pub watch: Vec<String>,
    /// A process's further opens of the same file within this time are not recorded.
    #[serde(with = "humantime_serde")]
    pub repeat_interval: Duration,
    /// Paths whose files are not recorded when written, by how they begin.
    pub ignore: Vec<String>,
}

/// Settings of application protocols.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PayloadConfig {
    /// DNS, HTTP, gRPC and the hellos of TLS are read.
    pub enabled: bool,
    /// Where a request is seen.
    pub http_sides: Sides,
}

/// What is taken out of arguments and URLs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedactionConfig {
    /// Rules for well-known secrets: passwords, tokens, keys.
    pub well_known: bool,
    /// More rules, as regular expressions: what their groups match is taken out, or all of it where there is no group.
    pub patterns: Vec<String>,
}

impl RedactionConfig {
    /// The rules, and what is wrong with those that cannot be used.
    pub(crate) fn rules(&self) -> (Redactor, Vec<String>) {
        let mut problems = Vec::new();
        let mut rules = Vec::new();
        for pattern in &self.patterns {
            match Rule::new(&Place::ALL, pattern) {
                Ok(rule) => rules.push(rule),
                Err(error) => problems.push(format!("redaction.patterns: {}", hindcast_model::report(&error))),
            }
        }
        let redactor = if self.well_known { Redactor::default() } else { Redactor::none() };
        (redactor.with(rules), problems)
    }
}

impl Default for RedactionConfig {
    fn default() -> Self {
        Self { well_known: true, patterns: Vec::new() }
    }
}

/// Ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Sides {
    /// Where the request arrives.
    Server,
    /// Where it is sent.
    Client,
    /// Both: what two local processes say to each other is seen twice, with one `connection_id`.
    #[default]
    Both,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cluster: String::new(),
            node: String::new(),
            drain_interval: Duration::from_millis(10),
            ring_size: ByteSize::mib(4),
            nice: -10,
            flush_interval: Duration::from_millis(250),
            batch_rows: 4096,
            pending_batches: 64,
            max_processes: 65_536,
            max_rows_per_second: 0,
            cgroup_root: PathBuf::new(),
            drop_capabilities: true,
            processes: ProcessConfig::default(),
            sockets: SocketConfig::default(),
            files: FileConfig::default(),
            payload: PayloadConfig::default(),
            redaction: RedactionConfig::default(),
        }
    }
}

impl Default for ProcessConfig {
    fn default() -> Self {
        Self { arguments: true, forks: true, privileges: true }
    }
}

impl Default for SocketConfig {
    fn default() -> Self {
        let ignored =
            ["TCP_OLD_ACK", "TCP_OLD_DATA", "TCP_ACK_UNSENT_DATA", "QUEUE_PURGE", "SKB_DROP_REASON_QUEUE_PURGE"];
        Self {
            enabled: true,
            sweep_interval: Duration::from_secs(10),
            max_connections: 65_536,
            runtime_events: true,
            drops: true,
            ignored_drops: ignored.map(str::to_owned).to_vec(),
        }
    }
}

impl Default for FileConfig {
    fn default() -> Self {
        let watch = ["/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/sudoers.d/"];
        Self {
            enabled: true,
            watch: watch.map(str::to_owned).to_vec(),
            repeat_interval: Duration::from_secs(60),
            ignore: ["/proc/", "/sys/", "/dev/"].map(str::to_owned).to_vec(),
        }
    }
}

impl Default for PayloadConfig {
    fn default() -> Self {
        Self { enabled: true, http_sides: Sides::Both }
    }
}

/// Bounds of a ring: a few events of the largest kind, and what a machine may spare.
const MIN_RING: u64 = 64 << 10;
const MAX_RING: u64 = 256 << 20;
/// The name the kernel compares is at most this long.
const WATCHED_NAME_MAX: usize = 31;

/// The name by which the kernel picks a watched path: its last.
pub(crate) fn watched_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

impl Config {
    /// Everything that is wrong with these settings, each with the name of the knob.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut check = |is_right: bool, problem: &str| {
            if !is_right {
                problems.push(problem.to_owned());
            }
        };
        let second = Duration::from_secs(1);
        check(
            (Duration::from_millis(1)..=second).contains(&self.drain_interval),
            "drain_interval must lie between 1ms and 1s",
        );
        let ring = self.ring_size.as_u64();
        check(
            ring.is_power_of_two() && (MIN_RING..=MAX_RING).contains(&ring),
            "ring_size must be a power of two from 64KiB to 256MiB",
        );
        check((-20..=19).contains(&self.nice), "nice must lie between -20 and 19");
        check(self.flush_interval >= self.drain_interval, "flush_interval must not be shorter than drain_interval");
        check(self.batch_rows > 0, "batch_rows must not be 0");
        check(self.pending_batches > 0, "pending_batches must not be 0");
        check(self.max_processes >= 1024, "max_processes must be at least 1024");
        check(self.sockets.sweep_interval >= second, "sockets.sweep_interval must be at least 1s");
        check(self.sockets.max_connections >= 1024, "sockets.max_connections must be at least 1024");
        for path in &self.files.watch {
            let name = watched_name(path);
            check(
                path.starts_with('/') && !name.is_empty() && name.len() <= WATCHED_NAME_MAX,
                &format!(
                    "files.watch: {path:?} must be an absolute path whose last name has 1 to {WATCHED_NAME_MAX} bytes"
                ),
            );
        }
        problems.extend(self.redaction.rules().1);
        problems
    }
}

#[cfg(test)]
mod tests;
