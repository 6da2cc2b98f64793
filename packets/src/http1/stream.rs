//! The messages of HTTP/1 in one direction of a connection: heads are told, bodies are counted off.

use super::{Headers, Request, Response, content_length, header, parse_request, parse_response};
use crate::Malformed;

/// A head larger than this is given up: the stream then waits for the next start of a message.
const MOST_HEAD: usize = 16 * 1024;
/// A line that tells the length of a chunk is never longer, extensions included.
const MOST_CHUNK_LINE: usize = 512;

/// Which messages a direction carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// From the client: requests.
    Requests,
    /// From the server: responses.
    Responses,
}

/// A head that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// Of a request.
    Request(Request),
    /// Of a response.
    Response(Response),
}

impl Head {
    /// The headers.
    #[must_use]
    pub const fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => &request.headers,
            Self::Response(response) => &response.headers,
        }
    }
}

/// Where in a message the stream is.
#[derive(Debug)]
enum State {
    /// In a head, or before one.
    Head(Vec<u8>),
    /// In a body of which so many bytes are to come.
    Body(u64),
    /// In the line that tells the length of a chunk.
    ChunkLine(Vec<u8>),
    /// In a chunk of which so many bytes, with its line end, are to come.
    Chunk(u64),
    /// In the lines after the last chunk; the length of the line so far.
    Trailer(usize),
    /// In a body that ends with the connection, in another protocol, or where nobody knows.
    Opaque,
}

/// One direction of a connection.
#[derive(Debug)]
pub struct Stream {
    side: Side,
    state: State,
}

impl Stream {
    /// A direction at the start of a message.
    #[must_use]
    pub const fn new(side: Side) -> Self {
        Self { side, state: State::Head(Vec::new()) }
    }

