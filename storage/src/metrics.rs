//! Counters and gauges of the store, for a registry that is passed in.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// What the store counts. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) appends: Counter,
    pub(crate) append_errors: Counter,
    pub(crate) appended_rows: Counter,
    pub(crate) log_bytes_written: Counter,
    pub(crate) log_syncs: Counter,
    pub(crate) log_bytes: Gauge<u64, AtomicU64>,
    pub(crate) memory_bytes: Gauge<u64, AtomicU64>,
    pub(crate) log_queue: Gauge,
    pub(crate) sealed_rows: Counter,
    pub(crate) sealed_bytes: Counter,
    pub(crate) seal_errors: Counter,
    pub(crate) compactions: Counter,
    pub(crate) retired_segments: Counter,
    pub(crate) orphans: Counter,
    pub(crate) retired_rows: Counter,
    pub(crate) torn_bytes: Counter,
    pub(crate) shipped_rows: Counter,
    pub(crate) ship_errors: Counter,
    pub(crate) ship_lost_rows: Counter,
    pub(crate) ship_backlog: Gauge<u64, AtomicU64>,
    pub(crate) ship_waiting: Gauge,
    pub(crate) ship_set_aside: Gauge,
    pub(crate) shards_away: Gauge,
    pub(crate) lake_errors: Counter,
    pub(crate) lake_waiting: Gauge,
}

impl Metrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("hindcast_storage");
        let mut counter = |name: &str, help: &str, counter: &Counter| {
            registry.register(name, help, counter.clone());
        };
        counter("appends", "appends that became durable", &self.appends);
        counter("append_errors", "appends that failed", &self.append_errors);
        counter("appended_rows", "rows that became durable", &self.appended_rows);
        counter("log_written_bytes", "bytes written to the log", &self.log_bytes_written);
        counter("log_syncs", "groups of appends that were synced together", &self.log_syncs);
        counter("sealed_rows", "rows sealed into segments, roll-ups included", &self.sealed_rows);
        counter("sealed_bytes", "bytes of segments written by sealing", &self.sealed_bytes);
        counter("seal_errors", "seals, compactions and retentions that failed", &self.seal_errors);
        counter("compactions", "partitions compacted", &self.compactions);
        counter("retired_segments", "segments dropped by retention", &self.retired_segments);
        counter("retired_rows", "rows dropped by retention", &self.retired_rows);
        counter("orphans", "files without a commit removed at open", &self.orphans);
        counter("torn_bytes", "bytes of unacknowledged appends cut off the log at open", &self.torn_bytes);
        counter("clickhouse_rows", "rows that ClickHouse took", &self.shipped_rows);
        counter("clickhouse_errors", "inserts and questions that ClickHouse did not take", &self.ship_errors);
        let lost = &self.ship_lost_rows;
        counter("clickhouse_lost_rows", "rows that ClickHouse had taken and lost, and that are sent again", lost);
        counter(
            "lake_errors",
            "attempts to write to the shared catalogue, or to read it, that failed",
            &self.lake_errors,
        );
        let (backlog, waiting) = (self.ship_backlog.clone(), self.ship_waiting.clone());
        registry.register_with_unit("clickhouse_backlog", "segments that wait for ClickHouse", Unit::Bytes, backlog);
        registry.register("clickhouse_waiting_segments", "segments that wait for ClickHouse", waiting);
        registry.register(
            "clickhouse_set_aside_segments",
            "segments of which ClickHouse has more rows than there are, and that are not sent",
            self.ship_set_aside.clone(),
        );
        let away = "shards of ClickHouse that do not answer, whose rows are missing in answers";
        registry.register("clickhouse_shards_away", away, self.shards_away.clone());
        registry.register(
            "lake_waiting_segments",
            "segments that came or left and that the shared catalogue does not say yet",
            self.lake_waiting.clone(),
        );
        registry.register_with_unit("log", "size of the log", Unit::Bytes, self.log_bytes.clone());
        registry.register_with_unit("memory", "memory of unsealed rows", Unit::Bytes, self.memory_bytes.clone());
        registry.register("log_queue_appends", "appends waiting for the log", self.log_queue.clone());
    }
}
