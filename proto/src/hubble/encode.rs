//! A row of `flows` → `flow.Flow` and its envelope.

use hindcast_model::tables::flows::View;
use hindcast_model::{list, rest};

use super::event::{put_node_name, put_time};
use crate::flow::{
    AuthType, DebugCapturePoint, DropReason, FlowType, IpVersion, L7FlowType, SocketTranslationPoint,
    TraceObservationPoint, TraceReason, TrafficDirection, Verdict,
};
use crate::json::Message;
use crate::wire::{self, Field, Reader, Value, put_bytes, put_number, signed};

/// Appends the `flow.Flow` of a row: the same message as came in.
pub fn encode_flow(view: &View<'_>, row: usize, out: &mut Vec<u8>) {
    let remainder = Remainder::of(view.rest.get(row).unwrap_or_default());
    let encoder = Encoder { view, row, remainder: &remainder };
    encoder.head(out);
    encoder.ends(out);
    encoder.tail(out);
    remainder.put_fields(out);
}

/// Appends the `observer.GetFlowsResponse` of a row. A flow that came bare gets the envelope its agent would have
/// given it; any other has the one it came in.
pub fn encode_response(view: &View<'_>, row: usize, out: &mut Vec<u8>) {
    let flow = wire::open(out, 1);
    encode_flow(view, row, out);
    flow.close(out);
    let remainder = Remainder::of(view.rest.get(row).unwrap_or_default());
    if let Some(envelope) = remainder.envelope {
        out.extend_from_slice(envelope);
        return;
    }
    put_node_name(out, 1000, view.cluster.get(row), view.node.get(row));
    if let Some(time) = view.time.get(row) {
        put_time(out, 1001, time);
    }
}

/// Appends a row as it was recorded, and says which message that is: a bare flow, or an export event.
#[must_use]
pub fn encode_recorded(view: &View<'_>, row: usize, out: &mut Vec<u8>) -> Message {
    if Remainder::of(view.rest.get(row).unwrap_or_default()).is_bare {
        encode_flow(view, row, out);
        Message::Flow
    } else {
        encode_response(view, row, out);
        Message::ExportEvent
    }
}

/// What `rest` says of a row.
#[derive(Default)]
struct Remainder<'a> {
    bytes: &'a [u8],
    envelope: Option<&'a [u8]>,
    is_bare: bool,
    has_no_time: bool,
    has_no_node: bool,
    /// Whether the columns of these are copies: workloads of both ends, HTTP headers.
    has_workloads: [bool; 2],
    has_headers: bool,
    has_kafka: bool,
    has_aggregate: bool,
}

impl<'a> Remainder<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let mut remainder = Self { bytes, ..Self::default() };
        let mut fields = Reader::new(bytes);
        while let Ok(Some(field)) = fields.next() {
            match (field.number, field.value) {
                (8, Value::Bytes(endpoint)) => remainder.has_workloads[0] = is_copied(endpoint, 6),
                (9, Value::Bytes(endpoint)) => remainder.has_workloads[1] = is_copied(endpoint, 6),
                (15, Value::Bytes(layer7)) => {
                    let mut records = Reader::new(layer7);
                    while let Ok(Some(record)) = records.next() {
                        match (record.number, record.value) {
                            (101, Value::Bytes(http)) => remainder.has_headers = is_copied(http, 5),
                            (102, _) => remainder.has_kafka = true,
                            _ => {}
                        }
                    }
                }
                (21_007, _) => remainder.has_aggregate = true,
                (rest::ENVELOPE, Value::Bytes(envelope)) => remainder.envelope = Some(envelope),
                (rest::BARE, _) => remainder.is_bare = true,
                (rest::NO_TIME, _) => remainder.has_no_time = true,
                (rest::COPIED, Value::Varint(11)) => remainder.has_no_node = true,
                _ => {}
            }
        }
        remainder
    }

    /// Appends the fields of the flow, without what only the recorder has to remember.
    fn put_fields(&self, out: &mut Vec<u8>) {
        let mut fields = Reader::new(self.bytes);
        while let Ok(Some(field)) = fields.next() {
            match (field.number, field.value) {
                (rest::ENVELOPE | rest::BARE | rest::NO_TIME | rest::COPIED | rest::LAST_SEEN, _) => {}
                (8, Value::Bytes(endpoint)) if self.has_workloads[0] => put_without_marks(out, 8, endpoint, &[]),
                (9, Value::Bytes(endpoint)) if self.has_workloads[1] => put_without_marks(out, 9, endpoint, &[]),
                (15, Value::Bytes(layer7)) if self.has_headers => put_without_marks(out, 15, layer7, &[101]),
                _ => out.extend_from_slice(field.raw),
            }
        }
    }
}

