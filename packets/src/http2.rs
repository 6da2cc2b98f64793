//! HTTP/2 in clear text: frames, and the header fields that tell what was asked and what came of it.
//!
//! One [`Half`] reads one direction. It may start in the middle of a connection: then header fields that refer to
//! what was said before stay unknown, and say so. A table entry is only ever resolved to what this half has seen
//! sent since its start or since the last gap, so a name or value that is told was on the wire.

mod frame;
mod hpack;

use crate::Malformed;
use frame::{FRAME_HEADER_LEN, FrameHeader, Kind};
use hpack::Table;

/// What a client sends first.
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A header block larger than this, continuations included, is given up.
const MOST_BLOCK: usize = 64 * 1024;
/// A value longer than this is cut.
const MOST_VALUE: usize = 4 * 1024;
/// Header fields other than the named ones kept of a block.
const MOST_OTHERS: usize = 64;
/// Payload of the frames that are read whole besides header blocks (RST_STREAM, GOAWAY).
const MOST_SMALL: usize = 64;

/// Whether bytes are the client preface, or as much of it as there is.
#[must_use]
pub fn looks_like_preface(bytes: &[u8]) -> bool {
    !bytes.is_empty() && PREFACE.iter().zip(bytes).all(|(wanted, found)| wanted == found)
}

/// Whether bytes are the start of a plausible frame: a known type with the length, flags and stream it must have.
#[must_use]
pub fn looks_like_frame(bytes: &[u8]) -> bool {
    FrameHeader::parse(bytes).is_some_and(|header| header.is_plausible())
}

/// Whether bytes are frames from their first to their last, and begin as a connection or a stream begins. Where the
/// capture has the beginning of the connection, only SETTINGS, with which a server begins, will do.
#[must_use]
pub fn looks_like_start(bytes: &[u8], has_beginning: bool) -> bool {
    let Some(first) = FrameHeader::parse(bytes) else { return false };
    if !(first.is_settings() || (!has_beginning && first.kind == Kind::Headers)) {
        return false;
    }
    let mut rest = bytes;
    while let Some(header) = FrameHeader::parse(rest) {
        if !header.is_plausible() {
            return false;
        }
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        rest = rest.get(FRAME_HEADER_LEN.saturating_add(length)..).unwrap_or_default();
    }
    true
}

/// Header fields of one block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// `:method`.
    pub method: Option<String>,
    /// `:path`.
    pub path: Option<String>,
    /// `:authority`.
    pub authority: Option<String>,
    /// `:scheme`.
    pub scheme: Option<String>,
    /// `:status`.
    pub status: Option<u16>,
    /// `grpc-status`.
    pub grpc_status: Option<u32>,
    /// `content-type`.
    pub content_type: Option<String>,
    /// Every other field whose name and value are known, in order.
    pub others: Vec<(String, String)>,
    /// Fields of the block that refer to what was said before this half began, or that were too many to keep.
    pub n_unknown: usize,
}

impl Fields {
    /// Whether this is a call of gRPC, as its content type says.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.content_type.as_deref().is_some_and(|kind| kind.starts_with("application/grpc"))
    }

    fn put(&mut self, name: &[u8], value: &[u8]) {
        let value = String::from_utf8_lossy(value.get(..value.len().min(MOST_VALUE)).unwrap_or(value)).into_owned();
        let slot = match name {
            b":method" => &mut self.method,
            b":path" => &mut self.path,
            b":authority" => &mut self.authority,
            b":scheme" => &mut self.scheme,
            b"content-type" => &mut self.content_type,
            b":status" => {
                self.status = value.parse().ok();
                return;
            }
            b"grpc-status" => {
                self.grpc_status = value.parse().ok();
                return;
            }
            _ if self.others.len() < MOST_OTHERS => {
                self.others.push((String::from_utf8_lossy(name).into_owned(), value));
                return;
            }
            _ => {
                self.n_unknown += 1;
                return;
            }
        };
        *slot = Some(value);
    }
}

/// What happened on a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A block of header fields: a request, a response, or trailers.
    Headers {
        /// The stream.
        stream_id: u32,
        /// Whether the sender says nothing more on the stream.
        is_end: bool,
        /// What the block says.
        fields: Box<Fields>,
    },
    /// Data began to be sent.
    Data {
        /// The stream.
        stream_id: u32,
        /// Length of the frame, padding included.
        length: u32,
        /// Whether the sender says nothing more on the stream.
        is_end: bool,
    },
    /// The stream was given up.
    Reset {
        /// The stream.
        stream_id: u32,
        /// Error code of RFC 9113 §7.
        code: u32,
    },
    /// The connection is about to end.
    GoAway {
        /// Error code of RFC 9113 §7.
        code: u32,
    },
    /// Bytes that were not understood; what they told of the header table is forgotten.
    Fault(Malformed),
}

