//! One line of a file → rows: what it is shows in its content, not in the file's name.
//!
//! A line may carry the prefix of a container runtime's log, and its event may stand as a text inside of an agent's
//! own log line (logfmt or JSON).

use hindcast_model::SourceKind;
use simd_json::Node;

use crate::json::{Message, Nodes, Reading, skip_value, with_tape};
use crate::{EventBuilders, Origin, Recorded, RejectReason, Rejection, hubble, tetragon_codec};

/// What the first members of a document say it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// A line of a Hubble exporter.
    Export,
    /// A flow without an envelope.
    Flow,
    /// A line of a Tetragon exporter.
    Runtime,
    /// An agent's log line around an event.
    Wrapped,
}

/// The prefix of a container runtime's log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CriPrefix {
    /// Where the content begins.
    pub content: usize,
    /// Whether the line goes on in the next one.
    pub is_partial: bool,
}

/// The prefix `<time> stdout|stderr F|P ` of a line, if it has one. Partial lines have to be joined before
/// [`decode_line`].
#[must_use]
pub fn cri_prefix(line: &[u8]) -> Option<CriPrefix> {
    if !line.first()?.is_ascii_digit() {
        return None;
    }
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let (time, stream, tag) = (parts.next()?, parts.next()?, parts.next()?);
    let content = time.len() + stream.len() + tag.len() + 3;
    let is_time = time.len() >= 20 && time.get(4) == Some(&b'-') && time.contains(&b'T');
    if !is_time || !matches!(stream, b"stdout" | b"stderr") || content > line.len() {
        return None;
    }
    // Further tags may follow the first, separated by colons.
    match tag.split(|byte| *byte == b':').next()? {
        b"F" => Some(CriPrefix { content, is_partial: false }),
        b"P" => Some(CriPrefix { content, is_partial: true }),
        _ => None,
    }
}

/// Reads one line, with or without its end of line. `line` is used as scratch space and holds nothing useful
/// afterwards.
///
/// # Errors
/// The line is refused; the builders are as before.
pub fn decode_line(line: &mut [u8], origin: &Origin<'_>, into: &mut EventBuilders) -> Result<Recorded, Rejection> {
    let start = line.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(line.len());
    let line = line.get_mut(start..).unwrap_or_default();
    if line.first() == Some(&b'{') {
        return decode_document(line, origin, into, true);
    }
    if let Some(prefix) = cri_prefix(line) {
        return decode_line(line.get_mut(prefix.content..).unwrap_or_default(), origin, into);
    }
    match logfmt_message(line) {
        Some(mut message) => decode_document(&mut message, origin, into, false),
        None => Err(Rejection::new(RejectReason::NotJson, "the line is no JSON object")),
    }
}

fn decode_document(
    json: &mut [u8],
    origin: &Origin<'_>,
    into: &mut EventBuilders,
    may_be_wrapped: bool,
) -> Result<Recorded, Rejection> {
    let mut wire = std::mem::take(&mut into.scratch.wire);
    wire.clear();
    let outcome = with_tape(json, |nodes| -> Result<(Content, Option<Vec<u8>>), Rejection> {
        let content = content(nodes)
            .ok_or_else(|| Rejection::new(RejectReason::UnknownKind, "no member of the document names an event"))?;
        let message = match content {
            Content::Export => Message::ExportEvent,
            Content::Flow => Message::Flow,
            Content::Runtime => Message::GetEventsResponse,
            Content::Wrapped => return Ok((content, wrapped_message(nodes))),
        };
        Reading::default().document(message.definition(), nodes, &mut wire)?;
        Ok((content, None))
    })
    .map_err(Rejection::from)
    .and_then(|read| read);
    let recorded = outcome.and_then(|(content, inner)| match (content, inner) {
        (Content::Export, _) => hubble::decode_response(&wire, &told(origin, SourceKind::Hubble), into),
        (Content::Flow, _) => hubble::decode_flow(&wire, &told(origin, SourceKind::Hubble), into),
        (Content::Runtime, _) => tetragon_codec::decode_response(&wire, &told(origin, SourceKind::Tetragon), into),
        (Content::Wrapped, Some(mut inner)) if may_be_wrapped => decode_document(&mut inner, origin, into, false),
        (Content::Wrapped, _) => Err(Rejection::new(RejectReason::UnknownKind, "a log line without an event")),
    });
    into.scratch.wire = wire;
    recorded
}

