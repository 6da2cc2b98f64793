//! HTTP/2 and gRPC in clear text: a row for each request and one for each response, as HTTP/1 has them.
//!
//! The kernel copies what is not DATA, with sequence numbers. What is missing is either DATA, and passed over by its
//! length, or a gap: it is counted, and the fields that later refer to what was in it are not known. Such a row says so.

use std::collections::{BTreeMap, HashMap};

use hindcast_model::list;
use hindcast_packets::http2::{Event, Fields, Half};
use hindcast_packets::order::{Order, Piece};

use super::State;
use super::payload::{Place, Said, trace_id};
use crate::decode::Payload;

/// Connections that are read at a time; of more nothing is told.
const MAX_CONNECTIONS: usize = 4096;
/// Streams of one connection that wait for their response; the oldest is given up for one more.
const MAX_STREAMS: usize = 256;
/// Bytes that all connections together may hold: tables of header fields, header blocks and packets under way, and URLs
/// that wait.
const MAX_HELD: usize = 32 << 20;
/// What a waiting stream takes besides its texts.
const STREAM: usize = 160;
/// How long packets wait for one that should come before them, in nanoseconds.
const LATE: u64 = 1_000_000_000;
/// How long a connection is remembered that is silent and whose end was not told.
const SILENCE: u64 = 3_600_000_000_000;

/// Every connection that speaks HTTP/2, by socket.
#[derive(Debug, Default)]
pub(super) struct Connections {
    by_key: HashMap<u64, Connection>,
    n_held: usize,
}

#[derive(Debug)]
struct Connection {
    place: Place,
    /// What is received, and what is sent.
    ways: [Way; 2],
    streams: BTreeMap<u32, Stream>,
    /// Whether requests go out; not known before the first.
    is_client: Option<bool>,
    last_request: u32,
    n_texts: usize,
    last: u64,
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    order: Order<u64>,
    half: Half,
}

/// A request that waits for the end of its response.
#[derive(Clone, Debug, Default)]
struct Stream {
    id: u32,
    asked: Option<u64>,
    method: Option<String>,
    url: Option<String>,
    trace_id: Option<String>,
    content_type: Option<String>,
    n_unknown: usize,
    answer: Option<Answer>,
}

/// A response under way.
#[derive(Clone, Copy, Debug, Default)]
struct Answer {
    ts: u64,
    is_out: bool,
    status: Option<u16>,
    grpc_status: Option<u32>,
    is_reset: bool,
}

/// What is to become a row.
#[derive(Debug)]
struct Told {
    ts: u64,
    is_out: bool,
    stream: Stream,
}

impl Way {
    /// Puts what was read into `events`; gives the number of gaps.
    fn read(&mut self, step: Step<'_>, events: &mut Vec<(u64, Event)>) -> u64 {
        let Self { order, half } = self;
        let mut n_gaps = 0;
        let mut put = |half: &mut Half, piece: Piece<'_>, ts: u64| match piece {
            Piece::Bytes(bytes) => events.extend(half.push(bytes).into_iter().map(|event| (ts, event))),
            Piece::Gap(_) => {
                n_gaps += 1;
                half.gap();
            }
        };
        match step {
            Step::Packet(payload) => {
                let length = u32::try_from(payload.bytes.len()).unwrap_or(u32::MAX);
                order.take(payload.seq, payload.bytes, length, payload.header.ts, |piece, ts| put(half, piece, ts));
            }
            Step::GiveUp => order.give_up(|piece, ts| put(half, piece, ts)),
        }
        // What was not copied since it is DATA.
        while let Some(n_missing) = order.n_missing() {
            let n_bytes = usize::try_from(n_missing).unwrap_or(usize::MAX);
            if n_bytes > half.n_to_skip() {
                break;
            }
            half.skip(n_bytes);
            order.pass(n_missing, |piece, ts| put(half, piece, ts));
        }
        n_gaps
    }

    fn n_held(&self) -> usize {
        self.order.n_held() + self.half.n_pending()
    }
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Packet(&'a Payload<'a>),
    /// Waits no longer for what is missing.
    GiveUp,
}

