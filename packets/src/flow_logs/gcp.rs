//! Google Cloud VPC flow logs: log entries with the flow as payload.

use super::fields::{self, Members};
use super::{Kept, Refused};
use crate::rows::Rows;

pub(super) fn record(mut entry: Members, rows: &mut Rows) -> Result<Kept, Refused> {
    // Exports to a table or a bucket may hold the payload alone.
    let mut flow = match fields::object(&mut entry, "jsonPayload") {
        Some(flow) => flow,
        None if entry.contains_key("connection") => std::mem::take(&mut entry),
        None => return Err(Refused::NotARecord),
    };
    let mut connection = fields::object(&mut flow, "connection").ok_or(Refused::NotARecord)?;
    let first = fields::instant(&mut flow, "start_time");
    let last = fields::instant(&mut flow, "end_time");
    let logged = fields::instant(&mut entry, "timestamp");
    let time = first.or(last).or(logged).ok_or(Refused::NoTime)?;
    let (src, dst) = (fields::ip(&mut connection, "src_ip"), fields::ip(&mut connection, "dest_ip"));
    let (Some(src), Some(dst)) = (src, dst) else { return Err(Refused::NoAddresses) };
    let row = rows.begin(time);
    rows.ips(row, src, dst);
    let protocol = fields::narrow::<u8>(&mut connection, "protocol");
    if let Some(protocol) = protocol {
        rows.protocol(row, protocol);
    }
    let ports = [fields::narrow(&mut connection, "src_port"), fields::narrow(&mut connection, "dest_port")];
    rows.ports(row, protocol, ports);
    let columns = &mut rows.columns;
    columns.flow_type.set(row, "L3_L4");
    if let Some(count) = fields::number(&mut flow, "bytes_sent") {
        columns.bytes_sent.set(row, count);
    }
    if let Some(count) = fields::number(&mut flow, "packets_sent") {
        columns.packets_sent.set(row, count);
    }
    let rtt = fields::number(&mut flow, "rtt_msec").and_then(|millis| millis.checked_mul(1_000_000));
    if let Some(rtt_ns) = rtt.filter(|rtt_ns| *rtt_ns > 0) {
        columns.rtt_ns.set(row, rtt_ns);
    }
    if let Some(id) = fields::text(&mut entry, "insertId") {
        columns.uuid.set(row, &id);
    }
    reporter(&mut flow, rows, row);
    for (name, is_src) in [("src_gke_details", true), ("dest_gke_details", false)] {
        if let Some(details) = fields::object(&mut flow, name) {
            let left = gke(details, is_src, rows, row);
            if !left.is_empty() {
                flow.insert(name.to_owned(), left.into());
            }
        }
    }
    // What no column holds: of the flow, and of the entry around it.
    if !connection.is_empty() {
        flow.insert("connection".to_owned(), connection.into());
    }
    if !flow.is_empty() {
        entry.insert("jsonPayload".to_owned(), flow.into());
    }
    fields::keep_rest(rows, row, entry, (time, last));
    rows.end();
    Ok(Kept::Row)
}

/// Which side reported, and so in which direction it saw the flow, and on which machine.
fn reporter(flow: &mut Members, rows: &mut Rows, row: usize) {
    let (direction, side) = match flow.get("reporter").and_then(|value| value.as_str()) {
        Some("SRC") => ("EGRESS", "src_instance"),
        Some("DEST") => ("INGRESS", "dest_instance"),
        _ => return,
    };
    flow.remove("reporter");
    rows.columns.direction.set(row, direction);
    let instance = flow.get(side).and_then(|instance| instance.get("vm_name"));
    if let Some(name) = instance.and_then(|name| name.as_str()) {
        rows.columns.node.set(row, name);
    }
}

/// The pod of a side. Gives what no column holds.
fn gke(mut details: Members, is_src: bool, rows: &mut Rows, row: usize) -> Members {
    let columns = &mut rows.columns;
    if let Some(mut cluster) = fields::object(&mut details, "cluster") {
        if let Some(name) = fields::text(&mut cluster, "cluster_name") {
            let column = if is_src { &mut columns.src_cluster } else { &mut columns.dst_cluster };
            column.set(row, &name);
        }
        if !cluster.is_empty() {
            details.insert("cluster".to_owned(), cluster.into());
        }
    }
    if let Some(mut pod) = fields::object(&mut details, "pod") {
        let workload = fields::object(&mut pod, "pod_workload").unwrap_or_default();
        let (mut workload, namespace) = (workload, fields::text(&mut pod, "pod_namespace"));
        let texts = [
            fields::text(&mut pod, "pod_name"),
            namespace,
            fields::text(&mut workload, "workload_name"),
            fields::text(&mut workload, "workload_type"),
        ];
        let targets = if is_src {
            [
                &mut columns.src_pod,
                &mut columns.src_namespace,
                &mut columns.src_workload,
                &mut columns.src_workload_kind,
            ]
        } else {
            [
                &mut columns.dst_pod,
                &mut columns.dst_namespace,
                &mut columns.dst_workload,
                &mut columns.dst_workload_kind,
            ]
        };
        for (column, text) in targets.into_iter().zip(texts) {
            if let Some(text) = text {
                column.set(row, &text);
            }
        }
        if !pod.is_empty() {
            details.insert("pod".to_owned(), pod.into());
        }
    }
    details
}
