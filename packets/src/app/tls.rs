//! TLS: the two hellos of a handshake.

use super::{Fault, Given, Said, Told, between};
use crate::tls::{Hello, Reassembler};

/// The handshake of a connection.
#[derive(Debug, Default)]
pub(crate) struct Handshake {
    sides: [Reassembler; 2],
    /// When the client said hello, and to which name.
    client: Option<(i64, Option<String>)>,
}

impl Handshake {
    /// Gives whether there is more to come.
    pub(super) fn bytes(&mut self, given: Given<'_>, told: &mut Vec<Told>) -> bool {
        let (side, time) = (given.side, given.time);
        let Some(reassembler) = self.sides.get_mut(side) else { return false };
        match reassembler.push(given.bytes) {
            Ok(None) => {}
            Ok(Some(Hello::Client(hello))) => {
                self.client = Some((time, hello.server_name.clone()));
                told.push(Told { side, time, latency_ns: None, said: Said::ClientHello(hello) });
            }
            Ok(Some(Hello::Server(hello))) => {
                let (asked, name) = self.client.take().map_or((None, None), |(asked, name)| (Some(asked), name));
                let latency_ns = asked.and_then(|asked| between(asked, time));
                told.push(Told { side, time, latency_ns, said: Said::ServerHello(hello, name) });
            }
            // An alert in place of a hello says no; it is understood.
            Err(_fault) if given.bytes.first() == Some(&0x15) => {}
            Err(_fault) => told.push(Told { side, time, latency_ns: None, said: Said::Fault(Fault::Tls) }),
        }
        !self.sides.iter().all(Reassembler::is_done)
    }

    pub(super) fn n_held(&self) -> usize {
        self.sides.iter().map(Reassembler::n_pending).sum()
    }
}
