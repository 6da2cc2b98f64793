//! HTTP/1: request and response heads, whole or cut, and the stream of messages in one direction of a connection.
//!
//! A head may be cut anywhere, as a sensor that copies a fixed number of bytes cuts it: what is there is told, and
//! flags say what is not whole. Bodies are never kept; the stream only counts them off.

mod stream;

use crate::Malformed;

pub use stream::{Head, Side, Stream};

/// More headers than this are not kept.
pub const MOST_HEADERS: usize = 96;

/// Names and values in the order in which they were sent. Bytes that are not UTF-8 are replaced.
pub type Headers = Vec<(String, String)>;

/// The head of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// GET, POST, …
    pub method: String,
    /// The request target as it was sent: a path with its query, or a URL.
    pub target: String,
    /// Whether the target is there to its end.
    pub is_target_whole: bool,
    /// HTTP/1.0 or HTTP/1.1; `None` where the bytes end before it.
    pub version: Option<&'static str>,
    /// The headers that are there to their end.
    pub headers: Headers,
    /// Length of the head with its empty line; `None` where the bytes end before it.
    pub head_len: Option<usize>,
}

/// The head of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// HTTP/1.0 or HTTP/1.1.
    pub version: &'static str,
    /// Status code.
    pub status: u16,
    /// The headers that are there to their end.
    pub headers: Headers,
    /// Length of the head with its empty line; `None` where the bytes end before it.
    pub head_len: Option<usize>,
}

/// The first value of a header; names are compared without regard to case.
#[must_use]
pub fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// The length of the body that the headers promise; `None` without the header, or where it is not one number.
#[must_use]
pub fn content_length(headers: &Headers) -> Option<u64> {
    let text = header(headers, "content-length")?.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

impl Request {
    /// The `Host` header.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        header(&self.headers, "host")
    }
}

/// The methods by which a request is recognised.
const METHODS: [&str; 9] = ["GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"];

/// Whether bytes may be the start of a request: a known method and a space, or as much of it as there is.
#[must_use]
pub fn looks_like_request(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && METHODS.iter().any(|method| {
            let line = method.as_bytes().iter().chain(b" ");
            line.zip(bytes).all(|(wanted, found)| wanted == found)
        })
}

/// Whether bytes may be the start of a response.
#[must_use]
pub fn looks_like_response(bytes: &[u8]) -> bool {
    !bytes.is_empty() && b"HTTP/1.".iter().zip(bytes).all(|(wanted, found)| wanted == found)
}

/// Reads the head of a request, or what there is of it. `None` where the bytes end before the method does.
///
/// # Errors
/// The bytes are not a request of HTTP/1.
pub fn parse_request(bytes: &[u8]) -> Result<Option<Request>, Malformed> {
    let mut storage = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Request::new(&mut storage);
    let status = head.parse(bytes).map_err(|cause| fault(cause, bytes))?;
    let head_len = if let httparse::Status::Complete(length) = status { Some(length) } else { None };
    let Some(method) = head.method else { return Ok(None) };
    let (target, is_target_whole) = match head.path {
        Some(target) => (target.to_owned(), true),
        None => (cut_target(bytes), false),
    };
    if target.is_empty() && !is_target_whole {
        return Ok(None);
    }
    Ok(Some(Request {
        method: method.to_owned(),
        target,
        is_target_whole,
        version: head.version.map(version_name),
        headers: owned(head.headers),
        head_len,
    }))
}

/// Reads the head of a response, or what there is of it. `None` where the bytes end before the status does.
///
/// # Errors
/// The bytes are not a response of HTTP/1.
pub fn parse_response(bytes: &[u8]) -> Result<Option<Response>, Malformed> {
    let mut storage = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Response::new(&mut storage);
    let status = head.parse(bytes).map_err(|cause| fault(cause, bytes))?;
    let head_len = if let httparse::Status::Complete(length) = status { Some(length) } else { None };
    let (Some(version), Some(code)) = (head.version, head.code) else { return Ok(None) };
    Ok(Some(Response { version: version_name(version), status: code, headers: owned(head.headers), head_len }))
}

/// What there is of a request target that does not end within the bytes.
fn cut_target(bytes: &[u8]) -> String {
    let mut words = bytes.split(|byte| *byte == b' ');
    let _method = words.next();
    String::from_utf8_lossy(words.next().unwrap_or_default()).into_owned()
}

const fn version_name(minor: u8) -> &'static str {
    if minor == 0 { "HTTP/1.0" } else { "HTTP/1.1" }
}

/// The headers that were read; the parser leaves the rest of its storage empty.
fn owned(headers: &[httparse::Header<'_>]) -> Headers {
    let read = headers.iter().take_while(|header| !header.name.is_empty());
    read.map(|header| (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned())).collect()
}

/// The library does not say where it stopped: the line it stopped in is the nearest that can be told.
fn fault(cause: httparse::Error, bytes: &[u8]) -> Malformed {
    let (what, line) = match cause {
        httparse::Error::HeaderName => ("header name has a character it must not have", 1),
        httparse::Error::HeaderValue => ("header value has a character it must not have", 1),
        httparse::Error::NewLine => ("line does not end as it must", 0),
        httparse::Error::Status => ("status is not three digits", 0),
        httparse::Error::Token => ("method or target has a character it must not have", 0),
        httparse::Error::TooManyHeaders => ("too many headers", 1),
        httparse::Error::Version => ("version is not one of HTTP/1", 0),
    };
    let after_first = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
    Malformed::new(what, if line == 0 { 0 } else { after_first })
}

#[cfg(test)]
mod tests;