impl Stream {
    fn n_texts(&self) -> usize {
        let texts = [&self.method, &self.url, &self.trace_id, &self.content_type];
        STREAM + texts.into_iter().flatten().map(String::len).sum::<usize>()
    }

    fn is_grpc(&self) -> bool {
        self.content_type.as_deref().is_some_and(|kind| kind.starts_with("application/grpc"))
    }
}

impl Connection {
    fn new(payload: &Payload<'_>) -> Self {
        let mut connection = Self {
            place: Place::of(payload),
            ways: Default::default(),
            streams: BTreeMap::new(),
            is_client: None,
            last_request: 0,
            n_texts: 0,
            last: payload.header.ts,
        };
        // From its first byte on: then what is missing before the first that is seen is missing.
        if payload.first_seq() == Some(payload.seq) {
            let other = Payload { is_out: !payload.is_out, bytes: &[], response: &[], ..*payload };
            if let (Some(seq), [inward, out]) = (other.first_seq(), &mut connection.ways) {
                if payload.is_out { inward } else { out }.order.begin(seq);
            }
        }
        connection
    }

    fn n_held(&self) -> usize {
        self.n_texts + self.ways.iter().map(Way::n_held).sum::<usize>()
    }

    /// Reads on in one direction; gives the number of gaps.
    fn read(&mut self, is_out: bool, step: Step<'_>, told: &mut Vec<Told>) -> u64 {
        let mut events = Vec::new();
        let [inward, out] = &mut self.ways;
        let mut n_gaps = if is_out { out } else { inward }.read(step, &mut events);
        for (ts, event) in events {
            match event {
                Event::Headers { stream_id, is_end, fields } => {
                    self.headers(stream_id, (ts, is_out), *fields, told);
                    if is_end {
                        self.end(stream_id, is_out, told);
                    }
                }
                Event::Data { stream_id, is_end: true, .. } => self.end(stream_id, is_out, told),
                Event::Data { .. } | Event::GoAway { .. } => {}
                Event::Reset { stream_id, .. } => {
                    if let Some(mut stream) = self.take(stream_id) {
                        stream.answer.iter_mut().for_each(|answer| answer.is_reset = true);
                        told.extend(response(stream));
                    }
                }
                // What the rest of the frames says is not known, as after bytes that are missing.
                Event::Fault(_fault) => n_gaps += 1,
            }
        }
        n_gaps
    }

    fn headers(&mut self, id: u32, (ts, is_out): (u64, bool), fields: Fields, told: &mut Vec<Told>) {
        let is_asked = fields.method.is_some() || fields.path.is_some() || fields.authority.is_some();
        // Of fields that are not known, whose turn it is tells what they are.
        let is_obscure = fields.status.is_none() && !is_asked && fields.n_unknown > 0;
        let is_new = id % 2 == 1 && id > self.last_request;
        let waits = self.streams.get(&id).is_some_and(|stream| stream.answer.is_none());
        if fields.status.is_some_and(|status| status < 200) {
            return;
        }
        if fields.status.is_some() || (is_obscure && waits && self.is_client == Some(!is_out)) {
            self.is_client = Some(!is_out);
            self.response(id, (ts, is_out), &fields, told);
        } else if is_asked || (is_obscure && is_new && self.is_client == Some(is_out)) {
            self.is_client = Some(is_out);
            self.request(id, (ts, is_out), fields, told);
        } else if let Some(Answer { grpc_status, is_out: side, .. }) =
            self.streams.get_mut(&id).and_then(|stream| stream.answer.as_mut())
            && *side == is_out
        {
            *grpc_status = fields.grpc_status.or(*grpc_status);
        }
    }

