//! The tables: what each row is, and its columns as users type them.
//!
//! Conventions. `time` is when it happened at the sensor (*observed_at*), `recorded_at` when the log accepted it. A
//! null means that the wire said nothing. An enum is the wire's own name for it, or the number as text where this
//! build knows no name; a zero that means "unknown" is null. Several texts in one value are a [`crate::list`].
//! Names end in their unit.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;

use crate::macros::table;
use crate::{ColumnDef, SchemaError};

/// Puts finished columns together and checks that required ones are whole.
fn assemble(
    table: &'static str,
    definitions: &'static [ColumnDef],
    schema: SchemaRef,
    columns: Vec<ArrayRef>,
) -> Result<RecordBatch, SchemaError> {
    let holed = definitions.iter().zip(&columns).find(|(column, array)| column.required && array.null_count() > 0);
    if let Some((column, _)) = holed {
        return Err(SchemaError::MissingRequired { table, column: column.name });
    }
    // Lengths and types agree by construction, nulls were checked: what is left cannot fail.
    RecordBatch::try_new(Arc::clone(&schema), columns)
        .map_err(|error| SchemaError::UnknownColumn { table, column: error.to_string() })
}

table! {
    /// One observation of traffic, or one summary of a connection, with a verdict.
    flows {
        /// When it was observed.
        time: Time required,
        /// When the log accepted it.
        recorded_at: Time required,
        /// Cluster of the observing node: the part before the slash of the wire's node name.
        cluster: Dict,
        /// Node that observed it: the wire's node name, without its cluster where it has the form `cluster/node`.
        node: Dict,
        /// Which wire brought it: hubble, tetragon, flight, sensor, pcap, netflow, sflow, flow_log, netobserv or generated.
        source_kind: Dict required,
        /// Which input brought it: a path or an address.
        source: Dict,
        /// The sender's random id of this record.
        uuid: Text,
        /// What the datapath did: FORWARDED, DROPPED, ERROR, AUDIT, REDIRECTED, TRACED or TRANSLATED.
        verdict: Dict,
        /// Why it was refused, by name; set only with a drop.
        drop_reason: Dict,
        /// Why it was refused, as the datapath's number.
        drop_reason_code: U32,
        /// INGRESS or EGRESS, seen from the local endpoint.
        direction: Dict,
        /// Whether it goes against the direction in which the connection was opened.
        is_reply: Bool,
        /// Mutual authentication that the policy asked for.
        auth_type: Dict,
        /// Source MAC address.
        src_mac: Dict,
        /// Destination MAC address.
        dst_mac: Dict,
        /// IPv4, IPv6 or IP_NOT_USED; null where there was no network layer at all.
        ip_version: Dict,
        /// Source address as text; the one before translation where there was any.
        src_ip: Dict,
        /// Destination address as text.
        dst_ip: Dict,
        /// Source address after translation.
        src_ip_xlated: Dict,
        /// Whether it was seen inside of WireGuard or IPsec.
        encrypted: Bool,
        /// TCP, UDP, ICMPv4, ICMPv6, SCTP, VRRP or IGMP.
        protocol: Dict,
        /// Source port of TCP, UDP or SCTP.
        src_port: U16,
        /// Destination port of TCP, UDP or SCTP.
        dst_port: U16,
        /// TCP flags: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128, NS 256.
        tcp_flags: U16,
        /// ICMP type.
        icmp_type: U8,
        /// ICMP code.
        icmp_code: U8,
        /// Number of the source endpoint on its node.
        src_endpoint_id: U32,
        /// Security identity of the source; null where there was no source endpoint at all.
        src_identity: U32,
        /// Cluster of the source.
        src_cluster: Dict,
        /// Namespace of the source.
        src_namespace: Dict,
        /// Pod of the source.
        src_pod: Dict,
        /// Workload of the source: the first that the wire names.
        src_workload: Dict,
        /// Kind of that workload.
        src_workload_kind: Dict,
        /// Security labels of the source, a list of `source:key=value`.
        src_labels: Dict,
        /// DNS names known for the source address, a list.
        src_names: Dict,
        /// Service that owns the source address.
        src_service: Dict,
        /// Namespace of that service.
        src_service_namespace: Dict,
        /// Process that sent it, where known.
        src_exec_id: Dict,
        /// Number of the destination endpoint on its node.
        dst_endpoint_id: U32,
        /// Security identity of the destination; null where there was no destination endpoint at all.
        dst_identity: U32,
        /// Cluster of the destination.
        dst_cluster: Dict,
        /// Namespace of the destination.
        dst_namespace: Dict,
        /// Pod of the destination.
        dst_pod: Dict,
        /// Workload of the destination: the first that the wire names.
        dst_workload: Dict,
        /// Kind of that workload.
        dst_workload_kind: Dict,
        /// Security labels of the destination, a list of `source:key=value`.
        dst_labels: Dict,
        /// DNS names known for the destination address, a list.
        dst_names: Dict,
        /// Service that owns the destination address.
        dst_service: Dict,
        /// Namespace of that service.
        dst_service_namespace: Dict,
        /// Process that received it, where known.
        dst_exec_id: Dict,
        /// Coarse class: L3_L4, L7 or SOCK.
        flow_type: Dict,
        /// Number of the datapath message it came from.
        event_type: I32,
        /// Trace point, drop code or capture point, by event type.
        event_sub_type: I32,
        /// How specific the matching policy entry was.
        policy_match_type: U32,
        /// Where in the datapath it was seen.
        trace_observation_point: Dict,
        /// State of connection tracking at that point.
        trace_reason: Dict,
        /// Where a debug capture was taken.
        debug_capture_point: Dict,
        /// Stage of socket-level service translation.
        sock_xlate_point: Dict,
        /// Index of the network device; null where the wire names no device.
        interface_index: U32,
        /// Name of the network device.
        interface_name: Dict,
        /// Local proxy port it was redirected to.
        proxy_port: U16,
        /// W3C trace id taken from request headers.
        trace_id: Text,
        /// Trace number carried in an IP option; null where there is none.
        ip_trace_id: U64,
        /// Kernel cookie of the socket.
        socket_cookie: U64,
        /// Cgroup of the process.
        cgroup_id: U64,
        /// Policies that allowed it at egress, a list of `namespace/name`.
        egress_allowed_by: Dict,
        /// Policies that allowed it at ingress, a list of `namespace/name`.
        ingress_allowed_by: Dict,
        /// Policies that denied it at egress, a list of `namespace/name`.
        egress_denied_by: Dict,
        /// Policies that denied it at ingress, a list of `namespace/name`.
        ingress_denied_by: Dict,
        /// REQUEST, RESPONSE, SAMPLE or UNKNOWN_L7_TYPE; null where there was no application layer.
        l7_type: Dict,
        /// HTTP, DNS, KAFKA or TLS.
        l7_protocol: Dict,
        /// Time from request to response, nanoseconds.
        latency_ns: U64,
        /// Name asked for.
        dns_query: Dict,
        /// Addresses answered, a list.
        dns_ips: Dict,
        /// Life of the answer, seconds.
        dns_ttl_s: U32,
        /// CNAMEs answered, a list.
        dns_cnames: Dict,
        /// Response code; 3 is NXDOMAIN.
        dns_rcode: U16,
        /// Question types, a list.
        dns_qtypes: Dict,
        /// Answer record types, a list.
        dns_rrtypes: Dict,
        /// Who saw the DNS message.
        dns_observation_source: Dict,
        /// Response status; 0 on requests.
        http_status: U16,
        /// Request method.
        http_method: Dict,
        /// URL or path as the proxy saw it.
        http_url: Dict,
        /// Protocol version, as in HTTP/1.1.
        http_protocol: Dict,
        /// Captured headers, a list of keys and values in turn.
        http_headers: Dict,
        /// Kafka topic.
        kafka_topic: Dict,
        /// Kafka API name.
        kafka_api_key: Dict,
        /// Server name of a TLS handshake.
        tls_server_name: Dict,
        /// TLS version.
        tls_version: Dict,
        /// TLS cipher suite.
        tls_cipher: Dict,
        /// Application protocol agreed in the handshake.
        tls_alpn: Dict,
        /// Bytes from source to destination.
        bytes_sent: U64,
        /// Bytes from destination to source.
        bytes_received: U64,
        /// Packets from source to destination.
        packets_sent: U64,
        /// Packets from destination to source.
        packets_received: U64,
        /// Segments sent again.
        retransmits: U32,
        /// Smoothed round-trip time, nanoseconds.
        rtt_ns: U64,
        /// Same for both nodes' observations of one connection, where a sensor can tell.
        connection_id: U64,
        /// How many flows this row stands for: 1, or what an aggregating exporter folded.
        flow_count: U64 required,
        /// One-line text of the sender.
        summary: Dict,
        /// What else the wire held; see the flow format.
        rest: Bytes,
    }
}

