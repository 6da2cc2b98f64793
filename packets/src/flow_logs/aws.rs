//! AWS VPC flow logs: words separated by spaces, `-` for what is not known.

use serde_json::Value;

use super::fields::{self, Members};
use super::{Kept, Refused};
use crate::rows::Rows;

/// The default format, version 2.
pub(super) const DEFAULT: [&str; 14] = [
    "version",
    "account-id",
    "interface-id",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "start",
    "end",
    "action",
    "log-status",
];

/// Fields of a custom format, at most; there are some forty.
const MOST_FIELDS: usize = 128;

/// Which field each word is.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: Option<Vec<String>>,
}

impl Names {
    /// Takes a line. `None` for one that is no record: names of fields, or nothing.
    pub(super) fn line(&mut self, line: &str, rows: &mut Rows) -> Option<Result<Kept, Refused>> {
        let mut words = line.split_ascii_whitespace().peekable();
        let first = *words.peek()?;
        // Only a line of names has names in it, and every file that has one begins with it.
        let is_name = |word: &str| {
            matches!(
                word.replace('_', "-").as_str(),
                "version" | "srcaddr" | "account-id" | "interface-id" | "log-status" | "start"
            )
        };
        if is_name(first)
            || line.split_ascii_whitespace().any(|word| matches!(word, "srcaddr" | "dstaddr" | "log-status"))
        {
            self.names = Some(words.take(MOST_FIELDS).map(|word| word.replace('_', "-")).collect());
            return None;
        }
        let words: Vec<&str> = words.take(MOST_FIELDS + 1).collect();
        let mut members = Members::new();
        match &self.names {
            Some(names) if names.len() == words.len() => fill(&mut members, names.iter().map(String::as_str), &words),
            None if words.len() == DEFAULT.len() => fill(&mut members, DEFAULT.into_iter(), &words),
            Some(_) | None => return Some(Err(Refused::Malformed)),
        }
        Some(record(members, rows))
    }
}

fn fill<'a>(members: &mut Members, names: impl Iterator<Item = &'a str>, words: &[&str]) {
    let known = names.zip(words).filter(|(_, word)| **word != "-");
    members.extend(known.map(|(name, word)| (name.to_owned(), Value::String((*word).to_owned()))));
}

fn record(mut members: Members, rows: &mut Rows) -> Result<Kept, Refused> {
    match fields::text(&mut members, "log-status").as_deref() {
        Some("NODATA") => return Ok(Kept::NoData),
        Some("SKIPDATA") => return Ok(Kept::Skipped),
        _ => {}
    }
    let seconds = |members: &mut Members, name: &str| {
        fields::number(members, name).and_then(|seconds| fields::nanos(seconds, 1_000_000_000))
    };
    let first = seconds(&mut members, "start");
    let last = seconds(&mut members, "end");
    let time = first.or(last).ok_or(Refused::NoTime)?;
    // The packet's own addresses, where the log has them: the others are those of the interface.
    let src = fields::ip(&mut members, "pkt-srcaddr").or_else(|| fields::ip(&mut members, "srcaddr"));
    let dst = fields::ip(&mut members, "pkt-dstaddr").or_else(|| fields::ip(&mut members, "dstaddr"));
    let (Some(src), Some(dst)) = (src, dst) else { return Err(Refused::NoAddresses) };
    let row = rows.begin(time);
    rows.ips(row, src, dst);
    rows.columns.flow_type.set(row, "L3_L4");
    let protocol = fields::narrow::<u8>(&mut members, "protocol");
    if let Some(protocol) = protocol {
        rows.protocol(row, protocol);
    }
    let ports = [fields::narrow(&mut members, "srcport"), fields::narrow(&mut members, "dstport")];
    rows.ports(row, protocol, ports);
    // Where it was seen belongs to a record: both ends of a flow write the same of it.
    let interface = fields::text(&mut members, "interface-id");
    if let Some(observer) = fields::text(&mut members, "instance-id").as_ref().or(interface.as_ref()) {
        rows.observer(row, observer);
    }
    let columns = &mut rows.columns;
    if let Some(interface) = &interface {
        columns.interface_name.set(row, interface);
    }
    if let Some(count) = fields::number(&mut members, "packets") {
        columns.packets_sent.set(row, count);
    }
    if let Some(count) = fields::number(&mut members, "bytes") {
        columns.bytes_sent.set(row, count);
    }
    if let Some(flags) = fields::narrow::<u16>(&mut members, "tcp-flags").filter(|_| protocol == Some(6)) {
        columns.tcp_flags.set(row, flags);
    }
    for (column, name) in
        [(&mut columns.src_service, "pkt-src-aws-service"), (&mut columns.dst_service, "pkt-dst-aws-service")]
    {
        if let Some(text) = fields::text(&mut members, name) {
            column.set(row, &text);
        }
    }
    judge(&mut members, rows, row);
    fields::keep_rest(rows, row, members, (time, last));
    rows.end();
    Ok(Kept::Row)
}

/// Direction, verdict and the reason of it.
fn judge(members: &mut Members, rows: &mut Rows, row: usize) {
    let columns = &mut rows.columns;
    match members.get("flow-direction").and_then(Value::as_str) {
        Some("ingress") => columns.direction.set(row, "INGRESS"),
        Some("egress") => columns.direction.set(row, "EGRESS"),
        _ => {}
    }
    match fields::text(members, "action").as_deref() {
        Some("ACCEPT") => columns.verdict.set(row, "FORWARDED"),
        Some("REJECT") => {
            columns.verdict.set(row, "DROPPED");
            if let Some(reason) = fields::text(members, "reject-reason") {
                columns.drop_reason.set(row, &reason);
            }
        }
        _ => {}
    }
    members.remove("flow-direction");
}
