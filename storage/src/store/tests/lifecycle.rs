//! Seal, reopen, compaction, retention: the rows stay what they were.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::UInt64Type;
use hindcast_model::tables::edges;
use hindcast_model::{Batch, Clock, ManualClock, TableId, TimeRange, Timestamp};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::config::{Config, Retention};
use crate::fixtures::{self, MINUTE, T0, Traffic};
use crate::memory::conform;
use crate::{Append, OpenError, Segment, Snapshot, Store, rollup};

/// Rows as texts with how often each occurs: what a set of files and batches holds, in whatever order.
pub(super) type Multiset = BTreeMap<String, usize>;

fn count(records: &RecordBatch, into: &mut Multiset) {
    let options = arrow::util::display::FormatOptions::default().with_null("∅");
    let columns: Vec<_> = records
        .columns()
        .iter()
        .map(|array| arrow::util::display::ArrayFormatter::try_new(array, &options).unwrap())
        .collect();
    for row in 0..records.num_rows() {
        let text: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
        *into.entry(text.join("|")).or_default() += 1;
    }
}

pub(super) fn multiset_of(batches: &[RecordBatch]) -> Multiset {
    let mut rows = Multiset::new();
    batches.iter().for_each(|batch| count(batch, &mut rows));
    rows
}

async fn read(segment: &Segment) -> Vec<RecordBatch> {
    use object_store::ObjectStoreExt as _;
    let bytes = segment.object_store().get(&segment.path).await.unwrap().bytes().await.unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
    reader.map(|batch| conform(segment.table, &batch.unwrap()).unwrap()).collect()
}

/// All rows of a table in a snapshot.
pub(super) async fn rows(snapshot: &Snapshot, table: TableId) -> Multiset {
    let mut rows = Multiset::new();
    for segment in snapshot.segments(table, TimeRange::ALL) {
        let batches = read(&segment).await;
        let n_rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(u64::try_from(n_rows).unwrap(), segment.n_rows);
        batches.iter().for_each(|batch| count(batch, &mut rows));
    }
    snapshot.memory(table, TimeRange::ALL).iter().for_each(|batch| count(&batch.records, &mut rows));
    rows
}

/// All rows of a table's segments.
pub(super) async fn batches(snapshot: &Snapshot, table: TableId) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    for segment in snapshot.segments(table, TimeRange::ALL) {
        batches.extend(read(&segment).await);
    }
    batches
}

/// Settings under which nothing happens by itself.
pub(super) fn quiet(dir: &Path) -> Config {
    let mut config = fixtures::config(dir);
    config.memory.max_age = Duration::from_secs(1 << 30);
    config.segments.maintenance_interval = Duration::from_secs(1 << 30);
    config.segments.row_group_rows = 1024;
    config.segments.rollup_1m_min_flows = 0;
    config
}

pub(super) async fn open(config: Config, clock: Arc<ManualClock>) -> Store {
    let config = config.validate().unwrap();
    // What the store before had begun to write holds the directory for a moment longer.
    for _ in 0..500 {
        match Store::open(config.clone(), Arc::<ManualClock>::clone(&clock)).await {
            Err(OpenError::Locked { .. }) => tokio::time::sleep(Duration::from_millis(10)).await,
            opened => return opened.unwrap(),
        }
    }
    panic!("the directory stays locked")
}

/// Flows folded into all columns of edges.
fn folded(flows: &[RecordBatch], width: i64) -> RecordBatch {
    rollup::fold(flows, width, &edges::COLUMNS.iter().map(|column| column.name).collect::<Vec<_>>()).unwrap()
}

