//! DNS, in datagrams and in TCP, where a message has its length before it and may be spread over packets.

use std::collections::HashMap;

use hindcast_model::column::DictColumn;
use hindcast_model::list;
use hindcast_packets::Malformed;
use hindcast_packets::dns::{self, Message, Stream};
use hindcast_packets::order::{Order, Piece};

use super::State;
use super::payload::{MAX_WAITING, PATIENCE, Place, Said};
use crate::decode::Payload;
use crate::sink::Counters;

/// Directions of TCP connections that are read at a time; each holds two messages of 64 KiB at most.
const MAX_STREAMS: usize = 512;
/// Protocol number of TCP.
const TCP: u8 = 6;

/// What waits for its other half.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Questions by socket and id, and when they were asked.
    questions: HashMap<(u64, u16), u64>,
    /// Directions of TCP connections, by socket and whether the local end speaks.
    spoken: HashMap<(u64, bool), Spoken>,
}

/// One direction of a TCP connection.
#[derive(Debug, Default)]
struct Spoken {
    order: Order<u64>,
    stream: Stream,
    last: u64,
    /// It was no DNS, or its place was lost: nothing of it means anything any more.
    is_lost: bool,
}

/// What came of a packet: when each message was whole, and how often bytes were missed.
type Heard = (Vec<(u64, Result<Message, Malformed>)>, u64);

impl Spoken {
    fn hear(&mut self, payload: &Payload<'_>) -> Heard {
        let (mut messages, mut n_gaps) = (Vec::new(), 0);
        let Self { order, stream, is_lost, .. } = self;
        order.take(payload.seq, payload.bytes, payload.total, payload.header.ts, |piece, ts| {
            if *is_lost {
                return;
            }
            match piece {
                Piece::Bytes(bytes) => messages.extend(stream.push(bytes).into_iter().map(|message| (ts, message))),
                Piece::Gap(n_bytes) => {
                    n_gaps += 1;
                    match stream.skip(usize::try_from(n_bytes).unwrap_or(usize::MAX)) {
                        Ok(message) => messages.extend(message.map(|message| (ts, message))),
                        Err(_lost) => *is_lost = true,
                    }
                }
            }
            // A stream that was misread once is read no further: its lengths mean nothing.
            *is_lost |= messages.last().is_some_and(|(_ts, message)| message.is_err());
        });
        self.last = payload.header.ts;
        (messages, n_gaps)
    }
}

impl Names {
    pub(super) fn forget(&mut self, now: u64) {
        self.questions.retain(|_key, asked| now.saturating_sub(*asked) < PATIENCE);
        self.spoken.retain(|_key, spoken| now.saturating_sub(spoken.last) < PATIENCE);
    }

    pub(super) fn hang_up(&mut self, key: u64) {
        for is_out in [false, true] {
            self.spoken.remove(&(key, is_out));
        }
    }

    fn spoken(&mut self, payload: &Payload<'_>) -> Option<&mut Spoken> {
        let key = (payload.key, payload.is_out);
        if !self.spoken.contains_key(&key) {
            // In the middle of a connection nobody knows where messages begin, unless one fills its packet.
            let is_start = payload.first_seq() == Some(payload.seq) || is_one_message(payload);
            if !is_start || self.spoken.len() >= MAX_STREAMS {
                return None;
            }
        }
        Some(self.spoken.entry(key).or_default())
    }
}

/// Whether a packet is one message with its length.
fn is_one_message(payload: &Payload<'_>) -> bool {
    let length = payload.bytes.first_chunk::<2>().map(|length| u32::from(u16::from_be_bytes(*length)));
    length.is_some_and(|length| length + 2 == payload.total)
}

impl State {
    pub(super) fn dns(&mut self, payload: &Payload<'_>) {
        let mut place = Place::of(payload);
        if payload.tuple.protocol != TCP {
            place.process = place.process.or_else(|| self.udp_owner(payload.key));
            return match dns::parse(payload.bytes) {
                Ok(message) => self.dns_message(payload.header.ts, payload.is_out, place, &message),
                Err(error) => self.malformed(&error),
            };
        }
        // There is no room for one more, or it is older than the sensors.
        let Some(spoken) = self.talks.names.spoken(payload) else { return self.missed(1) };
        let (messages, n_gaps) = spoken.hear(payload);
        self.missed(n_gaps);
        for (ts, message) in messages {
            match message {
                Ok(message) => self.dns_message(ts, payload.is_out, place, &message),
                Err(error) => self.malformed(&error),
            }
        }
    }

    /// Counts places at which bytes of a conversation were missed.
    pub(super) fn missed(&mut self, n_gaps: u64) {
        self.n_gaps += n_gaps;
        Counters::add(&self.counters.gaps, n_gaps);
    }

    fn dns_message(&mut self, ts: u64, is_out: bool, place: Place, message: &Message) {
        let key = (place.key, message.id);
        let questions = &mut self.talks.names.questions;
        let mut latency = None;
        if message.is_response {
            latency = questions.remove(&key).and_then(|asked| ts.checked_sub(asked));
        } else if questions.len() < MAX_WAITING {
            questions.insert(key, ts);
        }
        let is_reply = message.is_response;
        // A datagram holds one message.
        let id = (place.tuple.protocol == TCP).then_some(u32::from(message.id));
        let said = Said { ts, is_out, is_reply, l7_protocol: "DNS", place, summary: "", id };
        self.say(&said, |flows, row| {
            if let Some(question) = message.questions.first() {
                flows.dns_query.set(row, &question.name);
            }
            let put = |column: &mut DictColumn, items: Option<String>| {
                if let Some(items) = items {
                    column.set(row, &items);
                }
            };
            put(&mut flows.dns_qtypes, list::join(message.questions.iter().map(|question| question.qtype.as_str())));
            if !message.is_response {
                return;
            }
            flows.dns_rcode.set(row, message.rcode);
            let ips: Vec<String> = message.ips().map(|ip| ip.to_string()).collect();
            put(&mut flows.dns_ips, list::join(ips.iter().map(String::as_str)));
            put(&mut flows.dns_cnames, list::join(message.cnames()));
            put(&mut flows.dns_rrtypes, list::join(message.answers.iter().map(|answer| answer.rrtype.as_str())));
            if let Some(ttl) = message.ttl_s() {
                flows.dns_ttl_s.set(row, ttl);
            }
            if let Some(latency) = latency {
                flows.latency_ns.set(row, latency);
            }
        });
    }
}

#[cfg(test)]
mod tests;
