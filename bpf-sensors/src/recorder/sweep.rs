//! What the kernel keeps in maps until it is read: UDP flows and dropped packets. Entries stay while they are in use, and
//! only what came on top is told, so that nothing falls between a look and a removal.

use std::collections::HashMap;

use super::{Class, State};
use crate::decode::{Drop, DropKey, Key, UdpFlow};
use crate::rows::{End, Traffic};

/// An entry that was not touched for this long is removed, in nanoseconds.
const IDLE: u64 = 60_000_000_000;

impl State {
    /// UDP flows that had packets since the last look.
    pub(super) fn sweep_udp(&mut self) {
        let Some(mut map) = self.sockets.udp.take() else { return };
        let now = self.clocks.boot();
        let mut changed = Vec::new();
        let mut idle = Vec::new();
        for (key, value) in map.iter().flatten() {
            let Some(flow) = UdpFlow::decode(&value) else { continue };
            let before = self.sockets.udp_reported.get(&key).copied();
            if before.is_none_or(|before| before.last != flow.last) {
                changed.push((key, flow));
            } else if now.saturating_sub(flow.last) > IDLE {
                idle.push(key);
            }
        }
        for key in idle {
            if map.remove(&key).is_ok() {
                self.sockets.udp_reported.remove(&key);
            }
        }
        self.sockets.udp = Some(map);
        for (key, flow) in join_translated(changed) {
            let before = self.sockets.udp_reported.insert(key, flow.own);
            self.tell_udp(&key, &flow, before);
            for (other, own) in flow.others {
                self.sockets.udp_reported.insert(other, own);
            }
        }
    }

    fn tell_udp(&mut self, key: &[u8], joined: &Joined, before: Option<UdpFlow>) {
        if !self.may(Class::Flow) {
            return;
        }
        let flow = joined.own;
        let cookie = UdpFlow::cookie(key).unwrap_or(0);
        let since = |value: u64, of: fn(&UdpFlow) -> u64| value.saturating_sub(before.as_ref().map_or(0, of));
        let out = (
            since(flow.sent, |flow| flow.sent),
            since(u64::from(flow.packets_out), |flow| u64::from(flow.packets_out)),
        );
        let mut inward = (
            since(flow.received, |flow| flow.received),
            since(u64::from(flow.packets_in), |flow| u64::from(flow.packets_in)),
        );
        for (other_key, other) in &joined.others {
            let before = self.sockets.udp_reported.get(other_key);
            inward.0 += other.received.saturating_sub(before.map_or(0, |before| before.received));
            inward.1 += u64::from(other.packets_in.saturating_sub(before.map_or(0, |before| before.packets_in)));
        }
        let traffic = Traffic {
            process: flow.owner.known().or_else(|| self.udp_owner(cookie)),
            verdict: Some("FORWARDED"),
            cookie,
            summary: "open",
            out: Some(out),
            inward: Some(inward),
            ..Traffic::of(flow.last, flow.tuple, if flow.is_out_first { End::Source } else { End::Destination })
        };
        self.rows.flow(&self.clocks, &self.processes, &traffic, |flows, row| flows.is_reply.set(row, false));
    }

    /// Who made a UDP socket.
    pub(super) fn udp_owner(&self, cookie: u64) -> Option<Key> {
        let value = self.sockets.udp_owners.as_ref()?.get(&cookie, 0).ok()?;
        let (start, rest) = value.split_first_chunk::<8>()?;
        let (pid, _uid) = rest.split_first_chunk::<4>()?;
        Key { pid: u32::from_ne_bytes(*pid), start: u64::from_ne_bytes(*start) }.known()
    }

    /// Packets that were dropped since the last look.
    pub(super) fn sweep_drops(&mut self) {
        let Some(mut map) = self.sockets.drops.take() else { return };
        let now = self.clocks.boot();
        let mut told = Vec::new();
        let mut idle = Vec::new();
        for (key, value) in map.iter().flatten() {
            let (Some(what), Some(drop)) = (DropKey::decode(&key), Drop::decode(&value)) else { continue };
            let before = self.sockets.drops_reported.insert(key, drop).unwrap_or_default();
            if drop.count != before.count {
                told.push((what, drop.since(before)));
            } else if now.saturating_sub(drop.last) > IDLE {
                idle.push(key);
            }
        }
        for key in idle {
            if map.remove(&key).is_ok() {
                self.sockets.drops_reported.remove(&key);
            }
        }
        self.sockets.drops = Some(map);
        for (what, drop) in told {
            self.tell_drop(&what, &drop);
        }
    }

    fn tell_drop(&mut self, what: &DropKey, drop: &Drop) {
        if !self.may(Class::Flow) {
            return;
        }
        let name = self.sockets.drop_reasons.get(&what.reason).cloned();
        // Nobody's end: a packet on its way.
        let traffic = Traffic { verdict: Some("DROPPED"), ..Traffic::of(drop.last, what.tuple, End::Unknown) };
        self.rows.flow(&self.clocks, &self.processes, &traffic, |flows, row| {
            if let Some(name) = name {
                flows.drop_reason.set(row, &name);
            }
            flows.drop_reason_code.set(row, what.reason);
            flows.packets_sent.set(row, drop.count);
            flows.bytes_sent.set(row, drop.bytes);
            flows.flow_count.set(row, drop.count);
        });
    }
}

/// A flow with those that are its replies under another address.
struct Joined {
    own: UdpFlow,
    others: Vec<([u8; UdpFlow::KEY], UdpFlow)>,
}

/// Requests leave the socket to the address that was translated, replies come from the one that was asked: two entries of
/// one socket, one with packets out alone and one with packets in alone, are one flow. Several of either are not told
/// apart and stay as they are.
fn join_translated(flows: Vec<([u8; UdpFlow::KEY], UdpFlow)>) -> Vec<([u8; UdpFlow::KEY], Joined)> {
    let mut by_cookie: HashMap<u64, Vec<_>> = HashMap::new();
    for (key, flow) in flows {
        by_cookie.entry(UdpFlow::cookie(&key).unwrap_or(0)).or_default().push((key, flow));
    }
    let mut joined = Vec::new();
    for mut group in by_cookie.into_values() {
        if let [first, second] = group.as_slice() {
            let is_pair = |asked: &UdpFlow, answered: &UdpFlow| {
                asked.packets_in == 0
                    && answered.packets_out == 0
                    && asked.is_out_first
                    && asked.first <= answered.first
            };
            if is_pair(&second.1, &first.1) {
                group.swap(0, 1);
            } else if !is_pair(&first.1, &second.1) {
                joined.extend(group.into_iter().map(|(key, own)| (key, Joined { own, others: Vec::new() })));
                continue;
            }
            let mut group = group.into_iter();
            if let Some((key, own)) = group.next() {
                joined.push((key, Joined { own, others: group.collect() }));
            }
        } else {
            joined.extend(group.into_iter().map(|(key, own)| (key, Joined { own, others: Vec::new() })));
        }
    }
    joined.sort_by_key(|(_key, flow)| flow.own.first);
    joined
}

#[cfg(test)]
mod tests;
