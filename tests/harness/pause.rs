//! Waiting for another process that has no way to tell us.

use std::time::Duration;

/// Lets `duration` pass. For polling other processes only; a test never waits for a length of time.
#[expect(clippy::disallowed_methods, reason = "polling another process: there is no event to wait for")]
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Looks again and again until it holds, for a minute.
///
/// # Errors
/// It does not come to hold.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) -> anyhow::Result<()> {
    for _ in 0..600 {
        if holds() {
            return Ok(());
        }
        pause(Duration::from_millis(100));
    }
    anyhow::bail!("{what}, after a minute")
}
