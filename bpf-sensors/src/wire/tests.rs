//! The bytes of messages.

use super::{put_capabilities, put_number, put_text, put_time, put_wrapped};
use crate::decode::Creds;

#[test]
fn fields_are_as_protobuf_has_them() {
    let mut out = Vec::new();
    put_number(&mut out, 1, 300);
    put_number(&mut out, 2, 0);
    put_text(&mut out, 3, "ab");
    put_text(&mut out, 4, "");
    put_wrapped(&mut out, 5, 0);
    put_wrapped(&mut out, 100, 7);
    assert_eq!(out, [0x08, 0xAC, 0x02, 0x1A, 2, b'a', b'b', 0x2A, 0, 0xA2, 0x06, 2, 0x08, 7]);
}

#[test]
fn a_time_has_seconds_and_nanoseconds() {
    let mut out = Vec::new();
    put_time(&mut out, 1, 3_000_000_005);
    assert_eq!(out, [0x0A, 4, 0x08, 3, 0x10, 5]);
}

#[test]
fn capabilities_are_packed_numbers() {
    let mut out = Vec::new();
    put_capabilities(&mut out, 14, &Creds { effective: 1 << 21 | 1, ..Creds::default() });
    assert_eq!(out, [0x72, 4, 0x12, 2, 0, 21]);
}
