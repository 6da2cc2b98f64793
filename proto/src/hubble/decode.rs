//! `flow.Flow` and its envelope → a row of `flows`.

use hindcast_model::column::Column as _;
use hindcast_model::{Timestamp, rest};

use super::endpoint::Side;
use super::event;
use super::fault::{Fault, bytes, number, text};
use super::row::{Instant, Row, Seen, instant, put_enum, put_list, put_text};
use crate::flow::{
    AuthType, DebugCapturePoint, DropReason, FlowType, SocketTranslationPoint, TraceObservationPoint, TraceReason,
    TrafficDirection, Verdict,
};
use crate::json::{MAX_BYTES, Message};
use crate::wire::{self, Field, Reader, Value, low_i32, low32};
use crate::{EventBuilders, Origin, Recorded, RejectReason, Rejection};

/// Reads an `observer.GetFlowsResponse` or `observer.ExportEvent` (both use the same numbers) into a row.
///
/// # Errors
/// The message is refused; the builders are as before.
pub fn decode_response(wire: &[u8], origin: &Origin<'_>, into: &mut EventBuilders) -> Result<Recorded, Rejection> {
    if wire.len() > MAX_BYTES {
        return Err(Rejection::new(RejectReason::TooLarge, "bytes of one message"));
    }
    match response(wire, origin, into) {
        Err(Fault::Repeated) => {
            let mut once = std::mem::take(&mut into.scratch.rewritten);
            once.clear();
            let outcome = wire::merge::once(Message::ExportEvent.definition(), wire, &mut once)
                .map_err(Fault::from)
                .and_then(|()| response(&once, origin, into));
            into.scratch.rewritten = once;
            outcome.map_err(Rejection::from)
        }
        outcome => outcome.map_err(Rejection::from),
    }
}

/// Reads a `flow.Flow` that came without an envelope.
///
/// # Errors
/// The message is refused; the builders are as before.
pub fn decode_flow(wire: &[u8], origin: &Origin<'_>, into: &mut EventBuilders) -> Result<Recorded, Rejection> {
    if wire.len() > MAX_BYTES {
        return Err(Rejection::new(RejectReason::TooLarge, "bytes of one message"));
    }
    match flow_row(wire, Envelope::Bare, origin, into) {
        Err(Fault::Repeated) => {
            let mut once = Vec::with_capacity(wire.len());
            wire::merge::once(Message::Flow.definition(), wire, &mut once)?;
            flow_row(&once, Envelope::Bare, origin, into).map_err(Rejection::from)
        }
        outcome => outcome.map_err(Rejection::from),
    }
}

/// What stands around an event.
#[derive(Clone, Copy)]
pub(super) enum Envelope<'a> {
    Bare,
    Around {
        /// The whole response.
        message: &'a [u8],
        node_name: &'a str,
        time: Option<Instant>,
        /// Whether it holds fields that nobody knows.
        is_plain: bool,
    },
}

fn response(wire: &[u8], origin: &Origin<'_>, into: &mut EventBuilders) -> Result<Recorded, Fault> {
    let mut seen = Seen::default();
    let mut content: Option<Field<'_>> = None;
    let (mut node_name, mut time, mut is_plain) = ("", None, true);
    let mut fields = Reader::new(wire);
    while let Some(field) = fields.next()? {
        let read = match field.number {
            1..=5 => seen.first(1).map(|()| content = Some(field)),
            1000 => seen.first(2).and_then(|()| text(field.value)).map(|text| node_name = text),
            1001 => {
                seen.first(3).and_then(|()| bytes(field.value)).and_then(instant).map(|instant| time = Some(instant))
            }
            _ => {
                is_plain = false;
                Ok(())
            }
        };
        read.map_err(|fault| fault.in_field("observer.ExportEvent", field.number))?;
    }
    let Some(content) = content else {
        return Err(Rejection::new(RejectReason::UnknownKind, "no event in the envelope").into());
    };
    let message = bytes(content.value).map_err(|fault| fault.in_field("observer.ExportEvent", content.number))?;
    if content.number == 1 {
        return flow_row(message, Envelope::Around { message: wire, node_name, time, is_plain }, origin, into)
            .map_err(|fault| fault.in_field("observer.ExportEvent", 1));
    }
    event::decode(&event::Event { number: content.number, message, wire, node_name, time }, origin, into)
}

/// What a flow says of its own time and node.
#[derive(Default)]
struct Own<'a> {
    time: Option<Instant>,
    node_name: &'a str,
    /// Flows it stands for.
    n_folded: u64,
}

