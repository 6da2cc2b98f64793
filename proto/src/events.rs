//! What one decoded message becomes: rows in one of four tables, or a rejection with its reason.

use std::borrow::Cow;
use std::fmt;

use hindcast_model::tables::{agent_events, flows, losses, runtime_events};
use hindcast_model::{Batch, SchemaError, SourceKind, TableId, Timestamp};

use crate::hubble::Scratch;

/// The reason of a loss that a Tetragon exporter reported.
pub(crate) const RATE_LIMIT_REASON: &str = "export_rate_limit";

/// Where events come from; the same for all of one input.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// Which wire brings them.
    pub kind: SourceKind,
    /// Which input brings them: a path or an address.
    pub source: &'a str,
    /// When the log accepts them.
    pub recorded_at: Timestamp,
}

/// The rows that one input fills.
#[derive(Debug, Default)]
pub struct EventBuilders {
    /// Observations of traffic.
    pub flows: flows::Builder,
    /// Process-level events.
    pub runtime_events: runtime_events::Builder,
    /// Agent and debug events.
    pub agent_events: agent_events::Builder,
    /// Reports of loss, and of a source's own state.
    pub losses: losses::Builder,
    pub(crate) scratch: Scratch,
}

impl EventBuilders {
    /// How many rows are complete, over all tables.
    #[must_use]
    pub const fn n_rows(&self) -> usize {
        self.flows.row() + self.runtime_events.row() + self.agent_events.row() + self.losses.row()
    }

    /// The complete rows, one batch for each table that has any; the builders start over.
    ///
    /// # Errors
    /// A required column is null in some row.
    pub fn finish(&mut self) -> Result<Vec<Batch>, SchemaError> {
        let mut batches = Vec::new();
        if self.flows.row() > 0 {
            batches.push(Batch { table: TableId::Flows, records: self.flows.finish()? });
        }
        if self.runtime_events.row() > 0 {
            batches.push(Batch { table: TableId::RuntimeEvents, records: self.runtime_events.finish()? });
        }
        if self.agent_events.row() > 0 {
            batches.push(Batch { table: TableId::AgentEvents, records: self.agent_events.finish()? });
        }
        if self.losses.row() > 0 {
            batches.push(Batch { table: TableId::Losses, records: self.losses.finish()? });
        }
        Ok(batches)
    }
}

/// What a message was, once it stands in the builders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Recorded {
    /// A flow, in `flows`.
    Flow,
    /// A runtime event, in `runtime_events`.
    Runtime,
    /// An agent event, in `agent_events`.
    Agent,
    /// A debug event, in `agent_events`.
    Debug,
    /// A loss notice, in `losses`.
    Lost,
    /// A relay's word on its nodes, in `losses`.
    NodeStatus,
    /// An exporter's word on what it dropped, in `losses`.
    RateLimit,
}

/// Why a message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RejectReason {
    /// The text is no JSON document.
    NotJson,
    /// A text is not UTF-8.
    NotUtf8,
    /// The message is larger or deeper than the limit.
    TooLarge,
    /// Neither the event nor its envelope has a time.
    MissingTime,
    /// The time cannot be held in nanoseconds, or is no time at all.
    TimeOutOfRange,
    /// A field's value has the wrong type.
    BadField,
    /// Nothing in the message says what it is.
    UnknownKind,
    /// The message ends in the middle of a field.
    Truncated,
    /// It is well formed, and of a kind that makes no event: a packet that is neither TCP nor UDP.
    Unsupported,
}

impl RejectReason {
    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 9] = [
        Self::NotJson,
        Self::NotUtf8,
        Self::TooLarge,
        Self::MissingTime,
        Self::TimeOutOfRange,
        Self::BadField,
        Self::UnknownKind,
        Self::Truncated,
        Self::Unsupported,
    ];

    /// The reason as a metric label and in `losses`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NotUtf8 => "not_utf8",
            Self::TooLarge => "too_large",
            Self::MissingTime => "missing_time",
            Self::TimeOutOfRange => "time_out_of_range",
            Self::BadField => "bad_field",
            Self::UnknownKind => "unknown_kind",
            Self::Truncated => "truncated",
            Self::Unsupported => "unsupported",
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A message that was refused; the builders are as before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Rejection {
    /// Why.
    pub reason: RejectReason,
    /// Where: names the field.
    pub detail: Cow<'static, str>,
}

impl Rejection {
    #[cold]
    pub(crate) fn new(reason: RejectReason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, detail: detail.into() }
    }
}
