//! Names of TLS versions and cipher suites, as people write them.

use std::borrow::Cow;

use tls_parser::TlsCipherSuite;

/// The name of a version, as in `TLS 1.3`; its number in hexadecimal where it has none.
#[must_use]
pub fn version_name(code: u16) -> Cow<'static, str> {
    Cow::Borrowed(match code {
        0x0002 => "SSL 2.0",
        0x0300 => "SSL 3.0",
        0x0301 => "TLS 1.0",
        0x0302 => "TLS 1.1",
        0x0303 => "TLS 1.2",
        0x0304 => "TLS 1.3",
        0xFEFF => "DTLS 1.0",
        0xFEFD => "DTLS 1.2",
        0xFEFC => "DTLS 1.3",
        // Drafts that were in use; servers answered with the number of the draft.
        0x7F00..=0x7FFF => return Cow::Owned(format!("TLS 1.3 draft {}", code & 0xFF)),
        _ => return Cow::Owned(format!("0x{code:04x}")),
    })
}

/// The registered name of a cipher suite, as in `TLS_AES_128_GCM_SHA256`; its number in hexadecimal where it has none.
#[must_use]
pub fn cipher_name(code: u16) -> Cow<'static, str> {
    match TlsCipherSuite::from_id(code) {
        Some(suite) => Cow::Borrowed(suite.name),
        None => Cow::Owned(format!("0x{code:04x}")),
    }
}
