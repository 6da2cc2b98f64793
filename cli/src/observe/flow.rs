//! A flow as the parts of a line that people know from `hubble observe`.
//!
//! Only what the wire said is shown; where the sender gave no summary, one is put together from the columns the way
//! Hubble does it.

use std::fmt::Write as _;

use hindcast_model::list;
use hindcast_model::tables::flows::View;

use super::names;
use crate::terminal::{Palette, Tone, printable};

/// How flows are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Colours.
    pub(crate) palette: Palette,
    /// Whether names stand in for addresses.
    pub(crate) has_names: bool,
    /// Whether the observing node is shown.
    pub(crate) has_node: bool,
}

/// Types of datapath messages.
const DROP: i32 = 1;
const CAPTURE: i32 = 3;
const TRACE: i32 = 4;
const POLICY_VERDICT: i32 = 5;
const TRACE_SOCK: i32 = 7;

/// One end of a flow.
struct End<'a> {
    ip: Option<&'a str>,
    mac: Option<&'a str>,
    port: Option<u16>,
    namespace: Option<&'a str>,
    pod: Option<&'a str>,
    service: Option<&'a str>,
    service_namespace: Option<&'a str>,
    names: Option<&'a str>,
    identity: Option<u32>,
}

fn ends<'a>(flows: &View<'a>, row: usize) -> (End<'a>, End<'a>) {
    let source = End {
        ip: flows.src_ip.get(row),
        mac: flows.src_mac.get(row),
        port: flows.src_port.get(row),
        namespace: flows.src_namespace.get(row),
        pod: flows.src_pod.get(row),
        service: flows.src_service.get(row),
        service_namespace: flows.src_service_namespace.get(row),
        names: flows.src_names.get(row),
        identity: flows.src_identity.get(row),
    };
    let destination = End {
        ip: flows.dst_ip.get(row),
        mac: flows.dst_mac.get(row),
        port: flows.dst_port.get(row),
        namespace: flows.dst_namespace.get(row),
        pod: flows.dst_pod.get(row),
        service: flows.dst_service.get(row),
        service_namespace: flows.dst_service_namespace.get(row),
        names: flows.dst_names.get(row),
        identity: flows.dst_identity.get(row),
    };
    (source, destination)
}

impl End<'_> {
    /// `namespace/pod:port`, or what is known instead.
    fn host(&self, look: Look) -> String {
        let Some(ip) = self.ip else {
            return look.palette.paint(Tone::Host, &printable(self.mac.unwrap_or_default())).into_owned();
        };
        let named = if look.has_names { self.name() } else { None };
        let host = named.unwrap_or_else(|| ip.to_owned());
        let host = printable(&host);
        match self.port {
            None | Some(0) => look.palette.paint(Tone::Host, &host).into_owned(),
            Some(port) => {
                let host = if host.contains(':') { format!("[{host}]") } else { host.into_owned() };
                let port = port.to_string();
                format!("{}:{}", look.palette.paint(Tone::Host, &host), look.palette.paint(Tone::Port, &port))
            }
        }
    }

    fn name(&self) -> Option<String> {
        let join = |namespace: Option<&str>, name: &str| match namespace {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        };
        self.pod
            .map(|pod| join(self.namespace, pod))
            .or_else(|| self.service.map(|service| join(self.service_namespace, service)))
            .or_else(|| self.names.map(|names| list::split(names).collect::<Vec<_>>().join(",")))
    }

    fn identity(&self, look: Look) -> String {
        look.palette.paint(Tone::Identity, &names::identity(self.identity.unwrap_or(0))).into_owned()
    }
}

/// The line of `hubble observe -o compact`.
pub(crate) fn compact(flows: &View<'_>, row: usize, look: Look, line: &mut String) {
    let (source, destination) = ends(flows, row);
    let (left, arrow, right) = match flows.is_reply.get(row) {
        None => (source, "<>", destination),
        Some(false) => (source, "->", destination),
        Some(true) => (destination, "<-", source),
    };
    line.push_str(&super::time(flows.time.get(row)));
    if look.has_node {
        let node = flows.node.get(row).unwrap_or_default();
        let _infallible = match flows.cluster.get(row) {
            Some(cluster) => write!(line, " [{}/{}]", printable(cluster), printable(node)),
            None => write!(line, " [{}]", printable(node)),
        };
    }
    let _infallible = write!(
        line,
        ": {} {} {arrow} {} {} {} {} ({})",
        left.host(look),
        left.identity(look),
        right.host(look),
        right.identity(look),
        flow_type(flows, row),
        verdict(flows, row, look.palette),
        printable(&summary(flows, row)),
    );
}

/// Titles of the table.
pub(crate) const COLUMNS: &[&str] = &["TIMESTAMP", "SOURCE", "DESTINATION", "TYPE", "VERDICT", "SUMMARY"];

/// The cells of a row of the table.
pub(crate) fn cells(flows: &View<'_>, row: usize, look: Look) -> Vec<String> {
    let (source, destination) = ends(flows, row);
    let mut cells = vec![
        super::time(flows.time.get(row)),
        source.host(look),
        destination.host(look),
        flow_type(flows, row),
        verdict(flows, row, look.palette),
        printable(&summary(flows, row)).into_owned(),
    ];
    if look.has_node {
        cells.insert(1, flows.node.get(row).unwrap_or_default().to_owned());
    }
    cells
}

