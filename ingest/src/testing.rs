//! What the tests of this crate share: a store in a temporary directory, and what stands in it.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use hindcast_model::{Clock, ManualClock, TableId, TimeRange, Timestamp};
use hindcast_storage::Store;
use prometheus_client::registry::Registry;
use tempfile::TempDir;

use crate::config::PipelineConfig;
use crate::pipeline::Pipeline;

#[expect(unreachable_pub, reason = "public to the integration tests, which own it")]
#[path = "../../tests/harness/skip.rs"]
mod skip;

/// A moment after all recordings used in tests.
pub(crate) const NOW: Timestamp = Timestamp::from_nanos(1_800_000_000_000_000_000);

/// A store with a pipeline before it.
pub(crate) struct Bench {
    pub(crate) directory: TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Store,
    pub(crate) pipeline: Pipeline,
}

pub(crate) fn store_config(directory: &TempDir) -> hindcast_storage::ValidConfig {
    let config = hindcast_storage::Config { data_dir: directory.path().join("store"), ..Default::default() };
    config.validate().expect("valid settings")
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::in_directory(tempfile::tempdir().expect("a directory"), PipelineConfig::default()).await
    }

    pub(crate) async fn in_directory(directory: TempDir, config: PipelineConfig) -> Self {
        let clock = Arc::new(ManualClock::new(NOW));
        let system: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let store = Store::open(store_config(&directory), Arc::clone(&system)).await.expect("a store");
        let pipeline =
            Pipeline::start(store.clone(), config, system, &mut Registry::default()).await.expect("a pipeline");
        Self { directory, clock, store, pipeline }
    }

    /// Closes everything and opens it again.
    pub(crate) async fn reopened(self) -> Self {
        self.pipeline.shutdown().await;
        self.store.close().await.expect("a sealed store");
        let Self { directory, store, pipeline, .. } = self;
        drop((store, pipeline));
        Self::in_directory(directory, PipelineConfig::default()).await
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// All rows of a table.
    pub(crate) async fn rows(&self, table: TableId) -> Vec<RecordBatch> {
        use futures::TryStreamExt as _;
        let snapshot = self.store.snapshot();
        let columns: Vec<&str> = table.columns().iter().map(|column| column.name).collect();
        let mut found: Vec<RecordBatch> =
            snapshot.memory(table, TimeRange::ALL).into_iter().map(|batch| batch.records).collect();
        for segment in snapshot.segments(table, TimeRange::ALL) {
            let batches = segment.scan(TimeRange::ALL, &columns).await.expect("opens");
            found.extend(batches.try_collect::<Vec<_>>().await.expect("reads"));
        }
        found
    }

    pub(crate) async fn n_rows(&self, table: TableId) -> usize {
        self.rows(table).await.iter().map(RecordBatch::num_rows).sum()
    }

    /// A text column of a table, sorted.
    pub(crate) async fn texts(&self, table: TableId, column: &str) -> Vec<String> {
        use hindcast_model::column::TextView;
        let mut found = Vec::new();
        for records in self.rows(table).await {
            let view = TextView::of(records.column_by_name(column)).expect("a text column");
            found.extend((0..records.num_rows()).filter_map(|row| view.get(row).map(str::to_owned)));
        }
        found.sort();
        found
    }
}

/// A Hubble export line; `n` makes its time and its port.
pub(crate) fn flow_line(n: u32) -> String {
    let (second, port) = (n % 60, 1024 + n % 60_000);
    let (minute, hour) = (n / 60 % 60, n / 3600);
    let time = format!("2026-03-01T{hour:02}:{minute:02}:{second:02}.000000001Z");
    format!(
        r#"{{"flow":{{"time":"{time}","verdict":"FORWARDED","IP":{{"source":"10.0.0.1","destination":"10.0.0.2","ipVersion":"IPv4"}},"l4":{{"TCP":{{"source_port":{port},"destination_port":80}}}},"source":{{"namespace":"shop","pod_name":"web-1","labels":["k8s:app=web"]}},"node_name":"n1"}},"node_name":"n1","time":"{time}"}}"#
    )
}

/// Lines `from..to`, each ended.
pub(crate) fn flow_lines(from: u32, to: u32) -> String {
    (from..to).map(|n| flow_line(n) + "\n").collect()
}

/// The recordings that lie beside the repository; `None`, with a word why, where they are absent.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("HINDCAST_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let found = root.join(path);
    if found.is_dir() || found.is_file() {
        return Some(found);
    }
    skip::skip("ingest::testing", &format!("{} is absent", found.display()));
    None
}
