//! `make soak`: flows at a steady rate into a recorder and a ClickHouse beside it, with questions all the while. Says
//! whether memory, lag and parts stay where they are.
//!
//! Ends with 0 if they do, every question was answered, and every row is in ClickHouse at the end, once.

mod ask;
mod costs;
mod load;
mod look;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use hindcast_tests::clickhouse::ClickHouse;
use hindcast_tests::repository::root;
use hindcast_tests::tool::{hindcast, run};
use hindcast_tests::{Options, Server, pause};
use tokio_util::sync::CancellationToken;

use crate::look::{Looks, Sample};

/// What to do.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long flows come.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Flows a second.
    #[arg(long, default_value_t = 30_000)]
    rate: u64,
    /// Seed of the recording.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Seconds between two samples.
    #[arg(long, default_value_t = 30)]
    sample: u64,
    /// Where to work: a folder that is made anew.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// How long the last rows may take to arrive.
const PATIENCE: Duration = Duration::from_mins(5);

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let folder = arguments.folder.clone().unwrap_or_else(|| root().join("target/soak"));
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let Some(clickhouse) = ClickHouse::start("soak", &folder.join("clickhouse"))? else {
        return Ok(ExitCode::SUCCESS);
    };
    let environment = vec![("HINDCAST_STORAGE_CLICKHOUSE_URL".to_owned(), clickhouse.url())];
    run(hindcast()?.args(["migrate", "apply"]).envs(environment.clone()))?.success()?;
    let server = Server::start(&folder.join("data"), &Options { environment, ..Options::default() })?;
    let mut out = std::io::stdout();
    writeln!(out, "{} flows/s for {} minutes", arguments.rate, arguments.minutes)?;

    let cancel = CancellationToken::new();
    let pushed = Arc::new(AtomicU64::new(0));
    let load = {
        let (rate, length, seed) = (arguments.rate, Duration::from_secs(arguments.minutes * 60), arguments.seed);
        let (url, pushed) = (server.grpc_url(), Arc::clone(&pushed));
        std::thread::spawn(move || load::push(&url, rate, length, seed, &pushed))
    };
    let asking = {
        let (base, cancel) = (server.url(""), cancel.clone());
        std::thread::spawn(move || ask::ask(&base, &cancel))
    };
    let mut looks = Looks::default();
    let began = Instant::now();
    writeln!(out, "{}", Sample::HEAD)?;
    while !load.is_finished() {
        pause(Duration::from_secs(arguments.sample));
        let sample = look::sample(&server, &clickhouse, began.elapsed(), pushed.load(Ordering::Relaxed))?;
        writeln!(out, "{sample}")?;
        looks.add(sample);
    }
    let late = load.join().map_err(|_panic| anyhow::anyhow!("the load failed"))??;
    cancel.cancel();
    let asked = asking.join().map_err(|_panic| anyhow::anyhow!("the questions failed"))??;
    let n_pushed = pushed.load(Ordering::Relaxed);
    let n_found = arrive(&clickhouse, n_pushed)?;
    let costs = costs::of(&server, &clickhouse, n_pushed)?;
    server.stop()?;

    writeln!(
        out,
        "\npushed {n_pushed}, in ClickHouse {n_found}; the load was late by {:.1} s at most",
        late.as_secs_f64()
    )?;
    write!(out, "{asked}\n{costs}")?;
    let is_flat = looks.conclude(&mut out)?;
    ensure!(n_found == n_pushed, "{n_found} rows are in ClickHouse, {n_pushed} were pushed");
    std::fs::remove_dir_all(&folder).context("cannot clean up")?;
    Ok(if is_flat { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Since 1970: flows are of now, and questions about what has just been.
#[expect(clippy::disallowed_methods, reason = "the recorder's clock is the real one")]
fn now() -> Result<Duration> {
    Ok(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?)
}

/// Waits until all rows are there; how many are.
fn arrive(clickhouse: &ClickHouse, n_rows: u64) -> Result<u64> {
    let until = Instant::now() + PATIENCE;
    loop {
        let found: u64 = clickhouse.ask("SELECT count() FROM hindcast.flows")?.parse()?;
        if found >= n_rows || Instant::now() > until {
            return Ok(found);
        }
        pause(Duration::from_secs(1));
    }
}
