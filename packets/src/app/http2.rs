//! HTTP/2: responses are matched with requests by their stream.

use std::collections::BTreeMap;

use super::{Fault, Given, Request, Response, Said, Told, between};
use crate::http2::{Event, Fields, Half};

/// Streams followed at once. The oldest is told as it is when there are more.
const MOST_STREAMS: usize = 256;

/// A stream between its request and the end of its response.
#[derive(Debug, Default)]
struct Stream {
    asked: Option<i64>,
    method: Option<String>,
    target: Option<String>,
    response: Option<Told>,
}

/// The requests and responses of a connection.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    halves: [Half; 2],
    streams: BTreeMap<u32, Stream>,
    has_spoken: bool,
}

impl Exchange {
    /// Gives whether the connection still is one of HTTP/2.
    pub(super) fn bytes(&mut self, given: Given<'_>, told: &mut Vec<Told>) -> bool {
        let Some(half) = self.halves.get_mut(given.side) else { return false };
        for event in half.push(given.bytes) {
            match event {
                Event::Headers { stream_id, is_end, fields } => self.headers(stream_id, is_end, *fields, given, told),
                Event::Data { stream_id, is_end: true, .. } => self.end(stream_id, given.side, told),
                Event::Data { .. } | Event::GoAway { .. } => {}
                Event::Reset { stream_id, .. } => {
                    let response = self.streams.remove(&stream_id).and_then(|stream| stream.response);
                    told.extend(response);
                }
                // Frames that were only taken for such are no fault of HTTP/2.
                Event::Fault(_fault) if !self.has_spoken => return false,
                Event::Fault(_fault) => {
                    let said = Said::Fault(Fault::Http);
                    told.push(Told { side: given.side, time: given.time, latency_ns: None, said });
                }
            }
        }
        true
    }

    fn headers(&mut self, id: u32, is_end: bool, fields: Fields, given: Given<'_>, told: &mut Vec<Told>) {
        self.has_spoken =
            self.has_spoken || fields.status.is_some() || fields.method.is_some() || fields.path.is_some();
        if fields.status.is_some_and(|status| status >= 200) {
            self.response(id, fields, given, told);
        } else if fields.method.is_some() || fields.path.is_some() || fields.authority.is_some() {
            self.request(id, fields, given, told);
        } else if let Some(Stream { response: Some(Told { said: Said::Response(response), side, .. }), .. }) =
            self.streams.get_mut(&id)
            && *side == given.side
        {
            // Trailers.
            response.headers.extend(kept(fields));
        }
        if is_end {
            self.end(id, given.side, told);
        }
    }

    fn request(&mut self, id: u32, fields: Fields, given: Given<'_>, told: &mut Vec<Told>) {
        let (method, target) = (fields.method.clone(), fields.path.clone());
        let stream = Stream { asked: Some(given.time), method: method.clone(), target: target.clone(), response: None };
        if self.streams.len() >= MOST_STREAMS
            && let Some((_, oldest)) = self.streams.pop_first()
        {
            told.extend(oldest.response);
        }
        self.streams.insert(id, stream);
        let mut headers = Vec::new();
        // HTTP/1 names the host in a header: so does this.
        if let Some(authority) = &fields.authority {
            headers.push((":authority".to_owned(), authority.clone()));
        }
        headers.extend(kept(fields));
        let said = Said::Request(Request { stream_id: id, method, target, protocol: Some("HTTP/2"), headers });
        told.push(Told { side: given.side, time: given.time, latency_ns: None, said });
    }

    fn response(&mut self, id: u32, fields: Fields, given: Given<'_>, told: &mut Vec<Told>) {
        if self.streams.len() >= MOST_STREAMS
            && !self.streams.contains_key(&id)
            && let Some((_, oldest)) = self.streams.pop_first()
        {
            told.extend(oldest.response);
        }
        let stream = self.streams.entry(id).or_default();
        let said = Said::Response(Response {
            stream_id: id,
            status: fields.status.unwrap_or_default(),
            method: stream.method.clone(),
            target: stream.target.clone(),
            protocol: Some("HTTP/2"),
            headers: kept(fields),
        });
        let latency_ns = stream.asked.and_then(|asked| between(asked, given.time));
        let response = Told { side: given.side, time: given.time, latency_ns, said };
        told.extend(stream.response.replace(response));
    }

    /// A side said the last of a stream. It is the end of it where it is the side that responds.
    fn end(&mut self, id: u32, side: usize, told: &mut Vec<Told>) {
        let responds = self.streams.get(&id).and_then(|stream| stream.response.as_ref());
        if responds.is_some_and(|response| response.side == side)
            && let Some(stream) = self.streams.remove(&id)
        {
            told.extend(stream.response);
        }
    }

    pub(super) fn gap(&mut self, side: usize) {
        if let Some(half) = self.halves.get_mut(side) {
            half.gap();
        }
    }

    pub(super) fn finish(&mut self, told: &mut Vec<Told>) {
        told.extend(std::mem::take(&mut self.streams).into_values().filter_map(|stream| stream.response));
    }

    pub(super) fn n_held(&self) -> usize {
        let texts = |stream: &Stream| {
            let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
            let headers = match &stream.response {
                Some(Told { said: Said::Response(response), .. }) => {
                    response.headers.iter().map(|(name, value)| 48 + name.len() + value.len()).sum()
                }
                _ => 0,
            };
            128 + length(&stream.method) + length(&stream.target) + headers
        };
        self.streams.values().map(texts).sum::<usize>() + self.halves.iter().map(Half::n_pending).sum::<usize>()
    }
}

/// The fields that stand beside the pseudo-headers, with the ones that were singled out.
fn kept(fields: Fields) -> Vec<(String, String)> {
    let content_type = fields.content_type.map(|value| ("content-type".to_owned(), value));
    let grpc_status = fields.grpc_status.map(|code| ("grpc-status".to_owned(), code.to_string()));
    content_type.into_iter().chain(grpc_status).chain(fields.others).collect()
}
