//! What the crate counts. Per source the accounting law holds once nothing is under way:
//! `received = recorded + deduplicated + rejected{reason} + lost{stage}`.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Which source, by its configured name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct SourceLabels {
    pub(crate) source: String,
}

/// Which source and why.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReasonLabels {
    pub(crate) source: String,
    pub(crate) reason: &'static str,
}

/// Which source and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct StageLabels {
    pub(crate) source: String,
    pub(crate) stage: &'static str,
}

/// The counters and gauges of the crate.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) received: Family<SourceLabels, Counter>,
    pub(crate) recorded: Family<SourceLabels, Counter>,
    pub(crate) deduplicated: Family<SourceLabels, Counter>,
    pub(crate) rejected: Family<ReasonLabels, Counter>,
    pub(crate) lost: Family<StageLabels, Counter>,
    pub(crate) warnings: Family<ReasonLabels, Counter>,
    pub(crate) reconnects: Family<SourceLabels, Counter>,
    pub(crate) last_event_time: Family<SourceLabels, Gauge>,
    pub(crate) queue_len: Gauge,
    pub(crate) seen_keys: Gauge,
    pub(crate) seen_minutes: Gauge,
    pub(crate) seen_loads: Counter,
    pub(crate) directory_entries: Gauge,
    pub(crate) append_retries: Counter,
    pub(crate) append_seconds: Histogram,
}

impl Metrics {
    /// Registers everything.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            received: Family::default(),
            recorded: Family::default(),
            deduplicated: Family::default(),
            rejected: Family::default(),
            lost: Family::default(),
            warnings: Family::default(),
            reconnects: Family::default(),
            last_event_time: Family::default(),
            queue_len: Gauge::default(),
            seen_keys: Gauge::default(),
            seen_minutes: Gauge::default(),
            seen_loads: Counter::default(),
            directory_entries: Gauge::default(),
            append_retries: Counter::default(),
            append_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 15)),
        };
        let registry = registry.sub_registry_with_prefix("hindcast_ingest");
        registry.register("events_received", "Events that a source handed over", metrics.received.clone());
        registry.register("events_recorded", "Events that are durable", metrics.recorded.clone());
        registry.register("events_deduplicated", "Events that were recorded already", metrics.deduplicated.clone());
        registry.register("events_rejected", "Events refused as invalid", metrics.rejected.clone());
        registry.register("events_lost", "Events received and not recorded, by stage", metrics.lost.clone());
        registry.register("warnings", "Events recorded although something is odd about them", metrics.warnings.clone());
        registry.register("reconnects", "Connections opened again", metrics.reconnects.clone());
        registry.register(
            "last_event_time_seconds",
            "Time of the latest event recorded, since the epoch",
            metrics.last_event_time.clone(),
        );
        registry.register("queue_submissions", "Submissions that wait", metrics.queue_len.clone());
        registry.register("seen_keys", "Event keys held to tell repeats", metrics.seen_keys.clone());
        registry.register("seen_minutes", "Minutes whose event keys are held", metrics.seen_minutes.clone());
        registry.register("seen_loads", "Minutes whose keys were read from the store", metrics.seen_loads.clone());
        registry.register("directory_entries", "Addresses and pods known", metrics.directory_entries.clone());
        registry.register("append_retries", "Appends tried again", metrics.append_retries.clone());
        registry.register("append_seconds", "Time from batch to durable", metrics.append_seconds.clone());
        metrics
    }
}
