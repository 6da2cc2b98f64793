//! Arguments of the commands that ask: `observe`, `sql`, `status`, `inspect`, `export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Access, Place};

/// Arguments of `hindcast observe`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hindcast observe                                        the newest 20 flows
  hindcast observe ns:payments verdict:dropped --since 1h
  hindcast observe to:pod:db port:5432 -dns:*.internal --last 100 -o table
  hindcast observe 'http.status>=500' --since 2026-08-22T10:00:00Z --until 2026-08-22T11:00:00Z -o json
  hindcast observe --runtime binary:/usr/bin/nc -f
  hindcast observe --data-dir ./hindcast-data --first 5

A filter is made of terms; all must hold. `-term` excludes, `or` joins alternatives, parentheses group.
Times are `5m`, `2h30m`, `3d` (ago), a date, or RFC 3339.")]
pub struct ObserveArgs {
    /// Terms of the filter
    #[arg(value_name = "TERM")]
    pub filter: Vec<String>,
    /// The newest N that match [default: 20, or all with --since or --until]
    #[arg(long, value_name = "N", conflicts_with_all = ["first", "all"], help_heading = "Which")]
    pub last: Option<u64>,
    /// The oldest N that match
    #[arg(long, value_name = "N", conflicts_with_all = ["all", "follow"], help_heading = "Which")]
    pub first: Option<u64>,
    /// All that match
    #[arg(long, help_heading = "Which")]
    pub all: bool,
    /// From this time on
    #[arg(long, value_name = "TIME", help_heading = "Which")]
    pub since: Option<String>,
    /// Up to this time
    #[arg(long, value_name = "TIME", conflicts_with = "follow", help_heading = "Which")]
    pub until: Option<String>,
    /// Then show new ones as they come, until stopped
    #[arg(long, short = 'f', help_heading = "Which")]
    pub follow: bool,
    /// Runtime events (processes, files, hooks) instead of flows
    #[arg(long, help_heading = "Which")]
    pub runtime: bool,
    /// Either side in this namespace, as in `ns:NAME`
    #[arg(long, short = 'n', value_name = "NAME", help_heading = "Which")]
    pub namespace: Vec<String>,
    /// Either side is this pod, as in `pod:[NS/]NAME`
    #[arg(long, value_name = "POD", help_heading = "Which")]
    pub pod: Vec<String>,
    /// With this verdict, as in `verdict:NAME`
    #[arg(long, value_name = "VERDICT", help_heading = "Which")]
    pub verdict: Vec<String>,
    /// Form of the output
    #[arg(long, short = 'o', value_enum, default_value_t = ObserveFormat::Compact, value_name = "FORMAT", help_heading = "How")]
    pub output: ObserveFormat,
    /// Print the node that observed it
    #[arg(long, help_heading = "How")]
    pub print_node_name: bool,
    /// Print addresses, not the names of pods, services and hosts
    #[arg(long, help_heading = "How")]
    pub numeric: bool,
    /// Where to read.
    #[command(flatten)]
    pub place: Place,
}

/// Forms of `observe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ObserveFormat {
    /// One line each, as `hubble observe` prints them
    Compact,
    /// Columns
    Table,
    /// The wire's JSON, one line each, as `hubble observe -o json` prints them
    Json,
    /// The same as json
    Jsonpb,
}

/// Arguments of `hindcast sql`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hindcast sql 'SELECT verdict, count(*) FROM flows GROUP BY verdict'
  hindcast sql -o csv \"SELECT time, src_pod, dst_pod FROM flows WHERE verdict = 'DROPPED'\" > drops.csv
  hindcast sql --data-dir ./hindcast-data        a prompt; end a statement with ;
  echo 'SELECT count(*) FROM flows' | hindcast sql -")]
pub struct SqlArgs {
    /// The statement; - reads it from stdin; without it, a prompt
    pub query: Option<String>,
    /// Form of the output
    #[arg(long, short = 'o', value_enum, default_value_t = SqlFormat::Table, value_name = "FORMAT")]
    pub output: SqlFormat,
    /// Where to read.
    #[command(flatten)]
    pub place: Place,
}

/// Forms of `sql`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SqlFormat {
    /// Columns, for people
    Table,
    /// Comma-separated, with a header
    Csv,
    /// One JSON array
    Json,
    /// One JSON object a line
    Ndjson,
}

/// Arguments of `hindcast status`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hindcast status\n  hindcast status --server https://recorder:7171 --token-file token\n  \
                        hindcast status --data-dir ./hindcast-data --json"
)]
pub struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Where to look.
    #[command(flatten)]
    pub place: Place,
}

/// Arguments of `hindcast inspect`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hindcast inspect --data-dir ./hindcast-data
  hindcast inspect segments --verify          read every segment and compare its checksum
  hindcast inspect losses")]
pub struct InspectArgs {
    /// The part to look at; all without it
    #[arg(value_enum)]
    pub what: Option<InspectWhat>,
    /// The data directory [default: ./hindcast-data] [env: HINDCAST_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Read every segment and compare its checksum; those of the log are always compared
    #[arg(long)]
    pub verify: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Parts of a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InspectWhat {
    /// Files of the log and what they hold
    Log,
    /// Sealed segments
    Segments,
    /// The catalogue
    Catalog,
    /// What was lost, by stage and reason
    Losses,
}

/// Arguments of `hindcast export`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hindcast export --since 1h --format parquet --out last-hour.parquet
  hindcast export ns:payments --since 2026-08-22 --until 2026-08-23 --format hubble --out payments.jsonl
  hindcast export --table runtime_events --format tetragon | gzip > events.json.gz")]
pub struct ExportArgs {
    /// Terms of the filter, as in `observe`
    #[arg(value_name = "TERM")]
    pub filter: Vec<String>,
    /// The table
    #[arg(long, value_name = "TABLE", default_value = "flows")]
    pub table: String,
    /// Form of the file
    #[arg(long, value_enum, default_value_t = ExportFormat::Ndjson, value_name = "FORMAT")]
    pub format: ExportFormat,
    /// The file to write; stdout without it
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// From this time on
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Up to this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Where to read.
    #[command(flatten)]
    pub place: Place,
}

/// Forms of an exported file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Parquet, zstd
    Parquet,
    /// Arrow IPC stream
    Arrow,
    /// One JSON object of columns a line
    Ndjson,
    /// Lines as Hubble exports them (table flows)
    Hubble,
    /// Lines as Tetragon exports them (table runtime_events)
    Tetragon,
}

impl Place {
    /// How the server lets us in.
    #[must_use]
    pub const fn access(&self) -> &Access {
        &self.access
    }
}
