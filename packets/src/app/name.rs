//! DNS: queries are matched with responses by their id.

use std::collections::VecDeque;

use super::{Fault, Given, Said, Told, between};
use crate::Malformed;
use crate::dns::{self, Message, Stream};

/// Queries that wait for a response.
const MOST_WAITING: usize = 64;

/// A query that waits.
#[derive(Debug)]
struct Query {
    side: usize,
    id: u16,
    name: Option<String>,
    time: i64,
}

/// The DNS of a connection.
#[derive(Debug, Default)]
pub(crate) struct Names {
    streams: [Stream; 2],
    waiting: VecDeque<Query>,
}

impl Names {
    pub(super) fn datagram(&mut self, given: Given<'_>, told: &mut Vec<Told>) {
        let message = dns::parse(given.bytes);
        self.tell(given, message, told);
    }

    pub(super) fn bytes(&mut self, given: Given<'_>, told: &mut Vec<Told>) -> bool {
        let Some(stream) = self.streams.get_mut(given.side) else { return false };
        let mut is_dns = true;
        for message in stream.push(given.bytes) {
            is_dns &= message.is_ok();
            self.tell(given, message, told);
        }
        // A stream that was misread once is read no further: its lengths mean nothing.
        is_dns
    }

    fn tell(&mut self, given: Given<'_>, message: Result<Message, Malformed>, told: &mut Vec<Told>) {
        let (side, time) = (given.side, given.time);
        let Ok(message) = message else {
            return told.push(Told { side, time, latency_ns: None, said: Said::Fault(Fault::Dns) });
        };
        let name = message.questions.first().map(|question| question.name.clone());
        let latency_ns = if message.is_response {
            let asked = self.waiting.iter().position(|query| {
                let is_same = query.name.is_none() || name.is_none() || query.name == name;
                query.side != side && query.id == message.id && is_same
            });
            asked.and_then(|position| self.waiting.remove(position)).and_then(|query| between(query.time, time))
        } else {
            // A query that is sent again is timed from its first.
            let is_again =
                self.waiting.iter().any(|query| query.side == side && query.id == message.id && query.name == name);
            if !is_again {
                if self.waiting.len() >= MOST_WAITING {
                    self.waiting.pop_front();
                }
                self.waiting.push_back(Query { side, id: message.id, name, time });
            }
            None
        };
        told.push(Told { side, time, latency_ns, said: Said::Dns(message) });
    }

    pub(super) fn gap(&mut self, side: usize) {
        if let Some(stream) = self.streams.get_mut(side) {
            stream.gap();
        }
    }

    pub(super) fn n_held(&self) -> usize {
        let names: usize = self.waiting.iter().map(|query| 48 + query.name.as_ref().map_or(0, String::len)).sum();
        names + self.streams.iter().map(Stream::n_pending).sum::<usize>()
    }
}