/// The origin of a line whose content tells its wire. A file may hold both kinds; a kind that says more than the wire
/// (generated, sensor, …) stays.
fn told<'a>(origin: &Origin<'a>, wire: SourceKind) -> Origin<'a> {
    let kind = match origin.kind {
        SourceKind::Hubble | SourceKind::Tetragon => wire,
        kind @ (SourceKind::Flight
        | SourceKind::Sensor
        | SourceKind::Pcap
        | SourceKind::Netflow
        | SourceKind::Sflow
        | SourceKind::FlowLog
        | SourceKind::Netobserv
        | SourceKind::Generated) => kind,
    };
    Origin { kind, ..*origin }
}

/// Looks for the first member that names an event.
fn content(nodes: &[Node<'_>]) -> Option<Content> {
    let mut looks_like_flow = false;
    let mut is_log = false;
    for (name, value) in Members::of(nodes)? {
        match name {
            "flow" | "lost_events" | "lostEvents" | "agent_event" | "agentEvent" | "debug_event" | "debugEvent"
            | "node_status" | "nodeStatus" => return Some(Content::Export),
            "rate_limit_info" | "rateLimitInfo" | "test" => return Some(Content::Runtime),
            "verdict" | "IP" | "l4" | "l7" | "Type" | "event_type" | "eventType" | "traffic_direction"
            | "trafficDirection" | "is_reply" | "isReply" => looks_like_flow = true,
            "msg" => is_log = matches!(value, Node::String(_)),
            _ if name.starts_with("process") && matches!(value, Node::Object { .. }) => {
                return Some(Content::Runtime);
            }
            _ => {}
        }
    }
    match (looks_like_flow, is_log) {
        (true, _) => Some(Content::Flow),
        (false, true) => Some(Content::Wrapped),
        (false, false) => None,
    }
}

/// The event inside of an agent's log line.
fn wrapped_message(nodes: &[Node<'_>]) -> Option<Vec<u8>> {
    Members::of(nodes)?.find_map(|(name, value)| match value {
        Node::String(text) if name == "msg" && text.starts_with('{') => Some(text.as_bytes().to_vec()),
        _ => None,
    })
}

/// The event inside of `level=info msg="{\"flow\":…}"`.
fn logfmt_message(line: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(line).ok()?;
    let (_, quoted) = text.split_once("msg=\"")?;
    if !quoted.starts_with('{') {
        return None;
    }
    let mut message = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return Some(message.into_bytes()),
            // Go quotes with the escapes of its own strings; of those only these occur in JSON text.
            '\\' => match characters.next()? {
                'n' => message.push('\n'),
                't' => message.push('\t'),
                'r' => message.push('\r'),
                escaped @ ('"' | '\\') => message.push(escaped),
                escaped @ ('u' | 'x') => {
                    let n_digits = if escaped == 'u' { 4 } else { 2 };
                    let digits: String = characters.by_ref().take(n_digits).collect();
                    message.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                }
                _ => return None,
            },
            plain => message.push(plain),
        }
    }
}

/// The members of the object at the root of a document.
struct Members<'n, 'd> {
    nodes: Nodes<'n, 'd>,
    n_left: usize,
}

impl<'n, 'd> Members<'n, 'd> {
    fn of(nodes: &'n [Node<'d>]) -> Option<Self> {
        let mut nodes = nodes.iter();
        match nodes.next()? {
            Node::Object { len, .. } => Some(Self { nodes, n_left: *len }),
            _ => None,
        }
    }
}

impl<'d> Iterator for Members<'_, 'd> {
    type Item = (&'d str, Node<'d>);

    fn next(&mut self) -> Option<Self::Item> {
        self.n_left = self.n_left.checked_sub(1)?;
        let Node::String(name) = self.nodes.next()? else { return None };
        let value = *self.nodes.next()?;
        skip_value(value, &mut self.nodes);
        Some((name, value))
    }
}

#[cfg(test)]
mod tests;