/// What kind of observation it is.
fn flow_type(flows: &View<'_>, row: usize) -> String {
    if let Some(l7_type) = flows.l7_type.get(row) {
        let l7_type = l7_type.to_lowercase();
        return match flows.l7_protocol.get(row) {
            Some("HTTP") => format!("http-{l7_type}"),
            Some("KAFKA") => format!("kafka-{l7_type}"),
            Some("DNS") => {
                let seen_by = flows.dns_observation_source.get(row).unwrap_or_default();
                format!("dns-{l7_type} {}", printable(seen_by)).trim_end().to_owned()
            }
            _ => format!("l7-{l7_type}"),
        };
    }
    let sub_type = flows.event_sub_type.get(row).unwrap_or(0);
    match flows.event_type.get(row) {
        Some(TRACE) => names::trace_point(sub_type).map_or_else(|| sub_type.to_string(), str::to_owned),
        Some(DROP) => names::drop_reason(sub_type).map_or_else(|| sub_type.to_string(), str::to_owned),
        Some(POLICY_VERDICT) => {
            let matched = names::policy_match(flows.policy_match_type.get(row).unwrap_or(0));
            let direction = flows.direction.get(row).unwrap_or("TRAFFIC_DIRECTION_UNKNOWN");
            format!("policy-verdict:{matched} {direction}")
        }
        Some(CAPTURE) => flows.debug_capture_point.get(row).unwrap_or("DBG_CAPTURE_POINT_UNKNOWN").to_owned(),
        Some(TRACE_SOCK) => match flows.sock_xlate_point.get(row) {
            Some("SOCK_XLATE_POINT_PRE_DIRECTION_FWD") => "pre-xlate-fwd".to_owned(),
            Some("SOCK_XLATE_POINT_POST_DIRECTION_FWD") => "post-xlate-fwd".to_owned(),
            Some("SOCK_XLATE_POINT_PRE_DIRECTION_REV") => "pre-xlate-rev".to_owned(),
            Some("SOCK_XLATE_POINT_POST_DIRECTION_REV") => "post-xlate-rev".to_owned(),
            _ => "UNKNOWN".to_owned(),
        },
        _ => "UNKNOWN".to_owned(),
    }
}

/// What the datapath did. A policy verdict says what it decided.
fn verdict(flows: &View<'_>, row: usize, palette: Palette) -> String {
    let verdict = flows.verdict.get(row).unwrap_or("VERDICT_UNKNOWN");
    let is_decision = flows.event_type.get(row) == Some(POLICY_VERDICT);
    let (tone, text) = match verdict {
        "FORWARDED" | "REDIRECTED" if is_decision => (Tone::Good, "ALLOWED"),
        "FORWARDED" | "REDIRECTED" => (Tone::Good, verdict),
        "DROPPED" | "ERROR" if is_decision => (Tone::Bad, "DENIED"),
        "DROPPED" | "ERROR" => (Tone::Bad, verdict),
        "AUDIT" if is_decision => (Tone::Notable, "AUDITED"),
        other => (Tone::Notable, other),
    };
    palette.paint(tone, &printable(text)).into_owned()
}

/// The sender's summary, or one like it.
fn summary(flows: &View<'_>, row: usize) -> String {
    if let Some(summary) = flows.summary.get(row) {
        return summary.to_owned();
    }
    match flows.l7_protocol.get(row) {
        Some("HTTP") => return http_summary(flows, row),
        Some("DNS") => return dns_summary(flows, row),
        _ => {}
    }
    if let Some(flags) = flows.tcp_flags.get(row).filter(|flags| *flags != 0) {
        return format!("TCP Flags: {}", names::tcp_flags(flags));
    }
    flows.protocol.get(row).unwrap_or_default().to_owned()
}

fn http_summary(flows: &View<'_>, row: usize) -> String {
    let protocol = flows.http_protocol.get(row).unwrap_or("HTTP");
    let method = flows.http_method.get(row).unwrap_or_default();
    let url = flows.http_url.get(row).unwrap_or_default();
    match flows.http_status.get(row) {
        None | Some(0) => format!("{protocol} {method} {url}"),
        Some(status) => {
            let millis = flows.latency_ns.get(row).unwrap_or(0) / 1_000_000;
            format!("{protocol} {status} {millis}ms ({method} {url})")
        }
    }
}

fn dns_summary(flows: &View<'_>, row: usize) -> String {
    let query = flows.dns_query.get(row).unwrap_or_default();
    let types = flows.dns_qtypes.get(row).unwrap_or_default();
    if flows.l7_type.get(row) == Some("REQUEST") {
        return format!("DNS Query {query} {types}").trim_end().to_owned();
    }
    let mut text = "DNS Answer".to_owned();
    if let Some(code) = flows.dns_rcode.get(row).filter(|code| *code != 0) {
        let _infallible = write!(text, " RCode: {code}");
    }
    if let Some(ips) = flows.dns_ips.get(row) {
        let _infallible = write!(text, " \"{ips}\"");
    }
    let _infallible = write!(text, " ({query} {types})");
    text
}

#[cfg(test)]
mod tests;
