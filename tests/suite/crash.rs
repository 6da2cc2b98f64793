//! `kill -9` at random points under load: what was acknowledged is there, once; what was not may be there, once.
//!
//! `HINDCAST_CRASHES` says how often (200 unless told), `HINDCAST_SEED` repeats a run.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use hindcast_model::tables::flows;
use hindcast_model::{SourceKind, TableId};
use hindcast_tests::flight::{Pusher, encode};
use hindcast_tests::{Options, Server, http};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tempfile::tempdir;

use crate::import::number;
use crate::judges::{asked, busy_store};

const CRASHES: u64 = 200;
/// Every so many rounds the server dies while it recovers, too.
const EARLY_DEATH_EVERY: u64 = 4;
const ROWS_PER_PUSH: u64 = 200;
/// How long a server is under load at most.
const MOST_LOAD_MS: u64 = 150;
const FIRST_TIME: i64 = 1_780_000_000_000_000_000;
/// Time between rows: far enough that a run goes through several hours, and so through several partitions.
const STEP_NANOS: i64 = 20_000_000;

fn time_of(number: u64) -> i64 {
    FIRST_TIME + i64::try_from(number).unwrap() * STEP_NANOS
}

/// What has been sent so far. Rows are numbered; the number gives the time and the client's port.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// The next row to send for the first time.
    pub(crate) next: u64,
    /// Acknowledged since the last check.
    acknowledged: Vec<Range<u64>>,
    /// Sent, and no acknowledgement came.
    pub(crate) in_doubt: Vec<Range<u64>>,
}

pub(crate) fn rows(numbers: &Range<u64>) -> arrow::array::RecordBatch {
    let mut builder = flows::Builder::default();
    for number in numbers.clone() {
        let row = builder.row();
        builder.time.set(row, time_of(number));
        builder.recorded_at.set(row, time_of(number));
        builder.source_kind.set(row, SourceKind::Generated.as_str());
        builder.node.set(row, "node-1");
        builder.verdict.set(row, if number % 50 == 0 { "DROPPED" } else { "FORWARDED" });
        builder.src_workload.set(row, if number % 3 == 0 { "web" } else { "cart" });
        builder.src_pod.set(row, &format!("web-{}", number % 17));
        builder.dst_workload.set(row, "db");
        builder.src_port.set(row, u16::try_from(number % 60_000).unwrap());
        builder.dst_port.set(row, 5432);
        builder.flow_count.set(row, 1);
        builder.commit();
    }
    builder.finish().unwrap()
}

/// Pushes until the server dies; what was in doubt before goes first.
pub(crate) async fn load(url: String, mut ledger: Ledger) -> Ledger {
    let Ok(mut pusher) = Pusher::connect(&url).await else { return ledger };
    loop {
        let is_repeat = !ledger.in_doubt.is_empty();
        let numbers = match ledger.in_doubt.last() {
            Some(numbers) => numbers.clone(),
            None => ledger.next..ledger.next + ROWS_PER_PUSH,
        };
        let messages = encode(TableId::Flows, vec![rows(&numbers)]).await.unwrap();
        if !is_repeat {
            ledger.next = numbers.end;
            ledger.in_doubt.push(numbers.clone());
        }
        if pusher.push(messages).await.is_err() {
            return ledger;
        }
        ledger.in_doubt.pop();
        ledger.acknowledged.push(numbers);
    }
}