fn is_copied(message: &[u8], number: u64) -> bool {
    let mut fields = Reader::new(message);
    while let Ok(Some(field)) = fields.next() {
        if matches!(field, Field { number: rest::COPIED, value: Value::Varint(copied), .. } if copied == number) {
            return true;
        }
    }
    false
}

/// Appends a message field without marks, also inside of its fields `within`.
fn put_without_marks(out: &mut Vec<u8>, number: u32, message: &[u8], within: &[u32]) {
    let open = wire::open(out, number);
    let mut fields = Reader::new(message);
    while let Ok(Some(field)) = fields.next() {
        match (field.number, field.value) {
            (rest::COPIED, _) => {}
            (inner, Value::Bytes(bytes)) if within.contains(&inner) => put_without_marks(out, inner, bytes, &[]),
            _ => out.extend_from_slice(field.raw),
        }
    }
    open.close(out);
}

struct Encoder<'e, 'a> {
    view: &'e View<'a>,
    row: usize,
    remainder: &'e Remainder<'a>,
}

/// Appends an enum column: a name, or a number where this build has no name for it.
macro_rules! put_enum {
    ($out:ident, $number:expr, $text:expr, $type:ty) => {
        if let Some(text) = $text {
            let known = <$type>::from_str_name(text).map(i32::from);
            if let Some(number) = known.or_else(|| text.parse().ok()).filter(|number| *number != 0) {
                put_number($out, $number, signed(i64::from(number)));
            }
        }
    };
}

fn put_text(out: &mut Vec<u8>, number: u32, text: Option<&str>) {
    if let Some(text) = text {
        put_bytes(out, number, text.as_bytes());
    }
}

fn put_nonzero(out: &mut Vec<u8>, number: u32, value: Option<impl Into<u64>>) {
    if let Some(value) = value.map(Into::into).filter(|value| *value != 0) {
        put_number(out, number, value);
    }
}

fn put_list(out: &mut Vec<u8>, number: u32, items: Option<&str>) {
    for item in items.into_iter().flat_map(list::split) {
        put_bytes(out, number, item.as_bytes());
    }
}

impl Encoder<'_, '_> {
    /// What happened, and the layers up to the transport.
    fn head(&self, out: &mut Vec<u8>) {
        let (view, row) = (self.view, self.row);
        if let Some(time) = view.time.get(row)
            && !self.remainder.has_no_time
        {
            put_time(out, 1, time);
        }
        put_text(out, 34, view.uuid.get(row));
        put_enum!(out, 2, view.verdict.get(row), Verdict);
        put_nonzero(out, 3, view.drop_reason_code.get(row));
        put_enum!(out, 35, view.auth_type.get(row), AuthType);
        if view.src_mac.get(row).is_some() || view.dst_mac.get(row).is_some() {
            let ethernet = wire::open(out, 4);
            put_text(out, 1, view.src_mac.get(row));
            put_text(out, 2, view.dst_mac.get(row));
            ethernet.close(out);
        }
        let is_encrypted = view.encrypted.get(row);
        let addresses = [view.src_ip.get(row), view.dst_ip.get(row), view.src_ip_xlated.get(row)];
        if view.ip_version.get(row).is_some() || is_encrypted.is_some() || addresses.iter().any(Option::is_some) {
            let ip = wire::open(out, 5);
            put_text(out, 1, view.src_ip.get(row));
            put_text(out, 5, view.src_ip_xlated.get(row));
            put_text(out, 2, view.dst_ip.get(row));
            put_enum!(out, 3, view.ip_version.get(row), IpVersion);
            put_nonzero(out, 4, is_encrypted);
            ip.close(out);
        }
        self.layer4(out);
    }

