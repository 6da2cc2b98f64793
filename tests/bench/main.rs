//! The benchmark: Hindcast beside DuckDB on the same generated flows, on this machine, now.
//!
//! Everything goes through the doors a user has: `hindcast import`, Flight, HTTP. Both sides answer each question in
//! turn, so that a busy machine is busy for both. What is printed was measured in this run.

mod fleet;
mod peer;
mod questions;
mod report;
mod rows;
mod sending;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use hindcast_model::TableId;
use hindcast_tests::flight::{Pusher, encode};
use hindcast_tests::measure::{bytes_in, peak_rss_mib};
use hindcast_tests::repository::{python, root};
use hindcast_tests::tool::run_hindcast;
use hindcast_tests::{Options, Server, http, pause};

use crate::peer::Peer;
use crate::report::Report;
use crate::rows::Rows;

/// What to measure on.
#[derive(Debug, Parser)]
struct Arguments {
    /// Flows that are pushed and asked about.
    #[arg(long, default_value_t = 20_000_000)]
    rows: u64,
    /// Flows that are imported from JSON lines.
    #[arg(long, default_value_t = 500_000)]
    json_rows: u64,
    /// Timed runs of each question, after one to warm up.
    #[arg(long, default_value_t = 7)]
    runs: usize,
    /// Seed of the recording.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Settings of the recording server, as environment variables: `--set HINDCAST_STORAGE_MEMORY_MAX_SIZE=1GiB`.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// Where to work; generated rows are kept there for the next run.
    #[arg(long)]
    folder: Option<PathBuf>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE is wanted")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let folder = arguments.folder.clone().unwrap_or_else(|| root().join("target/bench"));
    let python = python("bench").context("DuckDB is needed to compare with")?;
    let rows = Rows::make(&folder, arguments.seed, arguments.rows, arguments.json_rows.min(arguments.rows))?;
    let mut report = Report::new(&rows);
    let mut peer = Peer::start(&python, &folder.join("peer.duckdb"))?;
    measure_json(&folder, &rows, &mut peer, &mut report)?;
    let data_dir = fresh(&folder, "store")?;
    let runtime = tokio::runtime::Runtime::new()?;
    let options = Options { environment: arguments.settings.clone(), ..Options::default() };
    runtime.block_on(measure_push(&data_dir, &options, &rows, &mut report))?;
    let seconds = peer.load(&rows.parquet_glob())?;
    report.rate("load", "rows/s", None, Some(rows::per_second(rows.n_rows, seconds)));
    let server = settled(&data_dir)?;
    report.rate(
        "on disk",
        "bytes/flow",
        Some(rows::ratio(stored_bytes(&data_dir)?, rows.n_rows)),
        Some(rows::ratio(peer.stored_bytes()?, rows.n_rows)),
    );
    for question in questions::all(&rows) {
        report.question(&question, questions::measure(&question, &server, &mut peer, arguments.runs)?);
    }
    report.rate("peak RSS, answering", "MiB", Some(peak_rss_mib(server.pid())?), peer.peak_rss_mib());
    server.stop()?;
    if let Some(clickhouse) = sending::measure(&folder, &data_dir, rows.n_rows, &mut report)? {
        fleet::measure(&folder, &rows, &clickhouse, &mut peer, arguments.runs, &mut report)?;
    }
    report.print(&folder)
}

/// An empty data directory.
fn fresh(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    if path.exists() {
        std::fs::remove_dir_all(&path)?;
    }
    Ok(path)
}

fn measure_json(folder: &Path, rows: &Rows, peer: &mut Peer, report: &mut Report) -> Result<()> {
    let data_dir = fresh(folder, "json")?;
    let started = Instant::now();
    let [data_dir_text, file] = [&data_dir, &rows.json].map(|path| path.display().to_string());
    let printed = run_hindcast(["import", "--summary", "json", "--data-dir", &data_dir_text, &file])?.success()?;
    let seconds = started.elapsed().as_secs_f64();
    let summary: serde_json::Value = serde_json::from_str(&printed)?;
    let recorded = summary.get("recorded").and_then(serde_json::Value::as_u64);
    ensure!(recorded == Some(rows.n_json_rows), "not everything was imported: {summary}");
    let peer_seconds = peer.load_json(&rows.json)?;
    report.rate(
        "JSON import",
        "flows/s",
        Some(rows::per_second(rows.n_json_rows, seconds)),
        Some(rows::per_second(rows.n_json_rows, peer_seconds)),
    );
    std::fs::remove_dir_all(data_dir)?;
    Ok(())
}

/// Pushes every row over Flight. Only the pushes are timed, from the first byte to the last acknowledgement; reading
/// and encoding the rows is the client's work and happens between them.
async fn measure_push(data_dir: &Path, options: &Options, rows: &Rows, report: &mut Report) -> Result<()> {
    let server = Server::start(data_dir, options)?;
    let mut pusher = Pusher::connect(&server.grpc_url()).await?;
    let mut spent = Duration::ZERO;
    for file in &rows.parquet {
        let messages = encode(TableId::Flows, rows::read(file)?).await?;
        let (elapsed, _) = pusher.push(messages).await?;
        spent += elapsed;
    }
    report.rate("Flight push, durable", "rows/s", Some(rows::per_second(rows.n_rows, spent.as_secs_f64())), None);
    report.rate("peak RSS, recording", "MiB", Some(peak_rss_mib(server.pid())?), None);
    server.stop()
}

/// A server on the recorded rows that has nothing more to do: what compaction wanted is done, and files that it
/// replaced are gone. By default that takes quarter minutes and a grace of ten; here somebody waits for it.
fn settled(data_dir: &Path) -> Result<Server> {
    let environment = [("MAINTENANCE_INTERVAL", "1s"), ("DELETE_GRACE", "0s")]
        .map(|(name, value)| (format!("HINDCAST_STORAGE_SEGMENTS_{name}"), value.to_owned()));
    let server = Server::start(data_dir, &Options { environment: environment.into(), ..Options::default() })?;
    let (mut before, mut n_same) = (u64::MAX, 0);
    // Stored bytes that do not change for several rounds mean that maintenance has come to rest.
    for _ in 0..1200 {
        let now = stored_bytes(data_dir)?;
        n_same = if now == before { n_same + 1 } else { 0 };
        if n_same >= 10 {
            break;
        }
        before = now;
        pause(Duration::from_millis(500));
    }
    server.stop()?;
    let server = Server::start(data_dir, &Options::default())?;
    let status = http::get(&server.url("/api/v1/status"), "application/json")?;
    ensure!(status.status == 200, "the server does not answer: {}", status.text());
    Ok(server)
}

/// Bytes of segments and catalogue.
fn stored_bytes(data_dir: &Path) -> Result<u64> {
    bytes_in(data_dir, "log")
}
