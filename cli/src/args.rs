//! The command line: what can be typed, its help and its examples.
//!
//! Nothing here acts. Options that configuration also knows stay `Option`, so that "not given" can fall back to it.

mod ask;
mod plan;
mod record;
pub(crate) mod terms;
mod tier;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use ask::{
    ExportArgs, ExportFormat, InspectArgs, InspectWhat, ObserveArgs, ObserveFormat, SqlArgs, SqlFormat, StatusArgs,
};
pub use plan::PlanArgs;
pub use record::{DemoArgs, DoorsArgs, ImportArgs, SensorArgs, ServeArgs, SummaryFormat, UpArgs};
pub use tier::{Tier, TierArgs, TierCommand, TierMoveArgs};

/// Where data lie when nothing else is said.
pub const DEFAULT_DATA_DIR: &str = "hindcast-data";
/// Where a server answers when nothing else is said.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:7171";

/// Records what every workload did, and plays it back.
#[derive(Debug, Parser)]
#[command(
    name = "hindcast",
    version,
    about = "Records what every workload did, and plays it back.",
    long_about = "Hindcast records what every workload did (network flows, application requests, processes), keeps it \
                  as long as you want, and answers questions about it.",
    after_help = EXAMPLES,
    arg_required_else_help = true,
    propagate_version = true,
    max_term_width = 110
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// How to colour output
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN", help_heading = "Everywhere")]
    pub color: ColorChoice,

    /// How much the program says of itself on stderr: error, warn, info, debug, trace, or a RUST_LOG filter
    #[arg(long, global = true, value_name = "FILTER", help_heading = "Everywhere")]
    pub log: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  hindcast up                                  record and answer on http://127.0.0.1:7171
  hindcast import events.log.gz ./exports      bring in Hubble and Tetragon recordings
  hindcast observe ns:payments verdict:dropped --last 20
  hindcast sql 'SELECT verdict, count(*) FROM flows GROUP BY verdict'";

/// Everything that `hindcast` does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Record and answer, all in one: store, sources of the configuration, HTTP and gRPC
    Up(UpArgs),
    /// Answer from an existing data directory, and accept pushes; no sources
    Serve(ServeArgs),
    /// Bring in recorded files: Hubble and Tetragon JSON lines, plain, gzip or zstd
    Import(ImportArgs),
    /// Show recorded flows or runtime events, or follow new ones
    Observe(Box<ObserveArgs>),
    /// Ask in SQL; without a query, a prompt
    Sql(SqlArgs),
    /// Say what a server holds and what its sources do
    Status(StatusArgs),
    /// Look inside of a data directory: log, segments, catalogue, losses
    Inspect(InspectArgs),
    /// Write recorded events to a file: Parquet, Arrow, or JSON lines that Hubble and Tetragon tools read
    Export(Box<ExportArgs>),
    /// Fill a data directory with a generated recording, marked as generated
    Demo(DemoArgs),
    /// Make or update the schema in ClickHouse
    #[command(
        subcommand,
        after_help = "Examples:\n  hindcast migrate plan\n  hindcast migrate apply --config hindcast.toml\n  \
                      hindcast migrate status"
    )]
    Migrate(MigrateCommand),
    /// Say which rows are in the lake and which in ClickHouse only, and move them
    #[command(
        subcommand,
        after_help = "Examples:\n  hindcast tier status\n  hindcast tier move --to clickhouse --before 1d\n  \
                      hindcast tier move --to lake --before 30d"
    )]
    Tier(TierCommand),
    /// Say who writes to the lake that recorders share, and give one up that does not come back
    #[command(
        subcommand,
        after_help = "Examples:\n  hindcast lake status --config hindcast.toml\n  hindcast lake retire ingest-3"
    )]
    Lake(LakeCommand),
    /// Say how much disk, memory and how many processors a fleet takes, from what was measured
    Plan(PlanArgs),
    /// Record this host with its sensors and deliver what they see to a server, through a spool on disk
    Sensor(SensorArgs),
    /// Say what the kernel of this host lets Hindcast see
    #[command(subcommand, after_help = "Example:\n  sudo hindcast sensors check")]
    Sensors(SensorsCommand),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a completion script for a shell
    #[command(after_help = "Examples:\n  hindcast completions bash > /etc/bash_completion.d/hindcast\n  \
                            hindcast completions zsh > \"${fpath[1]}/_hindcast\"")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What can be done with the sensors of this host.
