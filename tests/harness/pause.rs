//! Waiting for another process that has no way to tell us.

use std::time::Duration;

/// Lets `duration` pass. For polling other processes only; a test never waits for a length of time.
#[expect(clippy::disallowed_methods, reason = "polling another process: there is no event to wait for")]
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
