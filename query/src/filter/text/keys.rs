//! The keys of the filter language and the columns they speak of.

use hindcast_model::{ColumnKind, TableId};

/// A key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// What a user types; the first is the usual form.
    pub names: &'static [&'static str],
    /// Where it looks.
    pub columns: Columns,
    /// What its values are.
    pub values: Values,
    /// One line for a user.
    pub doc: &'static str,
}

/// The columns of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    /// Any of these.
    Any(&'static [&'static str]),
    /// The source's and the destination's; `from:` and `to:` choose.
    Sides(&'static str, &'static str),
}

/// What the values of a key are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Texts, as they are.
    Text,
    /// Texts, case aside.
    Word,
    /// A name of a pod: `name`, `namespace/name`; what follows a dash may be left off.
    Pod,
    /// Paths of programs; a name without a slash means the last part.
    Program,
    /// A part of a text, case aside.
    Part,
    /// Names in the domain name system: case and a trailing dot aside.
    Domain,
    /// Names in the domain name system, several in one value.
    Domains,
    /// Texts, several in one value; `name` also means `…/name`.
    Items,
    /// Label selectors.
    Labels,
    /// Addresses and networks.
    Address,
    /// Numbers.
    Number,
    /// Security identities, by number or reserved name.
    Identity,
    /// Time, as in 10ms.
    Duration,
    /// Sizes, as in 1MiB.
    Size,
    /// true or false.
    Truth,
    /// INGRESS or EGRESS.
    Direction,
    /// Protocols of the transport or application layer.
    Protocol,
    /// Paths of request URLs.
    UrlPath,
    /// Kinds of runtime event, with or without `process_`.
    EventKind,
    /// Capabilities by name.
    Capability,
}

const fn key(names: &'static [&'static str], columns: Columns, values: Values, doc: &'static str) -> Key {
    Key { names, columns, values, doc }
}

const fn one(column: &'static [&'static str]) -> Columns {
    Columns::Any(column)
}

use Columns::Sides;

/// Keys of flows.
const FLOWS: &[Key] = &[
    key(&["ns", "namespace"], Sides("src_namespace", "dst_namespace"), Values::Text, "namespace of either side"),
    key(&["pod"], Sides("src_pod", "dst_pod"), Values::Pod, "pod of either side, `db` also means `db-…`"),
    key(&["workload", "wl"], Sides("src_workload", "dst_workload"), Values::Text, "workload of either side"),
    key(&["service", "svc"], Sides("src_service", "dst_service"), Values::Text, "service of either side"),
    key(&["label"], Sides("src_labels", "dst_labels"), Values::Labels, "label selector, as in `label:app=web`"),
    key(&["ip"], Sides("src_ip", "dst_ip"), Values::Address, "address or network of either side"),
    key(&["port"], Sides("src_port", "dst_port"), Values::Number, "port of either side"),
    key(&["name", "fqdn"], Sides("src_names", "dst_names"), Values::Domains, "DNS name known for either address"),
    key(&["identity", "id"], Sides("src_identity", "dst_identity"), Values::Identity, "security identity"),
    key(&["exec_id"], Sides("src_exec_id", "dst_exec_id"), Values::Text, "process of either side"),
    key(&["mac"], Sides("src_mac", "dst_mac"), Values::Word, "MAC address of either side"),
    key(&["proto", "protocol"], one(&["protocol", "l7_protocol"]), Values::Protocol, "tcp, udp, icmp, …, http, dns"),
    key(&["verdict"], one(&["verdict"]), Values::Word, "forwarded, dropped, error, audit, redirected, …"),
    key(&["reason"], one(&["drop_reason"]), Values::Word, "why it was dropped"),
    key(&["dir", "direction"], one(&["direction"]), Values::Direction, "ingress (in) or egress (out)"),
    key(&["reply"], one(&["is_reply"]), Values::Truth, "whether it is a reply"),
    key(&["encrypted"], one(&["encrypted"]), Values::Truth, "whether it was seen inside of a tunnel"),
    key(&["type"], one(&["flow_type"]), Values::Word, "l3_l4, l7 or sock"),
    key(&["event"], one(&["event_type"]), Values::Number, "number of the datapath message"),
    key(&["l7"], one(&["l7_protocol", "l7_type"]), Values::Word, "http, dns, kafka; request, response"),
    key(&["dns"], one(&["dns_query"]), Values::Domain, "name asked for"),
    key(&["dns.rcode", "rcode"], one(&["dns_rcode"]), Values::Number, "DNS response code"),
    key(&["http.status", "status"], one(&["http_status"]), Values::Number, "response status"),
    key(&["http.method", "method"], one(&["http_method"]), Values::Word, "request method"),
    key(&["http.path", "path"], one(&["http_url"]), Values::UrlPath, "path of the request"),
    key(&["http.url", "url"], one(&["http_url"]), Values::Text, "URL as the proxy saw it"),
    key(&["tls", "sni"], one(&["tls_server_name"]), Values::Domain, "server name of a TLS handshake"),
    key(&["topic"], one(&["kafka_topic"]), Values::Text, "Kafka topic"),
    key(&["latency"], one(&["latency_ns"]), Values::Duration, "time from request to response"),
    key(&["rtt"], one(&["rtt_ns"]), Values::Duration, "round-trip time"),
    key(&["bytes"], one(&["bytes_sent", "bytes_received"]), Values::Size, "bytes of either direction"),
    key(&["packets"], one(&["packets_sent", "packets_received"]), Values::Number, "packets of either direction"),
    key(
        &["policy"],
        one(&["egress_allowed_by", "ingress_allowed_by", "egress_denied_by", "ingress_denied_by"]),
        Values::Items,
        "policy that allowed or denied it",
    ),
    key(&["node"], one(&["node"]), Values::Text, "observing node"),
    key(&["cluster"], Sides("src_cluster", "dst_cluster"), Values::Text, "cluster of either side"),
    key(&["trace"], one(&["trace_id"]), Values::Text, "trace id of the request"),
    key(&["uuid"], one(&["uuid"]), Values::Text, "id the sender gave"),
    key(&["iface", "interface"], one(&["interface_name"]), Values::Text, "network device"),
    key(&["source"], one(&["source"]), Values::Text, "input that brought it"),
    key(&["summary"], one(&["summary"]), Values::Part, "part of the sender's one-line text"),
];

