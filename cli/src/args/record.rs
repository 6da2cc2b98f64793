//! Arguments of the commands that record: `up`, `serve`, `import`, `demo`.

use std::net::SocketAddr;
use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args, ValueEnum};

use super::Access;

/// Arguments of `hindcast up`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hindcast up
  hindcast up --data-dir /var/lib/hindcast --config /etc/hindcast/config.toml
  hindcast up --http 127.0.0.1:8080 --no-sensors

Options come from: defaults < --config FILE < HINDCAST_SECTION_OPTION variables < flags.
`hindcast config reference` prints every option.")]
pub struct UpArgs {
    /// What `serve` takes too.
    #[command(flatten)]
    pub doors: DoorsArgs,
    /// Do not try to start the kernel sensors of this host
    #[arg(long)]
    pub no_sensors: bool,
}

/// Arguments of `hindcast serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hindcast serve --data-dir /var/lib/hindcast
  hindcast serve --data-dir ./yesterday --http 127.0.0.1:7272 --grpc 127.0.0.1:4246
  hindcast serve --read-only --config /etc/hindcast/query.toml

With --read-only as many of them as are wanted answer side by side, without a data directory, from the lake that
recorders share ([storage.lake]) or from ClickHouse ([storage.clickhouse]).")]
pub struct ServeArgs {
    /// Data directory, addresses and configuration.
    #[command(flatten)]
    pub doors: DoorsArgs,
    /// Keep nothing: answer from the lake that recorders share, or from ClickHouse
    #[arg(long, conflicts_with = "data_dir")]
    pub read_only: bool,
}

/// What every command with doors takes.
#[derive(Debug, Args)]
pub struct DoorsArgs {
    /// Where data lie [default: ./hindcast-data] [env: HINDCAST_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address of the HTTP door [default: 127.0.0.1:7171]
    #[arg(long, value_name = "ADDR")]
    pub http: Option<SocketAddr>,
    /// Address of the gRPC door, which `hubble` and `tetra` dial [default: 127.0.0.1:4245]
    #[arg(long, value_name = "ADDR")]
    pub grpc: Option<SocketAddr>,
    /// Configuration file, TOML [env: HINDCAST_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Arguments of `hindcast sensor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo hindcast sensor --to recorder:4245
  sudo hindcast sensor --to https://recorder:4245 --token-file /etc/hindcast/token
  sudo hindcast sensor --to recorder:4245 --spool /var/lib/hindcast/spool --spool-size 4GiB
  sudo hindcast sensor --to recorder:4245 --cluster prod --node web-1

While the server is away, what is seen waits in the spool. What does not fit any more is lost, and
counted in the table losses. Section [sensors] of the configuration says what is seen.")]
pub struct SensorArgs {
    /// Deliver over Arrow Flight to the gRPC door of this running server; with port 7171 the door beside it on 4245 is
    /// meant
    #[arg(long, value_name = "URL", help_heading = "Where")]
    pub to: String,
    /// Credentials and trust for the server.
    #[command(flatten)]
    pub access: Access,
    /// Where events wait until the server has them; no other process may use it
    #[arg(long, value_name = "DIR", default_value = "hindcast-spool")]
    pub spool: PathBuf,
    /// How much disk the spool may take
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = spool_size)]
    pub spool_size: ByteSize,
    /// Cluster of this host [default: none]
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Name of this host in what is recorded; it must not change [default: the host name]
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// Configuration file, TOML; its sections sensors and log apply [env: HINDCAST_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The smallest spool that holds a few batches.
const MIN_SPOOL: ByteSize = ByteSize::kib(64);

fn spool_size(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse()?;
    if size < MIN_SPOOL { Err(format!("a spool takes at least {MIN_SPOOL}")) } else { Ok(size) }
}

/// Arguments of `hindcast import`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hindcast import events.log events-2026-08-22.log.gz
  hindcast import ./exports '/var/log/tetragon/*.log' --summary json
  kubectl logs -n kube-system ds/tetragon -c export-stdout | hindcast import -
  hindcast import --server http://recorder:4245 events.log
  hindcast import --follow /var/run/cilium/hubble/events.log
  hindcast import trace.pcapng vpc-flow-logs/*.log.gz
  tcpdump -i eth0 -w - | hindcast import -

Read are events of Hubble and Tetragon, captures of packets (pcap, pcapng), and flow logs of AWS, Google Cloud, Azure and
NetObserv.
A file is recognised by what it holds, not by its name. What was imported before is counted as duplicate, so an
import that was stopped is simply started again. The exit status is 0 when every good line was recorded, 1 when an
input could not be read to its end.")]
pub struct ImportArgs {
    /// Files, directories, globs, or - for stdin
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Import into this data directory [default: ./hindcast-data] [env: HINDCAST_DATA_DIR]
    #[arg(long, value_name = "DIR", conflicts_with = "server", help_heading = "Where")]
    pub data_dir: Option<PathBuf>,
    /// Decode here and push over Arrow Flight to the gRPC door of this running server; with port 7171 the door beside
    /// it on 4245 is meant
    #[arg(long, value_name = "URL", conflicts_with = "follow", help_heading = "Where")]
    pub server: Option<String>,
    /// Credentials and trust for the server.
    #[command(flatten)]
    pub access: Access,
    /// Configuration file, TOML; its sections storage and ingest apply [env: HINDCAST_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How to print the summary
    #[arg(long, value_enum, default_value_t = SummaryFormat::Text, value_name = "FORMAT")]
    pub summary: SummaryFormat,
    /// Keep following the files for new lines, through rotation, until stopped
    #[arg(long, short = 'f')]
    pub follow: bool,
}

/// How a summary is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SummaryFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Arguments of `hindcast demo`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hindcast demo && hindcast up
  hindcast demo --data-dir ./demo --days 7 --flows 5000000 --seed 42

Every event of the recording carries source_kind = 'generated': it is no traffic of yours.")]
pub struct DemoArgs {
    /// Where the recording goes [default: ./hindcast-data] [env: HINDCAST_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// How many days, ending now
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=366))]
    pub days: u32,
    /// How many flows
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub flows: u64,
    /// The same seed and end give the same recording
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// When the recording ends: a time, or how long ago [default: now]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}
