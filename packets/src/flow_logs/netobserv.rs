//! NetObserv: flow records in JSON, one a line, or the answer of a log store that holds them.

use hindcast_model::column::DictColumn;
use serde_json::Value;

use super::fields::{self, Members};
use super::{FlowLogCounts, Kept, Refused};
use crate::rows::{Rows, put_list};

/// A record, or an answer with streams of them: labels that all records of a stream share, and the records as text.
pub(super) fn document(mut document: Members, rows: &mut Rows, counts: &mut FlowLogCounts) {
    let Some(Value::Object(mut answer)) = document.remove("data").filter(|_| document.contains_key("status")) else {
        counts.count(record(document, rows));
        return;
    };
    let Some(Value::Array(streams)) = answer.remove("result") else {
        return counts.count(Err(Refused::NotARecord));
    };
    for stream in &streams {
        let labels = stream.get("stream").and_then(Value::as_object).cloned().unwrap_or_default();
        for value in stream.get("values").and_then(Value::as_array).into_iter().flatten() {
            let line = value.get(1).and_then(Value::as_str).unwrap_or_default();
            let outcome = match serde_json::from_str::<Value>(line) {
                Ok(Value::Object(members)) => {
                    let mut whole = labels.clone();
                    whole.extend(members);
                    record(whole, rows)
                }
                Ok(_) => Err(Refused::NotARecord),
                Err(_) => Err(Refused::Malformed),
            };
            counts.count(outcome);
        }
    }
}

fn record(mut members: Members, rows: &mut Rows) -> Result<Kept, Refused> {
    let flow = &mut members;
    let instant = |flow: &mut Members, name: &str, per_unit| {
        fields::number(flow, name).filter(|units| *units > 0).and_then(|units| fields::nanos(units, per_unit))
    };
    let first = instant(flow, "TimeFlowStartMs", 1_000_000).or_else(|| instant(flow, "TimeFlowStart", 1_000_000_000));
    let last = instant(flow, "TimeFlowEndMs", 1_000_000).or_else(|| instant(flow, "TimeFlowEnd", 1_000_000_000));
    let received = instant(flow, "TimeReceived", 1_000_000_000);
    let time = first.or(last).or(received).ok_or(Refused::NoTime)?;
    let (src, dst) = (fields::ip(flow, "SrcAddr"), fields::ip(flow, "DstAddr"));
    let (Some(src), Some(dst)) = (src, dst) else { return Err(Refused::NoAddresses) };
    let row = rows.begin(time);
    rows.ips(row, src, dst);
    rows.columns.flow_type.set(row, "L3_L4");
    transport(flow, rows, row);
    side(flow, rows, row, true);
    side(flow, rows, row, false);
    place(flow, rows, row);
    drops(flow, rows, row);
    dns(flow, rows, row);
    fields::keep_rest(rows, row, members, (time, last));
    rows.end();
    Ok(Kept::Row)
}

fn transport(flow: &mut Members, rows: &mut Rows, row: usize) {
    let protocol = fields::narrow::<u8>(flow, "Proto");
    if let Some(protocol) = protocol {
        rows.protocol(row, protocol);
    }
    let ports = [fields::narrow(flow, "SrcPort"), fields::narrow(flow, "DstPort")];
    rows.ports(row, protocol, ports);
    let columns = &mut rows.columns;
    for (column, name) in [(&mut columns.bytes_sent, "Bytes"), (&mut columns.packets_sent, "Packets")] {
        if let Some(count) = fields::number(flow, name) {
            column.set(row, count);
        }
    }
    let flags = fields::narrow::<u16>(flow, "Flags").or_else(|| fields::narrow::<u16>(flow, "TCPFlags"));
    if let Some(flags) = flags.filter(|_| protocol == Some(6)) {
        columns.tcp_flags.set(row, flags);
    }
    let icmp: [Option<u8>; 2] = [fields::narrow(flow, "IcmpType"), fields::narrow(flow, "IcmpCode")];
    if matches!(protocol, Some(1 | 58)) {
        for (column, value) in [&mut columns.icmp_type, &mut columns.icmp_code].into_iter().zip(icmp) {
            if let Some(value) = value {
                column.set(row, value);
            }
        }
    }
    if let Some(rtt_ns) = fields::number(flow, "TimeFlowRttNs").filter(|rtt_ns| *rtt_ns > 0) {
        columns.rtt_ns.set(row, rtt_ns);
    }
}

