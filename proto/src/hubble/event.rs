//! Hubble's events about itself — agent, debug, loss, node status — ⇄ rows of `agent_events` and `losses`.

use hindcast_model::column::{DictColumn, TimeColumn};
use hindcast_model::tables::{agent_events, losses};
use hindcast_model::{Timestamp, rest};

use super::fault::{Fault, bytes, number, text};
use super::row::{Instant, instant, put_enum};
use crate::flow::{AgentEventType, DebugEventType, LostEventSource};
use crate::json::{MAX_BYTES, Message, WireError};
use crate::relay::NodeState;
use crate::schema;
use crate::wire::{self, Reader, Value, low_i32};
use crate::{EventBuilders, Origin, Recorded, RejectReason, Rejection};

/// An event that is no flow, with its envelope.
pub(super) struct Event<'a> {
    /// Its field in `observer.ExportEvent`.
    pub(super) number: u32,
    pub(super) message: &'a [u8],
    /// The whole envelope.
    pub(super) wire: &'a [u8],
    pub(super) node_name: &'a str,
    pub(super) time: Option<Instant>,
}

/// Reads an `observer.GetAgentEventsResponse`.
///
/// # Errors
/// The message is refused; the builders are as before.
pub fn decode_agent_response(
    wire: &[u8],
    origin: &Origin<'_>,
    into: &mut EventBuilders,
) -> Result<Recorded, Rejection> {
    renumbered(wire, 4, origin, into)
}

/// Reads an `observer.GetDebugEventsResponse`.
///
/// # Errors
/// The message is refused; the builders are as before.
pub fn decode_debug_response(
    wire: &[u8],
    origin: &Origin<'_>,
    into: &mut EventBuilders,
) -> Result<Recorded, Rejection> {
    renumbered(wire, 5, origin, into)
}

/// Reads a response whose event has number 1 as an export event where it has `number`.
fn renumbered(wire: &[u8], number: u32, origin: &Origin<'_>, into: &mut EventBuilders) -> Result<Recorded, Rejection> {
    if wire.len() > MAX_BYTES {
        return Err(Rejection::new(RejectReason::TooLarge, "bytes of one message"));
    }
    let mut export = Vec::with_capacity(wire.len());
    renumber(wire, 1, number, &mut export)?;
    super::decode_response(&export, origin, into)
}

fn renumber(wire: &[u8], from: u32, to: u32, out: &mut Vec<u8>) -> Result<(), WireError> {
    let mut fields = Reader::new(wire);
    while let Some(field) = fields.next()? {
        match field.value {
            Value::Bytes(message) if field.number == from => wire::put_bytes(out, to, message),
            _ => out.extend_from_slice(field.raw),
        }
    }
    Ok(())
}

pub(super) fn decode(event: &Event<'_>, origin: &Origin<'_>, into: &mut EventBuilders) -> Result<Recorded, Fault> {
    let known = Message::ExportEvent.definition().by_number(event.number);
    if let Some(message) = known.and_then(|field| schema::schema().message_of(field)) {
        wire::merge::check(message, event.message)?;
    }
    match event.number {
        2 | 3 => {
            let filled =
                if event.number == 3 { lost(event, &mut into.losses) } else { node_status(event, &mut into.losses) };
            let row = into.losses.row();
            match filled {
                Ok(recorded) => {
                    let losses = &mut into.losses;
                    put_node(&mut losses.cluster, &mut losses.node, row, event.node_name);
                    put_origin((&mut losses.recorded_at, &mut losses.source_kind, &mut losses.source), row, origin);
                    losses.rest.set(row, event.wire);
                    losses.commit();
                    Ok(recorded)
                }
                Err(fault) => {
                    into.losses.rollback();
                    Err(fault)
                }
            }
        }
        _ => {
            let filled = agent(event, &mut into.agent_events);
            let row = into.agent_events.row();
            match filled {
                Ok(recorded) => {
                    let events = &mut into.agent_events;
                    put_node(&mut events.cluster, &mut events.node, row, event.node_name);
                    put_origin((&mut events.recorded_at, &mut events.source_kind, &mut events.source), row, origin);
                    events.rest.set(row, event.wire);
                    events.commit();
                    Ok(recorded)
                }
                Err(fault) => {
                    into.agent_events.rollback();
                    Err(fault)
                }
            }
        }
    }
}

