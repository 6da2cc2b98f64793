//! Rows of `flows`. The source is always who opened the connection; which end saw it, `direction` tells.

use std::net::IpAddr;

use hindcast_model::column::{DictColumn, U16Column};
use hindcast_model::list;
use hindcast_model::tables::flows::Builder;

use super::{Rows, put, put_origin};
use crate::clock::Clocks;
use crate::decode::{Key, Role, Tuple};
use crate::process::{Process, Processes, exec_id};

/// Which end of a flow is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The source: it opened the connection, or sent the first packet.
    Source,
    /// The destination.
    Destination,
    /// It is not known; our end is written as the source, without a direction.
    Unknown,
}

impl End {
    pub(crate) const fn of(role: Role) -> Self {
        match role {
            Role::Client => Self::Source,
            Role::Server => Self::Destination,
            Role::Unknown => Self::Unknown,
        }
    }
}

/// What a row of traffic says, from the local end's view.
#[derive(Debug)]
pub(crate) struct Traffic<'a> {
    /// Kernel time of the observation.
    pub(crate) ts: u64,
    pub(crate) tuple: Tuple,
    pub(crate) end: End,
    /// Addresses after translation, where they were seen.
    pub(crate) wire: Option<Tuple>,
    pub(crate) process: Option<Key>,
    pub(crate) verdict: Option<&'static str>,
    pub(crate) flow_type: &'static str,
    pub(crate) cookie: u64,
    pub(crate) connection_id: u64,
    pub(crate) summary: &'a str,
    /// Bytes and packets out and in, as the local end counts.
    pub(crate) out: Option<(u64, u64)>,
    pub(crate) inward: Option<(u64, u64)>,
}

impl Traffic<'_> {
    /// Traffic of which only the addresses are known.
    pub(crate) const fn of(ts: u64, tuple: Tuple, end: End) -> Self {
        Self {
            ts,
            tuple,
            end,
            wire: None,
            process: None,
            verdict: None,
            flow_type: "L3_L4",
            cookie: 0,
            connection_id: 0,
            summary: "",
            out: None,
            inward: None,
        }
    }
}

impl Rows {
    /// A row of traffic. `more` sets what the others do not share; it is given the builder and the row.
    pub(crate) fn flow(
        &mut self,
        clocks: &Clocks,
        processes: &Processes,
        traffic: &Traffic<'_>,
        more: impl FnOnce(&mut Builder, usize),
    ) {
        let flows = &mut self.flows;
        let row = put_origin!(flows, self.origin, clocks.instant(traffic.ts), clocks.now().as_nanos());
        let node = self.origin.node.as_str();
        put_addresses(flows, row, traffic);
        let process = traffic.process.map(|key| (key, processes.get(key)));
        if let Some((key, known)) = process {
            put_owner(flows, row, node, traffic.end, key, known);
        }
        if let Some(verdict) = traffic.verdict {
            flows.verdict.set(row, verdict);
        }
        match traffic.end {
            End::Source => flows.direction.set(row, "EGRESS"),
            End::Destination => flows.direction.set(row, "INGRESS"),
            End::Unknown => {}
        }
        flows.flow_type.set(row, traffic.flow_type);
        if traffic.cookie != 0 {
            flows.socket_cookie.set(row, traffic.cookie);
        }
        if traffic.connection_id != 0 {
            flows.connection_id.set(row, traffic.connection_id);
        }
        put(&mut flows.summary, row, traffic.summary);
        let (sent, received) = match traffic.end {
            End::Source | End::Unknown => (traffic.out, traffic.inward),
            End::Destination => (traffic.inward, traffic.out),
        };
        if let Some((bytes, packets)) = sent {
            flows.bytes_sent.set(row, bytes);
            flows.packets_sent.set(row, packets);
        }
        if let Some((bytes, packets)) = received {
            flows.bytes_received.set(row, bytes);
            flows.packets_received.set(row, packets);
        }
        flows.flow_count.set(row, 1);
        more(flows, row);
        flows.commit();
    }
}

fn put_addresses(flows: &mut Builder, row: usize, traffic: &Traffic<'_>) {
    let Tuple { local, remote, local_port, remote_port, protocol } = traffic.tuple;
    // What left the socket is translated before it leaves the machine: where it goes is on the wire, where it came from
    // at the socket.
    let (remote, remote_port) = traffic.wire.map_or((remote, remote_port), |wire| (wire.remote, wire.remote_port));
    let (source, destination) = match traffic.end {
        End::Source | End::Unknown => ((local, local_port), (remote, remote_port)),
        End::Destination => ((remote, remote_port), (local, local_port)),
    };
    flows.ip_version.set(row, if local.is_ipv4() { "IPv4" } else { "IPv6" });
    put_address(&mut flows.src_ip, &mut flows.src_port, row, source);
    put_address(&mut flows.dst_ip, &mut flows.dst_port, row, destination);
    if let Some(wire) = traffic.wire.filter(|wire| wire.local != local && traffic.end != End::Destination) {
        flows.src_ip_xlated.set(row, &wire.local.to_string());
    }
    let name = match protocol {
        1 => "ICMPv4",
        2 => "IGMP",
        6 => "TCP",
        17 => "UDP",
        58 => "ICMPv6",
        112 => "VRRP",
        132 => "SCTP",
        _ => return,
    };
    flows.protocol.set(row, name);
}

fn put_address(ip: &mut DictColumn, port: &mut U16Column, row: usize, (address, number): (IpAddr, u16)) {
    ip.set(row, &address.to_string());
    if number != 0 {
        port.set(row, number);
    }
}

fn put_owner(flows: &mut Builder, row: usize, node: &str, end: End, key: Key, known: Option<&Process>) {
    let id = exec_id(node, key);
    let (exec, workload, workload_kind, labels) = match end {
        End::Source | End::Unknown => {
            (&mut flows.src_exec_id, &mut flows.src_workload, &mut flows.src_workload_kind, &mut flows.src_labels)
        }
        End::Destination => {
            (&mut flows.dst_exec_id, &mut flows.dst_workload, &mut flows.dst_workload_kind, &mut flows.dst_labels)
        }
    };
    exec.set(row, &id);
    let Some(process) = known else { return };
    if let Some((name, kind)) = process.workload() {
        workload.set(row, name);
        workload_kind.set(row, kind);
    }
    let place = &process.place;
    let pod = place.pod_uid.as_ref().map(|uid| format!("pod:uid={uid}"));
    let container = place.container_id.as_ref().map(|id| format!("container:id={id}"));
    if let Some(list) = list::join(container.iter().chain(&pod).map(String::as_str)) {
        labels.set(row, &list);
    }
}
