//! Connections: one row at the end of each, and one now and then while it lasts, so that the sum of all is what was sent.

use std::collections::HashMap;

use aya::maps::{HashMap as KernelMap, MapData};

use super::{Class, State};
use crate::decode::{Closed, Connection, Counts, Drop, DropKey, Key, Listening, OpenSocket, Role, Tuple, UdpFlow};
use crate::kernel::Kernel;
use crate::kernel::programs::Object;
use crate::kernel::reasons::drop_reasons;
use crate::rows::{End, Event, Hook, Traffic};
use crate::sensor::StartError;

/// States of the kernel's TCP.
const SYN_SENT: u32 = 2;
const SYN_RECV: u32 = 3;
const LISTEN: u32 = 10;
const NEW_SYN_RECV: u32 = 12;
/// Error numbers a socket shows.
const ECONNRESET: u32 = 104;
const ETIMEDOUT: u32 = 110;
const ECONNREFUSED: u32 = 111;
const EHOSTUNREACH: u32 = 113;
/// TCP's SYN flag.
const SYN: u16 = 2;
/// Sweeps after which a connection is forgotten that no longer shows and whose end was not told.
const MAX_UNSEEN: u32 = 30;

pub(super) type UdpMap = KernelMap<MapData, [u8; UdpFlow::KEY], [u8; UdpFlow::SIZE]>;
pub(super) type DropMap = KernelMap<MapData, [u8; DropKey::SIZE], [u8; Drop::SIZE]>;

/// A connection of which a row was made.
#[derive(Clone, Copy, Debug)]
struct Live {
    owner: Key,
    role: Role,
    reported: Counts,
    /// Number of the sweep it was last seen in.
    seen: u32,
}

/// What is remembered of sockets between two sweeps.
#[derive(Default)]
pub(super) struct Sockets {
    live: HashMap<u64, Live>,
    n_sweeps: u32,
    pub(super) udp: Option<UdpMap>,
    pub(super) udp_owners: Option<KernelMap<MapData, u64, [u8; 16]>>,
    pub(super) udp_reported: HashMap<[u8; UdpFlow::KEY], UdpFlow>,
    pub(super) drops: Option<DropMap>,
    pub(super) drops_reported: HashMap<[u8; DropKey::SIZE], Drop>,
    pub(super) drop_reasons: HashMap<u32, String>,
}

impl Sockets {
    pub(super) fn new(kernel: &mut Kernel) -> Result<Self, StartError> {
        let Some(ebpf) = kernel.object(Object::Socket) else { return Ok(Self::default()) };
        let refused = |map| move |source| StartError::Map { map, source: Box::new(source) };
        let udp = ebpf.take_map("udp_flows").map(KernelMap::try_from).transpose().map_err(refused("udp_flows"))?;
        let owners = ebpf.take_map("udp_owners").map(KernelMap::try_from).transpose().map_err(refused("udp_owners"))?;
        let drops = ebpf.take_map("drops").map(KernelMap::try_from).transpose().map_err(refused("drops"))?;
        let drop_reasons = drop_reasons();
        Ok(Self { udp, udp_owners: owners, drops, drop_reasons, ..Self::default() })
    }
}

/// What one row says of a connection.
struct Told<'a> {
    ts: u64,
    tuple: Tuple,
    key: u64,
    connection: &'a Connection,
    owner: Option<Key>,
    role: Role,
    counts: Option<Counts>,
    summary: &'a str,
    has_failed: bool,
}

impl State {
    pub(super) fn listening(&mut self, listening: &Listening) {
        let header = listening.header;
        if self.config.sockets.runtime_events && self.may(Class::Runtime) {
            let message = format!("netns {}", listening.netns);
            let hook = Hook { tuple: Some(&listening.tuple), message: &message, ..Hook::of("inet_csk_listen_start") };
            let by = (Some(header.tid), Some(header.uid));
            self.rows.runtime(&self.clocks, &self.processes, (header.ts, header.process), by, &Event::Hook(hook));
        }
    }