fn lost(event: &Event<'_>, losses: &mut losses::Builder) -> Result<Recorded, Fault> {
    let row = losses.row();
    let (mut source, mut count, mut first, mut last) = (0, 0, None, None);
    let mut fields = Reader::new(event.message);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => source = low_i32(number(field.value)?),
            2 => count = number(field.value)?,
            3 => losses.detail.set(row, &format!("cpu {}", wrapped(bytes(field.value)?)?)),
            4 => first = Some(instant(bytes(field.value)?)?),
            5 => last = Some(instant(bytes(field.value)?)?),
            _ => {}
        }
    }
    let Some(time) = first.or(event.time).or(last) else {
        return Err(missing_time("lost_events.first"));
    };
    losses.time.set(row, checked(time, "lost_events.first")?.as_nanos());
    if let Some(last) = last {
        losses.end_time.set(row, checked(last, "lost_events.last")?.as_nanos());
    }
    let known = LostEventSource::try_from(source);
    losses.stage.set(row, if known == Ok(LostEventSource::PerfEventRingBuffer) { "kernel" } else { "agent" });
    match known {
        Ok(LostEventSource::UnknownLostEventSource) => losses.reason.set(row, "unknown"),
        Ok(known) => losses.reason.set(row, &known.as_str_name().to_ascii_lowercase()),
        Err(_unknown) => losses.reason.set(row, &source.to_string()),
    }
    losses.count.set(row, count);
    Ok(Recorded::Lost)
}

fn wrapped(message: &[u8]) -> Result<i32, Fault> {
    let mut value = 0;
    let mut fields = Reader::new(message);
    while let Some(field) = fields.next()? {
        if field.number == 1 {
            value = low_i32(number(field.value)?);
        }
    }
    Ok(value)
}

fn node_status(event: &Event<'_>, losses: &mut losses::Builder) -> Result<Recorded, Fault> {
    let row = losses.row();
    let Some(time) = event.time else { return Err(missing_time("time")) };
    losses.time.set(row, checked(time, "time")?.as_nanos());
    let (mut state, mut names, mut message) = (0, String::new(), "");
    let mut fields = Reader::new(event.message);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => state = low_i32(number(field.value)?),
            2 => {
                if !names.is_empty() {
                    names.push_str(", ");
                }
                names.push_str(text(field.value)?);
            }
            3 => message = text(field.value)?,
            _ => {}
        }
    }
    losses.stage.set(row, "relay");
    match NodeState::try_from(state) {
        Ok(known) => losses.reason.set(row, &known.as_str_name().to_ascii_lowercase()),
        Err(_unknown) => losses.reason.set(row, &state.to_string()),
    }
    let detail = [names.as_str(), message].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
    if !detail.is_empty() {
        losses.detail.set(row, &detail);
    }
    Ok(Recorded::NodeStatus)
}

fn agent(event: &Event<'_>, events: &mut agent_events::Builder) -> Result<Recorded, Fault> {
    let row = events.row();
    let is_debug = event.number == 5;
    let (mut kind, mut started) = (0, None);
    let mut fields = Reader::new(event.message);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => kind = low_i32(number(field.value)?),
            7 if is_debug => {
                let message = text(field.value)?;
                if !message.is_empty() {
                    events.message.set(row, message);
                }
            }
            101 if !is_debug => {
                let mut fields = Reader::new(bytes(field.value)?);
                while let Some(field) = fields.next()? {
                    if field.number == 1 {
                        started = Some(instant(bytes(field.value)?)?);
                    }
                }
            }
            _ => {}
        }
    }
    let Some(time) = event.time.or(started) else { return Err(missing_time("time")) };
    events.time.set(row, checked(time, "time")?.as_nanos());
    events.kind.set(row, if is_debug { "debug" } else { "agent" });
    let name = if is_debug {
        DebugEventType::try_from(kind).ok().map(|kind| kind.as_str_name())
    } else {
        AgentEventType::try_from(kind).ok().map(|kind| kind.as_str_name())
    };
    put_enum(&mut events.event_type, row, kind, name);
    Ok(if is_debug { Recorded::Debug } else { Recorded::Agent })
}

/// Appends the `observer.ExportEvent` of an agent or debug event, as it came.
pub fn encode_agent_event(view: &agent_events::View<'_>, row: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(view.rest.get(row).unwrap_or_default());
}

