//! HTTP/1: responses are matched with requests in order.

use std::collections::VecDeque;

use super::{Fault, Given, Request, Response, Said, Told, between};
use crate::http1::{self, Head, Side, Stream};

/// Requests that wait for their response.
const MOST_WAITING: usize = 64;

/// A request that waits.
#[derive(Debug)]
struct Waiting {
    method: String,
    target: String,
    time: i64,
}

/// The requests and responses of a connection.
#[derive(Debug)]
pub(crate) struct Exchange {
    client: usize,
    requests: Stream,
    responses: Stream,
    waiting: VecDeque<Waiting>,
    n_heads: u64,
    /// Whether requests may have been missed: then no response can be matched any more.
    is_out_of_step: bool,
    /// Whether a side that is opaque may speak HTTP/1 again: not after an upgrade.
    may_resume: [bool; 2],
}

impl Exchange {
    pub(super) fn new(client: usize) -> Self {
        Self {
            client,
            requests: Stream::new(Side::Requests),
            responses: Stream::new(Side::Responses),
            waiting: VecDeque::new(),
            n_heads: 0,
            is_out_of_step: false,
            may_resume: [false; 2],
        }
    }

    /// Gives whether the connection still is one of HTTP/1.
    pub(super) fn bytes(&mut self, given: Given<'_>, told: &mut Vec<Told>) -> bool {
        self.resume(given);
        let mut rest = given.bytes;
        while !rest.is_empty() {
            let stream = if given.side == self.client { &mut self.requests } else { &mut self.responses };
            match stream.push(rest) {
                Ok((head, later)) => {
                    rest = later;
                    match head {
                        Some(Head::Request(head)) => self.request(head, given, told),
                        Some(Head::Response(head)) => self.response(head, given, told),
                        None => {}
                    }
                }
                // What never was HTTP/1 is no fault of it.
                Err(_fault) if self.n_heads == 0 => return false,
                Err(_fault) => {
                    self.is_out_of_step = true;
                    self.waiting.clear();
                    self.allow(given.side);
                    let said = Said::Fault(Fault::Http);
                    told.push(Told { side: given.side, time: given.time, latency_ns: None, said });
                    return true;
                }
            }
        }
        true
    }

    fn request(&mut self, head: http1::Request, given: Given<'_>, told: &mut Vec<Told>) {
        self.n_heads += 1;
        if self.waiting.len() >= MOST_WAITING {
            self.is_out_of_step = true;
            self.waiting.clear();
        }
        if !self.is_out_of_step {
            let (method, target) = (head.method.clone(), head.target.clone());
            self.waiting.push_back(Waiting { method, target, time: given.time });
        }
        let said = Said::Request(Request {
            stream_id: 0,
            method: Some(head.method),
            target: Some(head.target),
            protocol: head.version,
            headers: head.headers,
        });
        told.push(Told { side: given.side, time: given.time, latency_ns: None, said });
    }

    fn response(&mut self, head: http1::Response, given: Given<'_>, told: &mut Vec<Told>) {
        self.n_heads += 1;
        let is_interim = (100..=199).contains(&head.status) && head.status != 101;
        let request = if is_interim { None } else { self.waiting.pop_front() };
        let method = request.as_ref().map(|request| request.method.as_str());
        if method == Some("HEAD") {
            self.responses.no_body();
        }
        if head.status == 101 || (method == Some("CONNECT") && head.status < 300) {
            self.requests.opaque();
            self.responses.opaque();
            self.may_resume = [false; 2];
        }
        let latency_ns = request.as_ref().and_then(|request| between(request.time, given.time));
        let (method, target) = request.map_or((None, None), |request| (Some(request.method), Some(request.target)));
        let said = Said::Response(Response {
            stream_id: 0,
            status: head.status,
            method,
            target,
            protocol: Some(head.version),
            headers: head.headers,
        });
        told.push(Told { side: given.side, time: given.time, latency_ns, said });
    }

    /// A side that lost its place goes on where a piece begins like a message.
    fn resume(&mut self, given: Given<'_>) {
        if !self.may_resume.get(given.side).copied().unwrap_or(false) {
            return;
        }
        let is_client = given.side == self.client;
        let (stream, looks_right) = if is_client {
            (&mut self.requests, http1::looks_like_request(given.bytes))
        } else {
            (&mut self.responses, http1::looks_like_response(given.bytes))
        };
        if stream.is_opaque() && looks_right && given.bytes.len() > 8 {
            stream.resume();
        }
    }

    fn allow(&mut self, side: usize) {
        if let Some(may_resume) = self.may_resume.get_mut(side) {
            *may_resume = true;
        }
    }

    pub(super) fn gap(&mut self, side: usize, n_bytes: u32) {
        let stream = if side == self.client { &mut self.requests } else { &mut self.responses };
        let was_opaque = stream.is_opaque();
        stream.gap(u64::from(n_bytes));
        if stream.is_opaque() && !was_opaque {
            self.is_out_of_step = true;
            self.waiting.clear();
            self.allow(side);
        }
    }

    pub(super) fn n_held(&self) -> usize {
        let waiting: usize = self.waiting.iter().map(|request| 64 + request.method.len() + request.target.len()).sum();
        waiting + self.requests.pending().len() + self.responses.pending().len()
    }
}
