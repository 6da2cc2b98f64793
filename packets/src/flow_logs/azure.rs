//! Azure flow logs: documents of records, each with groups of tuples under the rule that judged them.
//!
//! Network security groups write tuples with seconds and a letter for the protocol, virtual networks such with
//! milliseconds and its number. Both say which way the flow went, seen from the interface.

use std::net::IpAddr;

use serde_json::Value;

use super::{FlowLogCounts, Kept, Refused, fields};
use crate::rows::{Rows, put_list};

/// Groups within groups are read to this depth; there are two.
const MOST_DEPTH: usize = 6;

/// What stands around a tuple.
#[derive(Clone, Copy, Debug, Default)]
struct Around<'a> {
    mac: Option<[u8; 6]>,
    rule: Option<&'a str>,
    resource: Option<&'a str>,
}

pub(super) fn document(document: &fields::Members, rows: &mut Rows, counts: &mut FlowLogCounts) {
    let records = match document.get("records") {
        Some(Value::Array(records)) => records.iter().collect(),
        _ => vec![],
    };
    if records.is_empty() && document.get("records").is_none() {
        // A record alone, one a line.
        if document.contains_key("properties") || document.contains_key("flowRecords") {
            record(document, rows, counts);
        } else {
            counts.count(Err(Refused::NotARecord));
        }
        return;
    }
    for value in records {
        match value {
            Value::Object(members) => record(members, rows, counts),
            _ => counts.count(Err(Refused::NotARecord)),
        }
    }
}

fn record(members: &fields::Members, rows: &mut Rows, counts: &mut FlowLogCounts) {
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let mac = text("macAddress").and_then(parse_mac);
    let resource = text("targetResourceID").or_else(|| text("resourceId"));
    let around = Around { mac, rule: None, resource };
    let flows = members.get("properties").or_else(|| members.get("flowRecords"));
    match flows {
        Some(flows) => groups(flows, around, 0, rows, counts),
        None => counts.count(Err(Refused::NotARecord)),
    }
}

/// Goes down to the tuples.
fn groups<'a>(value: &'a Value, mut around: Around<'a>, depth: usize, rows: &mut Rows, counts: &mut FlowLogCounts) {
    if depth > MOST_DEPTH {
        counts.count(Err(Refused::NotARecord));
        return;
    }
    match value {
        Value::Array(values) => {
            for value in values {
                groups(value, around, depth + 1, rows, counts);
            }
        }
        Value::Object(members) => {
            around.rule = members.get("rule").and_then(Value::as_str).or(around.rule);
            around.mac = members.get("mac").and_then(Value::as_str).and_then(parse_mac).or(around.mac);
            for tuple in members.get("flowTuples").and_then(Value::as_array).into_iter().flatten() {
                let outcome = tuple.as_str().ok_or(Refused::Malformed).and_then(|text| row(text, around, rows));
                counts.count(outcome);
            }
            for name in ["flows", "flowGroups"] {
                if let Some(inner) = members.get(name) {
                    groups(inner, around, depth + 1, rows, counts);
                }
            }
        }
        _ => counts.count(Err(Refused::NotARecord)),
    }
}

/// What a tuple says, whichever form it has.
struct Tuple<'a> {
    time: i64,
    src: IpAddr,
    dst: IpAddr,
    ports: [Option<u16>; 2],
    protocol: u8,
    is_inbound: Option<bool>,
    is_denied: Option<bool>,
    state: Option<&'static str>,
    is_encrypted: Option<bool>,
    /// Packets and bytes of the source, then of the destination.
    counts: [Option<&'a str>; 4],
}