/// Keys of runtime events.
const RUNTIME: &[Key] = &[
    key(&["ns", "namespace"], one(&["namespace"]), Values::Text, "namespace of the pod"),
    key(&["pod"], one(&["pod"]), Values::Pod, "pod, `db` also means `db-…`"),
    key(&["workload", "wl"], one(&["workload"]), Values::Text, "workload that owns the pod"),
    key(&["label"], one(&["pod_labels"]), Values::Labels, "label selector, as in `label:app=web`"),
    key(&["container"], one(&["container_name"]), Values::Text, "container name"),
    key(&["container_id"], one(&["container_id"]), Values::Text, "container id"),
    key(&["image"], one(&["image"]), Values::Text, "container image"),
    key(&["binary", "bin"], one(&["binary"]), Values::Program, "program; without a slash its last part"),
    key(&["args", "arguments"], one(&["arguments"]), Values::Part, "part of the arguments"),
    key(&["cwd"], one(&["cwd"]), Values::Text, "working directory"),
    key(&["exec_id"], one(&["exec_id"]), Values::Text, "process"),
    key(&["parent_exec_id"], one(&["parent_exec_id"]), Values::Text, "parent process"),
    key(&["parent"], one(&["parent_binary"]), Values::Program, "program of the parent"),
    key(&["parent.args"], one(&["parent_arguments"]), Values::Part, "part of the parent's arguments"),
    key(&["pid"], one(&["pid"]), Values::Number, "process id on the host"),
    key(&["tid"], one(&["tid"]), Values::Number, "thread id on the host"),
    key(&["uid"], one(&["uid"]), Values::Number, "user id"),
    key(&["auid"], one(&["auid"]), Values::Number, "login user id"),
    key(&["kind", "type"], one(&["kind"]), Values::EventKind, "exec, exit, kprobe, tracepoint, …"),
    key(&["func", "function"], one(&["function"]), Values::Text, "hooked function"),
    key(&["policy"], one(&["policy_name"]), Values::Text, "tracing policy"),
    key(&["action"], one(&["action"]), Values::Word, "what the policy did"),
    key(&["message"], one(&["message"]), Values::Part, "part of the policy's message"),
    key(&["tag"], one(&["tags"]), Values::Items, "tag of the policy"),
    key(&["file"], one(&["file"]), Values::Text, "file argument"),
    key(&["cap"], one(&["cap_effective"]), Values::Capability, "effective capability, as in `cap:net_admin`"),
    key(&["signal"], one(&["signal"]), Values::Word, "signal that ended it"),
    key(&["exit"], one(&["exit_status"]), Values::Number, "exit status"),
    key(&["flags"], one(&["flags"]), Values::Part, "part of the flags"),
    key(&["ip"], Sides("src_ip", "dst_ip"), Values::Address, "address of a socket argument"),
    key(&["port"], Sides("src_port", "dst_port"), Values::Number, "port of a socket argument"),
    key(&["node"], one(&["node"]), Values::Text, "observing node"),
    key(&["cluster"], one(&["cluster"]), Values::Text, "cluster of the observing node"),
    key(&["source"], one(&["source"]), Values::Text, "input that brought it"),
];

