//! `make chaos`: a recorder and a ClickHouse under load, killed, starved, cut off and filled up, out of one seed.
//!
//! Ends with 0 if every acknowledged row is in both tiers, once, and everything received is accounted for.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use hindcast_tests::chaos::{Plan, check_folder, play};
use hindcast_tests::repository::root;

/// What to do.
#[derive(Debug, Parser)]
struct Arguments {
    /// Everything random comes from it.
    #[arg(long)]
    seed: u64,
    /// How long faults go on.
    #[arg(long, default_value_t = 20.0)]
    minutes: f64,
    /// Where to work: an empty folder.
    #[arg(long)]
    folder: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let Arguments { seed, minutes, folder } = Arguments::parse();
    let length = Duration::try_from_secs_f64(minutes * 60.0).context("--minutes is not a length of time")?;
    let folder = folder.unwrap_or_else(|| root().join(format!("target/chaos/{seed}-{}", std::process::id())));
    check_folder(&folder)?;
    let mut out = std::io::stdout();
    writeln!(out, "seed {seed}, {minutes} minutes, in {}", folder.display())?;
    let plan = Plan { seed, length, folder: folder.clone(), name: "chaos" };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(6).enable_all().build()?;
    let outcome = match runtime.block_on(play(&plan)) {
        Ok(Some(outcome)) => outcome,
        Ok(None) => return Ok(ExitCode::SUCCESS),
        Err(error) => {
            writeln!(out, "seed {seed} failed: {error:#}; what there is lies in {}", folder.display())?;
            return Ok(ExitCode::FAILURE);
        }
    };
    writeln!(out, "\n{}", outcome.report)?;
    if outcome.differences.is_empty() {
        writeln!(out, "seed {seed}: all {} acknowledged rows are in both tiers, once", outcome.n_acknowledged)?;
        std::fs::remove_dir_all(&folder).context("cannot clean up")?;
        return Ok(ExitCode::SUCCESS);
    }
    for difference in &outcome.differences {
        writeln!(out, "DIFFERENCE: {difference}")?;
    }
    writeln!(out, "seed {seed} failed; what there is lies in {}", folder.display())?;
    Ok(ExitCode::FAILURE)
}
