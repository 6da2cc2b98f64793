//! A drawn flow as a line of a Hubble export file (`hubble observe -o jsonpb`, the exporter).
//!
//! Every text drawn is plain ASCII without quotes or backslashes, so nothing needs escaping. Counts of bytes and
//! packets are not written: Hubble has no fields for them.

use std::io::Write as _;

use hindcast_model::{Timestamp, list};

use super::columns::{DNS_TTL_S, EVENT_DROP, EVENT_L7, EVENT_TRACE, POLICY_DENIED, TO_ENDPOINT, TO_STACK};
use super::columns::{flags_summary, uuid_text};
use super::draw::{Application, Draw, End};

/// Appends one line, its newline included.
pub fn write_line(draw: &Draw<'_>, out: &mut Vec<u8>) {
    let time = rfc3339(draw.time);
    let node = format!("{}/{}", draw.cluster, draw.node);
    push(out, format_args!(r#"{{"flow":{{"time":"{time}""#));
    if let Some(uuid) = draw.uuid {
        push(out, format_args!(r#","uuid":"{}""#, uuid_text(uuid)));
    }
    write_verdict(draw, out);
    write_network(draw, out);
    out.extend_from_slice(br#","source":"#);
    write_end(draw, draw.source, out);
    out.extend_from_slice(br#","destination":"#);
    write_end(draw, draw.destination, out);
    let flow_type = if matches!(draw.application, Application::None) { "L3_L4" } else { "L7" };
    push(out, format_args!(r#","Type":"{flow_type}","node_name":"{node}""#));
    write_names("source_names", draw.source, out);
    write_names("destination_names", draw.destination, out);
    write_application(draw, out);
    write_event(draw, out);
    if draw.tcp_flags != 0 {
        push(out, format_args!(r#","Summary":"{}""#, flags_summary(draw.tcp_flags)));
    }
    push(out, format_args!("}},\"node_name\":\"{node}\",\"time\":\"{time}\"}}\n"));
}

/// Writing into memory cannot fail.
pub(super) fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok(), "a vector takes every write");
}

fn write_verdict(draw: &Draw<'_>, out: &mut Vec<u8>) {
    if draw.is_denied {
        push(
            out,
            format_args!(r#","verdict":"DROPPED","drop_reason":{POLICY_DENIED},"drop_reason_desc":"POLICY_DENIED""#),
        );
    } else {
        out.extend_from_slice(br#","verdict":"FORWARDED""#);
    }
}

fn write_network(draw: &Draw<'_>, out: &mut Vec<u8>) {
    push(
        out,
        format_args!(
            r#","IP":{{"source":"{}","destination":"{}","ipVersion":"IPv4"}}"#,
            ip_of(draw.source),
            ip_of(draw.destination)
        ),
    );
    let protocol = if draw.is_udp { "UDP" } else { "TCP" };
    push(
        out,
        format_args!(
            r#","l4":{{"{protocol}":{{"source_port":{},"destination_port":{}"#,
            draw.source_port, draw.destination_port
        ),
    );
    if draw.tcp_flags != 0 {
        out.extend_from_slice(br#","flags":{"#);
        let names = [(1, "FIN"), (2, "SYN"), (8, "PSH"), (16, "ACK")];
        let set = names.iter().filter(|(bit, _)| draw.tcp_flags & bit != 0);
        for (position, (_, name)) in set.enumerate() {
            let comma = if position == 0 { "" } else { "," };
            push(out, format_args!(r#"{comma}"{name}":true"#));
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"}}");
}

fn ip_of<'a>(end: End<'a>) -> &'a str {
    match end {
        End::Pod(_, pod) => &pod.ip,
        End::Outside(_, ip) => ip,
    }
}

fn write_end(draw: &Draw<'_>, end: End<'_>, out: &mut Vec<u8>) {
    let End::Pod(workload, pod) = end else {
        out.extend_from_slice(br#"{"identity":2,"labels":["reserved:world"]}"#);
        return;
    };
    push(
        out,
        format_args!(
            r#"{{"ID":{},"identity":{},"cluster_name":"{}","namespace":"{}","labels":["#,
            pod.endpoint_id, workload.identity, draw.cluster, workload.namespace
        ),
    );
    for (position, label) in list::split(&workload.labels).enumerate() {
        let comma = if position == 0 { "" } else { "," };
        push(out, format_args!(r#"{comma}"{label}""#));
    }
    push(
        out,
        format_args!(
            r#"],"pod_name":"{}","workloads":[{{"name":"{}","kind":"{}"}}]}}"#,
            pod.name, workload.name, workload.kind
        ),
    );
}

fn write_names(field: &str, end: End<'_>, out: &mut Vec<u8>) {
    if let End::Outside(outside, _) = end
        && let Some(name) = &outside.name
    {
        push(out, format_args!(r#","{field}":["{name}"]"#));
    }
}

fn write_application(draw: &Draw<'_>, out: &mut Vec<u8>) {
    if matches!(draw.application, Application::None) {
        return;
    }
    push(out, format_args!(r#","l7":{{"type":"{}""#, if draw.is_reply { "RESPONSE" } else { "REQUEST" }));
    if let Some(latency_ns) = draw.latency_ns {
        push(out, format_args!(r#","latency_ns":"{latency_ns}""#));
    }
    match draw.application {
        Application::None => {}
        Application::Http { method, url, status } => {
            out.extend_from_slice(br#","http":{"#);
            if status != 0 {
                push(out, format_args!(r#""code":{status},"#));
            }
            push(out, format_args!(r#""method":"{method}","url":"{url}","protocol":"HTTP/1.1"}}"#));
        }
        Application::Dns { query, ip, rcode } => {
            push(out, format_args!(r#","dns":{{"query":"{query}""#));
            if let Some(ip) = ip {
                push(out, format_args!(r#","ips":["{ip}"],"ttl":{DNS_TTL_S}"#));
            }
            out.extend_from_slice(br#","observation_source":"proxy""#);
            if rcode != 0 {
                push(out, format_args!(r#","rcode":{rcode}"#));
            }
            out.extend_from_slice(br#","qtypes":["A"]"#);
            if ip.is_some() {
                out.extend_from_slice(br#","rrtypes":["A"]"#);
            }
            out.push(b'}');
        }
    }
    out.push(b'}');
}

fn write_event(draw: &Draw<'_>, out: &mut Vec<u8>) {
    let direction = if draw.is_egress { "EGRESS" } else { "INGRESS" };
    if draw.is_denied {
        push(
            out,
            format_args!(
                r#","event_type":{{"type":{EVENT_DROP},"sub_type":{POLICY_DENIED}}},"traffic_direction":"{direction}""#
            ),
        );
        return;
    }
    let is_reply = draw.is_reply;
    if !matches!(draw.application, Application::None) {
        push(
            out,
            format_args!(
                r#","event_type":{{"type":{EVENT_L7}}},"traffic_direction":"{direction}","is_reply":{is_reply}"#
            ),
        );
        return;
    }
    let (sub_type, point) = if draw.is_egress { (TO_STACK, "TO_STACK") } else { (TO_ENDPOINT, "TO_ENDPOINT") };
    let reason = if is_reply { "REPLY" } else { "ESTABLISHED" };
    push(out, format_args!(r#","event_type":{{"type":{EVENT_TRACE}"#));
    if sub_type != 0 {
        push(out, format_args!(r#","sub_type":{sub_type}"#));
    }
    push(
        out,
        format_args!(
            r#"}},"traffic_direction":"{direction}","trace_observation_point":"{point}","trace_reason":"{reason}","is_reply":{is_reply}"#
        ),
    );
}

/// An instant as protobuf JSON writes it, always with nine decimals.
#[must_use]
pub fn rfc3339(time: Timestamp) -> String {
    let (seconds, nanos) = time.to_parts();
    let (days, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since 0000-03-01, in eras of 400 years: the civil calendar without a table.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}
