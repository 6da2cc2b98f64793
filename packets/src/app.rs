//! What the applications of a connection say: which protocol it is, and its messages, matched with each other.
//!
//! DNS is known by its ports; the others by their first bytes. A protocol that begins later, as TLS does after
//! STARTTLS, is looked for in the first few pieces of either side.

mod http1;
mod http2;
mod name;
mod tls;

use crate::dns::Message;
use crate::tls::{ClientHello, ServerHello};
use name::Names;

/// Ports of DNS, of multicast DNS and of LLMNR.
const DNS_PORTS: [u16; 3] = [53, 5353, 5355];
/// Pieces of a side that are looked at in search of a protocol.
const MOST_TRIES: u8 = 8;

/// Bytes of a side, in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given<'a> {
    /// 0 for the source of the connection, 1 for its destination.
    pub(crate) side: usize,
    /// When the last of them was seen, nanoseconds since 1970.
    pub(crate) time: i64,
    pub(crate) bytes: &'a [u8],
}

/// A message of an application.
#[derive(Debug)]
pub(crate) struct Told {
    /// Who said it: 0 for the source of the connection.
    pub(crate) side: usize,
    /// When it was complete.
    pub(crate) time: i64,
    /// Time from the message that it answers.
    pub(crate) latency_ns: Option<u64>,
    pub(crate) said: Said,
}

/// What was said.
#[derive(Debug)]
pub(crate) enum Said {
    Dns(Message),
    Request(Request),
    Response(Response),
    ClientHello(ClientHello),
    /// With the name that the client asked for.
    ServerHello(ServerHello, Option<String>),
    /// Bytes that are not what the protocol asks for.
    Fault(Fault),
}

/// The protocol whose bytes were not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Dns,
    Http,
    Tls,
}

impl Said {
    /// Whether it answers something; `None` where the message does not say so itself.
    pub(crate) const fn is_answer(&self) -> Option<bool> {
        match self {
            Self::Dns(message) => Some(message.is_response),
            Self::Request(_) | Self::ClientHello(_) => Some(false),
            Self::Response(_) | Self::ServerHello(..) => Some(true),
            Self::Fault(_) => None,
        }
    }
}

/// A request of HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// The stream of HTTP/2; 0 elsewhere.
    pub(crate) stream_id: u32,
    pub(crate) method: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) protocol: Option<&'static str>,
    pub(crate) headers: Vec<(String, String)>,
}

/// A response of HTTP, with what is known of its request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Response {
    /// The stream of HTTP/2; 0 elsewhere.
    pub(crate) stream_id: u32,
    pub(crate) status: u16,
    pub(crate) method: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) protocol: Option<&'static str>,
    pub(crate) headers: Vec<(String, String)>,
}

/// The protocol of a connection.
#[derive(Debug)]
pub(crate) enum App {
    /// Not known yet; how many pieces of each side were looked at, and whether the capture has its beginning.
    Undecided {
        n_tries: [u8; 2],
        has_beginning: bool,
    },
    Dns(Box<Names>),
    Http1(Box<http1::Exchange>),
    Http2(Box<http2::Exchange>),
    Tls(Box<tls::Handshake>),
    /// None that is read here.
    Nothing,
}

impl App {
    pub(crate) fn new(is_tcp: bool, src_port: u16, dst_port: u16, has_beginning: bool) -> Self {
        if DNS_PORTS.contains(&src_port) || DNS_PORTS.contains(&dst_port) {
            return Self::Dns(Box::default());
        }
        if is_tcp { Self::Undecided { n_tries: [0; 2], has_beginning } } else { Self::Nothing }
    }

    /// Takes a datagram.
    pub(crate) fn datagram(&mut self, given: Given<'_>, told: &mut Vec<Told>) {
        if let Self::Dns(names) = self
            && !given.bytes.is_empty()
        {
            names.datagram(given, told);
        }
    }

    /// Takes bytes of a stream, in order.
    pub(crate) fn bytes(&mut self, given: Given<'_>, told: &mut Vec<Told>) {
        if let Self::Undecided { n_tries, has_beginning } = self {
            let has_beginning = *has_beginning;
            if let Some(n_tries) = n_tries.get_mut(given.side) {
                *n_tries += 1;
            }
            let is_vain = n_tries.iter().any(|n_tries| *n_tries >= MOST_TRIES);
            match recognise(given, has_beginning) {
                Some(app) => *self = app,
                None if is_vain => *self = Self::Nothing,
                None => {}
            }
        }
        let goes_on = match self {
            Self::Undecided { .. } | Self::Nothing => return,
            Self::Dns(names) => names.bytes(given, told),
            Self::Http1(exchange) => exchange.bytes(given, told),
            Self::Http2(exchange) => exchange.bytes(given, told),
            Self::Tls(handshake) => handshake.bytes(given, told),
        };
        if !goes_on {
            *self = Self::Nothing;
        }
    }

    /// Bytes of a side are missing here.
    pub(crate) fn gap(&mut self, side: usize, n_bytes: u32) {
        match self {
            Self::Undecided { has_beginning, .. } => *has_beginning = false,
            Self::Nothing => {}
            Self::Dns(names) => names.gap(side),
            Self::Http1(exchange) => exchange.gap(side, n_bytes),
            Self::Http2(exchange) => exchange.gap(side),
            // A hello that lacks bytes is none.
            Self::Tls(_) => *self = Self::Nothing,
        }
    }

    /// The connection is over: what waited for more is told as it is.
    pub(crate) fn finish(&mut self, told: &mut Vec<Told>) {
        if let Self::Http2(exchange) = self {
            exchange.finish(told);
        }
    }

    /// How many bytes are kept.
    pub(crate) fn n_held(&self) -> usize {
        match self {
            Self::Undecided { .. } | Self::Nothing => 0,
            Self::Dns(names) => names.n_held(),
            Self::Http1(exchange) => exchange.n_held(),
            Self::Http2(exchange) => exchange.n_held(),
            Self::Tls(handshake) => handshake.n_held(),
        }
    }
}

/// The protocol that bytes begin, if it is one that is read here.
fn recognise(given: Given<'_>, has_beginning: bool) -> Option<App> {
    let bytes = given.bytes;
    if crate::http2::looks_like_preface(bytes) && bytes.len() > 2 {
        return Some(App::Http2(Box::default()));
    }
    if crate::http1::looks_like_request(bytes) {
        return Some(App::Http1(Box::new(http1::Exchange::new(given.side))));
    }
    if crate::http1::looks_like_response(bytes) {
        return Some(App::Http1(Box::new(http1::Exchange::new(1 - given.side.min(1)))));
    }
    if bytes.len() > 5 && crate::tls::looks_like_handshake(bytes) {
        return Some(App::Tls(Box::default()));
    }
    if crate::http2::looks_like_start(bytes, has_beginning) {
        return Some(App::Http2(Box::default()));
    }
    None
}

/// The time between two instants, where the later is the later.
fn between(earlier: i64, later: i64) -> Option<u64> {
    u64::try_from(later.checked_sub(earlier)?).ok()
}