/// What Kubernetes knows of a side.
fn side(flow: &mut Members, rows: &mut Rows, row: usize, is_src: bool) {
    let prefix = if is_src { "Src" } else { "Dst" };
    let mut text = |name: &str| fields::text(flow, &format!("{prefix}{name}"));
    let kind = text("K8S_Type");
    let (name, namespace) =
        (text("K8S_Name").or_else(|| text("Pod")), text("K8S_Namespace").or_else(|| text("Namespace")));
    let owner = text("K8S_OwnerName").or_else(|| text("Workload"));
    let owner_kind = text("K8S_OwnerType").or_else(|| text("WorkloadKind"));
    let mac = text("Mac");
    let columns = &mut rows.columns;
    let set = |column: &mut DictColumn, text: Option<&String>| {
        if let Some(text) = text {
            column.set(row, text);
        }
    };
    let (pod, service) = match kind.as_deref() {
        Some("Service") => (None, name.as_ref()),
        // A node or anything else that is no pod is told by its owner, which is itself.
        Some("Pod") | None => (name.as_ref(), None),
        Some(_) => (None, None),
    };
    let mac = mac.map(|mac| mac.to_ascii_lowercase());
    if is_src {
        set(&mut columns.src_pod, pod);
        set(&mut columns.src_service, service);
        set(&mut columns.src_namespace, namespace.as_ref().filter(|_| service.is_none()));
        set(&mut columns.src_service_namespace, namespace.as_ref().filter(|_| service.is_some()));
        set(&mut columns.src_workload, owner.as_ref());
        set(&mut columns.src_workload_kind, owner_kind.as_ref());
        set(&mut columns.src_mac, mac.as_ref());
    } else {
        set(&mut columns.dst_pod, pod);
        set(&mut columns.dst_service, service);
        set(&mut columns.dst_namespace, namespace.as_ref().filter(|_| service.is_none()));
        set(&mut columns.dst_service_namespace, namespace.as_ref().filter(|_| service.is_some()));
        set(&mut columns.dst_workload, owner.as_ref());
        set(&mut columns.dst_workload_kind, owner_kind.as_ref());
        set(&mut columns.dst_mac, mac.as_ref());
    }
}

/// Where it was seen. Direction 0 is ingress, 1 egress; 2 is neither: between two pods of one node.
fn place(flow: &mut Members, rows: &mut Rows, row: usize) {
    let columns = &mut rows.columns;
    match fields::number(flow, "FlowDirection") {
        Some(0) => columns.direction.set(row, "INGRESS"),
        Some(1) => columns.direction.set(row, "EGRESS"),
        Some(other) => {
            flow.insert("FlowDirection".to_owned(), other.into());
        }
        None => {}
    }
    if let Some(cluster) = fields::text(flow, "K8S_ClusterName") {
        columns.cluster.set(row, &cluster);
    }
    if let Some(agent) = fields::text(flow, "AgentIP") {
        columns.node.set(row, &agent);
    }
    if let Some(Value::Array(names)) = flow.get("Interfaces") {
        put_list(&mut columns.interface_name, row, names.iter().filter_map(Value::as_str));
        flow.remove("Interfaces");
    } else if let Some(name) = fields::text(flow, "Interface") {
        columns.interface_name.set(row, &name);
    }
}

/// A flow is told as dropped where all of its packets were; else what was dropped of it stays in the remainder.
fn drops(flow: &mut Members, rows: &mut Rows, row: usize) {
    let count = |name: &str| flow.get(name).and_then(Value::as_u64);
    let Some(dropped) = count("PktDropPackets").filter(|dropped| *dropped > 0) else { return };
    let columns = &mut rows.columns;
    if columns.packets_sent.get(row).is_some_and(|sent| dropped < sent) {
        return;
    }
    columns.verdict.set(row, "DROPPED");
    if let Some(cause) = fields::text(flow, "PktDropLatestDropCause") {
        columns.drop_reason.set(row, &cause);
    }
}

/// The DNS that was seen in the flow: its response, once there is one.
fn dns(flow: &mut Members, rows: &mut Rows, row: usize) {
    let latency = fields::number(flow, "DnsLatencyMs").and_then(|millis| millis.checked_mul(1_000_000));
    let name = fields::text(flow, "DnsName");
    let code = fields::text(flow, "DnsFlagsResponseCode");
    let id = fields::number(flow, "DnsId").filter(|id| *id > 0);
    if name.is_none() && code.is_none() && id.is_none() {
        return;
    }
    let columns = &mut rows.columns;
    columns.l7_protocol.set(row, "DNS");
    if let Some(name) = name {
        columns.dns_query.set(row, &name.to_ascii_lowercase());
    }
    if let Some(latency_ns) = latency {
        columns.latency_ns.set(row, latency_ns);
    }
    if let Some(code) = code.as_deref().and_then(response_code) {
        columns.dns_rcode.set(row, code);
        columns.l7_type.set(row, "RESPONSE");
    }
    if let Some(id) = id {
        flow.insert("DnsId".to_owned(), id.into());
    }
}

fn response_code(name: &str) -> Option<u16> {
    const NAMES: [&str; 11] = [
        "NoError", "FormErr", "ServFail", "NXDomain", "NotImp", "Refused", "YXDomain", "YXRRSet", "NXRRSet", "NotAuth",
        "NotZone",
    ];
    (0..).zip(NAMES).find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(code, _)| code)
}
