//! DNS messages, alone and as a stream.
#![no_main]

use hindcast_packets::dns;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = dns::parse(bytes) {
        let _all = (message.ips().count(), message.cnames().count(), message.ttl_s());
    }
    let mut stream = dns::Stream::new();
    for piece in bytes.chunks(7) {
        let _messages = stream.push(piece);
        assert!(stream.n_pending() <= 65_537);
    }
});
