//! The hellos of TLS, which are all that is in clear text and says something: the name, the versions and protocols
//! offered, and what the server chose.
//!
//! A hello may be spread over segments and over records. [`Reassembler`] puts one direction's first handshake message
//! together, in at most 64 KiB, and wants no byte after it.

mod name;

use tls_parser::{TlsExtension, parse_tls_client_hello_extension, parse_tls_server_hello_extension};
use tls_parser::{parse_tls_handshake_client_hello, parse_tls_handshake_server_hello};

use crate::Malformed;

pub use name::{cipher_name, version_name};

/// A handshake message larger than this is given up. A hello with post-quantum key shares takes some 2 KiB.
const MOST_HELLO: usize = 64 * 1024;
/// The largest record, RFC 5246 §6.2.3.
const MOST_RECORD: usize = 16 * 1024 + 2048;
/// Length of a record header.
const RECORD_HEADER_LEN: usize = 5;
/// Length of the header of a handshake message.
const MESSAGE_HEADER_LEN: usize = 4;
/// Protocols and versions kept of an offer.
const MOST_OFFERED: usize = 64;
/// The random of a ServerHello that is a HelloRetryRequest, RFC 8446 §4.1.3.
const RETRY_RANDOM: [u8; 32] = [
    0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91, 0xC2, 0xA2, 0x11,
    0x16, 0x7A, 0xBB, 0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C,
];

/// What a client offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The version field, which stands still at TLS 1.2 since TLS 1.3.
    pub legacy_version: u16,
    /// The versions offered: of the extension, without GREASE; else the version field alone.
    pub versions: Vec<u16>,
    /// Server name.
    pub server_name: Option<String>,
    /// Application protocols offered, in the client's order.
    pub alpn: Vec<String>,
    /// Cipher suites offered, without GREASE.
    pub ciphers: Vec<u16>,
}

/// What a server chose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerHello {
    /// The version chosen: of the extension, else of the version field.
    pub version: u16,
    /// The cipher suite chosen.
    pub cipher: u16,
    /// The application protocol chosen. TLS 1.3 tells it under encryption: then it is `None`.
    pub alpn: Option<String>,
    /// Whether the server asks for another ClientHello.
    pub is_retry: bool,
}

/// The first handshake message of a direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// Of the client.
    Client(ClientHello),
    /// Of the server.
    Server(ServerHello),
}

/// Whether bytes may be the start of a handshake, or as much of it as there is.
#[must_use]
pub fn looks_like_handshake(bytes: &[u8]) -> bool {
    match bytes {
        [] => false,
        [0x16] | [0x16, 0x03] => true,
        [0x16, 0x03, minor] | [0x16, 0x03, minor, _] => *minor <= 4,
        [0x16, 0x03, minor, high, low, rest @ ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let is_hello = rest.first().is_none_or(|kind| matches!(kind, 1 | 2));
            *minor <= 4 && (1..=MOST_RECORD).contains(&length) && is_hello
        }
        _ => false,
    }
}

/// Puts the first handshake message of a direction together.
#[derive(Debug, Default)]
pub struct Reassembler {
    record: Vec<u8>,
    message: Vec<u8>,
    n_taken: usize,
    is_done: bool,
}

impl Reassembler {
    /// A direction at its first byte.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes in order; gives the hello once it is whole. Further bytes are ignored.
    ///
    /// # Errors
    /// The bytes are not a hello of TLS: nothing further is taken.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<Hello>, Malformed> {
        let mut left = bytes;
        while !self.is_done && !left.is_empty() {
            let needed = self.missing();
            let (now, later) = left.split_at(needed.min(left.len()));
            self.record.extend_from_slice(now);
            self.n_taken = self.n_taken.saturating_add(now.len());
            left = later;
            let result = self.step();
            if let Some(hello) = result.inspect_err(|_fault| self.finish())? {
                self.finish();
                return Ok(Some(hello));
            }
        }
        Ok(None)
    }

    /// Whether it needs no more bytes.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.is_done
    }

    /// How many bytes are kept.
    #[must_use]
    pub const fn n_pending(&self) -> usize {
        self.record.len() + self.message.len()
    }

    fn finish(&mut self) {
        self.is_done = true;
        self.record = Vec::new();
        self.message = Vec::new();
    }

    /// How many bytes the record begun still lacks, or its header does.
    fn missing(&self) -> usize {
        match self.record.as_slice() {
            [_, _, _, high, low, content @ ..] => {
                usize::from(u16::from_be_bytes([*high, *low])).saturating_sub(content.len())
            }
            short => RECORD_HEADER_LEN.saturating_sub(short.len()),
        }
    }

    fn step(&mut self) -> Result<Option<Hello>, Malformed> {
        let offset = self.n_taken.saturating_sub(self.record.len());
        let [kind, major, minor, high, low, content @ ..] = self.record.as_slice() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if *kind != 0x16 {
            return Err(Malformed::new("record is not of a handshake", offset));
        }
        if *major != 3 || *minor > 4 {
            return Err(Malformed::new("record has no version of TLS", offset + 1));
        }
        if length == 0 || length > MOST_RECORD {
            return Err(Malformed::new("record has a length it must not have", offset + 3));
        }
        // The start of the message may be here though its record is not whole: a large hello need not be awaited
        // when it is none.
        if content.len() < length {
            return if self.message.is_empty() { check_kind(content, offset).map(|()| None) } else { Ok(None) };
        }
        self.message.extend_from_slice(content);
        self.record.clear();
        check_kind(&self.message, offset)?;
        let Some([kind, length @ ..]) = self.message.first_chunk::<MESSAGE_HEADER_LEN>() else { return Ok(None) };
        let [high, middle, low] = *length;
        let length = usize::try_from(u32::from_be_bytes([0, high, middle, low])).unwrap_or(usize::MAX);
        if length > MOST_HELLO {
            return Err(Malformed::new("hello is too long", offset));
        }
        match self.message.get(MESSAGE_HEADER_LEN..MESSAGE_HEADER_LEN + length) {
            Some(body) if *kind == 1 => parse_client_hello(body).map(|hello| Some(Hello::Client(hello))),
            Some(body) => parse_server_hello(body).map(|hello| Some(Hello::Server(hello))),
            None => Ok(None),
        }
    }
}