table! {
    /// One process-level event.
    runtime_events {
        /// When it was observed.
        time: Time required,
        /// When the log accepted it.
        recorded_at: Time required,
        /// Cluster of the observing node.
        cluster: Dict,
        /// Node that observed it.
        node: Dict,
        /// Which wire brought it.
        source_kind: Dict required,
        /// Which input brought it: a path or an address.
        source: Dict,
        /// Kind of event by its wire name: process_exec, process_exit, process_kprobe, …
        kind: Dict required,
        /// The process: node, start time and pid, encoded by the sender.
        exec_id: Dict,
        /// The parent of that process.
        parent_exec_id: Dict,
        /// Process id on the host.
        pid: U32,
        /// Thread id on the host.
        tid: U32,
        /// User id.
        uid: U32,
        /// Login user id; 4294967295 where nobody logged in.
        auid: U32,
        /// Path of the program.
        binary: Dict,
        /// Arguments as one text.
        arguments: Dict,
        /// Working directory.
        cwd: Dict,
        /// How the sender learned of the process: execve, clone, procFS, …
        flags: Dict,
        /// When the process started.
        start_time: Time,
        /// Whether the process descends from the container's first.
        in_init_tree: Bool,
        /// Permitted capabilities, bit n for capability number n.
        cap_permitted: U64,
        /// Effective capabilities, bit n for capability number n.
        cap_effective: U64,
        /// Inheritable capabilities, bit n for capability number n.
        cap_inheritable: U64,
        /// Pod namespace.
        namespace: Dict,
        /// Pod name.
        pod: Dict,
        /// Workload that owns the pod.
        workload: Dict,
        /// Kind of that workload.
        workload_kind: Dict,
        /// Labels of the pod, a list of `key=value`, sorted.
        pod_labels: Dict,
        /// Container id, as long as the sender gave it.
        container_id: Dict,
        /// Container name.
        container_name: Dict,
        /// Container image.
        image: Dict,
        /// Path of the parent's program.
        parent_binary: Dict,
        /// Arguments of the parent as one text.
        parent_arguments: Dict,
        /// Hooked function, `subsystem/event` of a tracepoint, or symbol of a user-space probe.
        function: Dict,
        /// Tracing policy that asked for the event.
        policy_name: Dict,
        /// What the policy did.
        action: Dict,
        /// Message of the policy.
        message: Dict,
        /// Tags of the policy, a list.
        tags: Dict,
        /// Signal that ended the process.
        signal: Dict,
        /// Exit status; 0 with a plain success.
        exit_status: U32,
        /// Source address of a socket argument.
        src_ip: Dict,
        /// Source port of a socket argument.
        src_port: U16,
        /// Destination address of a socket argument.
        dst_ip: Dict,
        /// Destination port of a socket argument.
        dst_port: U16,
        /// File path argument.
        file: Dict,
        /// The process as it came, in protobuf bytes.
        process: DictBytes,
        /// The parent as it came, in protobuf bytes.
        parent: DictBytes,
        /// What else the wire held; see the runtime format.
        rest: Bytes,
    }
}