fn flow_row(
    message: &[u8],
    envelope: Envelope<'_>,
    origin: &Origin<'_>,
    into: &mut EventBuilders,
) -> Result<Recorded, Fault> {
    into.scratch.clear();
    let row = into.flows.row();
    let mut state = Row { columns: &mut into.flows, row, scratch: &mut into.scratch };
    let filled = state.flow(message).and_then(|own| state.finish(&own, envelope, origin));
    match filled {
        Ok(()) => {
            into.flows.commit();
            Ok(Recorded::Flow)
        }
        Err(stop) => {
            into.flows.rollback();
            Err(stop)
        }
    }
}

/// Sets an enum column of the row.
macro_rules! enum_column {
    ($row:ident, $column:ident, $type:ty, $field:expr) => {{
        let number = low_i32(number($field.value)?);
        let name = <$type>::try_from(number).ok().map(|value| value.as_str_name());
        put_enum(&mut $row.columns.$column, $row.row, number, name);
    }};
}

/// Sets a number column of the row; zero says nothing.
macro_rules! number_column {
    ($row:ident, $column:ident, $value:expr) => {{
        let value = $value;
        if value != 0 {
            $row.columns.$column.set($row.row, value);
        }
    }};
}

impl<'b> Row<'b> {
    fn flow<'a>(&mut self, message: &'a [u8]) -> Result<Own<'a>, Fault> {
        let mut own = Own::default();
        let mut seen = Seen::default();
        let mut fields = Reader::new(message);
        while let Some(field) = fields.next()? {
            let read = match field.number {
                13 => super::put_list_item(&mut self.scratch.names[0], field.value),
                14 => super::put_list_item(&mut self.scratch.names[1], field.value),
                1 => seen.first(1).and_then(|()| bytes(field.value)).and_then(instant).map(|time| {
                    own.time = Some(time);
                    if !time.is_plain {
                        self.scratch.rest.extend_from_slice(field.raw);
                    }
                }),
                11 => seen.first(11).and_then(|()| text(field.value)).map(|name| own.node_name = name),
                number @ 2..=36 => seen.first(number).and_then(|()| self.flow_field(field)),
                40 => seen.first(40).and_then(|()| self.ip_trace_id(bytes(field.value)?)),
                100_000 => seen.first(60).and_then(|()| put_text(&mut self.columns.summary, self.row, field.value)),
                21_007 => seen
                    .first(61)
                    .and_then(|()| self.keep(field))
                    .and_then(|()| folded(bytes(field.value)?))
                    .map(|n_folded| own.n_folded = n_folded),
                _ => self.keep(field),
            };
            read.map_err(|fault| fault.in_field("flow.Flow", field.number))?;
        }
        put_list(&mut self.columns.src_names, self.row, &self.scratch.names[0]);
        put_list(&mut self.columns.dst_names, self.row, &self.scratch.names[1]);
        let [egress_allowed, ingress_allowed, egress_denied, ingress_denied] = &self.scratch.policies;
        put_list(&mut self.columns.egress_allowed_by, self.row, egress_allowed);
        put_list(&mut self.columns.ingress_allowed_by, self.row, ingress_allowed);
        put_list(&mut self.columns.egress_denied_by, self.row, egress_denied);
        put_list(&mut self.columns.ingress_denied_by, self.row, ingress_denied);
        Ok(own)
    }

    /// Fields 2 to 36.
    fn flow_field(&mut self, field: Field<'_>) -> Result<(), Fault> {
        match field.number {
            2 => enum_column!(self, verdict, Verdict, field),
            3 => number_column!(self, drop_reason_code, low32(number(field.value)?)),
            4 => return self.ethernet(bytes(field.value)?),
            5 => return self.ip(bytes(field.value)?),
            6 => return self.layer4(bytes(field.value)?),
            8 => return self.endpoint(Side::Source, bytes(field.value)?),
            9 => return self.endpoint(Side::Destination, bytes(field.value)?),
            10 => enum_column!(self, flow_type, FlowType, field),
            15 => return self.layer7(bytes(field.value)?),
            19 => return self.event_type(bytes(field.value)?),
            20 => return self.service(Side::Source, bytes(field.value)?),
            21 => return self.service(Side::Destination, bytes(field.value)?),
            22 => enum_column!(self, direction, TrafficDirection, field),
            23 => number_column!(self, policy_match_type, low32(number(field.value)?)),
            24 => enum_column!(self, trace_observation_point, TraceObservationPoint, field),
            25 => enum_column!(self, drop_reason, DropReason, field),
            26 => return self.is_reply(bytes(field.value)?),
            27 => enum_column!(self, debug_capture_point, DebugCapturePoint, field),
            28 => return self.interface(bytes(field.value)?),
            29 => match u16::try_from(low32(number(field.value)?)) {
                Ok(port) => number_column!(self, proxy_port, port),
                Err(_too_large) => self.scratch.rest.extend_from_slice(field.raw),
            },
            30 => return self.trace_context(bytes(field.value)?),
            31 => enum_column!(self, sock_xlate_point, SocketTranslationPoint, field),
            32 => number_column!(self, socket_cookie, number(field.value)?),
            33 => number_column!(self, cgroup_id, number(field.value)?),
            34 => {
                let uuid = text(field.value)?;
                if !uuid.is_empty() {
                    self.columns.uuid.set(self.row, uuid);
                }
            }
            35 => enum_column!(self, auth_type, AuthType, field),
            36 => enum_column!(self, trace_reason, TraceReason, field),
            _ => return self.keep(field),
        }
        Ok(())
    }

    /// Keeps a field that has no column, after checking what of it is known.
    fn keep(&mut self, field: Field<'_>) -> Result<(), Fault> {
        self.scratch.rest.extend_from_slice(field.raw);
        let Some(known) = Message::Flow.definition().by_number(field.number) else { return Ok(()) };
        wire::merge::check_field(known, field.value)?;
        let list = match field.number {
            21_001 => 0,
            21_002 => 1,
            21_004 => 2,
            21_005 => 3,
            _ => return Ok(()),
        };
        if let (Some(list), Value::Bytes(policy)) = (self.scratch.policies.get_mut(list), field.value) {
            policy_name(policy, list)?;
        }
        Ok(())
    }

    /// Sets what comes from around the flow, and what the row needs to say of itself.
    fn finish(&mut self, own: &Own<'_>, envelope: Envelope<'_>, origin: &Origin<'_>) -> Result<(), Fault> {
        let (outer_node, outer_time) = match envelope {
            Envelope::Bare => ("", None),
            Envelope::Around { node_name, time, .. } => (node_name, time),
        };
        let Some(time) = own.time.or(outer_time) else {
            return Err(Rejection::new(RejectReason::MissingTime, "flow.time").into());
        };
        let time = event::checked(time, "flow.time")?;
        let (columns, row, rest) = (&mut *self.columns, self.row, &mut self.scratch.rest);
        if own.time.is_none() {
            wire::put_number(rest, rest::NO_TIME, 1);
        }
        let node_name = if own.node_name.is_empty() { outer_node } else { own.node_name };
        if own.node_name.is_empty() && !outer_node.is_empty() {
            wire::put_number(rest, rest::COPIED, 11);
        }
        event::put_node(&mut columns.cluster, &mut columns.node, row, node_name);
        match envelope {
            Envelope::Bare => wire::put_number(rest, rest::BARE, 1),
            Envelope::Around { message, node_name, time, is_plain } => {
                let follows = is_plain
                    && node_name == own.node_name
                    && time.is_some_and(|time| time.is_plain)
                    && time.map(|time| (time.seconds, time.nanos)) == own.time.map(|time| (time.seconds, time.nanos));
                if !follows {
                    event::put_envelope(message, rest)?;
                }
            }
        }
        columns.time.set(row, Timestamp::as_nanos(time));
        columns.recorded_at.set(row, origin.recorded_at.as_nanos());
        columns.source_kind.set(row, origin.kind.as_str());
        columns.source.set(row, origin.source);
        columns.flow_count.set(row, own.n_folded.max(1));
        if !rest.is_empty() {
            columns.rest.set(row, rest);
        }
        debug_assert!(columns.flow_count.len() == row + 1, "one value per row");
        Ok(())
    }
}

/// How many flows an aggregate stands for.
fn folded(message: &[u8]) -> Result<u64, Fault> {
    let mut counts = [0_u64; 3];
    let mut fields = Reader::new(message);
    while let Some(field) = fields.next()? {
        let index = usize::try_from(field.number).unwrap_or(usize::MAX).wrapping_sub(1);
        if let Some(count) = counts.get_mut(index) {
            *count = u64::from(low32(number(field.value)?));
        }
    }
    Ok(counts.iter().sum())
}

/// Adds a policy to a list, as `namespace/name`, or as its name where it belongs to no namespace.
fn policy_name(policy: &[u8], list: &mut String) -> Result<(), Fault> {
    let (mut name, mut namespace) = ("", "");
    let mut fields = Reader::new(policy);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => name = text(field.value)?,
            2 => namespace = text(field.value)?,
            _ => {}
        }
    }
    if namespace.is_empty() {
        hindcast_model::list::push(list, name);
    } else {
        hindcast_model::list::push(list, &format!("{namespace}/{name}"));
    }
    Ok(())
}
