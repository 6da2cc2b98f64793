//! The rows of a connection and of what was said in it.

use hindcast_model::event_id;

use super::ImportCounts;
use crate::app::{Fault, Request, Response, Said, Told};
use crate::connection::Connection;
use crate::dns::Message;
use crate::redact::Redactor;
use crate::rows::{Rows, put_list};
use crate::tls::{ServerHello, cipher_name, version_name};

/// Writes the row that sums a connection up.
pub(super) fn connection(rows: &mut Rows, connection: &Connection, counts: &mut ImportCounts) {
    let row = rows.begin(connection.first);
    rows.ends(row, connection.src, connection.dst);
    rows.last_seen(row, connection.first, connection.last);
    place(rows, row, connection, 0);
    let columns = &mut rows.columns;
    columns.flow_type.set(row, "L3_L4");
    columns.protocol.set(row, if connection.is_tcp { "TCP" } else { "UDP" });
    let [sent, received] = &connection.passed;
    columns.bytes_sent.set(row, sent.n_bytes);
    columns.bytes_received.set(row, received.n_bytes);
    columns.packets_sent.set(row, sent.n_packets);
    columns.packets_received.set(row, received.n_packets);
    if connection.is_tcp {
        columns.tcp_flags.set(row, connection.flags);
        columns.retransmits.set(row, connection.retransmits);
    }
    if connection.is_opener_known {
        columns.is_reply.set(row, false);
    }
    if let Some(rtt_ns) = connection.rtt_ns() {
        columns.rtt_ns.set(row, rtt_ns);
    }
    rows.end();
    let n_packets = sent.n_packets + received.n_packets;
    counts.connections += 1;
    counts.in_connections += n_packets;
    counts.open = counts.open.saturating_sub(n_packets);
}

fn place(rows: &mut Rows, row: usize, connection: &Connection, side: usize) {
    if let Some((from, to)) = connection.macs {
        rows.macs(row, if side == 0 { (from, to) } else { (to, from) });
    }
    if let Some(name) = &connection.interface_name {
        rows.columns.interface_name.set(row, name);
    }
}

/// Writes the row of something that was said.
pub(super) fn message(
    rows: &mut Rows,
    connection: &Connection,
    (told, nth): (&Told, u64),
    redactor: &Redactor,
    counts: &mut ImportCounts,
) {
    if let Said::Fault(fault) = &told.said {
        *match fault {
            Fault::Dns => &mut counts.dns_faults,
            Fault::Http => &mut counts.http_faults,
            Fault::Tls => &mut counts.tls_faults,
        } += 1;
        return;
    }
    let row = rows.begin(told.time);
    let (from, to) = connection.ends(told.side);
    rows.ends(row, from, to);
    place(rows, row, connection, told.side);
    let columns = &mut rows.columns;
    columns.uuid.set(row, &uuid_of(told, nth, connection));
    columns.flow_type.set(row, "L7");
    columns.protocol.set(row, if connection.is_tcp { "TCP" } else { "UDP" });
    if let Some(is_reply) = connection.is_reply(told.side, &told.said) {
        columns.is_reply.set(row, is_reply);
    }
    let is_answer = told.said.is_answer() == Some(true);
    columns.l7_type.set(row, if is_answer { "RESPONSE" } else { "REQUEST" });
    if let Some(latency_ns) = told.latency_ns {
        columns.latency_ns.set(row, latency_ns);
    }
    match &told.said {
        Said::Dns(message) => dns(rows, row, message, counts),
        Said::Request(request) => http_request(rows, row, request, redactor, counts),
        Said::Response(response) => http_response(rows, row, response, redactor, counts),
        Said::ClientHello(hello) => {
            tls(rows, row, hello.server_name.as_deref(), counts);
        }
        Said::ServerHello(hello, name) => {
            tls(rows, row, name.as_deref(), counts);
            server_hello(rows, row, hello);
        }
        Said::Fault(_) => {}
    }
    rows.end();
}

