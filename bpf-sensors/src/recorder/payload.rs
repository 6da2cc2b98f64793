//! What is said on connections, told as rows of the application layer: a request where it was asked, a response where it
//! was answered. HTTP/1 and TLS are here, DNS and HTTP/2 in modules of their own.

use std::collections::HashMap;

use hindcast_model::event_id;
use hindcast_model::tables::flows::Builder;
use hindcast_packets::http1::{self, Request};
use hindcast_packets::redact::Redactor;
use hindcast_packets::tls::{self, ClientHello, Hello, Reassembler};

use super::http2::Connections;
use super::names::Names;
use super::{Class, State};
use crate::decode::{Key, Payload, PayloadProtocol, Tuple};
use crate::rows::{End, Traffic};
use crate::sink::Counters;

/// Questions and hellos that wait for their other half; more are forgotten, which costs a latency or a name.
pub(super) const MAX_WAITING: usize = 8192;
/// How long they wait, in nanoseconds.
pub(super) const PATIENCE: u64 = 30_000_000_000;
/// Hexadecimal digits of a W3C trace id.
const TRACE_ID: usize = 32;

/// One direction of a TLS connection that has not said hello to its end.
#[derive(Debug)]
struct Hearing {
    reassembler: Reassembler,
    next_seq: u32,
    since: u64,
}

/// What was said and waits for an answer.
#[derive(Debug)]
pub(super) struct Talks {
    pub(super) redactor: Redactor,
    pub(super) names: Names,
    pub(super) http2: Connections,
    hearings: HashMap<(u64, bool), Hearing>,
    /// Hellos of clients by socket.
    hellos: HashMap<u64, (ClientHello, u64)>,
}

impl Talks {
    pub(super) fn new(redactor: Redactor) -> Self {
        Self {
            redactor,
            names: Names::default(),
            http2: Connections::default(),
            hearings: HashMap::new(),
            hellos: HashMap::new(),
        }
    }

    /// Forgets what waited too long.
    pub(super) fn forget(&mut self, now: u64) {
        self.names.forget(now);
        self.hearings.retain(|_key, hearing| now.saturating_sub(hearing.since) < PATIENCE);
        self.hellos.retain(|_key, (_hello, since)| now.saturating_sub(*since) < PATIENCE);
    }
}

/// The connection on which something is said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) tuple: Tuple,
    pub(super) key: u64,
    pub(super) isn: u64,
    pub(super) process: Option<Key>,
}

impl Place {
    pub(super) fn of(payload: &Payload<'_>) -> Self {
        Self { tuple: payload.tuple, key: payload.key, isn: payload.isn, process: payload.header.process.known() }
    }
}

/// A row of the application layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said<'a> {
    pub(super) ts: u64,
    /// Whether the local end said it.
    pub(super) is_out: bool,
    pub(super) is_reply: bool,
    pub(super) l7_protocol: &'static str,
    pub(super) place: Place,
    /// What a person should know of it.
    pub(super) summary: &'a str,
    /// The stream or the message, where a packet may say several that agree in everything else.
    pub(super) id: Option<u32>,
}

impl State {
    pub(super) fn payload(&mut self, payload: &Payload<'_>) {
        match payload.protocol {
            PayloadProtocol::Dns => self.dns(payload),
            PayloadProtocol::Http => self.http(payload),
            PayloadProtocol::Tls => self.tls(payload),
            PayloadProtocol::Http2 => self.http2(payload),
        }
    }

    pub(super) fn say(&mut self, said: &Said<'_>, more: impl FnOnce(&mut Builder, usize)) {
        if !self.may(Class::Flow) {
            return;
        }
        let place = said.place;
        let traffic = Traffic {
            process: place.process,
            verdict: Some("FORWARDED"),
            flow_type: "L7",
            cookie: place.key,
            connection_id: place.isn,
            summary: said.summary,
            ..Traffic::of(said.ts, place.tuple, if said.is_out { End::Source } else { End::Destination })
        };
        self.rows.flow(&self.clocks, &self.processes, &traffic, |flows, row| {
            if let Some(id) = said.id {
                let of = format!("{} {} {} {id}", said.ts, place.key, said.is_out);
                flows.uuid.set(row, &event_id::made_uuid(&of));
            }
            flows.l7_protocol.set(row, said.l7_protocol);
            flows.l7_type.set(row, if said.is_reply { "RESPONSE" } else { "REQUEST" });
            flows.is_reply.set(row, said.is_reply);
            // A reply goes the other way on a connection that still has the direction in which it was opened.
            flows.direction.set(row, if said.is_out == said.is_reply { "INGRESS" } else { "EGRESS" });
            more(flows, row);
        });
    }

    pub(super) fn malformed(&self, error: &hindcast_packets::Malformed) {
        // Eight bytes made it look like the protocol, and it was another: nothing is lost.
        tracing::trace!(%error, "payload is not what it looked like");
    }

