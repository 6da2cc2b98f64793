//! `GetEvents`: which events, in which form.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use hindcast_model::tables::runtime_events;
use hindcast_model::{Kind, TableId, TimeRange, Timestamp};
use hindcast_proto::mask::FieldFilters;
use hindcast_proto::tetragon::{FieldFilter, FieldFilterAction, GetEventsRequest};
use hindcast_query::filter::{Filter, tetragon};
use tonic::{Request, Status};

use crate::ask::{self, Pick, Question};
use crate::doors::Doors;
use crate::fault::Fault;
use crate::grpc::events::{Delivery, Encode, EventStream, Timed};
use crate::when;

/// The kinds that `tetra` knows; any other would end its compact output.
const KINDS: [&str; 10] = [
    "process_exec",
    "process_exit",
    "process_kprobe",
    "process_tracepoint",
    "process_loader",
    "process_uprobe",
    "process_throttle",
    "process_lsm",
    "process_usdt",
    "test",
];

/// The stream that a request asks for.
pub(super) async fn events(doors: &Arc<Doors>, request: Request<GetEventsRequest>) -> Result<EventStream, Status> {
    let since = instant(doors, &request, "x-hindcast-since")?;
    let until = instant(doors, &request, "x-hindcast-until")?;
    let request = request.into_inner();
    let wanted = tetragon::from_request(&request.allow_list, &request.deny_list).map_err(Fault::from)?;
    let filter = Filter::all([Filter::one_of("kind", KINDS), wanted]);
    let encode = Events { fields: fields(&request.field_filters)? };
    let table = TableId::RuntimeEvents;
    let follows = until.is_none();
    let permit = if follows { doors.follow_permit()? } else { doors.query_permit()? };
    let pieces = if since.is_none() && until.is_none() {
        ask::follow(doors, table, filter).await?
    } else {
        let start = since.unwrap_or(Timestamp::MIN);
        let end = until.map_or(Timestamp::MAX, |until| Timestamp::from_nanos(until.as_nanos().saturating_add(1)));
        let range = TimeRange::new(start, end)
            .map_err(|_backwards| Status::invalid_argument("x-hindcast-since is after x-hindcast-until"))?;
        let question = Question::stream(table, filter, range, Pick::All);
        if follows {
            ask::events_then_follow(doors, question).await?
        } else {
            ask::events(doors, question).await?.pieces
        }
    };
    let delivery = Delivery {
        pieces,
        encode,
        notices: VecDeque::new(),
        skips_early_notices: false,
        skips_late_notices: false,
        until,
        permit,
    };
    Ok(delivery.stream(doors))
}

/// The field filters of a request.
fn fields(filters: &[FieldFilter]) -> Result<FieldFilters, Status> {
    let unknown = filters.iter().find(|filter| FieldFilterAction::try_from(filter.action).is_err());
    match unknown {
        Some(filter) => Err(Status::invalid_argument(format!("there is no field filter action {}", filter.action))),
        None => Ok(FieldFilters::new(filters)),
    }
}

fn instant<T>(doors: &Doors, request: &Request<T>, name: &'static str) -> Result<Option<Timestamp>, Status> {
    let Some(value) = request.metadata().get(name) else { return Ok(None) };
    let instant = value.to_str().ok().and_then(|text| when::parse(text, doors.clock.now()));
    instant.map(Some).ok_or_else(|| Status::invalid_argument(format!("{name} is no instant: use {}", when::FORMS)))
}

/// Runtime events as responses.
struct Events {
    fields: FieldFilters,
}

impl Encode for Events {
    fn encode(&self, records: &RecordBatch, out: &mut VecDeque<Timed>) -> Result<(), Fault> {
        let view = runtime_events::View::new(records).map_err(|error| Fault::new(Kind::Internal, error.to_string()))?;
        for row in 0..view.n_rows() {
            let mut message = Vec::new();
            hindcast_proto::tetragon_codec::encode_response(&view, row, &mut message);
            if !self.fields.is_empty() {
                let mut filtered = Vec::with_capacity(message.len());
                self.fields
                    .apply(&message, &mut filtered)
                    .map_err(|_error| Fault::new(Kind::Corrupt, "a recorded event cannot be read"))?;
                message = filtered;
            }
            let time = Timestamp::from_nanos(view.time.get(row).unwrap_or_default());
            out.push_back(Timed { time, message: message.into() });
        }
        Ok(())
    }

    fn oversized(&self, _time: Timestamp, _n_bytes: usize) -> Option<Bytes> {
        // The API has no message for a loss.
        None
    }
}