    fn layer4(&self, out: &mut Vec<u8>) {
        let (view, row) = (self.view, self.row);
        let number = match view.protocol.get(row) {
            Some("TCP") => 1,
            Some("UDP") => 2,
            Some("ICMPv4") => 3,
            Some("ICMPv6") => 4,
            Some("SCTP") => 5,
            Some("VRRP") => 6,
            Some("IGMP") => 7,
            _ => return,
        };
        let layer4 = wire::open(out, 6);
        let transport = wire::open(out, number);
        match number {
            1 | 2 | 5 => {
                put_nonzero(out, 1, view.src_port.get(row));
                put_nonzero(out, 2, view.dst_port.get(row));
                if let Some(flags) = view.tcp_flags.get(row).filter(|_flags| number == 1) {
                    let open = wire::open(out, 3);
                    for bit in (0..9).filter(|bit| flags & 1 << bit != 0) {
                        put_number(out, bit + 1, 1);
                    }
                    open.close(out);
                }
            }
            3 | 4 => {
                put_nonzero(out, 1, view.icmp_type.get(row));
                put_nonzero(out, 2, view.icmp_code.get(row));
            }
            _ => {}
        }
        transport.close(out);
        layer4.close(out);
    }

    /// Both ends, the node between them and the application layer.
    fn ends(&self, out: &mut Vec<u8>) {
        let (view, row) = (self.view, self.row);
        self.endpoint(out, 8);
        self.endpoint(out, 9);
        put_enum!(out, 10, view.flow_type.get(row), FlowType);
        if !self.remainder.has_no_node {
            put_node_name(out, 11, view.cluster.get(row), view.node.get(row));
        }
        put_list(out, 13, view.src_names.get(row));
        put_list(out, 14, view.dst_names.get(row));
        self.layer7(out);
        if let Some(kind) = view.event_type.get(row) {
            let event_type = wire::open(out, 19);
            for (number, value) in [(1, kind), (2, view.event_sub_type.get(row).unwrap_or(0))] {
                if value != 0 {
                    put_number(out, number, signed(i64::from(value)));
                }
            }
            event_type.close(out);
        }
        let services = [
            (20, view.src_service.get(row), view.src_service_namespace.get(row)),
            (21, view.dst_service.get(row), view.dst_service_namespace.get(row)),
        ];
        for (number, name, namespace) in services {
            if name.is_some() || namespace.is_some() {
                let service = wire::open(out, number);
                put_text(out, 1, name);
                put_text(out, 2, namespace);
                service.close(out);
            }
        }
    }

    fn endpoint(&self, out: &mut Vec<u8>, number: u32) {
        let (view, row) = (self.view, self.row);
        let is_source = number == 8;
        macro_rules! side {
            ($source:ident, $destination:ident) => {
                if is_source { view.$source.get(row) } else { view.$destination.get(row) }
            };
        }
        let identity = side!(src_identity, dst_identity);
        let endpoint_id = side!(src_endpoint_id, dst_endpoint_id);
        let texts = [
            (7, side!(src_cluster, dst_cluster)),
            (3, side!(src_namespace, dst_namespace)),
            (5, side!(src_pod, dst_pod)),
        ];
        let labels = side!(src_labels, dst_labels);
        let workload = side!(src_workload, dst_workload);
        let workload_kind = side!(src_workload_kind, dst_workload_kind);
        let is_present = identity.is_some()
            || endpoint_id.is_some()
            || texts.iter().any(|(_, text)| text.is_some())
            || [labels, workload, workload_kind].iter().any(Option::is_some);
        if !is_present {
            return;
        }
        let endpoint = wire::open(out, number);
        put_nonzero(out, 1, endpoint_id);
        put_nonzero(out, 2, identity);
        for (number, text) in texts {
            put_text(out, number, text);
        }
        put_list(out, 4, labels);
        let [of_source, of_destination] = self.remainder.has_workloads;
        let is_copy = if is_source { of_source } else { of_destination };
        if (workload.is_some() || workload_kind.is_some()) && !is_copy {
            let open = wire::open(out, 6);
            put_text(out, 1, workload);
            put_text(out, 2, workload_kind);
            open.close(out);
        }
        endpoint.close(out);
    }

