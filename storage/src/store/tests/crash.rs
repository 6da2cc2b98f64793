//! Any call into the file system fails once: what was acknowledged is there exactly once after a reopen. A run strikes
//! a sample of the calls; `HINDCAST_LONG=1` strikes all.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytesize::ByteSize;
use hindcast_model::tables::{flows, losses};
use hindcast_model::{Batch, TableId, TimeRange};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use super::lifecycle::{batches, quiet};
use crate::fixtures::{self, MINUTE, T0};
use crate::log::faulty::{Fault, FaultyFs};
use crate::log::fs::{LogFs, RealFs};
use crate::{Append, Config, OpenError, Store};

const N_APPENDS: usize = 9;

/// Rows in two hours of one table and in another table, all marked with the append's number.
fn append(number: usize) -> Append {
    let source = format!("append-{number}");
    let mut builder = flows::Builder::default();
    for i in 0..(20 + number * 7) {
        let row = builder.row();
        builder.time.set(row, T0 + i64::try_from(i % 80).unwrap() * MINUTE);
        builder.recorded_at.set(row, T0);
        builder.source_kind.set(row, "generated");
        builder.source.set(row, &source);
        builder.flow_count.set(row, 1);
        // Some records are larger than what the log writes in one call.
        builder.rest.set(row, &vec![b'x'; if number == 4 { 3000 } else { 10 }]);
        builder.commit();
    }
    let mut lost = losses::Builder::default();
    lost.time.set(0, T0);
    lost.recorded_at.set(0, T0);
    lost.source_kind.set(0, "generated");
    lost.source.set(0, &source);
    lost.stage.set(0, "kernel");
    lost.reason.set(0, "full");
    lost.commit();
    let batch = |table, records| Batch { table, records };
    Append {
        batches: vec![batch(TableId::Flows, builder.finish().unwrap()), batch(TableId::Losses, lost.finish().unwrap())],
    }
}

fn config(dir: &Path) -> Config {
    let mut config = quiet(dir);
    config.log.max_file_size = ByteSize::kib(64);
    config
}

/// Opens once the store before has let go of the directory.
async fn open_when_free(dir: &Path, fs: Arc<dyn LogFs>) -> Result<Store, OpenError> {
    loop {
        match Store::open_on(config(dir).validate().unwrap(), fixtures::clock(), Arc::clone(&fs)).await {
            Err(OpenError::Locked { .. }) => tokio::task::yield_now().await,
            opened => return opened,
        }
    }
}

/// Appends, seals between; the numbers of the appends that were acknowledged.
async fn run(store: &Store) -> Vec<usize> {
    let mut acknowledged = Vec::new();
    for number in 0..N_APPENDS {
        if store.append(append(number)).await.is_ok() {
            acknowledged.push(number);
        }
        if number % 3 == 2 {
            // Rows of a failed seal stay where they are.
            drop(store.seal_all().await);
        }
    }
    acknowledged
}

async fn marked(store: &Store, table: TableId) -> BTreeMap<String, usize> {
    let snapshot = store.snapshot();
    let mut held: Vec<RecordBatch> = batches(&snapshot, table).await;
    held.extend(snapshot.memory(table, TimeRange::ALL).into_iter().map(|batch| batch.records));
    let mut marks = BTreeMap::new();
    for batch in &held {
        let source = hindcast_model::column::TextView::of(batch.column_by_name("source")).unwrap();
        for row in 0..batch.num_rows() {
            *marks.entry(source.get(row).unwrap().to_owned()).or_default() += 1;
        }
    }
    marks
}

async fn check(store: &Store, acknowledged: &[usize], context: &str) {
    let flows = marked(store, TableId::Flows).await;
    let losses = marked(store, TableId::Losses).await;
    for number in 0..N_APPENDS {
        let name = format!("append-{number}");
        let expected = [(20 + number * 7), 1];
        let found = [&flows, &losses].map(|marks| marks.get(&name).copied().unwrap_or(0));
        let is_absent = found == [0, 0] && !acknowledged.contains(&number);
        assert!(found == expected || is_absent, "{context}: {name} has {found:?} rows, acknowledged {acknowledged:?}");
    }
    let snapshot = store.snapshot();
    let sealed: u64 = snapshot.stats(TableId::Flows).segment_rows;
    let mut rolled_up = 0;
    for batch in batches(&snapshot, TableId::Edges1h).await {
        let view = hindcast_model::tables::edges::View::new(&batch).unwrap();
        rolled_up += (0..view.n_rows()).map(|row| view.rows.get(row).unwrap()).sum::<u64>();
    }
    assert_eq!(rolled_up, sealed, "{context}: roll-ups count what segments hold");
}