fn parse(text: &str) -> Result<Tuple<'_>, Refused> {
    let words: Vec<&str> = text.split(',').map(str::trim).collect();
    let word = |at: usize| words.get(at).copied().filter(|word| !word.is_empty());
    let units = word(0).and_then(|word| word.parse::<u64>().ok()).ok_or(Refused::NoTime)?;
    let ip = |at: usize| word(at).and_then(|word| word.parse::<IpAddr>().ok());
    let (Some(src), Some(dst)) = (ip(1), ip(2)) else { return Err(Refused::NoAddresses) };
    let port = |at: usize| word(at).and_then(|word| word.parse().ok());
    let is_letter = matches!(word(5), Some("T" | "U"));
    let protocol = match word(5) {
        Some("T") => 6,
        Some("U") => 17,
        Some(number) => number.parse().map_err(|_number| Refused::Malformed)?,
        None => return Err(Refused::Malformed),
    };
    let is_inbound = match word(6) {
        Some("I") => Some(true),
        Some("O") => Some(false),
        _ => None,
    };
    let (decision, state_at, counts_at) = if is_letter { (word(7), 8, 9) } else { (None, 7, 9) };
    let state = match word(state_at) {
        Some("B") => Some("begin"),
        Some("C") => Some("continue"),
        Some("E") => Some("end"),
        _ => None,
    };
    let is_denied = match (decision, word(state_at)) {
        (Some("A"), _) => Some(false),
        (Some("D"), _) | (None, Some("D")) => Some(true),
        (None, Some("B" | "C" | "E")) if !is_letter => Some(false),
        _ => None,
    };
    let is_encrypted = if is_letter { None } else { word(8).map(|word| word == "X") };
    let per_unit = if is_letter { 1_000_000_000 } else { 1_000_000 };
    Ok(Tuple {
        time: fields::nanos(units, per_unit).ok_or(Refused::NoTime)?,
        src,
        dst,
        ports: [port(3), port(4)],
        protocol,
        is_inbound,
        is_denied,
        state,
        is_encrypted,
        counts: [word(counts_at), word(counts_at + 1), word(counts_at + 2), word(counts_at + 3)],
    })
}

fn row(text: &str, around: Around<'_>, rows: &mut Rows) -> Result<Kept, Refused> {
    let tuple = parse(text)?;
    let row = rows.begin(tuple.time);
    rows.ips(row, tuple.src, tuple.dst);
    rows.protocol(row, tuple.protocol);
    rows.ports(row, Some(tuple.protocol), tuple.ports);
    let columns = &mut rows.columns;
    columns.flow_type.set(row, "L3_L4");
    let [packets, bytes, packets_back, bytes_back] = tuple.counts.map(|word| word.and_then(|word| word.parse().ok()));
    for (column, count) in [
        (&mut columns.packets_sent, packets),
        (&mut columns.bytes_sent, bytes),
        (&mut columns.packets_received, packets_back),
        (&mut columns.bytes_received, bytes_back),
    ] {
        if let Some(count) = count {
            column.set(row, count);
        }
    }
    if let Some(is_encrypted) = tuple.is_encrypted {
        columns.encrypted.set(row, is_encrypted);
    }
    if let Some(state) = tuple.state {
        columns.summary.set(row, state);
    }
    if let Some(resource) = around.resource {
        columns.interface_name.set(row, resource);
        rows.observer(row, resource);
    }
    let columns = &mut rows.columns;
    if let Some(is_inbound) = tuple.is_inbound {
        columns.direction.set(row, if is_inbound { "INGRESS" } else { "EGRESS" });
        if let Some(mac) = around.mac {
            let column = if is_inbound { &mut columns.dst_mac } else { &mut columns.src_mac };
            column.set(row, &mac.map(|byte| format!("{byte:02x}")).join(":"));
        }
    }
    if let Some(is_denied) = tuple.is_denied {
        columns.verdict.set(row, if is_denied { "DROPPED" } else { "FORWARDED" });
    }
    if let (Some(is_denied), Some(is_inbound)) = (tuple.is_denied, tuple.is_inbound) {
        let column = match (is_denied, is_inbound) {
            (true, true) => &mut columns.ingress_denied_by,
            (true, false) => &mut columns.egress_denied_by,
            (false, true) => &mut columns.ingress_allowed_by,
            (false, false) => &mut columns.egress_allowed_by,
        };
        put_list(column, row, around.rule);
    }
    rows.end();
    Ok(Kept::Row)
}

/// `000D3AF87856`, with or without something between the bytes.
fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let digits: Vec<u32> = text.chars().filter_map(|character| character.to_digit(16)).collect();
    let bytes: Vec<u8> = digits
        .chunks_exact(2)
        .filter_map(|pair| u8::try_from(pair.iter().fold(0, |byte, digit| byte * 16 + digit)).ok())
        .collect();
    <[u8; 6]>::try_from(bytes).ok()
}
