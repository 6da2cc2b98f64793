//! What a flow costs: the constants that sizes are planned with.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use hindcast_tests::clickhouse::ClickHouse;
use hindcast_tests::measure::bytes_in;
use hindcast_tests::{Server, http};

/// A line for each. Requires: the run has ended, and nothing is on its way.
pub(crate) fn of(server: &Server, clickhouse: &ClickHouse, n_rows: u64) -> Result<String> {
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    let (n_rows, stored) = (n_rows as f64, bytes_in(&server.data_dir().join("segments"), "")? as f64);
    let number = |query: &str| -> Result<f64> { clickhouse.ask(query)?.parse().context("no number") };
    let parts = "FROM system.parts WHERE active AND database = 'hindcast' AND table";
    let of_table = |what: &str, table: &str| number(&format!("SELECT toFloat64(sum({what})) {parts} = '{table}'"));
    let metrics = http::get(&server.url("/metrics"), "text/plain")?.text();
    let metric = |name: &str| -> Result<f64> {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.with_context(|| format!("no {name}"))?.trim().parse().context("no number")
    };
    let mut text = String::new();
    let mut line = |name: &str, value: f64, unit: &str| writeln!(text, "{name:<40} {value:>10.2} {unit}");
    line("processor time of the recorder", cpu_seconds(server.pid())? * 1e6 / n_rows, "us/flow")?;
    let theirs = clickhouse.pid().context("ClickHouse is gone")?;
    line("processor time of ClickHouse", cpu_seconds(theirs)? * 1e6 / n_rows, "us/flow")?;
    line("written to the log", metric("hindcast_storage_log_written_bytes_total")? / n_rows, "bytes/flow")?;
    line("segments and roll-ups in the lake", stored / n_rows, "bytes/flow")?;
    line("flows in ClickHouse", of_table("bytes_on_disk", "flows")? / n_rows, "bytes/flow")?;
    line("inserts into flows", number("SELECT uniqExact(segment) FROM hindcast.flows")?, "segments")?;
    for table in ["edges_1m", "edges_1h"] {
        let rows = of_table("rows", table)?;
        line(&format!("{table} in ClickHouse"), rows, "rows")?;
        line(&format!("{table} in ClickHouse"), of_table("bytes_on_disk", table)? / rows.max(1.0), "bytes/row")?;
    }
    let keys = of_table("primary_key_bytes_in_memory_allocated", "flows")?;
    line("key of flows in ClickHouse's memory", keys / n_rows, "bytes/flow")?;
    Ok(text)
}

/// Time that a process has had of a processor.
fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_name, fields) = stat.rsplit_once(')').context("no name")?;
    // utime and stime, in hundredths of a second on every Linux.
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / 100.0)
}