table! {
    /// One agent or debug event of a Hubble agent.
    agent_events {
        /// When it was observed.
        time: Time required,
        /// When the log accepted it.
        recorded_at: Time required,
        /// Cluster of the observing node.
        cluster: Dict,
        /// Node that observed it.
        node: Dict,
        /// Which wire brought it.
        source_kind: Dict required,
        /// Which input brought it: a path or an address.
        source: Dict,
        /// agent or debug.
        kind: Dict required,
        /// Type of the event by its wire name.
        event_type: Dict,
        /// Text of a debug event.
        message: Dict,
        /// The event as it came, in protobuf bytes, with its envelope's remainder.
        rest: Bytes,
    }
}

table! {
    /// Flows of one edge in one bucket of time; exactly what summing the raw flows gives.
    edges {
        /// Start of the bucket.
        time: Time required,
        /// Observing side: cluster of the node.
        cluster: Dict,
        /// Namespace of the source.
        src_namespace: Dict,
        /// Workload of the source.
        src_workload: Dict,
        /// Kind of that workload.
        src_workload_kind: Dict,
        /// Security identity of the source where it has no workload.
        src_identity: U32,
        /// First DNS name of a source without a workload.
        src_name: Dict,
        /// Namespace of the destination.
        dst_namespace: Dict,
        /// Workload of the destination.
        dst_workload: Dict,
        /// Kind of that workload.
        dst_workload_kind: Dict,
        /// Security identity of the destination where it has no workload.
        dst_identity: U32,
        /// First DNS name of a destination without a workload.
        dst_name: Dict,
        /// Protocol of the transport layer.
        protocol: Dict,
        /// Server port: the destination's of a request, the source's of a reply.
        port: U16,
        /// What the datapath did.
        verdict: Dict,
        /// Why it was refused.
        drop_reason: Dict,
        /// INGRESS or EGRESS, seen from the local endpoint: which side counted.
        direction: Dict,
        /// Whether the flows go against the connection's direction.
        is_reply: Bool,
        /// Where in the datapath the flows were seen: one packet may be seen at several points.
        trace_observation_point: Dict,
        /// Protocol of the application layer.
        l7_protocol: Dict,
        /// REQUEST, RESPONSE or SAMPLE.
        l7_type: Dict,
        /// Status class of HTTP responses: 1 to 5, null otherwise.
        http_status_class: U8,
        /// Flows, folded ones counted as many as they stand for.
        flows: U64 required,
        /// Rows of the flows table.
        rows: U64 required,
        /// Sum of bytes from source to destination.
        bytes_sent: U64,
        /// Sum of bytes from destination to source.
        bytes_received: U64,
        /// Sum of packets from source to destination.
        packets_sent: U64,
        /// Sum of packets from destination to source.
        packets_received: U64,
        /// Flows with an HTTP status of 500 or more, or a DNS response code other than 0.
        errors: U64 required,
        /// Earliest observation.
        first_seen: Time required,
        /// Latest observation.
        last_seen: Time required,
        /// Flows with a latency.
        latency_count: U64 required,
        /// Sum of latencies, nanoseconds.
        latency_sum_ns: U64 required,
        /// Greatest latency, nanoseconds.
        latency_max_ns: U64,
        /// Flows with a latency of at most 100 µs.
        latency_le_100us: U32,
        /// Flows with a latency above that and of at most 250 µs.
        latency_le_250us: U32,
        /// Flows with a latency above that and of at most 500 µs.
        latency_le_500us: U32,
        /// Flows with a latency above that and of at most 1 ms.
        latency_le_1ms: U32,
        /// Flows with a latency above that and of at most 2.5 ms.
        latency_le_2500us: U32,
        /// Flows with a latency above that and of at most 5 ms.
        latency_le_5ms: U32,
        /// Flows with a latency above that and of at most 10 ms.
        latency_le_10ms: U32,
        /// Flows with a latency above that and of at most 25 ms.
        latency_le_25ms: U32,
        /// Flows with a latency above that and of at most 50 ms.
        latency_le_50ms: U32,
        /// Flows with a latency above that and of at most 100 ms.
        latency_le_100ms: U32,
        /// Flows with a latency above that and of at most 250 ms.
        latency_le_250ms: U32,
        /// Flows with a latency above that and of at most 500 ms.
        latency_le_500ms: U32,
        /// Flows with a latency above that and of at most 1 s.
        latency_le_1s: U32,
        /// Flows with a latency above that and of at most 2.5 s.
        latency_le_2500ms: U32,
        /// Flows with a latency above that and of at most 5 s.
        latency_le_5s: U32,
        /// Flows with a latency above that and of at most 10 s.
        latency_le_10s: U32,
        /// Flows with a latency above 10 s.
        latency_le_inf: U32,
    }
}

