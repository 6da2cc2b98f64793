//! `tetragon.GetEventsResponse` → a row of `runtime_events`, or of `losses`.

use hindcast_model::rest;
use hindcast_model::tables::runtime_events;
use simd_json::Node;

use super::derive;
use super::kind::{Kind, RATE_LIMIT_INFO};
use crate::events::RATE_LIMIT_REASON;
use crate::hubble::{Fault, Instant, bytes, checked, instant, number, put_origin, text};
use crate::json::{MAX_BYTES, Message, with_tape};
use crate::wire::{self, Field, Reader, Value};
use crate::{EventBuilders, Origin, Recorded, RejectReason, Rejection};

/// Reads a `tetragon.GetEventsResponse` into a row.
///
/// # Errors
/// The message is refused; the builders are as before.
pub fn decode_response(wire: &[u8], origin: &Origin<'_>, into: &mut EventBuilders) -> Result<Recorded, Rejection> {
    if wire.len() > MAX_BYTES {
        return Err(Rejection::new(RejectReason::TooLarge, "bytes of one message"));
    }
    let known = Message::GetEventsResponse.definition();
    wire::merge::check(known, wire)?;
    match response(wire, origin, into) {
        Err(Fault::Repeated) => {
            let mut once = Vec::with_capacity(wire.len());
            wire::merge::once(known, wire, &mut once)?;
            response(&once, origin, into).map_err(Rejection::from)
        }
        outcome => outcome.map_err(Rejection::from),
    }
}

/// The envelope taken apart.
#[derive(Default)]
struct Envelope<'a> {
    node_name: &'a str,
    cluster_name: &'a str,
    time: Option<Field<'a>>,
    /// The event, if its kind is known.
    event: Option<(Kind, &'a [u8])>,
    /// Labels of the node: a map, whose order says nothing.
    labels: Vec<&'a [u8]>,
    /// Everything else.
    others: Vec<Field<'a>>,
}

impl<'a> Envelope<'a> {
    fn of(wire: &'a [u8]) -> Result<Self, Fault> {
        let mut envelope = Self::default();
        let mut has = [false; 3];
        let mut once = |index: usize| match has.get_mut(index) {
            Some(seen) if !*seen => {
                *seen = true;
                Ok(())
            }
            _ => Err(Fault::Repeated),
        };
        let mut fields = Reader::new(wire);
        while let Some(field) = fields.next()? {
            match field.number {
                1000 => {
                    once(0)?;
                    envelope.node_name = text(field.value)?;
                }
                1001 if envelope.time.is_some() => return Err(Fault::Repeated),
                1001 => envelope.time = Some(field),
                1003 => {
                    once(1)?;
                    envelope.cluster_name = text(field.value)?;
                }
                1004 => envelope.labels.push(field.raw),
                number => match Kind::by_number(number) {
                    Some(kind) => {
                        once(2)?;
                        envelope.event = Some((kind, bytes(field.value)?));
                    }
                    None => envelope.others.push(field),
                },
            }
        }
        envelope.labels.sort_unstable();
        Ok(envelope)
    }

    fn time(&self) -> Result<Option<Instant>, Fault> {
        self.time.map(|field| instant(bytes(field.value)?)).transpose()
    }

    /// Appends what neither the event nor a column holds.
    fn put_remainder(&self, rest: &mut Vec<u8>) -> Result<(), Fault> {
        self.others.iter().map(|field| field.raw).chain(self.labels.iter().copied()).for_each(|raw| {
            rest.extend_from_slice(raw);
        });
        match (self.time, self.time()?) {
            (Some(field), Some(time)) if !time.is_plain => rest.extend_from_slice(field.raw),
            (Some(_), _) => {}
            (None, _) => wire::put_number(rest, rest::NO_TIME, 1),
        }
        Ok(())
    }
}

fn response(wire: &[u8], origin: &Origin<'_>, into: &mut EventBuilders) -> Result<Recorded, Fault> {
    let envelope = Envelope::of(wire)?;
    if let Some((kind, message)) = envelope.event
        && kind.number == RATE_LIMIT_INFO
    {
        return rate_limit(&envelope, message, wire, origin, into);
    }
    let mut rest = std::mem::take(&mut into.scratch.rest);
    rest.clear();
    let filled = runtime_row(&envelope, origin, &mut into.runtime_events, &mut rest);
    into.scratch.rest = rest;
    match filled {
        Ok(()) => {
            into.runtime_events.commit();
            Ok(Recorded::Runtime)
        }
        Err(fault) => {
            into.runtime_events.rollback();
            Err(fault)
        }
    }
}