    /// A connection ended: what came on top since it was last reported.
    pub(super) fn closed(&mut self, closed: &Closed) {
        self.hang_up(closed.key);
        let live = self.sockets.live.remove(&closed.key);
        let connection = &closed.connection;
        let owner = connection.owner.known().or_else(|| live.and_then(|live| live.owner.known()));
        let role =
            live.map_or(connection.role, |live| if live.role == Role::Unknown { connection.role } else { live.role });
        // Of a connection that is older than the sensors and was never swept, nobody knows what was reported before.
        let is_old = connection.opened == 0 && live.is_none();
        let counts = closed.counts.since(live.map(|live| live.reported).unwrap_or_default());
        let has_failed = closed.state == SYN_SENT || (connection.opened != 0 && connection.established == 0);
        let summary = match (closed.error, has_failed) {
            (ECONNREFUSED, true) => "refused",
            (EHOSTUNREACH, true) => "unreachable",
            (ECONNRESET, _) => "reset",
            (ETIMEDOUT, _) => "timed out",
            (_, true) => "given up",
            (_, false) if is_old => "closed; opened before the sensors ran",
            (_, false) => "closed",
        };
        let told = Told {
            ts: closed.header.ts,
            tuple: closed.tuple,
            key: closed.key,
            connection,
            owner,
            role,
            counts: (!is_old).then_some(counts),
            summary,
            has_failed,
        };
        if live.is_none() {
            self.announce(&told);
        }
        self.tell(&told);
    }

    /// Records of the iterator over open files.
    pub(super) fn open_sockets(&mut self, bytes: &[u8]) {
        self.sockets.n_sweeps += 1;
        let sockets: Vec<OpenSocket> = bytes.chunks_exact(OpenSocket::SIZE).filter_map(OpenSocket::decode).collect();
        let listeners: std::collections::HashSet<(u32, u16)> = sockets
            .iter()
            .filter(|socket| socket.tuple.protocol == 6 && socket.state == LISTEN)
            .map(|socket| (socket.netns, socket.tuple.local_port))
            .collect();
        let is_first = self.sockets.n_sweeps == 1;
        let mut told_listeners = std::collections::HashSet::new();
        for socket in &sockets {
            match (socket.tuple.protocol, socket.state) {
                (6, LISTEN) if is_first && told_listeners.insert(socket.key) => self.found_listening(socket),
                (6, LISTEN | SYN_SENT | SYN_RECV | NEW_SYN_RECV) => {}
                (6, _) => self.still_open(socket, listeners.contains(&(socket.netns, socket.tuple.local_port))),
                _ => {}
            }
        }
        let n_sweeps = self.sockets.n_sweeps;
        self.sockets.live.retain(|_key, live| n_sweeps - live.seen < MAX_UNSEEN);
    }

    fn found_listening(&mut self, socket: &OpenSocket) {
        if self.config.sockets.runtime_events {
            let message = format!("found listening, netns {}", socket.netns);
            let hook = Hook { tuple: Some(&socket.tuple), message: &message, ..Hook::of("inet_csk_listen_start") };
            let at = (self.clocks.boot(), socket.owner);
            self.rows.runtime(&self.clocks, &self.processes, at, (None, Some(socket.uid)), &Event::Hook(hook));
        }
    }

