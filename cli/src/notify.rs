//! Tells systemd, where it started us (`Type=notify`), that the service is ready or stopping.

use std::os::unix::net::UnixDatagram;

/// The service answers.
pub(crate) fn ready() {
    tell("READY=1");
}

/// The service is on its way down.
pub(crate) fn stopping() {
    tell("STOPPING=1");
}

fn tell(state: &str) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else { return };
    let sent = UnixDatagram::unbound().and_then(|sender| sender.send_to(state.as_bytes(), &socket));
    if let Err(error) = sent {
        tracing::warn!(state, %error, "systemd was not told");
    }
}
