//! Filters of `GetFlows`: lists of `FlowFilter`, field by field as Hubble's own server reads them.
//!
//! A field's values are alternatives, fields of one filter must all match, filters of the allow list are
//! alternatives, a match of the deny list removes. An empty allow list keeps everything.

use hindcast_proto::flow::{
    DropReason, EventTypeFilter, FlowFilter, IpVersion, NetworkInterface, TcpFlags, TrafficDirection, Verdict, Workload,
};

use super::labels::Selector;
use super::wire::WireTest;
use super::{BitsTest, Filter, NumberTest, Pattern, RowTest, TextTest, names};
use crate::FilterError;

/// Number of the event type of application-layer flows.
const L7_EVENT_TYPE: i32 = 129;
/// Fields of `flow.Flow` that hold the endpoints.
const FLOW_SOURCE: u32 = 8;
/// See [`FLOW_SOURCE`].
const FLOW_DESTINATION: u32 = 9;
/// Bits of the column `tcp_flags`.
const NS_BIT: u64 = 256;

/// The columns of one side.
struct Side {
    word: &'static str,
    ip: &'static str,
    port: &'static str,
    namespace: &'static str,
    pod: &'static str,
    service: &'static str,
    service_namespace: &'static str,
    workload: &'static str,
    workload_kind: &'static str,
    labels: &'static str,
    names: &'static str,
    cluster: &'static str,
    identity: &'static str,
    endpoint: u32,
}

const SOURCE: Side = Side {
    word: "source",
    ip: "src_ip",
    port: "src_port",
    namespace: "src_namespace",
    pod: "src_pod",
    service: "src_service",
    service_namespace: "src_service_namespace",
    workload: "src_workload",
    workload_kind: "src_workload_kind",
    labels: "src_labels",
    names: "src_names",
    cluster: "src_cluster",
    identity: "src_identity",
    endpoint: FLOW_SOURCE,
};

const DESTINATION: Side = Side {
    word: "destination",
    ip: "dst_ip",
    port: "dst_port",
    namespace: "dst_namespace",
    pod: "dst_pod",
    service: "dst_service",
    service_namespace: "dst_service_namespace",
    workload: "dst_workload",
    workload_kind: "dst_workload_kind",
    labels: "dst_labels",
    names: "dst_names",
    cluster: "dst_cluster",
    identity: "dst_identity",
    endpoint: FLOW_DESTINATION,
};

/// The flows that a request selects.
///
/// # Errors
/// A value of some filter is malformed.
pub fn from_request(whitelist: &[FlowFilter], blacklist: &[FlowFilter]) -> Result<Filter, FilterError> {
    let allowed = match whitelist {
        [] => Filter::True,
        list => Filter::any(list.iter().map(from_filter).collect::<Result<Vec<_>, _>>()?),
    };
    let denied = Filter::any(blacklist.iter().map(from_filter).collect::<Result<Vec<_>, _>>()?);
    Ok(Filter::all([allowed, denied.negate()]))
}

/// The flows that one filter selects.
///
/// # Errors
/// A value is malformed.
pub fn from_filter(filter: &FlowFilter) -> Result<Filter, FilterError> {
    let mut parts = Vec::new();
    parts.push(either(&filter.uuid, |uuid| Ok(Filter::text_or_absent("uuid", uuid)))?);
    source_side(filter, &mut parts)?;
    destination_side(filter, &mut parts)?;
    datapath(filter, &mut parts)?;
    application(filter, &mut parts)?;
    node(filter, &mut parts)?;
    if let Some(experimental) = &filter.experimental {
        parts.push(either(&experimental.cel_expression, |text| super::cel::flow(text))?);
    }
    Ok(Filter::all(parts))
}

/// Any of the values; everything if there are none.
fn either<T>(values: &[T], to_filter: impl Fn(&T) -> Result<Filter, FilterError>) -> Result<Filter, FilterError> {
    if values.is_empty() {
        return Ok(Filter::True);
    }
    Ok(Filter::any(values.iter().map(to_filter).collect::<Result<Vec<_>, _>>()?))
}