fn check_kind(message: &[u8], offset: usize) -> Result<(), Malformed> {
    match message.first() {
        None | Some(1 | 2) => Ok(()),
        Some(_) => Err(Malformed::new("handshake does not begin with a hello", offset + RECORD_HEADER_LEN)),
    }
}

/// Reads the body of a ClientHello: what follows type and length of the message.
///
/// # Errors
/// The body is not a ClientHello.
pub fn parse_client_hello(body: &[u8]) -> Result<ClientHello, Malformed> {
    let (_rest, contents) = parse_tls_handshake_client_hello(body).map_err(|cause| stopped(&cause, body))?;
    let legacy_version = contents.version.0;
    let mut hello = ClientHello { legacy_version, ..ClientHello::default() };
    hello.ciphers.extend(contents.ciphers.iter().map(|cipher| cipher.0).filter(|code| !is_grease(*code)));
    for bytes in extensions(contents.ext.unwrap_or_default()) {
        match parse_tls_client_hello_extension(bytes) {
            Ok((_, TlsExtension::SNI(names))) => {
                let name = names.first().map(|(_kind, name)| *name).filter(|name| !name.is_empty());
                hello.server_name = name.map(|name| String::from_utf8_lossy(name).into_owned());
            }
            Ok((_, TlsExtension::ALPN(protocols))) => {
                let texts = protocols.iter().take(MOST_OFFERED).filter(|text| !is_grease_text(text));
                hello.alpn.extend(texts.map(|text| String::from_utf8_lossy(text).into_owned()));
            }
            Ok((_, TlsExtension::SupportedVersions(versions))) => {
                let codes = versions.iter().map(|version| version.0).filter(|code| !is_grease(*code));
                hello.versions.extend(codes.take(MOST_OFFERED));
            }
            Ok(_) | Err(_) => {}
        }
    }
    if hello.versions.is_empty() {
        hello.versions.push(legacy_version);
    }
    Ok(hello)
}

/// Reads the body of a ServerHello: what follows type and length of the message.
///
/// # Errors
/// The body is not a ServerHello.
pub fn parse_server_hello(body: &[u8]) -> Result<ServerHello, Malformed> {
    let mut hello = ServerHello::default();
    let extensions_at = if let [high @ 0x7F, low @ ..=0x15, rest @ ..] = body {
        // Drafts of TLS 1.3 up to 21 had no session id and no compression.
        let cipher = rest.get(32..34).ok_or(Malformed::new("hello ends too early", body.len()))?;
        hello.version = u16::from_be_bytes([*high, *low]);
        hello.cipher = cipher.iter().fold(0, |code, byte| (code << 8) | u16::from(*byte));
        rest.get(36..).unwrap_or_default()
    } else {
        let (_rest, contents) = parse_tls_handshake_server_hello(body).map_err(|cause| stopped(&cause, body))?;
        hello.version = contents.version.0;
        hello.cipher = contents.cipher.0;
        hello.is_retry = contents.random == RETRY_RANDOM;
        contents.ext.unwrap_or_default()
    };
    for bytes in extensions(extensions_at) {
        match parse_tls_server_hello_extension(bytes) {
            Ok((_, TlsExtension::ALPN(protocols))) => {
                hello.alpn = protocols.first().map(|text| String::from_utf8_lossy(text).into_owned());
            }
            Ok((_, TlsExtension::SupportedVersions(versions))) => {
                hello.version = versions.first().map_or(hello.version, |version| version.0);
            }
            Ok(_) | Err(_) => {}
        }
    }
    Ok(hello)
}

/// The extensions that are read here, each with its type and length. Those of other types are passed over by
/// length, so that one of them, malformed, does not hide the rest.
fn extensions(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    const READ: [u16; 3] = [0, 16, 43];
    let mut rest = bytes;
    let all = std::iter::from_fn(move || {
        let [kind_high, kind_low, high, low] = *rest.first_chunk::<4>()?;
        let length = 4 + usize::from(u16::from_be_bytes([high, low]));
        let extension = rest.get(..length)?;
        rest = rest.get(length..).unwrap_or_default();
        Some((u16::from_be_bytes([kind_high, kind_low]), extension))
    });
    all.filter(|(kind, _)| READ.contains(kind)).map(|(_, extension)| extension)
}

/// Values that clients send to keep servers tolerant, RFC 8701.
const fn is_grease(code: u16) -> bool {
    code & 0x0F0F == 0x0A0A && code >> 8 == code & 0xFF
}

fn is_grease_text(text: &[u8]) -> bool {
    matches!(text, [high, low] if is_grease(u16::from_be_bytes([*high, *low])))
}

/// Where the library stopped reading.
fn stopped(cause: &tls_parser::nom::Err<tls_parser::nom::error::Error<&[u8]>>, body: &[u8]) -> Malformed {
    use tls_parser::nom::Err;
    let left = match cause {
        Err::Incomplete(_) => return Malformed::new("hello ends too early", body.len()),
        Err::Error(error) | Err::Failure(error) => error.input.len(),
    };
    Malformed::new("hello has a field it must not have", body.len().saturating_sub(left))
}

#[cfg(test)]
mod tests;
