//! A source and its account: every event it hands over ends in exactly one of four places.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hindcast_model::Timestamp;
use hindcast_proto::RejectReason;
use parking_lot::Mutex;

use crate::metrics::{Metrics, ReasonLabels, SourceLabels, StageLabels};

/// Where an event that was received went missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LostStage {
    /// The store refused it or stayed away for longer than the source could wait.
    Append,
    /// The program ended before it was recorded.
    Shutdown,
    /// The kernel or the sensor had no room for it.
    Sensor,
}

impl LostStage {
    /// Every stage.
    pub const ALL: [Self; 3] = [Self::Append, Self::Shutdown, Self::Sensor];

    /// The stage as a metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Shutdown => "shutdown",
            Self::Sensor => "sensor",
        }
    }
}

/// Something odd about events that were recorded all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Warning {
    /// The event's time lies in the future: a clock is wrong.
    FutureTime,
}

impl Warning {
    /// The warning as a metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FutureTime => "future_time",
        }
    }
}

/// What a source is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceState {
    /// Registered, nothing done yet.
    Idle,
    /// Opening its input for the first time.
    Connecting,
    /// Reading.
    Running,
    /// Its input went away; it is trying to reach it again.
    Reconnecting,
    /// The store is full or away.
    Waiting,
    /// Done.
    Finished,
    /// Gave up.
    Failed,
}

impl SourceState {
    /// The state as a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connecting => "connecting",
            Self::Running => "running",
            Self::Reconnecting => "reconnecting",
            Self::Waiting => "waiting",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }
}

/// The account of a source at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// Its configured name.
    pub name: String,
    /// What it is doing.
    pub state: SourceState,
    /// Events it handed over.
    pub received: u64,
    /// Events that are durable.
    pub recorded: u64,
    /// Events that were recorded already.
    pub deduplicated: u64,
    /// Events refused as invalid.
    pub rejected: BTreeMap<RejectReason, u64>,
    /// Events received and not recorded.
    pub lost: BTreeMap<LostStage, u64>,
    /// Events recorded although something is odd about them.
    pub warnings: BTreeMap<Warning, u64>,
    /// Time of the latest event recorded.
    pub last_event_time: Option<Timestamp>,
    /// How old the latest event was when it was recorded.
    pub lag: Option<Duration>,
    /// The last thing that went wrong, and when.
    pub last_error: Option<(Timestamp, String)>,
}

impl SourceStatus {
    /// Events handed over whose fate is open. Zero once nothing is under way: the accounting law.
    #[must_use]
    pub fn n_under_way(&self) -> u64 {
        let settled =
            self.recorded + self.deduplicated + self.rejected.values().sum::<u64>() + self.lost.values().sum::<u64>();
        debug_assert!(settled <= self.received, "no event ends in two places");
        self.received.saturating_sub(settled)
    }
}

/// A source of events. Clones share one account.
#[derive(Clone, Debug)]
pub struct Source(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    status: Mutex<SourceStatus>,
    metrics: Metrics,
}

/// What became of some events of a source.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settled {
    pub(crate) recorded: u64,
    pub(crate) deduplicated: u64,
    pub(crate) last_event_time: Option<Timestamp>,
    pub(crate) n_future: u64,
}

impl Source {
    pub(crate) fn new(name: &str, metrics: Metrics) -> Self {
        let status = SourceStatus {
            name: name.to_owned(),
            state: SourceState::Idle,
            received: 0,
            recorded: 0,
            deduplicated: 0,
            rejected: BTreeMap::new(),
            lost: BTreeMap::new(),
            warnings: BTreeMap::new(),
            last_event_time: None,
            lag: None,
            last_error: None,
        };
        Self(Arc::new(Inner { name: name.to_owned(), status: Mutex::new(status), metrics }))
    }

    /// Its configured name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its account now.
    #[must_use]
    pub fn status(&self) -> SourceStatus {
        self.0.status.lock().clone()
    }

    /// What it is doing from now on.
    pub fn set_state(&self, state: SourceState) {
        self.0.status.lock().state = state;
    }

    /// Takes note of something that went wrong.
    pub fn set_error(&self, at: Timestamp, error: impl Into<String>) {
        self.0.status.lock().last_error = Some((at, error.into()));
    }

    fn labels(&self) -> SourceLabels {
        SourceLabels { source: self.0.name.clone() }
    }

    /// Counts events that the source took from its input.
    pub(crate) fn count_received(&self, n: u64) {
        if n > 0 {
            self.0.status.lock().received += n;
            self.0.metrics.received.get_or_create(&self.labels()).inc_by(n);
        }
    }

    /// Counts events refused as invalid.
    pub(crate) fn count_rejected(&self, reason: RejectReason, n: u64) {
        if n > 0 {
            *self.0.status.lock().rejected.entry(reason).or_default() += n;
            let labels = ReasonLabels { source: self.0.name.clone(), reason: reason.as_str() };
            self.0.metrics.rejected.get_or_create(&labels).inc_by(n);
        }
    }

    /// Counts events that were received and will not be recorded.
    pub(crate) fn count_lost(&self, stage: LostStage, n: u64) {
        if n > 0 {
            *self.0.status.lock().lost.entry(stage).or_default() += n;
            let labels = StageLabels { source: self.0.name.clone(), stage: stage.as_str() };
            self.0.metrics.lost.get_or_create(&labels).inc_by(n);
        }
    }

    /// Counts a connection opened again.
    /// Counts events that were seen and that a sensor could not hand over.
    pub fn count_missed(&self, n: u64) {
        self.count_received(n);
        self.count_lost(LostStage::Sensor, n);
    }

    pub(crate) fn count_reconnect(&self) {
        self.0.metrics.reconnects.get_or_create(&self.labels()).inc();
    }

    /// Counts events whose fate an append decided.
    pub(crate) fn settle(&self, settled: &Settled, now: Timestamp) {
        let labels = self.labels();
        let metrics = &self.0.metrics;
        metrics.recorded.get_or_create(&labels).inc_by(settled.recorded);
        metrics.deduplicated.get_or_create(&labels).inc_by(settled.deduplicated);
        let mut status = self.0.status.lock();
        status.recorded += settled.recorded;
        status.deduplicated += settled.deduplicated;
        if settled.n_future > 0 {
            *status.warnings.entry(Warning::FutureTime).or_default() += settled.n_future;
            let reason = Warning::FutureTime.as_str();
            let labels = ReasonLabels { source: self.0.name.clone(), reason };
            metrics.warnings.get_or_create(&labels).inc_by(settled.n_future);
        }
        if let Some(time) = settled.last_event_time {
            let last = status.last_event_time.map_or(time, |last| last.max(time));
            status.last_event_time = Some(last);
            status.lag = Some(now.since(time));
            metrics.last_event_time.get_or_create(&labels).set(last.to_parts().0);
        }
    }
}