#[tokio::test]
async fn sealed_rows_and_their_roll_ups_are_what_was_appended() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(quiet(dir.path()), fixtures::clock()).await;
    let mut traffic = Traffic::new(5, 60);
    // Two hours, so the append is split; then more for one of them.
    let flows = [traffic.flows(3000, T0, 90 * MINUTE), traffic.flows(500, T0 + MINUTE, MINUTE)];
    let runtime = fixtures::runtime(3, 400, T0);
    let before = store.snapshot();
    store.append(Append { batches: vec![flows[0].clone(), runtime.clone()] }).await.unwrap();
    store.append(Append { batches: vec![flows[1].clone()] }).await.unwrap();
    let flows: Vec<RecordBatch> = flows.iter().map(|batch| batch.records.clone()).collect();
    let unsealed = store.snapshot();
    store.seal_all().await.unwrap();
    let sealed = store.snapshot();
    assert!(sealed.memory(TableId::Flows, TimeRange::ALL).is_empty());
    assert_eq!(sealed.segments(TableId::Flows, TimeRange::ALL).len(), 2);
    for snapshot in [&unsealed, &sealed] {
        assert_eq!(rows(snapshot, TableId::Flows).await, multiset_of(&flows));
        assert_eq!(rows(snapshot, TableId::RuntimeEvents).await, multiset_of(std::slice::from_ref(&runtime.records)));
    }
    assert!(rows(&before, TableId::Flows).await.is_empty());
    let minutes = folded(&flows, rollup::MINUTE_NS);
    assert_eq!(rows(&sealed, TableId::Edges1m).await, multiset_of(&[minutes]));
    let hours = folded(&flows, rollup::HOUR_NS);
    assert_eq!(rows(&sealed, TableId::Edges1h).await, multiset_of(&[hours]));
    store.close().await.unwrap();
    drop((store, before, unsealed, sealed));
    let store = open(quiet(dir.path()), fixtures::clock()).await;
    assert_eq!(rows(&store.snapshot(), TableId::Flows).await, multiset_of(&flows));
    assert_eq!(store.status().missing_segments, Vec::<String>::new());
    let receipt = store.append(Append { batches: vec![runtime] }).await.unwrap();
    assert_eq!(receipt.lsn.get(), 3, "positions go on where they ended");
}

#[tokio::test]
async fn row_groups_have_disjoint_times_and_absent_columns_are_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(quiet(dir.path()), fixtures::clock()).await;
    store.append(Append { batches: vec![Traffic::new(5, 60).flows(3000, T0, 60 * MINUTE)] }).await.unwrap();
    store.seal_all().await.unwrap();
    let segment = Arc::clone(&store.snapshot().segments(TableId::Flows, TimeRange::ALL)[0]);
    let metadata = segment.metadata().await.unwrap();
    assert_eq!(metadata.num_row_groups(), 3);
    assert!(metadata.column_index().is_some() && metadata.offset_index().is_some());
    let columns = metadata.file_metadata().schema_descr();
    assert_eq!(columns.column(0).name(), "time");
    assert!(columns.columns().iter().all(|column| column.name() != "kafka_topic"));
    let mut last = i64::MIN;
    for group in metadata.row_groups() {
        let statistics = group.column(0).statistics().unwrap();
        let bound = |bytes: Option<&[u8]>| i64::from_le_bytes(bytes.unwrap().try_into().unwrap());
        assert!(bound(statistics.min_bytes_opt()) >= last);
        last = bound(statistics.max_bytes_opt());
    }
}

