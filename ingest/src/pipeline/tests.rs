//! Every event a source hands over ends in exactly one place, whatever fails.
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use hindcast_model::tables::flows;
use hindcast_model::{Clock, ManualClock, TableId};
use hindcast_storage::Store;
use hindcast_storage::log::fs::{LogFile, LogFs, RealFs};
use prometheus_client::registry::Registry;

use super::{IntakeError, Pipeline, SubmitError};
use crate::config::PipelineConfig;
use crate::source::LostStage;
use crate::testing::{Bench, NOW, store_config};

/// A disk that is full while the flag is set.
#[derive(Debug)]
struct FullDisk(Arc<AtomicBool>);

struct FullFile(Box<dyn LogFile>, Arc<AtomicBool>);

impl LogFile for FullFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.1.load(Ordering::SeqCst) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.0.append(bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }
    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

impl LogFs for FullDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(FullFile(RealFs.create(path)?, Arc::clone(&self.0))))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        RealFs.open(path)
    }
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        RealFs.truncate(path, len)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
        RealFs.list(dir)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealFs.remove(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFs.rename(from, to)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        RealFs.create_dir_all(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealFs.sync_dir(dir)
    }
}

fn flows(from: i64, to: i64) -> RecordBatch {
    let mut builder = flows::Builder::default();
    for n in from..to {
        let row = builder.row();
        builder.time.set(row, n * 1_000_000_000);
        builder.recorded_at.set(row, 1);
        builder.source_kind.set(row, "flight");
        builder.flow_count.set(row, 1);
        builder.commit();
    }
    builder.finish().expect("whole rows")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_closes_although_the_disk_is_full_now_and_then() {
    let directory = tempfile::tempdir().expect("a directory");
    let is_full = Arc::new(AtomicBool::new(false));
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(NOW));
    let disk = Arc::new(FullDisk(Arc::clone(&is_full)));
    let store = Store::open_on(store_config(&directory), Arc::clone(&clock), disk).await.expect("a store");
    let config = PipelineConfig { append_patience: Duration::ZERO, max_seen_keys: 40, ..PipelineConfig::default() };
    let mut registry = Registry::default();
    let pipeline = Pipeline::start(store.clone(), config, clock, &mut registry).await.expect("a pipeline");
    let source = pipeline.source("push");
    let mut recorded = std::collections::BTreeSet::new();
    // Overlapping batches in a fixed disorder, some while the disk is full.
    for turn in 0..40_i64 {
        let from = turn * 7919 % 300;
        is_full.store(turn % 3 == 1, Ordering::SeqCst);
        let result = pipeline.push(&source, [(TableId::Flows, flows(from, from + 20))]).await;
        match result {
            Ok(outcome) => {
                let n_new = (from..from + 20).filter(|n| recorded.insert(*n)).count() as u64;
                assert_eq!((outcome.recorded, outcome.deduplicated), (n_new, 20 - n_new), "turn {turn}");
            }
            Err(error) => {
                // A batch without news needs no disk, so only batches with news fail.
                assert!(matches!(error, IntakeError::Submit(SubmitError::Append(_))), "{error:?}");
                assert!(is_full.load(Ordering::SeqCst));
            }
        }
        assert_eq!(source.status().n_under_way(), 0);
    }
    let status = source.status();
    assert_eq!(status.received, 40 * 20);
    assert_eq!(status.recorded, recorded.len() as u64);
    assert!(status.lost[&LostStage::Append] > 0 && status.last_error.is_some());
    let held = store.snapshot().stats(TableId::Flows);
    assert_eq!(held.memory_rows + held.segment_rows, recorded.len() as u64);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
    let metric = |name: &str| -> u64 {
        let lines = text.lines().filter(|line| line.starts_with(&format!("hindcast_ingest_{name}_total{{")));
        lines.map(|line| line.rsplit_once(' ').expect("a value").1.parse::<u64>().expect("a number")).sum()
    };
    let settled = ["events_recorded", "events_deduplicated", "events_rejected", "events_lost"].map(metric);
    assert_eq!(metric("events_received"), settled.into_iter().sum::<u64>());
    pipeline.shutdown().await;
    let refused = pipeline.push(&source, [(TableId::Flows, flows(0, 5))]).await;
    assert!(matches!(refused, Err(IntakeError::Submit(SubmitError::Ended))));
    assert_eq!(source.status().lost[&LostStage::Shutdown], 5);
    assert_eq!(source.status().n_under_way(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn submissions_from_many_sides_are_each_answered() {
    let bench = Bench::new().await;
    let mut tasks = Vec::new();
    for turn in 0..8 {
        let (pipeline, source) = (bench.pipeline.clone(), bench.pipeline.source(&format!("push-{turn}")));
        tasks.push(tokio::spawn(async move {
            let mut recorded = 0;
            for n in 0..10 {
                let batch = flows(n * 10, n * 10 + 15);
                recorded += pipeline.push(&source, [(TableId::Flows, batch)]).await.expect("room").recorded;
            }
            recorded
        }));
    }
    let mut total = 0;
    for task in tasks {
        total += task.await.expect("a task");
    }
    assert_eq!(total, 105);
    assert_eq!(bench.n_rows(TableId::Flows).await, 105);
    assert!(bench.pipeline.statuses().iter().all(|status| status.n_under_way() == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_in_the_future_is_a_warning() {
    let bench = Bench::new().await;
    let source = bench.pipeline.source("push");
    bench.clock.set(hindcast_model::Timestamp::from_nanos(0));
    let outcome = bench.pipeline.push(&source, [(TableId::Flows, flows(3590, 3610))]).await.expect("room");
    assert_eq!(outcome.recorded, 20);
    assert_eq!(source.status().warnings[&crate::source::Warning::FutureTime], 9);
}