/// Where in the frames a half is.
#[derive(Debug)]
enum State {
    /// Nothing seen yet, or bytes are missing: the next push has to begin with something plausible.
    Lost,
    /// In the header of a frame.
    Header,
    /// In a frame that is read whole.
    Payload(FrameHeader),
    /// In a frame of which so many bytes are passed over.
    Skip(usize),
}

/// A header block under construction.
#[derive(Debug)]
struct Block {
    stream_id: u32,
    is_end: bool,
    /// Whether it is a promise of the server: read for the table's sake, told to nobody.
    is_promise: bool,
    bytes: Vec<u8>,
}

/// One direction of an HTTP/2 connection.
#[derive(Debug)]
pub struct Half {
    state: State,
    pending: Vec<u8>,
    block: Option<Block>,
    table: Table,
    n_bytes: usize,
}

impl Default for Half {
    fn default() -> Self {
        Self::new()
    }
}

impl Half {
    /// A half that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { state: State::Lost, pending: Vec::new(), block: None, table: Table::new(), n_bytes: 0 }
    }

    /// Takes the next bytes in order. After a start or a gap, a push that does not begin with a preface or a
    /// plausible frame is passed over.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        let mut left = bytes;
        while !left.is_empty() {
            left = match &mut self.state {
                State::Lost => self.find(left),
                State::Header => self.header(left, &mut events),
                State::Payload(_) => self.payload(left, &mut events),
                State::Skip(n_bytes) => {
                    let n_now = left.len().min(*n_bytes);
                    *n_bytes -= n_now;
                    if *n_bytes == 0 {
                        self.state = State::Header;
                    }
                    left.get(n_now..).unwrap_or_default()
                }
            };
        }
        self.n_bytes = self.n_bytes.saturating_add(bytes.len());
        events
    }

    /// Bytes are missing here. The header table is not known any more: a block may have been among them.
    pub fn gap(&mut self) {
        self.state = State::Lost;
        self.pending.clear();
        self.block = None;
        self.table = Table::new();
    }

    /// How many of the next bytes are of a frame that is passed over: DATA, or one that says nothing about a request.
    #[must_use]
    pub const fn n_to_skip(&self) -> usize {
        match self.state {
            State::Skip(n_bytes) => n_bytes,
            State::Lost | State::Header | State::Payload(_) => 0,
        }
    }

    /// Passes over bytes without seeing them, no more than [`Half::n_to_skip`] says.
    pub fn skip(&mut self, n_bytes: usize) {
        if let State::Skip(left) = &mut self.state {
            *left = left.saturating_sub(n_bytes);
            if *left == 0 {
                self.state = State::Header;
            }
            self.n_bytes = self.n_bytes.saturating_add(n_bytes);
        }
    }

    /// How many bytes are kept, at most.
    #[must_use]
    pub fn n_pending(&self) -> usize {
        self.table.n_held() + self.pending.len() + self.block.as_ref().map_or(0, |block| block.bytes.len())
    }

    /// Whether this half knows where frames begin.
    #[must_use]
    pub const fn is_in_step(&self) -> bool {
        !matches!(self.state, State::Lost)
    }

    /// Looks for a place to begin, at the start of a push only.
    fn find<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        self.pending.extend_from_slice(bytes.get(..bytes.len().min(PREFACE.len())).unwrap_or(bytes));
        let before = self.pending.len() - bytes.len().min(PREFACE.len());
        if looks_like_preface(&self.pending) {
            if self.pending.len() < PREFACE.len() {
                return &[];
            }
            self.pending.clear();
            self.state = State::Header;
            return bytes.get(PREFACE.len() - before..).unwrap_or_default();
        }
        // Fewer bytes than a preface were taken for the start of one and are not.
        let is_plausible = before == 0 && looks_like_frame(bytes);
        self.pending.clear();
        if is_plausible {
            self.state = State::Header;
            return bytes;
        }
        &[]
    }

    fn header<'a>(&mut self, bytes: &'a [u8], events: &mut Vec<Event>) -> &'a [u8] {
        let n_now = bytes.len().min(FRAME_HEADER_LEN.saturating_sub(self.pending.len()));
        let (now, later) = bytes.split_at(n_now);
        self.pending.extend_from_slice(now);
        let Some(header) = FrameHeader::parse(&self.pending) else { return later };
        self.pending.clear();
        if !header.is_plausible() {
            self.fail("frame header is not one of HTTP/2", events);
            return &[];
        }
        let is_continuation = header.kind == Kind::Continuation;
        let belongs = self.block.as_ref().is_some_and(|block| block.stream_id == header.stream_id);
        if is_continuation != self.block.is_some() || (is_continuation && !belongs) {
            self.fail("header block is interrupted", events);
            return &[];
        }
        self.state = self.begin(header, events);
        later
    }

    /// Decides what to do with a frame's payload.
    fn begin(&mut self, header: FrameHeader, events: &mut Vec<Event>) -> State {
        if header.kind == Kind::Data {
            let (stream_id, is_end) = (header.stream_id, header.is_end_of_stream());
            events.push(Event::Data { stream_id, length: header.length, is_end });
        }
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        let most = match header.kind {
            Kind::Headers | Kind::PushPromise | Kind::Continuation => {
                MOST_BLOCK - self.block.as_ref().map_or(0, |block| block.bytes.len())
            }
            Kind::Reset | Kind::GoAway => MOST_SMALL,
            Kind::Data | Kind::Other => 0,
        };
        if length == 0 && most > 0 {
            self.frame(header, &[], events);
            return State::Header;
        }
        if length > most {
            if matches!(header.kind, Kind::Headers | Kind::PushPromise | Kind::Continuation) {
                events.push(Event::Fault(Malformed::new("header block is too long", self.n_bytes)));
                self.block = None;
                self.table = Table::new();
                // Further continuations of it would be out of place: wait for a plausible start.
                if !header.is_end_of_headers() {
                    return State::Lost;
                }
            }
            return State::Skip(length);
        }
        if length == 0 { State::Header } else { State::Payload(header) }
    }

    fn payload<'a>(&mut self, bytes: &'a [u8], events: &mut Vec<Event>) -> &'a [u8] {
        let State::Payload(header) = self.state else { return bytes };
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        let n_now = bytes.len().min(length.saturating_sub(self.pending.len()));
        let (now, later) = bytes.split_at(n_now);
        self.pending.extend_from_slice(now);
        if self.pending.len() >= length {
            self.state = State::Header;
            let payload = std::mem::take(&mut self.pending);
            self.frame(header, &payload, events);
            // The allocation is kept for the next frame.
            self.pending = payload;
            self.pending.clear();
        }
        later
    }

    /// Reads a frame that is whole.
    fn frame(&mut self, header: FrameHeader, payload: &[u8], events: &mut Vec<Event>) {
        let stream_id = header.stream_id;
        match header.kind {
            Kind::Headers | Kind::PushPromise => {
                let Some(fragment) = header.fragment(payload) else {
                    return self.fail("padding is longer than its frame", events);
                };
                let is_promise = header.kind == Kind::PushPromise;
                let is_end = header.is_end_of_stream() && !is_promise;
                self.block = Some(Block { stream_id, is_end, is_promise, bytes: fragment.to_vec() });
            }
            Kind::Continuation => {
                if let Some(block) = &mut self.block {
                    block.bytes.extend_from_slice(payload);
                }
            }
            Kind::Reset => {
                let code = frame::number(payload, 0).unwrap_or_default();
                return events.push(Event::Reset { stream_id, code });
            }
            Kind::GoAway => {
                let code = frame::number(payload, 4).unwrap_or_default();
                return events.push(Event::GoAway { code });
            }
            Kind::Data | Kind::Other => return,
        }
        if header.is_end_of_headers()
            && let Some(block) = self.block.take()
        {
            self.close(&block, events);
        }
    }

    /// Reads a header block that is whole.
    fn close(&mut self, block: &Block, events: &mut Vec<Event>) {
        let mut fields = Fields::default();
        let decoded = self.table.decode(&block.bytes, |name, value| match (name, value) {
            (Some(name), Some(value)) => fields.put(name, value),
            _ => fields.n_unknown += 1,
        });
        if let Err(fault) = decoded {
            // What the rest of the block would have added to the table is not known: no entry can be trusted.
            self.table = Table::new();
            fields.n_unknown += 1;
            events.push(Event::Fault(fault));
        }
        if !block.is_promise {
            let (stream_id, is_end) = (block.stream_id, block.is_end);
            events.push(Event::Headers { stream_id, is_end, fields: Box::new(fields) });
        }
    }

    fn fail(&mut self, what: &'static str, events: &mut Vec<Event>) {
        let offset = self.n_bytes;
        self.gap();
        events.push(Event::Fault(Malformed::new(what, offset)));
    }
}

#[cfg(test)]
mod tests;