/// What tells a message from others of its connection that were said at the same instant: captures know microseconds, and
/// one packet may say the same more than once.
fn uuid_of(told: &Told, nth: u64, connection: &Connection) -> String {
    let (from, to) = connection.ends(told.side);
    let id = match &told.said {
        Said::Dns(message) => u32::from(message.id),
        Said::Request(request) => request.stream_id,
        Said::Response(response) => response.stream_id,
        Said::ClientHello(_) | Said::ServerHello(..) | Said::Fault(_) => 0,
    };
    event_id::made_uuid(&format!("{} {} {} {} {} {id} {nth}", told.time, from.ip, from.port, to.ip, to.port))
}

fn dns(rows: &mut Rows, row: usize, message: &Message, counts: &mut ImportCounts) {
    counts.dns += 1;
    let columns = &mut rows.columns;
    columns.l7_protocol.set(row, "DNS");
    if let Some(question) = message.questions.first() {
        // Names mean the same in upper and lower case, and some resolvers mix them at random.
        columns.dns_query.set(row, &question.name.to_ascii_lowercase());
    }
    put_list(&mut columns.dns_qtypes, row, message.questions.iter().map(|question| question.qtype.as_str()));
    if !message.is_response {
        return;
    }
    columns.dns_rcode.set(row, message.rcode);
    let ips: Vec<String> = message.ips().map(|ip| ip.to_string()).collect();
    put_list(&mut columns.dns_ips, row, ips.iter().map(String::as_str));
    put_list(&mut columns.dns_cnames, row, message.cnames());
    put_list(&mut columns.dns_rrtypes, row, message.answers.iter().map(|answer| answer.rrtype.as_str()));
    if let Some(ttl_s) = message.ttl_s() {
        columns.dns_ttl_s.set(row, ttl_s);
    }
}

fn http_request(rows: &mut Rows, row: usize, request: &Request, redactor: &Redactor, counts: &mut ImportCounts) {
    // A request has no status; the column says so by 0, as Hubble does.
    rows.columns.http_status.set(row, 0);
    let target = request.target.as_deref();
    http(rows, row, (request.method.as_deref(), target, request.protocol), &request.headers, redactor, counts);
}

fn http_response(rows: &mut Rows, row: usize, response: &Response, redactor: &Redactor, counts: &mut ImportCounts) {
    rows.columns.http_status.set(row, response.status);
    let target = response.target.as_deref();
    http(rows, row, (response.method.as_deref(), target, response.protocol), &response.headers, redactor, counts);
}

fn http(
    rows: &mut Rows,
    row: usize,
    (method, target, protocol): (Option<&str>, Option<&str>, Option<&str>),
    headers: &[(String, String)],
    redactor: &Redactor,
    counts: &mut ImportCounts,
) {
    counts.http += 1;
    let columns = &mut rows.columns;
    columns.l7_protocol.set(row, "HTTP");
    if let Some(method) = method {
        columns.http_method.set(row, method);
    }
    if let Some(target) = target {
        columns.http_url.set(row, &redactor.url(target));
    }
    if let Some(protocol) = protocol {
        columns.http_protocol.set(row, protocol);
    }
    let pairs: Vec<(&str, std::borrow::Cow<'_, str>)> =
        headers.iter().map(|(name, value)| (name.as_str(), redactor.header(name, value))).collect();
    put_list(&mut columns.http_headers, row, pairs.iter().flat_map(|(name, value)| [*name, value.as_ref()]));
}

fn tls(rows: &mut Rows, row: usize, server_name: Option<&str>, counts: &mut ImportCounts) {
    counts.tls += 1;
    rows.columns.l7_protocol.set(row, "TLS");
    if let Some(name) = server_name {
        rows.columns.tls_server_name.set(row, name);
    }
}

/// What was agreed. What a client offers is not: its row has neither version nor cipher.
fn server_hello(rows: &mut Rows, row: usize, hello: &ServerHello) {
    let columns = &mut rows.columns;
    columns.tls_version.set(row, &version_name(hello.version));
    columns.tls_cipher.set(row, &cipher_name(hello.cipher));
    if let Some(protocol) = &hello.alpn {
        columns.tls_alpn.set(row, protocol);
    }
}
