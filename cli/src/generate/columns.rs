//! A drawn flow as a row of the `flows` table, as a decoder of the same flow's wire form would fill it.

use hindcast_model::tables::flows::Builder;
use hindcast_model::{SourceKind, Timestamp};

use super::draw::{Application, Draw, End};

/// The identity that stands for everything outside.
const WORLD: u32 = 2;
const WORLD_LABELS: &str = "reserved:world";
/// The datapath's number for a drop by policy.
pub(super) const POLICY_DENIED: u32 = 133;
pub(super) const EVENT_DROP: i32 = 1;
pub(super) const EVENT_TRACE: i32 = 4;
pub(super) const EVENT_L7: i32 = 129;
/// A trace event seen on its way to an endpoint; 3 is on its way to the stack.
pub(super) const TO_ENDPOINT: i32 = 0;
pub(super) const TO_STACK: i32 = 3;
pub(super) const DNS_TTL_S: u32 = 30;

/// What the `source` column of generated rows says.
pub const SOURCE: &str = "generator";

/// Appends one flow.
pub fn append(draw: &Draw<'_>, recorded_at: Timestamp, into: &mut Builder) {
    let row = into.row();
    into.time.set(row, draw.time.as_nanos());
    into.recorded_at.set(row, recorded_at.as_nanos());
    into.cluster.set(row, draw.cluster);
    into.node.set(row, draw.node);
    into.source_kind.set(row, SourceKind::Generated.as_str());
    into.source.set(row, SOURCE);
    if let Some(uuid) = draw.uuid {
        into.uuid.set(row, &uuid_text(uuid));
    }
    into.direction.set(row, if draw.is_egress { "EGRESS" } else { "INGRESS" });
    into.ip_version.set(row, "IPv4");
    into.protocol.set(row, if draw.is_udp { "UDP" } else { "TCP" });
    into.src_port.set(row, draw.source_port);
    into.dst_port.set(row, draw.destination_port);
    if draw.tcp_flags != 0 {
        into.tcp_flags.set(row, draw.tcp_flags);
        into.summary.set(row, flags_summary(draw.tcp_flags));
    }
    append_verdict(draw, row, into);
    append_source(draw, row, into);
    append_destination(draw, row, into);
    append_application(draw, row, into);
    into.bytes_sent.set(row, draw.bytes);
    into.packets_sent.set(row, draw.packets);
    into.flow_count.set(row, 1);
    into.commit();
}

fn append_verdict(draw: &Draw<'_>, row: usize, into: &mut Builder) {
    if draw.is_denied {
        into.verdict.set(row, "DROPPED");
        into.drop_reason.set(row, "POLICY_DENIED");
        into.drop_reason_code.set(row, POLICY_DENIED);
        into.event_type.set(row, EVENT_DROP);
        into.event_sub_type.set(row, POLICY_DENIED.cast_signed());
        into.flow_type.set(row, "L3_L4");
        return;
    }
    into.verdict.set(row, "FORWARDED");
    into.is_reply.set(row, draw.is_reply);
    if !matches!(draw.application, Application::None) {
        into.event_type.set(row, EVENT_L7);
        into.event_sub_type.set(row, 0);
        into.flow_type.set(row, "L7");
        return;
    }
    into.event_type.set(row, EVENT_TRACE);
    into.event_sub_type.set(row, if draw.is_egress { TO_STACK } else { TO_ENDPOINT });
    into.flow_type.set(row, "L3_L4");
    into.trace_observation_point.set(row, if draw.is_egress { "TO_STACK" } else { "TO_ENDPOINT" });
    into.trace_reason.set(row, if draw.is_reply { "REPLY" } else { "ESTABLISHED" });
}

fn append_source(draw: &Draw<'_>, row: usize, into: &mut Builder) {
    match draw.source {
        End::Pod(workload, pod) => {
            into.src_ip.set(row, &pod.ip);
            into.src_endpoint_id.set(row, pod.endpoint_id);
            into.src_identity.set(row, workload.identity);
            into.src_cluster.set(row, draw.cluster);
            into.src_namespace.set(row, &workload.namespace);
            into.src_pod.set(row, &pod.name);
            into.src_workload.set(row, &workload.name);
            into.src_workload_kind.set(row, workload.kind);
            into.src_labels.set(row, &workload.labels);
        }
        End::Outside(outside, ip) => {
            into.src_ip.set(row, ip);
            into.src_identity.set(row, WORLD);
            into.src_labels.set(row, WORLD_LABELS);
            if let Some(name) = &outside.name {
                into.src_names.set(row, name);
            }
        }
    }
}

fn append_destination(draw: &Draw<'_>, row: usize, into: &mut Builder) {
    match draw.destination {
        End::Pod(workload, pod) => {
            into.dst_ip.set(row, &pod.ip);
            into.dst_endpoint_id.set(row, pod.endpoint_id);
            into.dst_identity.set(row, workload.identity);
            into.dst_cluster.set(row, draw.cluster);
            into.dst_namespace.set(row, &workload.namespace);
            into.dst_pod.set(row, &pod.name);
            into.dst_workload.set(row, &workload.name);
            into.dst_workload_kind.set(row, workload.kind);
            into.dst_labels.set(row, &workload.labels);
        }
        End::Outside(outside, ip) => {
            into.dst_ip.set(row, ip);
            into.dst_identity.set(row, WORLD);
            into.dst_labels.set(row, WORLD_LABELS);
            if let Some(name) = &outside.name {
                into.dst_names.set(row, name);
            }
        }
    }
}

fn append_application(draw: &Draw<'_>, row: usize, into: &mut Builder) {
    match draw.application {
        Application::None => return,
        Application::Http { method, url, status } => {
            into.l7_protocol.set(row, "HTTP");
            into.http_status.set(row, status);
            into.http_method.set(row, method);
            into.http_url.set(row, url);
            into.http_protocol.set(row, "HTTP/1.1");
        }
        Application::Dns { query, ip, rcode } => {
            into.l7_protocol.set(row, "DNS");
            into.dns_query.set(row, query);
            into.dns_qtypes.set(row, "A");
            into.dns_observation_source.set(row, "proxy");
            if draw.is_reply {
                into.dns_rcode.set(row, rcode);
            }
            if let Some(ip) = ip {
                into.dns_ips.set(row, ip);
                into.dns_ttl_s.set(row, DNS_TTL_S);
                into.dns_rrtypes.set(row, "A");
            }
        }
    }
    into.l7_type.set(row, if draw.is_reply { "RESPONSE" } else { "REQUEST" });
    if let Some(latency_ns) = draw.latency_ns {
        into.latency_ns.set(row, latency_ns);
    }
}

/// A random id in its usual form.
pub(super) fn uuid_text(uuid: u128) -> String {
    let hex = format!("{uuid:032x}");
    let (a, rest) = hex.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    format!("{a}-{b}-{c}-{d}-{e}")
}

/// The names of the flags drawn.
pub(super) const fn flags_summary(tcp_flags: u16) -> &'static str {
    match tcp_flags {
        2 => "TCP Flags: SYN",
        16 => "TCP Flags: ACK",
        24 => "TCP Flags: ACK, PSH",
        17 => "TCP Flags: ACK, FIN",
        _ => "TCP Flags: ",
    }
}
