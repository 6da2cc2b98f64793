//! `hindcast plan`: how much of everything a fleet takes.

mod constants;

use serde::Serialize;

use self::constants::{
    CLICKHOUSE_MEMORY, CLICKHOUSE_US, DENSITIES, Density, FILL, HOUR_BYTES, INSERT_ROWS, INSERT_SECONDS, KEY_BYTES,
    KEYS_PER_EDGE, LARGEST_PART, LOG_BYTES, LOGGED_BYTES, MERGED, MINUTE_BYTES, RECORDER_MEMORY, RECORDER_MOST,
    RECORDER_US, SPREAD, SPREAD_POWER, USE,
};
use crate::args::PlanArgs;
use crate::human;

const DAY: f64 = 86_400.0;

/// Runs the command.
///
/// # Errors
/// Output cannot be written.
pub(crate) fn run(args: &PlanArgs) -> anyhow::Result<u8> {
    let plan = Plan::of(args);
    crate::print(&if args.json { format!("{}\n", serde_json::to_string_pretty(&plan)?) } else { plan.text() })
}

/// What a fleet takes. Sizes in bytes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Plan {
    #[serde(serialize_with = "rounded")]
    flows: f64,
    flows_per_edge_hour: f64,
    recorders: Recorders,
    clickhouse: ClickHouse,
    notes: Vec<&'static str>,
}

/// Of each recorder, if not said otherwise.
#[derive(Clone, Debug, Serialize)]
struct Recorders {
    #[serde(serialize_with = "rounded")]
    n_servers: f64,
    cores_of_all: f64,
    #[serde(serialize_with = "rounded")]
    memory: f64,
    #[serde(serialize_with = "rounded")]
    log: f64,
    #[serde(serialize_with = "rounded")]
    logged_per_second: f64,
    #[serde(serialize_with = "rounded")]
    lake: f64,
    #[serde(serialize_with = "rounded")]
    backlog: f64,
    lake_bytes_per_flow: f64,
}

/// Rows and their bytes are of all shards, each counted once; processors of all servers, replicas too.
#[derive(Clone, Debug, Serialize)]
struct ClickHouse {
    #[serde(serialize_with = "rounded")]
    n_shards: f64,
    #[serde(serialize_with = "rounded")]
    n_servers: f64,
    cores_of_all: f64,
    #[serde(serialize_with = "rounded")]
    memory_per_server: f64,
    bytes_per_flow: f64,
    #[serde(serialize_with = "rounded")]
    flows_bytes: f64,
    #[serde(serialize_with = "rounded")]
    edges_1m_rows: f64,
    #[serde(serialize_with = "rounded")]
    edges_1m_bytes: f64,
    #[serde(serialize_with = "rounded")]
    edges_1h_rows: f64,
    #[serde(serialize_with = "rounded")]
    edges_1h_bytes: f64,
    /// With room for the largest merge.
    #[serde(serialize_with = "rounded")]
    disk_per_server: f64,
    /// Into `flows`, of one shard.
    inserts_per_second: f64,
    /// Of `flows`, in one shard.
    #[serde(serialize_with = "rounded")]
    parts: f64,
}

impl Plan {
    pub(crate) fn of(args: &PlanArgs) -> Self {
        let rate = args.flows_per_second;
        let edges = args.edges.unwrap_or_else(|| f64::from(args.nodes) * 30.0);
        let density = rate * 3600.0 / edges;
        let Density { lake, clickhouse: bytes, .. } = at(density);
        let cores = f64::from(args.server_cores);

        let recorder_cores = rate * RECORDER_US / 1e6 / USE;
        let n_recorders = (recorder_cores / cores).max(rate / (RECORDER_MOST * USE)).ceil().max(1.0);
        let of_one = rate / n_recorders;
        let recorders = Recorders {
            n_servers: n_recorders,
            cores_of_all: recorder_cores,
            memory: RECORDER_MEMORY,
            log: LOG_BYTES,
            logged_per_second: of_one * LOGGED_BYTES,
            lake: of_one * DAY * args.days_local * lake,
            backlog: of_one * 3600.0 * args.outage_hours * lake,
            lake_bytes_per_flow: lake,
        };

        let flows = rate * DAY * args.days;
        let minutes = buckets(rate, edges, 60.0) * 1440.0 * args.days_of_minutes.unwrap_or(args.days);
        let hours = buckets(rate, edges, 3600.0) * 24.0 * args.days_of_hours.unwrap_or(args.days);
        let stored = flows * bytes + minutes * MINUTE_BYTES + hours * HOUR_BYTES;
        let clickhouse_cores = rate * CLICKHOUSE_US / 1e6 / USE;
        let disk = number(args.server_disk.as_u64().max(1));
        let shards = (clickhouse_cores / cores).max(stored / (disk * FILL)).ceil().max(1.0);
        let inserts = n_recorders * (of_one / INSERT_ROWS).max(1.0 / INSERT_SECONDS) / shards;
        let day_bytes = rate * DAY * bytes / shards;
        let clickhouse = ClickHouse {
            n_shards: shards,
            n_servers: shards * f64::from(args.replicas),
            cores_of_all: clickhouse_cores * f64::from(args.replicas),
            memory_per_server: CLICKHOUSE_MEMORY + flows / shards * KEY_BYTES,
            bytes_per_flow: bytes,
            flows_bytes: flows * bytes,
            edges_1m_rows: minutes,
            edges_1m_bytes: minutes * MINUTE_BYTES,
            edges_1h_rows: hours,
            edges_1h_bytes: hours * HOUR_BYTES,
            disk_per_server: stored / shards + day_bytes.min(LARGEST_PART),
            inserts_per_second: inserts,
            parts: parts(inserts * DAY, day_bytes, args.days),
        };
        let thin = DENSITIES.first().is_some_and(|least| density < least.flows_per_edge_hour);
        let notes = [
            (thin, "thinner traffic than was measured: a flow takes more bytes than is planned with"),
            (rate > 1e6, "more flows a second than this was written for"),
        ];
        let notes = notes.into_iter().filter(|(holds, _)| *holds).map(|(_, note)| note).collect();
        Self { flows, flows_per_edge_hour: density, recorders, clickhouse, notes }
    }

