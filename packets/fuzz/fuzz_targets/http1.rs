//! Heads of HTTP/1 and streams of them, in pieces.
#![no_main]

use hindcast_packets::http1::{Side, Stream, parse_request, parse_response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _either = (parse_request(bytes), parse_response(bytes));
    for side in [Side::Requests, Side::Responses] {
        let mut stream = Stream::new(side);
        for mut piece in bytes.chunks(11) {
            while !piece.is_empty() {
                let Ok((_head, rest)) = stream.push(piece) else { break };
                piece = rest;
            }
            assert!(stream.pending().len() <= 32 * 1024);
            if stream.is_opaque() {
                stream.resume();
            }
        }
    }
});