/// Runs once without a fault to learn how many calls there are, then with a fault at each.
async fn everywhere(fault: Fault, n_faults: u64, step: usize) {
    let dir = tempfile::tempdir().unwrap();
    let fs = FaultyFs::new(1, fault, u64::MAX - 100, 0);
    let store = open_when_free(dir.path(), Arc::new(fs.clone())).await.unwrap();
    assert_eq!(run(&store).await.len(), N_APPENDS);
    check(&store, &(0..N_APPENDS).collect::<Vec<_>>(), "no fault").await;
    drop(store);
    let calls = fs.strikable();
    assert!(calls.len() > 20, "{calls:?}");
    for at in sample(&calls, fault, n_faults, step) {
        let context = format!("{fault:?} at call {at}");
        let dir = tempfile::tempdir().unwrap();
        let fs = FaultyFs::new(7, fault, at, n_faults);
        let acknowledged = match open_when_free(dir.path(), Arc::new(fs.clone())).await {
            Ok(store) => {
                let acknowledged = run(&store).await;
                if !fs.is_down() {
                    check(&store, &acknowledged, &context).await;
                    // The fault is over: the store takes appends again without a restart.
                    assert!(n_faults > 1 || acknowledged.len() + 1 >= N_APPENDS, "{context}: {acknowledged:?}");
                }
                acknowledged
            }
            Err(_) => Vec::new(),
        };
        // The first store's tasks end before its files lose anything.
        drop(open_when_free(dir.path(), Arc::new(RealFsThatFails)).await);
        fs.lose_power();
        let store = open_when_free(dir.path(), Arc::new(RealFs))
            .await
            .unwrap_or_else(|error| panic!("{context}: {}", hindcast_model::report(&error)));
        check(&store, &acknowledged, &context).await;
        fixtures::settled(&store).await;
        let more = store.append(append(0)).await;
        assert!(more.is_ok(), "{context}");
    }
}

/// Calls struck by each test in a short run.
const SHORT_RUN: usize = 10;

/// The calls to strike: every `step`-th one with `HINDCAST_LONG=1`, else some of them, the first and the last among
/// them.
fn sample(calls: &[u64], fault: Fault, n_faults: u64, step: usize) -> Vec<u64> {
    let all: Vec<u64> = calls.iter().copied().step_by(step).collect();
    if std::env::var_os("HINDCAST_LONG").is_some_and(|long| long == "1") || all.len() <= SHORT_RUN {
        return all;
    }
    let seed = u64::from(std::process::id());
    println!("{fault:?}, {n_faults} times: {SHORT_RUN} of {} calls, by seed {seed}", all.len());
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut places = rand::seq::index::sample(&mut rng, all.len(), SHORT_RUN - 2).into_vec();
    places.extend([0, all.len() - 1]);
    places.sort_unstable();
    places.dedup();
    places.into_iter().map(|place| all[place]).collect()
}

/// Opens nothing: only the lock is tried.
#[derive(Debug)]
struct RealFsThatFails;

impl LogFs for RealFsThatFails {
    fn create(&self, _: &Path) -> std::io::Result<Box<dyn crate::log::fs::LogFile>> {
        Err(std::io::Error::other("not here"))
    }
    fn open(&self, _: &Path) -> std::io::Result<Box<dyn std::io::Read + Send>> {
        Err(std::io::Error::other("not here"))
    }
    fn truncate(&self, _: &Path, _: u64) -> std::io::Result<()> {
        Err(std::io::Error::other("not here"))
    }
    fn list(&self, _: &Path) -> std::io::Result<Vec<(std::path::PathBuf, u64)>> {
        Err(std::io::Error::other("not here"))
    }
    fn remove(&self, _: &Path) -> std::io::Result<()> {
        Err(std::io::Error::other("not here"))
    }
    fn rename(&self, _: &Path, _: &Path) -> std::io::Result<()> {
        Err(std::io::Error::other("not here"))
    }
    fn create_dir_all(&self, _: &Path) -> std::io::Result<()> {
        Err(std::io::Error::other("not here"))
    }
    fn sync_dir(&self, _: &Path) -> std::io::Result<()> {
        Err(std::io::Error::other("not here"))
    }
}

#[tokio::test]
async fn a_crash_at_any_call_loses_nothing_that_was_acknowledged() {
    everywhere(Fault::Crash, 1, 1).await;
}

#[tokio::test]
async fn a_full_disk_at_any_write_fails_cleanly_and_passes() {
    everywhere(Fault::NoSpace, 1, 1).await;
    everywhere(Fault::NoSpace, 15, 5).await;
}

#[tokio::test]
async fn a_failed_sync_at_any_point_is_never_acknowledged() {
    everywhere(Fault::SyncFails, 1, 1).await;
    everywhere(Fault::SyncFails, 9, 5).await;
}