/// Every acknowledged row is there once.
fn check(server: &Server, ledger: &mut Ledger) {
    let acknowledged = std::mem::take(&mut ledger.acknowledged);
    let (Some(start), Some(end)) =
        (acknowledged.iter().map(|range| range.start).min(), acknowledged.iter().map(|range| range.end).max())
    else {
        return;
    };
    let range = format!(
        "time >= arrow_cast({}, 'Timestamp(Nanosecond, Some(\"UTC\"))') AND time < arrow_cast({}, 'Timestamp(Nanosecond, Some(\"UTC\"))')",
        time_of(start),
        time_of(end)
    );
    let n_rows = asked(server, &format!("SELECT count(*) FROM flows WHERE {range}"));
    let n_distinct = asked(server, &format!("SELECT count(DISTINCT time) FROM flows WHERE {range}"));
    assert_eq!(n_rows, n_distinct, "rows {start} to {end}: some are there twice\n{}", server.said());
    let n_acknowledged: u64 = acknowledged.iter().map(|range| range.end - range.start).sum();
    let n_doubtful: u64 = ledger
        .in_doubt
        .iter()
        .filter(|range| range.start >= start && range.end <= end)
        .map(|range| range.end - range.start)
        .sum();
    assert!(
        (n_acknowledged..=n_acknowledged + n_doubtful).contains(&n_rows),
        "rows {start} to {end}: {n_acknowledged} were acknowledged, {n_doubtful} in doubt, {n_rows} are there\n{}",
        server.said()
    );
}

/// `received = recorded + deduplicated + rejected + lost`, over all sources. Requires: nothing is under way.
fn check_accounting(server: &Server) {
    let text = http::get(&server.url("/metrics"), "*/*").unwrap().text();
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        for name in ["received", "recorded", "deduplicated", "rejected", "lost"] {
            if line.starts_with(&format!("hindcast_ingest_events_{name}_total")) {
                *sums.entry(name).or_default() += line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
            }
        }
    }
    let of = |name: &str| sums.get(name).copied().unwrap_or(0.0);
    let accounted = of("recorded") + of("deduplicated") + of("rejected") + of("lost");
    assert!((of("received") - accounted).abs() < 0.5, "received is not accounted for: {sums:?}");
}

pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// One life of a server: check what the last one promised, then load, then death.
async fn round(data_dir: &Path, options: &Options, chance: &mut StdRng, mut ledger: Ledger) -> Ledger {
    let server = Server::start(data_dir, options).unwrap();
    check(&server, &mut ledger);
    check_accounting(&server);
    let loading = tokio::spawn(load(server.grpc_url(), ledger));
    tokio::time::sleep(Duration::from_micros(chance.random_range(0..MOST_LOAD_MS * 1000))).await;
    server.kill().unwrap();
    loading.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_every_crash_once() {
    let (crashes, seed) = (setting("HINDCAST_CRASHES", CRASHES), setting("HINDCAST_SEED", 20_260_822));
    println!("HINDCAST_CRASHES={crashes} HINDCAST_SEED={seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let folder = tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let options = busy_store();
    let mut ledger = Ledger::default();
    let (started, mut n_crashes) = (Instant::now(), 0);
    while n_crashes < crashes {
        if n_crashes % EARLY_DEATH_EVERY == EARLY_DEATH_EVERY - 1 {
            let server = Server::spawn(&data_dir, &options).unwrap();
            tokio::time::sleep(Duration::from_micros(chance.random_range(0..200_000))).await;
            server.kill().unwrap();
        } else {
            ledger = round(&data_dir, &options, &mut chance, ledger).await;
        }
        n_crashes += 1;
    }

    let server = Server::start(&data_dir, &options).unwrap();
    check(&server, &mut ledger);
    // What is still in doubt is sent again, as a source would: then everything is there, once.
    let mut pusher = Pusher::connect(&server.grpc_url()).await.unwrap();
    for numbers in std::mem::take(&mut ledger.in_doubt) {
        pusher.push(encode(TableId::Flows, vec![rows(&numbers)]).await.unwrap()).await.unwrap();
    }
    check_accounting(&server);
    assert_eq!(asked(&server, "SELECT count(*) FROM flows"), ledger.next);
    assert_eq!(asked(&server, "SELECT count(DISTINCT time) FROM flows"), ledger.next);
    println!("{n_crashes} crashes, {} rows, {:.0?}", ledger.next, started.elapsed());
    assert!(ledger.next > crashes * ROWS_PER_PUSH / 4, "hardly anything was under way: {} rows", ledger.next);
    // A clean stop seals everything, and what is sealed is folded.
    server.stop().unwrap();
    assert_eq!(number(&data_dir, "SELECT sum(rows) FROM edges_1m"), ledger.next, "QU-4");
}