/// Appends the `observer.GetAgentEventsResponse` of an agent event, or the `observer.GetDebugEventsResponse` of a
/// debug event.
pub fn encode_agent_response(view: &agent_events::View<'_>, row: usize, out: &mut Vec<u8>) {
    let from = if view.kind.get(row) == Some("debug") { 5 } else { 4 };
    let start = out.len();
    if renumber(view.rest.get(row).unwrap_or_default(), from, 1, out).is_err() {
        out.truncate(start);
    }
}

/// Appends the `observer.ExportEvent` (or `observer.GetFlowsResponse`, which has the same numbers) of a loss notice or
/// a node status, as it came. A loss that another stage reported becomes a loss notice too, if it was counted.
/// `false` if the row has no such form.
pub fn encode_lost(view: &losses::View<'_>, row: usize, out: &mut Vec<u8>) -> bool {
    let is_ours = view.reason.get(row) != Some(crate::events::RATE_LIMIT_REASON);
    if let Some(rest) = view.rest.get(row)
        && is_ours
    {
        out.extend_from_slice(rest);
        return true;
    }
    let (Some(count), Some(time)) = (view.count.get(row), view.time.get(row)) else { return false };
    let lost = wire::open(out, 3);
    wire::put_number(out, 2, count);
    put_time(out, 4, time);
    put_time(out, 5, view.end_time.get(row).unwrap_or(time));
    lost.close(out);
    put_node_name(out, 1000, view.cluster.get(row), view.node.get(row));
    put_time(out, 1001, time);
    true
}

/// Sets the columns that say which way an event came.
pub(crate) fn put_origin(
    (recorded_at, source_kind, source): (&mut TimeColumn, &mut DictColumn, &mut DictColumn),
    row: usize,
    origin: &Origin<'_>,
) {
    recorded_at.set(row, origin.recorded_at.as_nanos());
    source_kind.set(row, origin.kind.as_str());
    source.set(row, origin.source);
}

/// Sets cluster and node from a node name. Only `cluster/node`, with exactly one slash and nothing empty, is taken
/// apart: so the name can be put together again.
pub(super) fn put_node(cluster: &mut DictColumn, node: &mut DictColumn, row: usize, node_name: &str) {
    match node_name.split_once('/') {
        Some((before, after)) if !before.is_empty() && !after.is_empty() && !after.contains('/') => {
            cluster.set(row, before);
            node.set(row, after);
        }
        _ if node_name.is_empty() => {}
        _ => node.set(row, node_name),
    }
}

/// Appends a node name put together from cluster and node.
pub(super) fn put_node_name(out: &mut Vec<u8>, number: u32, cluster: Option<&str>, node: Option<&str>) {
    match (cluster, node) {
        (Some(cluster), Some(node)) => {
            let open = wire::open(out, number);
            out.extend_from_slice(cluster.as_bytes());
            out.push(b'/');
            out.extend_from_slice(node.as_bytes());
            open.close(out);
        }
        (None, Some(node)) => wire::put_bytes(out, number, node.as_bytes()),
        (_, None) => {}
    }
}

/// Appends an instant.
pub(crate) fn put_time(out: &mut Vec<u8>, number: u32, nanos: i64) {
    let (seconds, nanos) = Timestamp::from_nanos(nanos).to_parts();
    let open = wire::open(out, number);
    if seconds != 0 {
        wire::put_number(out, 1, wire::signed(seconds));
    }
    if nanos != 0 {
        wire::put_number(out, 2, wire::signed(i64::from(nanos)));
    }
    open.close(out);
}

/// Keeps the envelope of an event that does not follow from the event.
pub(super) fn put_envelope(message: &[u8], rest: &mut Vec<u8>) -> Result<(), Fault> {
    let open = wire::open(rest, rest::ENVELOPE);
    let mut fields = Reader::new(message);
    while let Some(field) = fields.next()? {
        if !(1..=5).contains(&field.number) {
            rest.extend_from_slice(field.raw);
        }
    }
    open.close(rest);
    Ok(())
}

fn missing_time(field: &'static str) -> Fault {
    Rejection::new(RejectReason::MissingTime, field).into()
}

/// An instant as nanoseconds.
pub(crate) fn checked(time: Instant, field: &'static str) -> Result<Timestamp, Rejection> {
    time.timestamp().map_err(|error| Rejection::new(RejectReason::TimeOutOfRange, format!("{field}: {error}")))
}
