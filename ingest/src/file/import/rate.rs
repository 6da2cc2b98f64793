//! How fast flows are imported, end to end: read, decoded, told from repeats, logged. Prints a figure; the number of
//! flows is small unless `HINDCAST_RATE_FLOWS` says otherwise.
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Instant;

use hindcast_model::TableId;
use tokio_util::sync::CancellationToken;

use super::import;
use crate::file::config::ImportConfig;
use crate::testing::{Bench, shared};

/// Seconds between two copies of the recording.
const SHIFT_S: usize = 20;

/// The line `shift` seconds later.
fn shifted(line: &str, shift: usize, into: &mut String) {
    let mut rest = line;
    while let Some(at) = rest.find("\"time\":\"2021-11-10T") {
        let (before, after) = rest.split_at(at + "\"time\":\"2021-11-10T".len());
        let (clock, after) = after.split_at("10:40:56".len());
        let parts: Vec<usize> = clock.split(':').map(|part| part.parse().expect("a number")).collect();
        let total = parts[0] * 3600 + parts[1] * 60 + parts[2] + shift;
        let day = 10 + total / 86_400;
        into.push_str(before.strip_suffix("10T").expect("the day"));
        write!(into, "{day}T{:02}:{:02}:{:02}", total / 3600 % 24, total / 60 % 60, total % 60).expect("writes");
        rest = after;
    }
    into.push_str(rest);
    into.push('\n');
}

#[tokio::test(flavor = "multi_thread")]
async fn import_rate() {
    let Some(sample) = shared("data/hubble/basic-sample-400-tcp-flows.json") else { return };
    let sample = std::fs::read_to_string(sample).expect("a recording");
    let n_flows: usize = std::env::var("HINDCAST_RATE_FLOWS").ok().and_then(|text| text.parse().ok()).unwrap_or(2000);
    let bench = Bench::new().await;
    let path = bench.path("flows.json");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).expect("a file"));
    let mut line = String::new();
    for (n, original) in (0..n_flows).zip(sample.lines().cycle()) {
        line.clear();
        shifted(original, n / 400 * SHIFT_S, &mut line);
        file.write_all(line.as_bytes()).expect("writes");
    }
    file.into_inner().expect("writes").sync_all().expect("writes");
    let n_bytes = std::fs::metadata(&path).expect("a file").len();
    let source = bench.pipeline.source("import");
    let paths = [path.display().to_string()];
    let (config, cancel) = (ImportConfig::default(), CancellationToken::new());
    let started = Instant::now();
    let summary = import(&bench.pipeline, &source, &paths, &config, cancel, |_| {}).await.expect("an import");
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "imported {n_flows} flows, {:.0} MiB, in {seconds:.2} s: {:.0} flows/s",
        n_bytes as f64 / 1_048_576.0,
        n_flows as f64 / seconds
    );
    assert_eq!(summary.tally().recorded, n_flows as u64);
    let held = bench.store.snapshot().stats(TableId::Flows);
    assert_eq!(held.memory_rows + held.segment_rows, n_flows as u64);
}