table! {
    /// What was known of an address over an interval of time, and when it was learned.
    workloads {
        /// From when on it was true.
        valid_from: Time required,
        /// Until when it was true; null while it still is.
        valid_to: Time,
        /// When the recorder learned of it.
        learned_at: Time required,
        /// Cluster.
        cluster: Dict,
        /// Address as text.
        ip: Dict,
        /// Namespace.
        namespace: Dict,
        /// Pod.
        pod: Dict,
        /// Workload that owns the pod.
        workload: Dict,
        /// Kind of that workload.
        workload_kind: Dict,
        /// Security labels, a list.
        labels: Dict,
        /// Security identity.
        identity: U32,
        /// Container images, a list.
        images: Dict,
    }
}

table! {
    /// A policy object over an interval of time.
    policies {
        /// From when on it was in force.
        valid_from: Time required,
        /// Until when it was in force; null while it still is.
        valid_to: Time,
        /// When the recorder learned of it.
        learned_at: Time required,
        /// Cluster.
        cluster: Dict,
        /// Namespace; null for a cluster-wide one.
        namespace: Dict,
        /// Name.
        name: Dict required,
        /// Object kind.
        kind: Dict required,
        /// The object as YAML.
        manifest: Text,
    }
}

table! {
    /// What a source or a stage could not keep, over an interval of time; also a source's word on its own state.
    losses {
        /// Start of the interval.
        time: Time required,
        /// End of the interval.
        end_time: Time,
        /// When the log accepted the report.
        recorded_at: Time required,
        /// Cluster of the node concerned.
        cluster: Dict,
        /// Node concerned.
        node: Dict,
        /// Which wire brought the report.
        source_kind: Dict required,
        /// Which input brought the report: a path or an address.
        source: Dict,
        /// Where events went missing: kernel, agent, relay, ingest, …
        stage: Dict required,
        /// Why, from a closed list per stage.
        reason: Dict required,
        /// How many events; null where nobody counted.
        count: U64,
        /// More, for a person: file, line, error text.
        detail: Text,
        /// The report as it came, in protobuf bytes.
        rest: Bytes,
    }
}

table! {
    /// How far an input was read; the latest row of an input holds.
    ingested {
        /// When the progress was recorded.
        time: Time required,
        /// The input: a path, an object or an address.
        source: Dict required,
        /// What the input is recognised by when its name changes: a hash of its first bytes.
        fingerprint: Text,
        /// Bytes read, of the decompressed content.
        position: U64 required,
        /// Whether the input was read to its end.
        is_complete: Bool required,
        /// Events recorded from it so far.
        recorded: U64 required,
        /// Events that were there already.
        deduplicated: U64 required,
        /// Events refused as invalid.
        rejected: U64 required,
        /// Time of the latest event recorded from it.
        last_event_time: Time,
    }
}

#[cfg(test)]
mod tests;