    fn request(&mut self, id: u32, (ts, is_out): (u64, bool), fields: Fields, told: &mut Vec<Told>) {
        self.last_request = self.last_request.max(id);
        let trace = fields.others.iter().find(|(name, _value)| name == "traceparent");
        let stream = Stream {
            id,
            asked: Some(ts),
            url: url_of(&fields),
            trace_id: trace.and_then(|(_name, value)| trace_id(value)),
            method: fields.method,
            content_type: fields.content_type,
            n_unknown: fields.n_unknown,
            answer: None,
        };
        told.push(Told { ts, is_out, stream: stream.clone() });
        self.put(id, stream, told);
    }

    fn response(&mut self, id: u32, (ts, is_out): (u64, bool), fields: &Fields, told: &mut Vec<Told>) {
        let mut stream = self.take(id).unwrap_or_default();
        stream.id = id;
        stream.content_type = fields.content_type.clone().or(stream.content_type);
        stream.n_unknown = fields.n_unknown;
        let (status, grpc_status) = (fields.status, fields.grpc_status);
        stream.answer = Some(Answer { ts, is_out, status, grpc_status, is_reset: false });
        // Of gRPC what came of it is told at the end.
        if stream.is_grpc() && grpc_status.is_none() {
            self.put(id, stream, told);
        } else {
            told.extend(response(stream));
        }
    }

    /// A side said the last of a stream. It is the end of it where that is the side that answers.
    fn end(&mut self, id: u32, is_out: bool, told: &mut Vec<Told>) {
        let answer = self.streams.get(&id).and_then(|stream| stream.answer);
        if answer.is_some_and(|answer| answer.is_out == is_out) {
            told.extend(self.take(id).and_then(response));
        }
    }

    fn take(&mut self, id: u32) -> Option<Stream> {
        let stream = self.streams.remove(&id)?;
        self.n_texts = self.n_texts.saturating_sub(stream.n_texts());
        Some(stream)
    }

    fn put(&mut self, id: u32, stream: Stream, told: &mut Vec<Told>) {
        drop(self.take(id));
        if self.streams.len() >= MAX_STREAMS
            && let Some(oldest) = self.streams.keys().next().copied()
        {
            told.extend(self.take(oldest).and_then(response));
        }
        self.n_texts += stream.n_texts();
        self.streams.insert(id, stream);
    }

    /// The connection is over: what waits is told as far as it is known.
    fn finish(&mut self, told: &mut Vec<Told>) -> u64 {
        let mut n_gaps = 0;
        for is_out in [false, true] {
            while self.way(is_out).order.waiting().is_some() {
                n_gaps += self.read(is_out, Step::GiveUp, told);
            }
        }
        self.n_texts = 0;
        told.extend(std::mem::take(&mut self.streams).into_values().filter_map(response));
        n_gaps
    }

    const fn way(&self, is_out: bool) -> &Way {
        let [inward, out] = &self.ways;
        if is_out { out } else { inward }
    }
}

/// The row of a response, if there was one.
fn response(stream: Stream) -> Option<Told> {
    let Answer { ts, is_out, .. } = stream.answer?;
    Some(Told { ts, is_out, stream })
}

/// The URL of a request, as far as it is known.
fn url_of(fields: &Fields) -> Option<String> {
    let path = fields.path.as_deref();
    match (&fields.authority, path) {
        (Some(authority), Some(path)) if path.starts_with('/') => Some(format!("http://{authority}{path}")),
        (_, Some(path)) => Some(path.to_owned()),
        // CONNECT names nothing else.
        (Some(authority), None) if fields.n_unknown == 0 => Some(authority.clone()),
        _ => None,
    }
}

impl State {
    pub(super) fn http2(&mut self, payload: &Payload<'_>) {
        let connections = &mut self.talks.http2;
        if connections.by_key.len() >= MAX_CONNECTIONS && !connections.by_key.contains_key(&payload.key) {
            return self.missed(1);
        }
        let connection = connections.by_key.entry(payload.key).or_insert_with(|| Connection::new(payload));
        connection.last = payload.header.ts;
        // An accepted connection has an owner once accept has returned.
        connection.place.process = payload.header.process.known().or(connection.place.process);
        let (before, mut told) = (connection.n_held(), Vec::new());
        let n_gaps = connection.read(payload.is_out, Step::Packet(payload), &mut told);
        let (after, place) = (connection.n_held(), connection.place);
        connections.n_held = (connections.n_held + after).saturating_sub(before);
        let is_too_much = connections.n_held > MAX_HELD;
        self.missed(n_gaps);
        self.tell_http2(place, told);
        if is_too_much {
            self.missed(1);
            self.hang_up(payload.key);
        }
    }

