//! Arguments of `hindcast plan`.

use clap::Args;

/// A fleet, and how long its flows are to be kept.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  hindcast plan --nodes 100 --flows-per-second 30000 --days 30\n  \
                        hindcast plan --nodes 2000 --flows-per-second 1e6 --days 30 --days-of-hours 400 --replicas 2\n  \
                        hindcast plan --nodes 100 --flows-per-second 30000 --days 30 --json")]
pub struct PlanArgs {
    /// Nodes of the fleet
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub nodes: u32,
    /// Flows a second, of the whole fleet
    #[arg(long, value_name = "F", value_parser = amount)]
    pub flows_per_second: f64,
    /// Days that flows are kept
    #[arg(long, value_name = "D", value_parser = amount)]
    pub days: f64,
    /// Days that roll-ups by the minute are kept [default: as flows]
    #[arg(long, value_name = "D", value_parser = amount)]
    pub days_of_minutes: Option<f64>,
    /// Days that roll-ups by the hour are kept [default: as flows]
    #[arg(long, value_name = "D", value_parser = amount)]
    pub days_of_hours: Option<f64>,
    /// Days that a recorder keeps rows itself (`storage.clickhouse.local_age`)
    #[arg(long, value_name = "D", default_value = "1", value_parser = amount)]
    pub days_local: f64,
    /// Hours without ClickHouse that recorders have room for
    #[arg(long, value_name = "H", default_value = "24", value_parser = amount)]
    pub outage_hours: f64,
    /// Pairs of workloads, or workload and outside name, that talk to each other [default: 30 for each node]
    #[arg(long, value_name = "N", value_parser = amount)]
    pub edges: Option<f64>,
    /// Servers that hold each row in ClickHouse
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub replicas: u32,
    /// Processors of one server, recorder or ClickHouse
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub server_cores: u32,
    /// Disk of one ClickHouse server
    #[arg(long, value_name = "SIZE", default_value = "4TiB")]
    pub server_disk: bytesize::ByteSize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A number that is more than nothing and not beyond all measure.
fn amount(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if number > 0.0 && number <= 1e12 { Ok(number) } else { Err("more than 0 and at most 1e12 is wanted".to_owned()) }
}
