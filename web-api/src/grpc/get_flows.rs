//! `GetFlows`: which flows, in which order, with which fields, and the losses between them.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use futures::StreamExt as _;
use hindcast_model::tables::{flows, losses};
use hindcast_model::{Kind, SourceKind, TableId, TimeRange, Timestamp};
use hindcast_proto::flow::{LostEvent, LostEventSource};
use hindcast_proto::json::Message as MessageType;
use hindcast_proto::mask::FieldMask;
use hindcast_proto::observer::GetFlowsRequest;
use hindcast_query::filter::{Filter, hubble};
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status};

use super::asked::{Asked, Plan};
use super::events::{Delivery, Encode, EventStream, Timed, merge};
use super::held::Held;
use crate::answer::Piece;
use crate::ask::{self, Pick, Question};
use crate::doors::Doors;
use crate::fault::Fault;

/// Loss notices of one answer; the newest are kept. Far more than the CLI shows, far less than memory.
const MAX_NOTICES: u64 = 10_000;
/// Number of `lost_events` in a response.
const LOST_EVENTS: u32 = 3;
/// Fields of a flow that are sent whatever the mask says: the CLI shows them and forgets to ask for them.
const ALWAYS: [&str; 24] = [
    "time",
    "uuid",
    "verdict",
    "drop_reason",
    "drop_reason_desc",
    "node_name",
    "event_type",
    "is_reply",
    "Type",
    "Summary",
    "traffic_direction",
    "policy_match_type",
    "egress_allowed_by",
    "ingress_allowed_by",
    "egress_denied_by",
    "ingress_denied_by",
    "source_names",
    "destination_names",
    "sock_xlate_point",
    "trace_observation_point",
    "debug_capture_point",
    "interface",
    "source.identity",
    "destination.identity",
];

/// The stream that a request asks for.
pub(super) async fn stream(doors: &Arc<Doors>, request: GetFlowsRequest) -> Result<Response<EventStream>, Status> {
    let asked = Asked {
        number: request.number,
        first: request.first,
        follow: request.follow,
        since: request.since,
        until: request.until,
    };
    let plan = asked.plan(doors.clock.now())?;
    let filter = hubble::from_request(&request.whitelist, &request.blacklist).map_err(Fault::from)?;
    let paths = request.field_mask.iter().flat_map(|mask| mask.paths.iter().map(String::as_str));
    let encode = Flows { mask: mask(paths.collect()) };
    let held = Held::of(doors, TableId::Flows);
    held.check(&plan)?;

    let permit = if plan.follow { doors.follow_permit()? } else { doors.query_permit()? };
    let mut notices = VecDeque::new();
    let pieces = match plan.past {
        None => ask::follow(doors, TableId::Flows, filter).await?,
        Some((range, pick)) => {
            notices = past_losses(doors, range).await?;
            let question = Question::stream(TableId::Flows, filter, range, pick);
            if plan.follow {
                ask::events_then_follow(doors, question).await?
            } else {
                ask::events(doors, question).await?.pieces
            }
        }
    };
    let delivery = Delivery {
        pieces,
        encode,
        notices,
        skips_early_notices: matches!(plan.past, Some((_, Pick::Newest(_)))),
        skips_late_notices: matches!(plan.past, Some((_, Pick::Oldest(_)))),
        until: plan.until,
        permit,
    };
    let flows = delivery.stream(doors);
    let stream = if plan.follow { merge_until_flows_end(flows, live_losses(doors, &plan).await?) } else { flows };
    Ok(held.respond(stream))
}

/// The fields to send; `None` for all.
fn mask(mut paths: Vec<&str>) -> Option<FieldMask> {
    if !paths.is_empty() {
        paths.extend(ALWAYS);
    }
    FieldMask::new(MessageType::Flow, &paths)
}

/// Reports of lost flows by a Hubble server or relay, or on the way from there.
fn loss_filter() -> Filter {
    Filter::one_of("source_kind", [SourceKind::Hubble.as_str()])
}