    /// Takes bytes in order, up to the end of one head at most. Gives that head and the bytes it did not take.
    ///
    /// # Errors
    /// The bytes are not HTTP/1: the stream is opaque from here on, until [`Stream::resume`].
    pub fn push<'a>(&mut self, mut bytes: &'a [u8]) -> Result<(Option<Head>, &'a [u8]), Malformed> {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Head(_) => return self.push_head(bytes),
                State::Body(left) => {
                    let after = skip(left, &mut bytes);
                    if after == 0 {
                        self.state = State::Head(Vec::new());
                    }
                }
                State::ChunkLine(_) => bytes = self.push_chunk_line(bytes)?,
                State::Chunk(left) => {
                    let after = skip(left, &mut bytes);
                    if after == 0 {
                        self.state = State::ChunkLine(Vec::new());
                    }
                }
                State::Trailer(length) => {
                    let mut is_over = false;
                    bytes = end_of_trailer(length, bytes, &mut is_over);
                    if is_over {
                        self.state = State::Head(Vec::new());
                    }
                }
                State::Opaque => return Ok((None, &[])),
            }
        }
        Ok((None, &[]))
    }

    fn push_head<'a>(&mut self, bytes: &'a [u8]) -> Result<(Option<Head>, &'a [u8]), Malformed> {
        let State::Head(pending) = &mut self.state else { return Ok((None, bytes)) };
        let before = pending.len();
        pending.extend_from_slice(bytes.get(..bytes.len().min(MOST_HEAD)).unwrap_or(bytes));
        let parsed = match self.side {
            Side::Requests => parse_request(pending)
                .map(|head| head.and_then(|head| head.head_len.map(|length| (Head::Request(head), length)))),
            Side::Responses => parse_response(pending)
                .map(|head| head.and_then(|head| head.head_len.map(|length| (Head::Response(head), length)))),
        };
        let is_too_long = pending.len() >= MOST_HEAD;
        match parsed {
            Ok(Some((head, length))) => {
                self.state = body_of(&head);
                let rest = bytes.get(length.saturating_sub(before)..).unwrap_or_default();
                Ok((Some(head), rest))
            }
            Ok(None) if is_too_long => self.give_up("head is too long", MOST_HEAD),
            Ok(None) => Ok((None, &[])),
            Err(fault) => self.give_up(fault.what, fault.offset),
        }
    }

    fn push_chunk_line<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Malformed> {
        let State::ChunkLine(line) = &mut self.state else { return Ok(bytes) };
        let (now, later) = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) => bytes.split_at(end + 1),
            None => (bytes, <&[u8]>::default()),
        };
        line.extend_from_slice(now);
        if line.len() > MOST_CHUNK_LINE {
            return self.give_up("line of a chunk is too long", 0).map(|(_, rest)| rest);
        }
        if line.last() != Some(&b'\n') {
            return Ok(later);
        }
        match httparse::parse_chunk_size(line) {
            Ok(httparse::Status::Complete((_, 0))) => self.state = State::Trailer(0),
            Ok(httparse::Status::Complete((_, length))) => self.state = State::Chunk(length.saturating_add(2)),
            Ok(httparse::Status::Partial) | Err(_) => {
                return self.give_up("length of a chunk is not a number", 0).map(|(_, rest)| rest);
            }
        }
        Ok(later)
    }

    fn give_up<'a>(&mut self, what: &'static str, offset: usize) -> Result<(Option<Head>, &'a [u8]), Malformed> {
        self.state = State::Opaque;
        Err(Malformed::new(what, offset))
    }

    /// The message whose head was last given has no body, whatever its headers say: the response to a HEAD request.
    pub fn no_body(&mut self) {
        self.state = State::Head(Vec::new());
    }

    /// From here on the connection speaks something else, or nobody knows what.
    pub fn opaque(&mut self) {
        self.state = State::Opaque;
    }

    /// So many bytes are missing here. Inside of a body they are counted off; elsewhere the stream becomes opaque.
    pub fn gap(&mut self, n_bytes: u64) {
        self.state = match self.state {
            State::Body(left) if n_bytes < left => State::Body(left - n_bytes),
            State::Body(left) if n_bytes == left => State::Head(Vec::new()),
            State::Chunk(left) if n_bytes < left => State::Chunk(left - n_bytes),
            State::Chunk(left) if n_bytes == left => State::ChunkLine(Vec::new()),
            _ => State::Opaque,
        };
    }

    /// The next bytes are the start of a message: what an opaque stream needs to be told to go on.
    pub fn resume(&mut self) {
        if matches!(self.state, State::Opaque) {
            self.state = State::Head(Vec::new());
        }
    }

    /// Whether the stream does not know what its bytes mean.
    #[must_use]
    pub const fn is_opaque(&self) -> bool {
        matches!(self.state, State::Opaque)
    }

    /// What there is of a head that has begun and is not complete.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        if let State::Head(pending) = &self.state { pending } else { &[] }
    }
}

/// Takes up to `left` bytes off `bytes`; gives how many are still to come.
fn skip(left: &mut u64, bytes: &mut &[u8]) -> u64 {
    let n_now = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
    *bytes = bytes.get(n_now..).unwrap_or_default();
    *left = left.saturating_sub(n_now as u64);
    *left
}

/// Goes on to the empty line that ends a trailer.
fn end_of_trailer<'a>(length: &mut usize, bytes: &'a [u8], is_over: &mut bool) -> &'a [u8] {
    for (position, byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' if *length == 0 => {
                *is_over = true;
                return bytes.get(position + 1..).unwrap_or_default();
            }
            b'\n' => *length = 0,
            b'\r' => {}
            _ => *length = length.saturating_add(1),
        }
    }
    &[]
}

/// What follows a head, by RFC 9112 §6.3.
fn body_of(head: &Head) -> State {
    let headers = head.headers();
    let is_chunked = header(headers, "transfer-encoding").is_some_and(|coding| {
        coding.rsplit(',').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("chunked"))
    });
    let until_close = match head {
        Head::Response(response) => match response.status {
            101 => return State::Opaque,
            100..=199 | 204 | 304 => return State::Head(Vec::new()),
            _ => true,
        },
        Head::Request(request) if request.method == "CONNECT" => return State::Opaque,
        Head::Request(_) => false,
    };
    if is_chunked {
        return State::ChunkLine(Vec::new());
    }
    match content_length(headers) {
        Some(0) => State::Head(Vec::new()),
        Some(length) => State::Body(length),
        None if header(headers, "content-length").is_some() || until_close => State::Opaque,
        None => State::Head(Vec::new()),
    }
}