fn source_side(filter: &FlowFilter, parts: &mut Vec<Filter>) -> Result<(), FilterError> {
    let side = &SOURCE;
    parts.push(either(&filter.source_ip, |text| address(side.ip, text))?);
    parts.push(either(&filter.source_ip_xlated, |text| address("src_ip_xlated", text))?);
    parts.push(either(&filter.source_pod, |text| namespaced(side.namespace, side.pod, text))?);
    parts.push(either(&filter.source_service, |text| namespaced(side.service_namespace, side.service, text))?);
    parts.push(either(&filter.source_workload, |wanted| Ok(workload(side, wanted)))?);
    parts.push(either(&filter.source_label, |text| labels(side, text))?);
    parts.push(either(&filter.source_fqdn, |text| fqdn(side, text))?);
    parts.push(either(&filter.source_cluster_name, |text| Ok(Filter::text_or_absent(side.cluster, text)))?);
    parts.push(either(&filter.source_identity, |id| Ok(Filter::number(side.identity, [i128::from(*id)])))?);
    parts.push(either(&filter.source_port, |text| port(side, text))?);
    Ok(())
}

fn destination_side(filter: &FlowFilter, parts: &mut Vec<Filter>) -> Result<(), FilterError> {
    let side = &DESTINATION;
    parts.push(either(&filter.destination_ip, |text| address(side.ip, text))?);
    parts.push(either(&filter.destination_pod, |text| namespaced(side.namespace, side.pod, text))?);
    parts.push(either(&filter.destination_service, |text| namespaced(side.service_namespace, side.service, text))?);
    parts.push(either(&filter.destination_workload, |wanted| Ok(workload(side, wanted)))?);
    parts.push(either(&filter.destination_label, |text| labels(side, text))?);
    parts.push(either(&filter.destination_fqdn, |text| fqdn(side, text))?);
    parts.push(either(&filter.destination_cluster_name, |text| Ok(Filter::text_or_absent(side.cluster, text)))?);
    parts.push(either(&filter.destination_identity, |id| Ok(Filter::number(side.identity, [i128::from(*id)])))?);
    parts.push(either(&filter.destination_port, |text| port(side, text))?);
    Ok(())
}

fn datapath(filter: &FlowFilter, parts: &mut Vec<Filter>) -> Result<(), FilterError> {
    parts.push(either(&filter.verdict, |number| {
        Ok(named("verdict", *number, Verdict::try_from(*number).ok().map(|value| value.as_str_name())))
    })?);
    parts.push(either(&filter.traffic_direction, |number| {
        let name = TrafficDirection::try_from(*number).ok().map(|value| value.as_str_name());
        Ok(named("direction", *number, name))
    })?);
    parts.push(either(&filter.ip_version, |number| Ok(ip_version(*number)))?);
    parts.push(either(&filter.drop_reason_desc, |number| {
        let name = DropReason::try_from(*number).ok().map(|value| value.as_str_name());
        Ok(Filter::all([named("drop_reason", *number, name), Filter::one_of("verdict", ["DROPPED"])]))
    })?);
    parts.push(either(&filter.event_type, |wanted| Ok(event_type(wanted)))?);
    parts.push(either(&filter.protocol, |word| protocol(word))?);
    parts.push(either(&filter.reply, |wanted| Ok(reply(*wanted)))?);
    parts.push(either(&filter.tcp_flags, |wanted| Ok(tcp_flags(wanted)))?);
    parts.push(either(&filter.interface, |wanted| Ok(interface(wanted)))?);
    parts.push(either(&filter.encrypted, |wanted| Ok(encrypted(*wanted)))?);
    parts.push(either(&filter.trace_id, |text| Ok(Filter::text_or_absent("trace_id", text)))?);
    parts.push(either(&filter.ip_trace_id, |number| {
        let equal = Filter::number("ip_trace_id", [i128::from(*number)]);
        let absent = Filter::Number { column: "ip_trace_id", test: NumberTest::Absent };
        Ok(if *number == 0 { Filter::any([equal, absent]) } else { equal })
    })?);
    Ok(())
}

