//! Hellos of TLS: the pieces do not matter, and what is kept is bounded.
#![no_main]

use hindcast_packets::tls::{Reassembler, looks_like_handshake, parse_client_hello, parse_server_hello};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _looks = looks_like_handshake(bytes);
    let _either = (parse_client_hello(bytes), parse_server_hello(bytes));
    let whole = Reassembler::new().push(bytes);
    let mut reassembler = Reassembler::new();
    let mut told = None;
    for piece in bytes.chunks(3) {
        match reassembler.push(piece) {
            Ok(None) => {}
            other => {
                told = Some(other);
                break;
            }
        }
        assert!(reassembler.n_pending() <= 128 * 1024);
    }
    if let Ok(Some(hello)) = whole {
        assert_eq!(told, Some(Ok(Some(hello))));
    }
});