#[tokio::test]
async fn compaction_keeps_the_multiset_and_running_snapshots_their_files() {
    let dir = tempfile::tempdir().unwrap();
    let clock = fixtures::clock();
    let store = open(quiet(dir.path()), Arc::clone(&clock)).await;
    let mut traffic = Traffic::new(9, 30);
    let mut all = Vec::new();
    for i in 0..8 {
        let batch = traffic.flows(300, T0 + i * MINUTE, 3 * MINUTE);
        all.push(batch.records.clone());
        store.append(Append { batches: vec![batch] }).await.unwrap();
        store.seal_all().await.unwrap();
    }
    let old = store.snapshot();
    let edges = rows(&old, TableId::Edges1m).await;
    fixtures::settled(&store).await;
    store.maintain().await.unwrap();
    let new = store.snapshot();
    assert_eq!(new.segments(TableId::Flows, TimeRange::ALL).len(), 1);
    assert_eq!(rows(&new, TableId::Flows).await, multiset_of(&all));
    let joined = folded(&all, rollup::MINUTE_NS);
    assert!(edges.values().sum::<usize>() > joined.num_rows());
    assert_eq!(rows(&new, TableId::Edges1m).await, multiset_of(&[joined]));
    // Long after the grace period the old snapshot still reads its files; when it is gone they go.
    clock.set(Timestamp::from_nanos(T0 + 60 * MINUTE));
    store.append(Append { batches: vec![traffic.flows(10, T0, MINUTE)] }).await.unwrap();
    store.seal_all().await.unwrap();
    fixtures::settled(&store).await;
    clock.set(Timestamp::from_nanos(T0 + 120 * MINUTE));
    store.maintain().await.unwrap();
    assert_eq!(rows(&old, TableId::Flows).await, multiset_of(&all));
    let old_path = old.segments(TableId::Flows, TimeRange::ALL)[0].path.to_string();
    drop(old);
    drop(new);
    store.maintain().await.unwrap();
    assert!(!dir.path().join("segments").join(old_path).try_exists().unwrap());
    let left = rows(&store.snapshot(), TableId::Flows).await;
    assert_eq!(left.values().sum::<usize>(), 2410);
}

#[tokio::test]
async fn minutes_that_hardly_fold_are_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let clock = fixtures::clock();
    let mut config = quiet(dir.path());
    config.segments.rollup_1m_min_flows = 2;
    let store = open(config.clone(), Arc::clone(&clock)).await;
    let mut traffic = Traffic::new(3, 10);
    // Few flows a minute, many flows a minute, few again.
    for n_rows in [20, 9000, 10] {
        store.append(Append { batches: vec![traffic.flows(n_rows, T0, 10 * MINUTE)] }).await.unwrap();
        store.seal_all().await.unwrap();
    }
    store.close().await.unwrap();
    drop(store);
    clock.set(Timestamp::from_nanos(T0 + 120 * MINUTE));
    let store = open(config, clock).await;
    fixtures::settled(&store).await;
    // In the first round the segments are news: only what got no more since is joined.
    store.maintain().await.unwrap();
    assert_eq!(store.snapshot().segments(TableId::Flows, TimeRange::ALL).len(), 3);
    store.maintain().await.unwrap();
    let snapshot = store.snapshot();
    let mut found: Vec<_> = snapshot
        .segments(TableId::Flows, TimeRange::ALL)
        .iter()
        .map(|segment| (segment.n_rows, segment.has_minutes))
        .collect();
    found.sort_unstable();
    assert_eq!(found, [(30, false), (9000, true)], "like joins like");
    let counted = |table| batches(&snapshot, table);
    let sum = |batches: Vec<RecordBatch>| -> u64 {
        let column = |batch: &RecordBatch| batch.column_by_name("rows").unwrap().as_primitive::<UInt64Type>().clone();
        batches.iter().map(|batch| arrow::compute::sum(&column(batch)).unwrap_or(0)).sum()
    };
    assert_eq!((sum(counted(TableId::Edges1m).await), sum(counted(TableId::Edges1h).await)), (9000, 9030));
}