fn application(filter: &FlowFilter, parts: &mut Vec<Filter>) -> Result<(), FilterError> {
    let asks = [
        ("status code", !filter.http_status_code.is_empty()),
        ("method", !filter.http_method.is_empty()),
        ("path", !filter.http_path.is_empty()),
        ("url", !filter.http_url.is_empty()),
        ("headers", !filter.http_header.is_empty()),
    ];
    let sees_l7 = filter.event_type.is_empty() || filter.event_type.iter().any(|wanted| wanted.r#type == L7_EVENT_TYPE);
    if let Some((what, _)) = asks.iter().find(|(_, asked)| *asked)
        && !sees_l7
    {
        let message = format!("filtering by http {what} requires the event type filter to only match 'l7' events");
        return Err(FilterError::new(message));
    }
    let http = || Filter::one_of("l7_protocol", ["HTTP"]);
    parts.push(either(&filter.http_status_code, |text| status_code(text))?);
    parts.push(either(&filter.http_method, |text| {
        let test = TextTest::OneOfIgnoringCase([text.to_ascii_lowercase()].into());
        Ok(Filter::all([http(), Filter::Text { column: "http_method", test }]))
    })?);
    parts.push(either(&filter.http_path, |text| {
        let pattern = Pattern::re2(text).map_err(|error| prefixed("failed to compile regexp", error))?;
        Ok(Filter::all([http(), Filter::Text { column: "http_url", test: TextTest::UrlPath(pattern) }]))
    })?);
    parts.push(either(&filter.http_url, |text| {
        let pattern = Pattern::re2(text).map_err(|error| prefixed("failed to compile regexp", error))?;
        Ok(Filter::all([http(), Filter::Text { column: "http_url", test: TextTest::Matches(pattern) }]))
    })?);
    parts.push(either(&filter.http_header, |wanted| {
        let test = TextTest::Pair(wanted.key.clone(), wanted.value.clone());
        Ok(Filter::all([http(), Filter::Text { column: "http_headers", test }]))
    })?);
    parts.push(either(&filter.dns_query, |text| {
        let pattern = Pattern::re2(text).map_err(|error| prefixed("failed to compile regexp", error))?;
        let query = Filter::Text { column: "dns_query", test: TextTest::MatchesOrAbsent(pattern) };
        Ok(Filter::all([Filter::one_of("l7_protocol", ["DNS"]), query]))
    })?);
    Ok(())
}

fn node(filter: &FlowFilter, parts: &mut Vec<Filter>) -> Result<(), FilterError> {
    parts.push(either(&filter.node_name, |text| names::node(text))?);
    if !filter.node_labels.is_empty() {
        let selectors = filter.node_labels.iter().map(|text| Selector::parse(text)).collect::<Result<Vec<_>, _>>()?;
        parts.push(rows(WireTest::NodeLabels(selectors)));
    }
    Ok(())
}

fn rows(test: impl RowTest + 'static) -> Filter {
    Filter::Rows(std::sync::Arc::new(test))
}

fn prefixed(what: &str, error: FilterError) -> FilterError {
    FilterError { message: format!("{what}: {}", error.message), ..error }
}

/// An enum column: its name, its number where this build knows no name, absent for zero.
fn named(column: &'static str, number: i32, name: Option<&'static str>) -> Filter {
    let written = name.map_or_else(|| number.to_string(), str::to_owned);
    let equal = Filter::one_of(column, [written]);
    if number == 0 { Filter::any([equal, Filter::absent(column)]) } else { equal }
}

fn ip_version(number: i32) -> Filter {
    named("ip_version", number, IpVersion::try_from(number).ok().map(|value| value.as_str_name()))
}

/// Addresses: equal as texts, or inside a network.
fn address(column: &'static str, text: &str) -> Result<Filter, FilterError> {
    if text.contains('/') {
        let network = text
            .parse::<ipnet::IpNet>()
            .map_err(|_error| FilterError::new(format!("invalid IP prefix {text:?} in filter")))?;
        return Ok(Filter::Text { column, test: TextTest::InNetwork(vec![network]) });
    }
    if text.parse::<std::net::IpAddr>().is_err() {
        return Err(FilterError::new(format!("invalid IP address {text:?} in filter")));
    }
    Ok(Filter::one_of(column, [text]))
}

/// Pods and services: `namespace/prefix`, `namespace/`, `/prefix`, `/`, or `prefix` in namespace default.
fn namespaced(namespace: &'static str, name: &'static str, text: &str) -> Result<Filter, FilterError> {
    if text.is_empty() {
        return Err(FilterError::new("invalid filter, name must not be empty"));
    }
    let mut parts = text.split('/');
    let first = parts.next().unwrap_or_default();
    let (wanted_namespace, prefix) = parts.next().map_or(("default", first), |second| (first, second));
    let mut all = Vec::new();
    if !wanted_namespace.is_empty() {
        all.push(Filter::one_of(namespace, [wanted_namespace]));
    }
    if !prefix.is_empty() {
        all.push(Filter::Text { column: name, test: TextTest::Prefix(prefix.to_owned()) });
    }
    if all.is_empty() {
        all.push(Filter::any([Filter::present(namespace), Filter::present(name)]));
    }
    Ok(Filter::all(all))
}

/// Workloads: the first is in columns, further ones in the remainder of the wire message.
fn workload(side: &Side, wanted: &Workload) -> Filter {
    let mut first = vec![Filter::any([Filter::present(side.workload), Filter::present(side.workload_kind)])];
    if !wanted.name.is_empty() {
        first.push(Filter::one_of(side.workload, [wanted.name.as_str()]));
    }
    if !wanted.kind.is_empty() {
        first.push(Filter::one_of(side.workload_kind, [wanted.kind.as_str()]));
    }
    let test = WireTest::Workload { endpoint: side.endpoint, name: wanted.name.clone(), kind: wanted.kind.clone() };
    Filter::any([Filter::all(first), Filter::all([Filter::BytesPresent { column: "rest" }, rows(test)])])
}

fn labels(side: &Side, text: &str) -> Result<Filter, FilterError> {
    let selector = Selector::parse(text)?;
    Ok(Filter::Text { column: side.labels, test: TextTest::Labels(selector) })
}

fn fqdn(side: &Side, text: &str) -> Result<Filter, FilterError> {
    let pattern = names::fqdn(text)?;
    let test = TextTest::AnyItem(Box::new(TextTest::Matches(pattern)));
    Ok(Filter::Text { column: side.names, test })
}

fn port(side: &Side, text: &str) -> Result<Filter, FilterError> {
    let number = Some(text)
        .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse::<u16>().ok())
        .ok_or_else(|| FilterError::new(format!("invalid {} port filter: invalid port {text:?}", side.word)))?;
    let carries_ports = Filter::one_of("protocol", ["TCP", "UDP", "SCTP"]);
    Ok(Filter::all([carries_ports, Filter::number(side.port, [i128::from(number)])]))
}

