//! Events on their way to a gRPC client: rows become encoded messages, notices are put between them by time.

use std::collections::VecDeque;

use arrow::array::RecordBatch;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use hindcast_model::Timestamp;
use hindcast_proto::RawMessage;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::ending_status;
use crate::answer::Piece;
use crate::doors::{Doors, Permit};
use crate::fault::Fault;
use crate::render::Ending;

/// Messages of this size and more are not sent: clients refuse 4 MiB and end the stream.
const MAX_MESSAGE_BYTES: usize = 3 * 1024 * 1024;
/// Rows encoded in one go.
const SLICE_ROWS: usize = 256;

/// The stream of a gRPC method that sends events.
pub(super) type EventStream = BoxStream<'static, Result<RawMessage, Status>>;

/// A message and the time it belongs to.
#[derive(Clone, Debug)]
pub(super) struct Timed {
    pub(super) time: Timestamp,
    pub(super) message: Bytes,
}

/// Rows to messages.
pub(super) trait Encode: Send + 'static {
    /// Appends a message for each row that has one.
    fn encode(&self, records: &RecordBatch, out: &mut VecDeque<Timed>) -> Result<(), Fault>;

    /// What takes the place of a message that is too large to send.
    fn oversized(&self, time: Timestamp, n_bytes: usize) -> Option<Bytes>;
}

/// Events being delivered.
pub(super) struct Delivery<E> {
    /// Where rows come from.
    pub(super) pieces: BoxStream<'static, Piece>,
    /// How they are written.
    pub(super) encode: E,
    /// Notices to send in between, by time; they count for nothing.
    pub(super) notices: VecDeque<Timed>,
    /// Whether notices before the first event are left out: the question was for the newest events.
    pub(super) skips_early_notices: bool,
    /// Whether notices after the last event are left out: the question was for the oldest events.
    pub(super) skips_late_notices: bool,
    /// A later event ends the stream.
    pub(super) until: Option<Timestamp>,
    /// Given back at the end.
    #[expect(dead_code, reason = "held for as long as the stream lives")]
    pub(super) permit: Permit,
}

struct State<E> {
    delivery: Delivery<E>,
    metrics: crate::metrics::Metrics,
    slices: VecDeque<RecordBatch>,
    ready: VecDeque<Timed>,
    has_begun: bool,
    is_over: bool,
    stopping: CancellationToken,
}

impl<E: Encode> Delivery<E> {
    /// The messages.
    pub(super) fn stream(self, doors: &Doors) -> EventStream {
        let state = State {
            delivery: self,
            metrics: doors.metrics.clone(),
            slices: VecDeque::new(),
            ready: VecDeque::new(),
            has_begun: false,
            is_over: false,
            stopping: doors.stopping.clone(),
        };
        futures::stream::unfold(state, |mut state| async move { Some((state.next().await?, state)) }).boxed()
    }
}

impl<E: Encode> State<E> {
    async fn next(&mut self) -> Option<Result<RawMessage, Status>> {
        loop {
            if let Some(message) = self.ready_message() {
                self.metrics.rows.inc();
                return Some(Ok(RawMessage(message)));
            }
            if self.is_over {
                return None;
            }
            if let Some(slice) = self.slices.pop_front() {
                if let Err(fault) = self.delivery.encode.encode(&slice, &mut self.ready) {
                    self.is_over = true;
                    return Some(Err(fault.into()));
                }
                continue;
            }
            let piece = tokio::select! {
                // Cancel safe: a stream keeps its place.
                piece = self.delivery.pieces.next() => piece,
                () = self.stopping.cancelled() => {
                    self.is_over = true;
                    return Some(Err(Status::unavailable("the server is shutting down")));
                }
            };
            match piece {
                Some(Piece::Rows(records)) => self.slice(&records),
                Some(Piece::End(ending)) => {
                    if let Some(status) = self.end(ending) {
                        return Some(Err(status));
                    }
                }
                None => self.is_over = true,
            }
        }
    }

    fn slice(&mut self, records: &RecordBatch) {
        let mut at = 0;
        while at < records.num_rows() {
            let n_rows = SLICE_ROWS.min(records.num_rows() - at);
            self.slices.push_back(records.slice(at, n_rows));
            at += n_rows;
        }
    }

    /// The last piece: late notices, then what went wrong.
    fn end(&mut self, ending: Ending) -> Option<Status> {
        self.is_over = true;
        if let Some(status) = ending_status(ending) {
            return Some(status);
        }
        if !self.delivery.skips_late_notices && (self.has_begun || !self.delivery.skips_early_notices) {
            self.ready.append(&mut self.delivery.notices);
        }
        None
    }

    /// The next message that is encoded already, a notice that is due before it.
    fn ready_message(&mut self) -> Option<Bytes> {
        loop {
            let time = self.ready.front()?.time;
            if self.delivery.until.is_some_and(|until| time > until) {
                self.ready.clear();
                self.slices.clear();
                self.is_over = true;
                return None;
            }
            if !self.has_begun {
                self.has_begun = true;
                while self.delivery.skips_early_notices && self.delivery.notices.front().is_some_and(|n| n.time < time)
                {
                    self.delivery.notices.pop_front();
                }
            }
            if self.delivery.notices.front().is_some_and(|notice| notice.time <= time) {
                return self.delivery.notices.pop_front().map(|notice| notice.message);
            }
            let event = self.ready.pop_front()?;
            if event.message.len() < MAX_MESSAGE_BYTES {
                return Some(event.message);
            }
            tracing::warn!(n_bytes = event.message.len(), "an event is too large to send");
            if let Some(notice) = self.delivery.encode.oversized(event.time, event.message.len()) {
                return Some(notice);
            }
        }
    }
}

/// Two streams of events as one, each in its own order, until both have ended.
pub(super) fn merge(
    one: impl Stream<Item = Result<RawMessage, Status>> + Send + 'static,
    other: impl Stream<Item = Result<RawMessage, Status>> + Send + 'static,
) -> EventStream {
    futures::stream::select(one, other).boxed()
}
