//! Frames and header blocks of HTTP/2: the pieces do not matter, and what is kept is bounded.
#![no_main]

use hindcast_packets::http2::{Half, PREFACE};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut whole = Half::new();
    let _preface = whole.push(PREFACE);
    let events = whole.push(bytes);
    let mut pieces = Half::new();
    let _preface = pieces.push(PREFACE);
    let mut n_events = 0;
    for piece in bytes.chunks(5) {
        n_events += pieces.push(piece).len();
        assert!(pieces.n_pending() <= 256 * 1024);
    }
    // Once a half has lost its place, it matters where pieces begin.
    if whole.is_in_step() && pieces.is_in_step() {
        assert_eq!(events.len(), n_events);
    }
    let _middle = Half::new().push(bytes);
});
