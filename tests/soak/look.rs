//! What there is to see from outside, and whether it stays as it is.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hindcast_tests::clickhouse::ClickHouse;
use hindcast_tests::measure::rss_mib;
use hindcast_tests::{Server, http};

/// What was seen at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    minute: f64,
    /// In [`NAMES`]' order.
    values: [f64; 6],
}

/// What is looked at.
const NAMES: [&str; 6] = [
    "recorder RSS, MiB",
    "ClickHouse RSS, MiB",
    "not in ClickHouse yet, s",
    "parts in ClickHouse",
    "log on disk, MiB",
    "open files of the recorder",
];

/// Growth from the middle third of the run to the last one that is no growth, and what is too little to count.
const TOLERANCE: f64 = 1.25;
const SLACK: [f64; 6] = [128.0, 256.0, 20.0, 15.0, 128.0, 64.0];

impl Sample {
    pub(crate) const HEAD: &str = "minute   RSS  RSS of ClickHouse  seconds behind  parts    log  files";
}

impl fmt::Display for Sample {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [rss, theirs, lag, parts, log, files] = self.values;
        write!(formatter, "{:6.1} {rss:5.0} {theirs:18.0} {lag:15.0} {parts:6.0} {log:6.0} {files:6.0}", self.minute)
    }
}

/// Looks once.
pub(crate) fn sample(server: &Server, clickhouse: &ClickHouse, since: Duration, n_pushed: u64) -> Result<Sample> {
    let number = |query: &str| -> Result<f64> { clickhouse.ask(query)?.parse().context("no number") };
    let n_there = number("SELECT count() FROM hindcast.flows")?;
    let parts = number("SELECT count() FROM system.parts WHERE active AND database = 'hindcast'")?;
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    let (n_pushed, files) = (n_pushed as f64, std::fs::read_dir(format!("/proc/{}/fd", server.pid()))?.count() as f64);
    let rate = n_pushed / since.as_secs_f64();
    let lag = if n_pushed > 0.0 { (n_pushed - n_there).max(0.0) / rate } else { 0.0 };
    let theirs = rss_mib(clickhouse.pid().context("ClickHouse is gone")?)?;
    let log = log_mib(server)?;
    let values = [rss_mib(server.pid())?, theirs, lag, parts, log, files];
    Ok(Sample { minute: since.as_secs_f64() / 60.0, values })
}

fn log_mib(server: &Server) -> Result<f64> {
    let metrics = http::get(&server.url("/metrics"), "text/plain")?.text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("hindcast_storage_log_bytes "));
    let bytes: f64 = line.context("no size of the log")?.trim().parse()?;
    Ok(bytes / f64::from(1 << 20))
}

/// All samples, in order.
#[derive(Debug, Default)]
pub(crate) struct Looks(Vec<Sample>);

impl Looks {
    pub(crate) fn add(&mut self, sample: Sample) {
        self.0.push(sample);
    }

    /// Compares the thirds of the run; whether the last is like the one before it.
    pub(crate) fn conclude(&self, out: &mut impl Write) -> Result<bool> {
        writeln!(out, "\n{:<28} {:>12} {:>12} {:>12}", "median of", "first third", "second", "last")?;
        let third = self.0.len().div_ceil(3).max(1);
        let mut is_flat = true;
        for (position, (name, slack)) in NAMES.iter().zip(SLACK).enumerate() {
            let median = |samples: &[Sample]| {
                let mut values: Vec<f64> =
                    samples.iter().filter_map(|sample| sample.values.get(position).copied()).collect();
                values.sort_by(f64::total_cmp);
                values.get(values.len() / 2).copied().unwrap_or_default()
            };
            let medians: Vec<f64> = self.0.chunks(third).map(median).collect();
            let [first, second, last] = [0, 1, 2].map(|part| medians.get(part).copied().unwrap_or_default());
            let grows = last > second * TOLERANCE && last > second + slack;
            is_flat &= !grows;
            let word = if grows { "GROWS" } else { "flat" };
            writeln!(out, "{name:<28} {first:>12.1} {second:>12.1} {last:>12.1}  {word}")?;
        }
        Ok(is_flat)
    }
}
