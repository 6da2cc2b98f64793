//! One connection: what passed both ways, when, and what the applications said.
//!
//! A connection is told from the side that opened it where a SYN says which one that was. Else it is told from the
//! side whose packet came first, and nothing is said of direction.

use std::sync::Arc;

use crate::app::{App, Given, Said, Told};
use crate::layers::{Endpoint, Segment, Tcp};
use crate::order::{Order, Piece};

pub(crate) const FIN: u16 = 1;
pub(crate) const SYN: u16 = 2;
pub(crate) const RST: u16 = 4;
const ACK: u16 = 16;

/// What tells connections apart: both endpoints in order, the transport, and where they were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    low: Endpoint,
    high: Endpoint,
    is_tcp: bool,
    network: Option<u32>,
    interface: u32,
}

impl Key {
    pub(crate) fn of(segment: &Segment<'_>, interface: u32) -> Self {
        let (low, high) =
            if segment.from <= segment.to { (segment.from, segment.to) } else { (segment.to, segment.from) };
        Self { low, high, is_tcp: segment.tcp.is_some(), network: segment.network, interface }
    }
}

/// What went one way.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    pub(crate) n_packets: u64,
    pub(crate) n_bytes: u64,
    is_finished: bool,
    order: Order,
}

/// The times of an opening handshake, unless a segment was sent twice or seen out of turn.
#[derive(Debug, Default)]
struct Handshake {
    syn: Option<(i64, u32)>,
    syn_ack: Option<(i64, u32)>,
    is_unclear: bool,
    rtt_ns: Option<u64>,
}

/// A connection under observation.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) src: Endpoint,
    pub(crate) dst: Endpoint,
    pub(crate) is_tcp: bool,
    /// Whether a SYN told which side opened it.
    pub(crate) is_opener_known: bool,
    /// Time of the first and of the latest packet, nanoseconds since 1970.
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// From the source, and to it.
    pub(crate) passed: [Passed; 2],
    pub(crate) flags: u16,
    pub(crate) retransmits: u32,
    pub(crate) macs: Option<([u8; 6], [u8; 6])>,
    pub(crate) interface_name: Option<Arc<str>>,
    /// Which connection of the import it is.
    pub(crate) nth: u64,
    handshake: Handshake,
    is_reset: bool,
    app: App,
}

impl Connection {
    /// A connection of which `segment` is the first packet; it is not counted yet.
    pub(crate) fn new(segment: &Segment<'_>, time: i64, interface_name: Option<Arc<str>>, nth: u64) -> Self {
        let flags = segment.tcp.map_or(0, |tcp| tcp.flags);
        // Who answers a SYN did not open the connection.
        let is_answer = flags & (SYN | ACK) == SYN | ACK;
        let (src, dst) = if is_answer { (segment.to, segment.from) } else { (segment.from, segment.to) };
        let macs = segment.macs.map(|(from, to)| if is_answer { (to, from) } else { (from, to) });
        let is_tcp = segment.tcp.is_some();
        let is_opener_known = flags & SYN != 0;
        Self {
            src,
            dst,
            is_tcp,
            is_opener_known,
            first: time,
            last: time,
            passed: [Passed::default(), Passed::default()],
            flags: 0,
            retransmits: 0,
            macs,
            interface_name,
            nth,
            handshake: Handshake::default(),
            is_reset: false,
            app: App::new(is_tcp, src.port, dst.port, is_opener_known),
        }
    }

    /// Whether a packet begins another connection between the same endpoints.
    pub(crate) fn is_over_before(&self, segment: &Segment<'_>) -> bool {
        let Some(tcp) = segment.tcp else { return false };
        if tcp.flags & (SYN | ACK) != SYN {
            return false;
        }
        match self.handshake.syn {
            Some((_, isn)) => isn != tcp.seq,
            // Without a SYN seen, this one is the first of another connection, if anything was said before it.
            None => self.flags != 0,
        }
    }

    /// Whether both sides said that they are done, or one broke it off.
    pub(crate) const fn is_closed(&self) -> bool {
        self.is_reset || (self.passed[0].is_finished && self.passed[1].is_finished)
    }