fn runtime_row(
    envelope: &Envelope<'_>,
    origin: &Origin<'_>,
    events: &mut runtime_events::Builder,
    rest: &mut Vec<u8>,
) -> Result<(), Fault> {
    let row = events.row();
    let mut own_time = None;
    match envelope.event {
        Some((kind, message)) => {
            events.kind.set(row, kind.name);
            own_time = event(kind, message, events, rest)?;
        }
        None => {
            let name = unknown_kind(envelope)
                .ok_or_else(|| Rejection::new(RejectReason::UnknownKind, "no event in the envelope"))?;
            events.kind.set(row, &name);
        }
    }
    let Some(time) = envelope.time()?.or(own_time) else {
        return Err(Rejection::new(RejectReason::MissingTime, "time").into());
    };
    events.time.set(row, checked(time, "time")?.as_nanos());
    envelope.put_remainder(rest)?;
    if !envelope.node_name.is_empty() {
        events.node.set(row, envelope.node_name);
    }
    if !envelope.cluster_name.is_empty() {
        events.cluster.set(row, envelope.cluster_name);
    }
    put_origin((&mut events.recorded_at, &mut events.source_kind, &mut events.source), row, origin);
    if !rest.is_empty() {
        events.rest.set(row, rest);
    }
    Ok(())
}

/// Reads an event: its processes into their columns, the rest of it into `rest`. Gives the time that the event itself
/// tells of: of an exit its own, of an execution the start of the process.
fn event(
    kind: Kind,
    message: &[u8],
    events: &mut runtime_events::Builder,
    rest: &mut Vec<u8>,
) -> Result<Option<Instant>, Fault> {
    let row = events.row();
    let open = wire::open(rest, kind.number);
    let mut fields = Reader::new(message);
    while let Some(field) = fields.next()? {
        match field.value {
            Value::Bytes(process) if field.number == kind.process => {
                if events.process.get(row).is_some() {
                    return Err(Fault::Repeated);
                }
                events.process.set(row, process);
                derive::process(process, events)?;
            }
            Value::Bytes(parent) if field.number == kind.parent => {
                if events.parent.get(row).is_some() {
                    return Err(Fault::Repeated);
                }
                events.parent.set(row, parent);
                derive::parent(parent, events)?;
            }
            _ => rest.extend_from_slice(field.raw),
        }
    }
    open.close_or_drop(rest, false);
    let own_time = derive::event(kind.number, message, events)?;
    let started = events.start_time.get(row).filter(|_nanos| kind.number == 1).map(|nanos| {
        let (seconds, nanos) = hindcast_model::Timestamp::from_nanos(nanos).to_parts();
        Instant { seconds, nanos, is_plain: true }
    });
    Ok(own_time.or(started))
}

/// The kind of an event that no descriptor knows: the name of a JSON member that is an object, or the number of the
/// field.
fn unknown_kind(envelope: &Envelope<'_>) -> Option<String> {
    envelope.others.iter().find_map(|field| match field.value {
        Value::Bytes(json) if field.number == rest::UNKNOWN_JSON => first_object(json),
        Value::Bytes(_) if field.number != 1002 => Some(format!("field_{}", field.number)),
        _ => None,
    })
}

fn first_object(json: &[u8]) -> Option<String> {
    let found = with_tape(&mut json.to_vec(), |nodes| {
        let mut nodes = nodes.iter();
        let Some(Node::Object { len, .. }) = nodes.next() else { return None };
        for _ in 0..*len {
            let (Some(Node::String(name)), Some(value)) = (nodes.next(), nodes.next()) else { return None };
            if matches!(value, Node::Object { .. }) {
                return Some((*name).to_owned());
            }
            crate::json::skip_value(*value, &mut nodes);
        }
        None
    });
    found.ok().flatten()
}

/// What an exporter dropped is a loss, not an event of a process.
fn rate_limit(
    envelope: &Envelope<'_>,
    message: &[u8],
    wire: &[u8],
    origin: &Origin<'_>,
    into: &mut EventBuilders,
) -> Result<Recorded, Fault> {
    let Some(time) = envelope.time()? else {
        return Err(Rejection::new(RejectReason::MissingTime, "time").into());
    };
    let time = checked(time, "time")?;
    let mut count = 0;
    let mut fields = Reader::new(message);
    while let Some(field) = fields.next()? {
        if field.number == 1 {
            count = number(field.value)?;
        }
    }
    let losses = &mut into.losses;
    let row = losses.row();
    losses.time.set(row, time.as_nanos());
    losses.stage.set(row, "agent");
    losses.reason.set(row, RATE_LIMIT_REASON);
    losses.count.set(row, count);
    if !envelope.node_name.is_empty() {
        losses.node.set(row, envelope.node_name);
    }
    if !envelope.cluster_name.is_empty() {
        losses.cluster.set(row, envelope.cluster_name);
    }
    put_origin((&mut losses.recorded_at, &mut losses.source_kind, &mut losses.source), row, origin);
    losses.rest.set(row, wire);
    losses.commit();
    Ok(Recorded::RateLimit)
}