#[derive(Debug, Subcommand)]
pub enum SensorsCommand {
    /// Load every sensor, list each with the reason where it sees nothing, and let go again; the exit status is 1 if
    /// something is missing
    #[command(after_help = "Examples:\n  sudo hindcast sensors check\n  hindcast sensors check --config hindcast.toml")]
    Check {
        /// Read the configuration from this file
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// What can be done with a lake that recorders share.
#[derive(Debug, Subcommand)]
pub enum LakeCommand {
    /// List the recorders and the buckets they share
    #[command(after_help = "Example:\n  hindcast lake status --config hindcast.toml")]
    Status(LakeArgs),
    /// Give a recorder up for good: others go on with its buckets from where it had published them, and it publishes
    /// nothing any more
    #[command(after_help = "Example:\n  hindcast lake retire ingest-3 --config hindcast.toml")]
    Retire {
        /// Its name, `storage.lake.recorder` of its configuration
        #[arg(value_name = "NAME")]
        recorder: String,
        /// Where the lake is.
        #[command(flatten)]
        lake: LakeArgs,
    },
}

/// Where the lake is: `[storage.lake]` of the configuration and `storage.segments_url`, or their variables.
#[derive(Clone, Debug, Args)]
pub struct LakeArgs {
    /// Read the configuration from this file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What can be done with the schema in ClickHouse.
#[derive(Debug, Subcommand)]
pub enum MigrateCommand {
    /// Print the statements that are not applied yet, and apply none
    #[command(after_help = "Example:\n  hindcast migrate plan --config hindcast.toml")]
    Plan(MigrateArgs),
    /// Apply the statements that are not applied yet, in order; recording may go on meanwhile
    #[command(after_help = "Examples:\n  hindcast migrate apply --config hindcast.toml\n  \
                            HINDCAST_STORAGE_CLICKHOUSE_URL=http://127.0.0.1:8123 hindcast migrate apply")]
    Apply(MigrateArgs),
    /// List the steps and whether each is applied; the exit status is 1 if one is not
    #[command(after_help = "Example:\n  hindcast migrate status --config hindcast.toml")]
    Status(MigrateArgs),
}

/// Where the server is: `[storage.clickhouse]` of the configuration, or its variables.
#[derive(Clone, Debug, Args)]
pub struct MigrateArgs {
    /// Read the configuration from this file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What can be done with a configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check a configuration file together with the environment, and name every problem
    #[command(after_help = "Examples:\n  hindcast config check hindcast.toml\n  HINDCAST_HTTP_ADDRESS=0.0.0.0:7171 \
                            hindcast config check")]
    Check {
        /// The file; without it, the environment alone is checked
        file: Option<PathBuf>,
    },
    /// Print the annotated reference of every option with its default
    #[command(after_help = "Example:\n  hindcast config reference > hindcast.toml")]
    Reference,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Where to read: a running server or a data directory.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// Ask this running server [default: http://127.0.0.1:7171] [env: HINDCAST_SERVER]
    #[arg(long, value_name = "URL", conflicts_with = "data_dir", help_heading = "Where")]
    pub server: Option<String>,
    /// Read this data directory directly; no server may be using it
    #[arg(long, value_name = "DIR", help_heading = "Where")]
    pub data_dir: Option<PathBuf>,
    /// Credentials and trust for the server.
    #[command(flatten)]
    pub access: Access,
}

/// How to be let in by a server that asks for it.
#[derive(Clone, Debug, Default, Args)]
pub struct Access {
    /// File that holds the server's token; the variable HINDCAST_TOKEN serves too
    #[arg(long, value_name = "FILE", help_heading = "Where")]
    pub token_file: Option<PathBuf>,
    /// File with the certificates to trust, PEM
    #[arg(long, value_name = "FILE", help_heading = "Where")]
    pub tls_ca: Option<PathBuf>,
}