    /// Takes a packet, and gives what it made the applications say.
    pub(crate) fn take(&mut self, segment: &Segment<'_>, time: i64, told: &mut Vec<Told>) {
        let side = usize::from(segment.from != self.src);
        self.last = self.last.max(time);
        if let Some(passed) = self.passed.get_mut(side) {
            passed.n_packets += 1;
            passed.n_bytes += u64::from(segment.ip_len);
        }
        match segment.tcp {
            None => self.app.datagram(Given { side, time, bytes: segment.payload }, told),
            Some(tcp) => self.take_tcp(segment, tcp, side, time, told),
        }
    }

    fn take_tcp(&mut self, segment: &Segment<'_>, tcp: Tcp, side: usize, time: i64, told: &mut Vec<Told>) {
        self.flags |= tcp.flags;
        self.shake(tcp, side, time);
        self.is_reset |= tcp.flags & RST != 0;
        let Some(passed) = self.passed.get_mut(side) else { return };
        passed.is_finished |= tcp.flags & FIN != 0;
        let start = if tcp.flags & SYN != 0 { tcp.seq.wrapping_add(1) } else { tcp.seq };
        if tcp.flags & SYN != 0 {
            passed.order.begin(start);
        }
        // What a reset carries, if anything, is a text for people.
        if segment.payload_len == 0 || tcp.flags & RST != 0 {
            return;
        }
        let app = &mut self.app;
        let is_repeated = passed.order.take(start, segment.payload, segment.payload_len, (), |piece, ()| match piece {
            Piece::Bytes(bytes) => app.bytes(Given { side, time, bytes }, told),
            Piece::Gap(n_bytes) => app.gap(side, n_bytes),
        });
        self.retransmits += u32::from(is_repeated);
    }

    /// Follows the opening handshake. A time between segments that were sent twice tells of nothing (Karn).
    fn shake(&mut self, tcp: Tcp, side: usize, time: i64) {
        let shake = &mut self.handshake;
        if tcp.flags & SYN != 0 {
            let slot = if tcp.flags & ACK == 0 { &mut shake.syn } else { &mut shake.syn_ack };
            if slot.is_some_and(|(_, isn)| isn == tcp.seq) {
                shake.is_unclear = true;
                self.retransmits += 1;
            } else {
                *slot = Some((time, tcp.seq));
            }
            return;
        }
        // An answer to a SYN-ACK that was not seen yet: the capture has them out of order, or not at all.
        shake.is_unclear |= side == 0 && shake.syn.is_some() && shake.syn_ack.is_none() && tcp.flags & ACK != 0;
        if let (Some((syn, _)), Some((_, answer))) = (shake.syn, shake.syn_ack)
            && side == 0
            && shake.rtt_ns.is_none()
            && tcp.flags & ACK != 0
            && tcp.ack == answer.wrapping_add(1)
            && !shake.is_unclear
        {
            shake.rtt_ns = u64::try_from(time.saturating_sub(syn)).ok();
        }
    }

    /// Time of the opening handshake, from the SYN to the ACK that ends it: one round trip, wherever it was seen.
    pub(crate) const fn rtt_ns(&self) -> Option<u64> {
        self.handshake.rtt_ns
    }

    /// What the applications said that waited for more.
    pub(crate) fn finish(&mut self, told: &mut Vec<Told>) {
        self.app.finish(told);
    }

    /// How many bytes are kept for the applications' sake.
    pub(crate) fn n_held(&self) -> usize {
        self.app.n_held() + self.passed.iter().map(|passed| passed.order.n_held()).sum::<usize>()
    }

    /// Stops following the applications.
    pub(crate) fn give_up(&mut self, told: &mut Vec<Told>) {
        self.app.finish(told);
        self.app = App::Nothing;
        for passed in &mut self.passed {
            passed.order = Order::default();
        }
    }

    /// The endpoints of what was said by a side, speaker first.
    pub(crate) const fn ends(&self, side: usize) -> (Endpoint, Endpoint) {
        if side == 0 { (self.src, self.dst) } else { (self.dst, self.src) }
    }

    /// Whether what a side said goes against the direction in which the connection was opened; the message itself
    /// tells where no SYN does.
    pub(crate) const fn is_reply(&self, side: usize, said: &Said) -> Option<bool> {
        match said.is_answer() {
            Some(is_answer) => Some(is_answer),
            None if self.is_opener_known => Some(side == 1),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests;