    fn still_open(&mut self, socket: &OpenSocket, has_listener: bool) {
        let n_sweeps = self.sockets.n_sweeps;
        let known = self.sockets.live.get(&socket.key).copied();
        if known.is_some_and(|live| live.seen == n_sweeps) {
            // Another descriptor of the same socket.
            return;
        }
        let connection = &socket.connection;
        let owner = connection.owner.known().unwrap_or(socket.owner);
        let is_old = connection.opened == 0;
        let role = match (connection.role, has_listener) {
            (Role::Unknown, true) => Role::Server,
            (role, _) => role,
        };
        let live = Live { owner, role, reported: socket.counts, seen: n_sweeps };
        self.sockets.live.insert(socket.key, live);
        let counts = match known {
            Some(live) => Some(socket.counts.since(live.reported)),
            None if is_old => None,
            None => Some(socket.counts),
        };
        let is_idle = counts.is_some_and(|counts| counts.segs_in == 0 && counts.segs_out == 0);
        if known.is_some() && is_idle {
            return;
        }
        let summary = match (is_old, connection.role == Role::Unknown && has_listener) {
            (false, _) => "open",
            (true, false) => "open; since before the sensors ran",
            (true, true) => "open; since before the sensors ran; direction inferred from the listener",
        };
        let told = Told {
            ts: self.clocks.boot(),
            tuple: socket.tuple,
            key: socket.key,
            connection,
            owner: Some(owner),
            role,
            counts,
            summary,
            has_failed: false,
        };
        if known.is_none() {
            self.announce(&told);
        }
        self.tell(&told);
    }

    /// The first that is told of a connection: who opened or accepted it, and where it really went.
    fn announce(&mut self, told: &Told<'_>) {
        let connection = told.connection;
        if let Some(wire) = connection.wire
            && (wire.remote, wire.remote_port) != (told.tuple.remote, told.tuple.remote_port)
            && self.may(Class::Flow)
        {
            let traffic = Traffic {
                process: told.owner,
                verdict: Some("TRANSLATED"),
                flow_type: "SOCK",
                cookie: told.key,
                connection_id: connection.isn,
                ..Traffic::of(connection.opened, told.tuple, End::Source)
            };
            self.rows.flow(&self.clocks, &self.processes, &traffic, |flows, row| {
                flows.sock_xlate_point.set(row, "SOCK_XLATE_POINT_PRE_DIRECTION_FWD");
            });
        }
        let (Some(owner), true) = (told.owner, self.config.sockets.runtime_events) else { return };
        let (function, ts) = match connection.role {
            Role::Client => ("tcp_connect", connection.opened),
            Role::Server => ("inet_csk_accept", connection.established),
            Role::Unknown => return,
        };
        if self.may(Class::Runtime) {
            let message = if told.has_failed { told.summary } else { "" };
            let hook = Hook { tuple: Some(&told.tuple), cookie: told.key, message, ..Hook::of(function) };
            let by = (None, Some(connection.owner_uid).filter(|_uid| connection.owner.pid != 0));
            self.rows.runtime(&self.clocks, &self.processes, (ts, owner), by, &Event::Hook(hook));
        }
    }

    fn tell(&mut self, told: &Told<'_>) {
        if !self.may(Class::Flow) {
            return;
        }
        let counts = told.counts;
        let traffic = Traffic {
            wire: told.connection.wire,
            process: told.owner,
            // A handshake that ended says that packets went both ways; of one that did not nothing is known.
            verdict: (!told.has_failed).then_some("FORWARDED"),
            cookie: told.key,
            connection_id: told.connection.isn,
            summary: told.summary,
            out: counts.map(|counts| (counts.sent, u64::from(counts.segs_out))),
            inward: counts.map(|counts| (counts.received, u64::from(counts.segs_in))),
            ..Traffic::of(told.ts, told.tuple, End::of(told.role))
        };
        self.rows.flow(&self.clocks, &self.processes, &traffic, |flows, row| {
            flows.is_reply.set(row, false);
            if told.has_failed {
                flows.tcp_flags.set(row, SYN);
            }
            if let Some(counts) = counts {
                flows.retransmits.set(row, counts.retransmits);
                if counts.srtt_us != 0 {
                    flows.rtt_ns.set(row, u64::from(counts.srtt_us).saturating_mul(1000));
                }
            }
        });
    }
}
