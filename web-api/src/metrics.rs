//! What the doors count.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The doors' metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    durations: Histogram,
    places: Family<PlaceLabels, Gauge>,
    pub(crate) shed: Counter,
    pub(crate) refused: Counter,
    pub(crate) rows: Counter<u64, AtomicU64>,
}

/// Which door, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    door: &'static str,
    status: &'static str,
}

/// Which kind of place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PlaceLabels {
    work: &'static str,
}

/// Work under way; counted until dropped.
#[derive(Debug)]
pub(crate) struct Place(Gauge);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// The metrics, registered under `hindcast_web_api`.
    pub fn register(registry: &mut Registry) -> Self {
        let buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
        let this = Self {
            requests: Family::default(),
            durations: Histogram::new(buckets),
            places: Family::default(),
            shed: Counter::default(),
            refused: Counter::default(),
            rows: Counter::default(),
        };
        let group = registry.sub_registry_with_prefix("hindcast_web_api");
        group.register("requests", "Requests answered, by door and class of status", this.requests.clone());
        group.register("first_byte_seconds", "Time until an answer was begun over HTTP", this.durations.clone());
        group.register("work_under_way", "Queries running and clients following", this.places.clone());
        group.register("shed_requests", "Requests refused because a limit was reached", this.shed.clone());
        group.register(
            "refused_requests",
            "Requests refused for want of a credential or a known host",
            this.refused.clone(),
        );
        group.register("rows_sent", "Rows sent to clients", this.rows.clone());
        this
    }

    pub(crate) fn place(&self, work: &'static str) -> Place {
        let gauge = self.places.get_or_create_owned(&PlaceLabels { work });
        gauge.inc();
        Place(gauge)
    }

    pub(crate) fn answered(&self, door: &'static str, status: u16, took: Duration) {
        let status = match status {
            0..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        };
        self.requests.get_or_create(&RequestLabels { door, status }).inc();
        self.durations.observe(took.as_secs_f64());
    }
}
