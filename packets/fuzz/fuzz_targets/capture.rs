//! Files of captures, damaged in every way.
#![no_main]

use hindcast_packets::capture::Capture;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut capture = Capture::new(bytes);
    let mut n_frames = 0;
    while let Ok(Some(frame)) = capture.next_frame() {
        assert!(frame.bytes.len() <= bytes.len());
        n_frames += 1;
    }
    // No packet takes less than a header.
    assert!(n_frames <= bytes.len() / 16 + 1);
});