    /// Once a second: packets that others keep waiting are read without them.
    pub(super) fn hurry(&mut self, now: u64) {
        let is_late = |way: &Way| way.order.waiting().is_some_and(|ts| now.saturating_sub(ts) > LATE);
        let mut all = Vec::new();
        let Connections { by_key, n_held } = &mut self.talks.http2;
        for connection in by_key.values_mut() {
            let (before, mut told, mut n_gaps) = (connection.n_held(), Vec::new(), 0);
            for is_out in [false, true] {
                while is_late(connection.way(is_out)) {
                    n_gaps += connection.read(is_out, Step::GiveUp, &mut told);
                }
            }
            *n_held = (*n_held + connection.n_held()).saturating_sub(before);
            if n_gaps > 0 || !told.is_empty() {
                all.push((connection.place, told, n_gaps));
            }
        }
        let is_silent = |connection: &Connection| now.saturating_sub(connection.last) > SILENCE;
        let silent: Vec<u64> =
            by_key.iter().filter(|(_key, connection)| is_silent(connection)).map(|(key, _connection)| *key).collect();
        for (place, told, n_gaps) in all {
            self.missed(n_gaps);
            self.tell_http2(place, told);
        }
        silent.into_iter().for_each(|key| self.hang_up(key));
    }

    /// A connection is over, or is followed no longer.
    pub(super) fn hang_up(&mut self, key: u64) {
        self.talks.names.hang_up(key);
        let connections = &mut self.talks.http2;
        let Some(mut connection) = connections.by_key.remove(&key) else { return };
        connections.n_held = connections.n_held.saturating_sub(connection.n_held());
        let mut told = Vec::new();
        let n_gaps = connection.finish(&mut told);
        self.missed(n_gaps);
        self.tell_http2(connection.place, told);
    }

    fn tell_http2(&mut self, place: Place, told: Vec<Told>) {
        for Told { ts, is_out, stream } in told {
            let url = stream.url.as_deref().map(|url| self.talks.redactor.url(url).into_owned());
            let answer = stream.answer;
            let mut notes = Vec::new();
            if stream.n_unknown > 0 {
                notes.push(format!("{} header fields refer to what was not seen", stream.n_unknown));
            }
            if answer.is_some_and(|answer| answer.is_reset) {
                notes.push("reset".to_owned());
            }
            let summary = notes.join("; ");
            let is_reply = answer.is_some();
            let said =
                Said { ts, is_out, is_reply, l7_protocol: "HTTP", place, summary: &summary, id: Some(stream.id) };
            let grpc_status = answer.and_then(|answer| answer.grpc_status).map(|code| code.to_string());
            let headers = stream.is_grpc().then(|| {
                let kind = [("content-type", stream.content_type.as_deref()), ("grpc-status", grpc_status.as_deref())];
                list::join(kind.iter().filter_map(|(name, value)| Some([*name, (*value)?])).flatten())
            });
            self.say(&said, |flows, row| {
                flows.http_protocol.set(row, "HTTP/2");
                for (column, text) in [
                    (&mut flows.http_method, &stream.method),
                    (&mut flows.http_url, &url),
                    (&mut flows.http_headers, &headers.flatten()),
                ] {
                    if let Some(text) = text {
                        column.set(row, text);
                    }
                }
                if let Some(id) = &stream.trace_id {
                    flows.trace_id.set(row, id);
                }
                let Some(answer) = answer else { return };
                if let Some(status) = answer.status {
                    flows.http_status.set(row, status);
                }
                if let Some(latency) = stream.asked.and_then(|asked| ts.checked_sub(asked)) {
                    flows.latency_ns.set(row, latency);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests;