    fn layer7(&self, out: &mut Vec<u8>) {
        let (view, row) = (self.view, self.row);
        let (kind, protocol, latency) = (view.l7_type.get(row), view.l7_protocol.get(row), view.latency_ns.get(row));
        if kind.is_none() && latency.is_none() && !matches!(protocol, Some("DNS" | "HTTP" | "KAFKA")) {
            return;
        }
        let layer7 = wire::open(out, 15);
        put_enum!(out, 1, kind, L7FlowType);
        put_nonzero(out, 2, latency);
        match protocol {
            Some("DNS") => {
                let dns = wire::open(out, 100);
                put_text(out, 1, view.dns_query.get(row));
                put_list(out, 2, view.dns_ips.get(row));
                put_nonzero(out, 3, view.dns_ttl_s.get(row));
                put_list(out, 4, view.dns_cnames.get(row));
                put_text(out, 5, view.dns_observation_source.get(row));
                put_nonzero(out, 6, view.dns_rcode.get(row));
                put_list(out, 7, view.dns_qtypes.get(row));
                put_list(out, 8, view.dns_rrtypes.get(row));
                dns.close(out);
            }
            Some("HTTP") => self.http(out),
            Some("KAFKA") if !self.remainder.has_kafka => {
                let kafka = wire::open(out, 102);
                put_text(out, 3, view.kafka_api_key.get(row));
                put_text(out, 5, view.kafka_topic.get(row));
                kafka.close(out);
            }
            _ => {}
        }
        layer7.close(out);
    }

    fn http(&self, out: &mut Vec<u8>) {
        let (view, row) = (self.view, self.row);
        let http = wire::open(out, 101);
        put_nonzero(out, 1, view.http_status.get(row));
        put_text(out, 2, view.http_method.get(row));
        put_text(out, 3, view.http_url.get(row));
        put_text(out, 4, view.http_protocol.get(row));
        if !self.remainder.has_headers {
            let mut items = view.http_headers.get(row).into_iter().flat_map(list::split);
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                let header = wire::open(out, 5);
                put_text(out, 1, Some(&*key).filter(|key| !key.is_empty()));
                put_text(out, 2, Some(&*value).filter(|value| !value.is_empty()));
                header.close(out);
            }
        }
        http.close(out);
    }

    /// Where and why it was seen.
    fn tail(&self, out: &mut Vec<u8>) {
        let (view, row) = (self.view, self.row);
        put_enum!(out, 22, view.direction.get(row), TrafficDirection);
        put_nonzero(out, 23, view.policy_match_type.get(row));
        put_enum!(out, 24, view.trace_observation_point.get(row), TraceObservationPoint);
        put_enum!(out, 36, view.trace_reason.get(row), TraceReason);
        if let Some(trace_id) = view.ip_trace_id.get(row) {
            let open = wire::open(out, 40);
            put_nonzero(out, 1, Some(trace_id));
            open.close(out);
        }
        put_enum!(out, 25, view.drop_reason.get(row), DropReason);
        if let Some(is_reply) = view.is_reply.get(row) {
            let open = wire::open(out, 26);
            put_nonzero(out, 1, Some(is_reply));
            open.close(out);
        }
        put_enum!(out, 27, view.debug_capture_point.get(row), DebugCapturePoint);
        if view.interface_index.get(row).is_some() || view.interface_name.get(row).is_some() {
            let open = wire::open(out, 28);
            put_nonzero(out, 1, view.interface_index.get(row));
            put_text(out, 2, view.interface_name.get(row));
            open.close(out);
        }
        put_nonzero(out, 29, view.proxy_port.get(row));
        if let Some(trace_id) = view.trace_id.get(row) {
            let context = wire::open(out, 30);
            let parent = wire::open(out, 1);
            put_text(out, 1, Some(trace_id));
            parent.close(out);
            context.close(out);
        }
        put_enum!(out, 31, view.sock_xlate_point.get(row), SocketTranslationPoint);
        put_nonzero(out, 32, view.socket_cookie.get(row));
        put_nonzero(out, 33, view.cgroup_id.get(row));
        put_text(out, 100_000, view.summary.get(row));
        self.aggregate(out);
    }

    /// A row that stands for several flows says so, whoever folded them.
    fn aggregate(&self, out: &mut Vec<u8>) {
        let n_flows = self.view.flow_count.get(self.row).unwrap_or(1);
        if n_flows <= 1 || self.remainder.has_aggregate {
            return;
        }
        let number = match self.view.direction.get(self.row) {
            Some("INGRESS") => 1,
            Some("EGRESS") => 2,
            _ => 3,
        };
        let aggregate = wire::open(out, 21_007);
        put_number(out, number, n_flows.min(u64::from(u32::MAX)));
        aggregate.close(out);
    }
}
