//! What the doors need from the part that records: a place to push batches to, and the state of its sources.
//!
//! The trait keeps this crate free of the recording part; the binary joins the two.

use std::future::Future;
use std::pin::Pin;

use hindcast_model::{Batch, Kind, Timestamp};

/// An answer that comes later.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The recording part, as the doors see it.
pub trait Intake: Send + Sync + std::fmt::Debug {
    /// Records batches that a client pushed. Returns when they are durable; waits while the recorder is full.
    fn push(&self, push: Push) -> BoxFuture<'_, Result<PushReceipt, PushError>>;

    /// Every source and how it fares, by name.
    fn sources(&self) -> Vec<SourceStatus>;
}

/// What a client pushed.
#[derive(Clone, Debug)]
pub struct Push {
    /// The client's name for the input.
    pub source: String,
    /// The rows.
    pub batches: Vec<Batch>,
    /// How far into its input the client is after these rows, if it wants to resume there.
    pub position: Option<u64>,
}

/// What became of pushed rows: together as many as were pushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PushReceipt {
    /// Rows that are durable now.
    pub recorded: u64,
    /// Rows that were there already.
    pub deduplicated: u64,
    /// Rows refused as invalid.
    pub rejected: u64,
}

/// Rows that could not be recorded; none of the push was.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct PushError {
    /// Who has to act.
    pub kind: Kind,
    /// What went wrong, for the client.
    pub text: String,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// How one source fares.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceStatus {
    /// The source: a path or an address.
    pub name: String,
    /// Which wire: hubble, tetragon, flight, sensor, generated or file.
    pub kind: String,
    /// Whether it is being read, waited for, or has ended.
    pub state: SourceState,
    /// More about the state, for a person.
    pub detail: Option<String>,
    /// Since when it has been in that state.
    pub since: Option<Timestamp>,
    /// Events that arrived.
    pub received: u64,
    /// Events that are durable.
    pub recorded: u64,
    /// Events that were there already.
    pub deduplicated: u64,
    /// Events refused as invalid, by reason.
    pub rejected: Vec<(String, u64)>,
    /// Events gone against our will, by stage.
    pub lost: Vec<(String, u64)>,
    /// Time of the latest event.
    pub last_event: Option<Timestamp>,
}

/// What a source is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// Being connected or opened.
    Connecting,
    /// Being read.
    Reading,
    /// Away; will be tried again.
    Waiting,
    /// Read to its end.
    Ended,
    /// Given up.
    Failed,
}

impl SourceState {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Reading => "reading",
            Self::Waiting => "waiting",
            Self::Ended => "ended",
            Self::Failed => "failed",
        }
    }
}