#[tokio::test]
async fn retention_drops_the_old_and_the_too_much() {
    let dir = tempfile::tempdir().unwrap();
    let clock = fixtures::clock();
    let mut config = quiet(dir.path());
    config.retention.default.max_age = Some(Duration::from_secs(2 * 3600));
    let none = Retention { max_size: Some(bytesize::ByteSize::b(1)), max_age: None };
    config.retention.tables.insert("runtime_events".to_owned(), none);
    let store = open(config, Arc::clone(&clock)).await;
    let mut traffic = Traffic::new(9, 30);
    for hour in 0..4 {
        let flows = traffic.flows(100, T0 + hour * 60 * MINUTE, MINUTE);
        store.append(Append { batches: vec![flows, fixtures::runtime(1, 10, T0)] }).await.unwrap();
    }
    store.seal_all().await.unwrap();
    fixtures::settled(&store).await;
    clock.set(Timestamp::from_nanos(T0 + 4 * 60 * MINUTE));
    store.maintain().await.unwrap();
    let snapshot = store.snapshot();
    assert_eq!(snapshot.stats(TableId::Flows).segment_rows, 200);
    let first = snapshot.segments(TableId::Flows, TimeRange::ALL).iter().map(|segment| segment.min_time).min();
    assert_eq!(first.unwrap().bucket(60 * MINUTE).as_nanos(), T0 + 2 * 60 * MINUTE);
    assert_eq!(snapshot.stats(TableId::RuntimeEvents).segment_rows, 0);
    assert_eq!(snapshot.segments(TableId::Edges1h, TimeRange::ALL).len(), 2);
}

#[tokio::test]
async fn a_missing_segment_is_reported_and_the_rest_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(quiet(dir.path()), fixtures::clock()).await;
    for hour in 0..2 {
        let batch: Batch = Traffic::new(1, 20).flows(50, T0 + hour * 60 * MINUTE, MINUTE);
        store.append(Append { batches: vec![batch] }).await.unwrap();
    }
    store.close().await.unwrap();
    let path = store.snapshot().segments(TableId::Flows, TimeRange::ALL)[0].path.to_string();
    drop(store);
    std::fs::remove_file(dir.path().join("segments").join(&path)).unwrap();
    let orphan = dir.path().join("segments/flows/2026-05-28T21/000000009999.parquet");
    std::fs::write(&orphan, b"left by a seal that did not commit").unwrap();
    let store = open(quiet(dir.path()), fixtures::clock()).await;
    assert_eq!(store.status().missing_segments, [path]);
    assert_eq!(store.snapshot().stats(TableId::Flows).segment_rows, 50);
    assert!(!orphan.try_exists().unwrap());
}

#[tokio::test]
async fn a_damaged_segment_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(quiet(dir.path()), fixtures::clock()).await;
    store.append(Append { batches: vec![Traffic::new(1, 20).flows(50, T0, MINUTE)] }).await.unwrap();
    store.seal_all().await.unwrap();
    let segment = Arc::clone(&store.snapshot().segments(TableId::Flows, TimeRange::ALL)[0]);
    let path = dir.path().join("segments").join(segment.path.as_ref());
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - 30;
    bytes[at..].fill(7);
    std::fs::write(&path, bytes).unwrap();
    let error = segment.metadata().await.unwrap_err();
    assert_eq!(error.kind(), hindcast_model::Kind::Corrupt);
    assert!(error.to_string().contains(segment.path.as_ref()), "{error}");
}

#[tokio::test]
async fn rows_are_sealed_when_they_are_old_or_many() {
    let dir = tempfile::tempdir().unwrap();
    let clock = fixtures::clock();
    let mut config = quiet(dir.path());
    config.memory.max_age = Duration::from_secs(60);
    config.memory.max_partition_rows = 1000;
    let store = open(config, Arc::clone(&clock)).await;
    let mut traffic = Traffic::new(2, 20);
    store.append(Append { batches: vec![traffic.flows(999, T0, MINUTE)] }).await.unwrap();
    store.append(Append { batches: vec![traffic.flows(1, T0, MINUTE)] }).await.unwrap();
    let sealed = |n_rows: u64| {
        let store = store.clone();
        async move {
            tokio::time::timeout(Duration::from_secs(20), async {
                while store.snapshot().stats(TableId::Flows).segment_rows != n_rows {
                    tokio::task::yield_now().await;
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            })
            .await
            .unwrap();
        }
    };
    sealed(1000).await;
    store.append(Append { batches: vec![traffic.flows(7, T0, MINUTE)] }).await.unwrap();
    clock.set(clock.now().saturating_add(Duration::from_secs(61)));
    sealed(1007).await;
}
