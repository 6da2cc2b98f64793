//! The first bytes of DNS, HTTP and TLS.

use super::State;
use crate::decode::Payload;

impl State {
    pub(super) fn payload(&mut self, payload: &Payload<'_>) {
        let _unused = payload;
    }
}
