//! Arguments of `hindcast tier`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What can be done with the places that rows are in.
#[derive(Debug, Subcommand)]
pub enum TierCommand {
    /// Count the rows of every table in the lake, in memory, and in ClickHouse only
    #[command(after_help = "Example:\n  hindcast tier status --data-dir /var/lib/hindcast --config hindcast.toml")]
    Status(TierArgs),
    /// Move whole hours; no server may be using the data directory (`storage.clickhouse.local_age` moves while one does)
    #[command(after_help = "Examples:\n  hindcast tier move --to clickhouse\n  \
                            hindcast tier move --to clickhouse --before 1d\n  \
                            hindcast tier move --to lake --before 2026-05-01")]
    Move(TierMoveArgs),
}

/// Which data directory, and where ClickHouse is: `[storage.clickhouse]` of the configuration, or its variables.
#[derive(Clone, Debug, Args)]
pub struct TierArgs {
    /// Where data lie [default: ./hindcast-data] [env: HINDCAST_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Read the configuration from this file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Arguments of `hindcast tier move`.
#[derive(Clone, Debug, Args)]
pub struct TierMoveArgs {
    /// Where to
    #[arg(long, value_enum)]
    pub to: Tier,
    /// Only hours that ended before: how long ago (`30m`, `3d`), a date, or RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    pub before: Option<String>,
    /// Between what.
    #[command(flatten)]
    pub place: TierArgs,
}

/// A place that rows are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tier {
    /// ClickHouse: rows that were sent leave the lake
    Clickhouse,
    /// The lake, on disk or in an object store: rows come back, and are deleted in ClickHouse
    Lake,
}