    /// One event holds the request and the beginning of its response; whoever asked is the source of the first.
    fn http(&mut self, payload: &Payload<'_>) {
        let request = match http1::parse_request(payload.bytes) {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(error) => return self.malformed(&error),
        };
        let response = http1::parse_response(payload.response).ok().flatten();
        let url = self.talks.redactor.url(&url_of(&request)).into_owned();
        let trace_id = http1::header(&request.headers, "traceparent").and_then(trace_id);
        let answered = payload.header.ts;
        let place = Place::of(payload);
        let asked = answered.saturating_sub(payload.latency);
        let put = |flows: &mut Builder, row: usize| {
            flows.http_method.set(row, &request.method);
            flows.http_url.set(row, &url);
            if let Some(version) = request.version {
                flows.http_protocol.set(row, version);
            }
            if let Some(id) = &trace_id {
                flows.trace_id.set(row, id);
            }
        };
        let said = Said {
            ts: asked,
            is_out: payload.is_out,
            is_reply: false,
            l7_protocol: "HTTP",
            place,
            summary: "",
            id: None,
        };
        self.say(&said, put);
        let said = Said { ts: answered, is_out: !payload.is_out, is_reply: true, ..said };
        self.say(&said, |flows, row| {
            put(flows, row);
            flows.latency_ns.set(row, payload.latency);
            if let Some(response) = &response {
                flows.http_status.set(row, response.status);
            }
        });
    }

    fn tls(&mut self, payload: &Payload<'_>) {
        let hello = match self.hear(payload) {
            Ok(Some(hello)) => hello,
            Ok(None) => return,
            Err(error) => return self.malformed(&error),
        };
        let ts = payload.header.ts;
        let said = Said {
            ts,
            is_out: payload.is_out,
            is_reply: matches!(hello, Hello::Server(_)),
            l7_protocol: "TLS",
            place: Place::of(payload),
            summary: "",
            id: None,
        };
        match hello {
            Hello::Client(client) => {
                self.say(&said, |flows, row| {
                    if let Some(name) = &client.server_name {
                        flows.tls_server_name.set(row, name);
                    }
                });
                if self.talks.hellos.len() < MAX_WAITING {
                    self.talks.hellos.insert(payload.key, (client, ts));
                }
            }
            Hello::Server(server) => {
                let asked = self.talks.hellos.remove(&payload.key);
                self.say(&said, |flows, row| {
                    flows.tls_version.set(row, &tls::version_name(server.version));
                    flows.tls_cipher.set(row, &tls::cipher_name(server.cipher));
                    if let Some(alpn) = &server.alpn {
                        flows.tls_alpn.set(row, alpn);
                    }
                    let Some((client, asked)) = asked else { return };
                    flows.latency_ns.set(row, ts.saturating_sub(asked));
                    if let Some(name) = &client.server_name {
                        flows.tls_server_name.set(row, name);
                    }
                });
            }
        }
    }

    /// Puts a hello together from its segments. A gap, or what was sent again, ends or passes over the attempt.
    fn hear(&mut self, payload: &Payload<'_>) -> Result<Option<Hello>, hindcast_packets::Malformed> {
        let key = (payload.key, payload.is_out);
        let hearings = &mut self.talks.hearings;
        if let Some(hearing) = hearings.get(&key)
            && hearing.next_seq != payload.seq
        {
            // The distance in the ring of sequence numbers: behind is a repetition, ahead a gap.
            if payload.seq.wrapping_sub(hearing.next_seq) > u32::MAX / 2 {
                return Ok(None);
            }
            hearings.remove(&key);
            if !tls::looks_like_handshake(payload.bytes) {
                Counters::add(&self.counters.undecodable, 1);
                return Ok(None);
            }
        }
        if hearings.len() >= MAX_WAITING && !hearings.contains_key(&key) {
            return Ok(None);
        }
        let hearing = hearings.entry(key).or_insert_with(|| Hearing {
            reassembler: Reassembler::new(),
            next_seq: payload.seq,
            since: payload.header.ts,
        });
        let heard = hearing.reassembler.push(payload.bytes);
        hearing.next_seq = payload.seq.wrapping_add(payload.total);
        // Bytes that were not copied are a gap of their own.
        let is_cut = usize::try_from(payload.total).is_ok_and(|total| total > payload.bytes.len());
        if is_cut || hearing.reassembler.is_done() {
            hearings.remove(&key);
        }
        heard
    }
}

/// The URL of a request: with the host where the request names it.
fn url_of(request: &Request) -> String {
    match request.host().filter(|_host| request.target.starts_with('/')) {
        Some(host) => format!("http://{host}{}", request.target),
        None => request.target.clone(),
    }
}

/// The trace id of a `traceparent` header.
pub(super) fn trace_id(header: &str) -> Option<String> {
    let id = header.split('-').nth(1)?;
    (id.len() == TRACE_ID && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| id.to_owned())
}

#[cfg(test)]
mod tests;