async fn past_losses(doors: &Arc<Doors>, range: TimeRange) -> Result<VecDeque<Timed>, Status> {
    let question = Question::stream(TableId::Losses, loss_filter(), range, Pick::Newest(MAX_NOTICES));
    let mut pieces = ask::events(doors, question).await?.pieces;
    let mut notices = VecDeque::new();
    while let Some(piece) = pieces.next().await {
        match piece {
            Piece::Rows(records) => Losses.encode(&records, &mut notices)?,
            Piece::End(ending) => {
                if let Some(fault) = ending.fault {
                    return Err(fault.into());
                }
            }
        }
    }
    Ok(notices)
}

async fn live_losses(doors: &Arc<Doors>, plan: &Plan) -> Result<EventStream, Status> {
    let delivery = Delivery {
        pieces: ask::follow(doors, TableId::Losses, loss_filter()).await?,
        encode: Losses,
        notices: VecDeque::new(),
        skips_early_notices: false,
        skips_late_notices: false,
        until: plan.until,
        permit: doors.side_permit(),
    };
    Ok(delivery.stream(doors))
}

/// Flows with loss notices in between; over when the flows are.
fn merge_until_flows_end(flows: EventStream, losses: EventStream) -> EventStream {
    let over = CancellationToken::new();
    let until_over = over.clone().cancelled_owned();
    let mark_over = futures::stream::once(async move { over.cancel() }).filter_map(|()| async { None });
    merge(flows.chain(mark_over), losses.take_until(until_over))
}

/// Flows as responses.
struct Flows {
    mask: Option<FieldMask>,
}

impl Encode for Flows {
    fn encode(&self, records: &RecordBatch, out: &mut VecDeque<Timed>) -> Result<(), Fault> {
        let view = flows::View::new(records).map_err(|error| Fault::new(Kind::Internal, error.to_string()))?;
        for row in 0..view.n_rows() {
            let mut message = Vec::with_capacity(1024);
            hindcast_proto::hubble::encode_response(&view, row, &mut message);
            if let Some(mask) = &self.mask {
                let mut masked = Vec::with_capacity(message.len());
                mask.apply_to_response(&message, &mut masked)
                    .map_err(|_error| Fault::new(Kind::Corrupt, "a recorded flow cannot be read"))?;
                message = masked;
            }
            let time = Timestamp::from_nanos(view.time.get(row).unwrap_or_default());
            out.push_back(Timed { time, message: message.into() });
        }
        Ok(())
    }

    fn oversized(&self, _time: Timestamp, _n_bytes: usize) -> Option<Bytes> {
        let lost =
            LostEvent { source: LostEventSource::HubbleRingBuffer.into(), num_events_lost: 1, ..LostEvent::default() };
        let lost = lost.encode_to_vec();
        let mut response = Vec::with_capacity(lost.len() + 4);
        encode_key(LOST_EVENTS, WireType::LengthDelimited, &mut response);
        encode_varint(u64::try_from(lost.len()).ok()?, &mut response);
        response.extend_from_slice(&lost);
        Some(response.into())
    }
}

/// Loss reports as responses.
struct Losses;

impl Encode for Losses {
    fn encode(&self, records: &RecordBatch, out: &mut VecDeque<Timed>) -> Result<(), Fault> {
        let view = losses::View::new(records).map_err(|error| Fault::new(Kind::Internal, error.to_string()))?;
        for row in 0..view.n_rows() {
            let mut message = Vec::new();
            let time = Timestamp::from_nanos(view.time.get(row).unwrap_or_default());
            if hindcast_proto::hubble::encode_lost(&view, row, &mut message) {
                out.push_back(Timed { time, message: message.into() });
            }
        }
        Ok(())
    }

    fn oversized(&self, _time: Timestamp, _n_bytes: usize) -> Option<Bytes> {
        None
    }
}