    fn text(&self) -> String {
        let Self { recorders, clickhouse, .. } = self;
        let mut lines = Lines::default();
        lines.head(&format!("{} flows, {} an edge and hour", count(self.flows), count(self.flows_per_edge_hour)));
        lines.head("");
        lines.head("Recorders");
        lines.line("servers", &count(recorders.n_servers), "");
        lines.line("processors", &tenths(recorders.cores_of_all), "of all, half of their time for questions and peaks");
        lines.line("memory", &size(recorders.memory), "each");
        lines.line("log", &size(recorders.log), "each, at most: storage.log.max_size");
        lines.line("log writes", &format!("{}/s", size(recorders.logged_per_second)), "each, synced");
        lines.line("lake", &size(recorders.lake), "each, for what storage.clickhouse.local_age keeps");
        lines.line("backlog", &size(recorders.backlog), "each, for the outage: storage.clickhouse.max_backlog");
        lines.head("");
        lines.head("ClickHouse");
        lines.line("shards", &count(clickhouse.n_shards), "");
        lines.line("servers", &count(clickhouse.n_servers), "with replicas");
        lines.line(
            "processors",
            &tenths(clickhouse.cores_of_all),
            "of all, half of their time for questions and peaks",
        );
        lines.line("memory", &size(clickhouse.memory_per_server), "each");
        lines.line("disk", &size(clickhouse.disk_per_server), "each, with room for the largest merge");
        let of_all = |rows: f64| format!("of all shards, {} rows", count(rows));
        lines.line("flows", &size(clickhouse.flows_bytes), &of_all(self.flows));
        lines.line("edges_1m", &size(clickhouse.edges_1m_bytes), &of_all(clickhouse.edges_1m_rows));
        lines.line("edges_1h", &size(clickhouse.edges_1h_bytes), &of_all(clickhouse.edges_1h_rows));
        lines.line("inserts", &format!("{:.3}/s", clickhouse.inserts_per_second), "into flows, of a shard");
        lines.line("parts", &count(clickhouse.parts), "of flows, in a shard");
        for note in &self.notes {
            lines.head("");
            lines.head(&format!("note: {note}"));
        }
        lines.0
    }
}

/// Text, line by line.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn head(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn line(&mut self, name: &str, value: &str, what: &str) {
        let line = format!("  {name:<12} {value:>16}  {what}");
        self.head(line.trim_end());
    }
}

/// Sizes at a density: between two that were measured by the logarithm, beyond them as at the nearest.
fn at(density: f64) -> Density {
    let [thin, dense] = DENSITIES;
    let place = |flows: f64| flows.ln();
    let (low, high) = (place(thin.flows_per_edge_hour), place(dense.flows_per_edge_hour));
    let share = ((place(density) - low) / (high - low)).clamp(0.0, 1.0);
    let between = |thin: f64, dense: f64| thin + (dense - thin) * share;
    Density {
        flows_per_edge_hour: density,
        lake: between(thin.lake, dense.lake),
        clickhouse: between(thin.clickhouse, dense.clickhouse),
    }
}

/// Rows of a roll-up in each of its buckets: how many of the keys get any flow in so many seconds. No more than flows.
fn buckets(rate: f64, edges: f64, seconds: f64) -> f64 {
    let keys = edges * KEYS_PER_EDGE;
    let rows = keys * -(-SPREAD * (rate * seconds / keys).powf(SPREAD_POWER)).exp_m1();
    rows.min(rate * seconds)
}

/// Parts of a table that has a partition a day: today's are merged [`MERGED`] at a time, and stay that many of each size;
/// a day that is over has as few as the largest part allows, and some that were too small to bother.
fn parts(inserts_per_day: f64, bytes_per_day: f64, days: f64) -> f64 {
    let sizes = (inserts_per_day.max(1.0).ln() / MERGED.ln()).ceil().max(1.0);
    let over = (bytes_per_day / LARGEST_PART).ceil().max(1.0) + MERGED / 2.0;
    MERGED / 2.0 * sizes + over * (days.ceil() - 1.0).max(0.0)
}

#[expect(clippy::cast_precision_loss, reason = "a size in tebibytes is exact enough")]
const fn number(size: u64) -> f64 {
    size as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded, not negative, and it saturates")]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

/// Counts and sizes are whole.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn rounded<S: serde::Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(whole(*number))
}

fn count(number: f64) -> String {
    human::count(whole(number))
}

fn size(bytes: f64) -> String {
    human::size(whole(bytes))
}

fn tenths(number: f64) -> String {
    format!("{number:.1}")
}

#[cfg(test)]
mod tests;