/// Columns that free text is looked for in.
pub(super) fn free_text(table: TableId) -> &'static [&'static str] {
    match table {
        TableId::Flows => &[
            "src_pod",
            "dst_pod",
            "src_namespace",
            "dst_namespace",
            "src_workload",
            "dst_workload",
            "src_service",
            "dst_service",
            "src_names",
            "dst_names",
            "src_ip",
            "dst_ip",
            "dns_query",
            "http_url",
            "tls_server_name",
            "verdict",
            "drop_reason",
            "node",
            "summary",
        ],
        TableId::RuntimeEvents => &[
            "binary",
            "arguments",
            "parent_binary",
            "namespace",
            "pod",
            "workload",
            "container_name",
            "image",
            "function",
            "policy_name",
            "message",
            "file",
            "node",
            "kind",
        ],
        TableId::AgentEvents => &["event_type", "message", "node"],
        TableId::Losses => &["stage", "reason", "detail", "node", "source"],
        TableId::Edges1m | TableId::Edges1h => &[
            "src_namespace",
            "src_workload",
            "src_name",
            "dst_namespace",
            "dst_workload",
            "dst_name",
            "verdict",
            "drop_reason",
        ],
        TableId::Workloads => &["namespace", "pod", "workload", "ip", "labels"],
        TableId::Policies => &["namespace", "name", "kind", "manifest"],
        TableId::Ingested => &["source"],
    }
}

/// The keys of a table, besides the names of its columns.
#[must_use]
pub const fn keys(table: TableId) -> &'static [Key] {
    match table {
        TableId::Flows => FLOWS,
        TableId::RuntimeEvents => RUNTIME,
        TableId::AgentEvents
        | TableId::Edges1m
        | TableId::Edges1h
        | TableId::Workloads
        | TableId::Policies
        | TableId::Losses
        | TableId::Ingested => &[],
    }
}

/// The key of that name, or the column.
pub(super) fn find(table: TableId, name: &str) -> Option<Key> {
    if let Some(found) = keys(table).iter().find(|key| key.names.contains(&name)) {
        return Some(*found);
    }
    let column = table.columns().iter().find(|column| column.name == name)?;
    let values = match column.kind {
        ColumnKind::Dict | ColumnKind::Text => Values::Text,
        ColumnKind::Bool => Values::Truth,
        ColumnKind::U8 | ColumnKind::U16 | ColumnKind::U32 | ColumnKind::U64 | ColumnKind::I32 | ColumnKind::I64 => {
            Values::Number
        }
        ColumnKind::Time | ColumnKind::Bytes | ColumnKind::DictBytes => return None,
    };
    Some(Key { names: &[], columns: Columns::Any(std::slice::from_ref(&column.name)), values, doc: column.doc })
}

/// The known name nearest to a mistyped one.
pub(super) fn nearest(table: TableId, name: &str) -> Option<&'static str> {
    let names = keys(table).iter().flat_map(|key| key.names.iter().copied());
    let columns = table.columns().iter().map(|column| column.name);
    crate::nearest::nearest(name, names.chain(columns))
}