fn event_type(wanted: &EventTypeFilter) -> Filter {
    let present = Filter::Number { column: "event_type", test: NumberTest::Absent }.negate();
    let mut all = vec![present];
    if wanted.r#type != 0 {
        all.push(Filter::number("event_type", [i128::from(wanted.r#type)]));
    }
    if wanted.match_sub_type {
        let equal = Filter::number("event_sub_type", [i128::from(wanted.sub_type)]);
        let absent = Filter::Number { column: "event_sub_type", test: NumberTest::Absent };
        all.push(if wanted.sub_type == 0 { Filter::any([equal, absent]) } else { equal });
    }
    Filter::all(all)
}

fn protocol(word: &str) -> Result<Filter, FilterError> {
    let (column, values): (_, &[&str]) = match word.to_lowercase().as_str() {
        "icmp" => ("protocol", &["ICMPv4", "ICMPv6"]),
        "icmpv4" => ("protocol", &["ICMPv4"]),
        "icmpv6" => ("protocol", &["ICMPv6"]),
        "tcp" => ("protocol", &["TCP"]),
        "udp" => ("protocol", &["UDP"]),
        "sctp" => ("protocol", &["SCTP"]),
        "vrrp" => ("protocol", &["VRRP"]),
        "igmp" => ("protocol", &["IGMP"]),
        "dns" => ("l7_protocol", &["DNS"]),
        "http" => ("l7_protocol", &["HTTP"]),
        "kafka" => ("l7_protocol", &["KAFKA"]),
        other => return Err(FilterError::new(format!("unknown protocol: {other:?}"))),
    };
    Ok(Filter::one_of(column, values.iter().copied()))
}

/// What is not known matches neither, except that a drop counts as a request.
fn reply(wanted: bool) -> Filter {
    let known = Filter::Bool { column: "is_reply", value: wanted };
    if wanted {
        return known;
    }
    let unknown = Filter::any([
        Filter::Bool { column: "is_reply", value: true },
        Filter::Bool { column: "is_reply", value: false },
    ])
    .negate();
    Filter::any([known, Filter::all([Filter::one_of("verdict", ["DROPPED"]), unknown])])
}

fn tcp_flags(wanted: &TcpFlags) -> Filter {
    let bits = [
        (wanted.fin, 1),
        (wanted.syn, 2),
        (wanted.rst, 4),
        (wanted.psh, 8),
        (wanted.ack, 16),
        (wanted.urg, 32),
        (wanted.ece, 64),
        (wanted.cwr, 128),
        (wanted.ns, NS_BIT),
    ];
    let mask = bits.iter().filter(|(set, _)| *set).fold(0, |mask, (_, bit)| mask | bit);
    Filter::Number { column: "tcp_flags", test: NumberTest::Bits(BitsTest::All, mask) }
}

fn interface(wanted: &NetworkInterface) -> Filter {
    let mut all = vec![Filter::Number { column: "interface_index", test: NumberTest::Absent }.negate()];
    if wanted.index != 0 {
        all.push(Filter::number("interface_index", [i128::from(wanted.index)]));
    }
    if !wanted.name.is_empty() {
        all.push(Filter::one_of("interface_name", [wanted.name.as_str()]));
    }
    Filter::all(all)
}

fn encrypted(wanted: bool) -> Filter {
    let set = Filter::Bool { column: "encrypted", value: true };
    if wanted { set } else { set.negate() }
}

/// `404` for one code, `4+` or `40+` for all that start so.
fn status_code(text: &str) -> Result<Filter, FilterError> {
    let prefix = text.strip_suffix('+');
    let digits = prefix.unwrap_or(text);
    let bad = |what: &str| Err(FilterError::new(format!("invalid http status code filter: invalid {what}: {text:?}")));
    let starts_well = digits.as_bytes().first().is_some_and(|first| (b'1'..=b'5').contains(first));
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    let right_length = if prefix.is_some() { digits.len() < 3 } else { digits.len() == 3 };
    if !(starts_well && all_digits && right_length) {
        return bad("status code prefix");
    }
    let Ok(number) = digits.parse::<i128>() else { return bad("status code prefix") };
    let (low, high) = match digits.len() {
        1 => (number * 100, number * 100 + 99),
        2 => (number * 10, number * 10 + 9),
        _ => (number, number),
    };
    let code = Filter::Number { column: "http_status", test: NumberTest::Between(low, high) };
    Ok(Filter::all([Filter::one_of("l7_protocol", ["HTTP"]), code]))
}
