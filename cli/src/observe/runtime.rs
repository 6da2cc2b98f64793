//! A runtime event as a line or as cells of a table.

use std::fmt::Write as _;

use hindcast_model::tables::runtime_events::View;

use super::flow::Look;
use crate::terminal::{Tone, printable};

/// One line: when, where, what, who.
pub(crate) fn compact(events: &View<'_>, row: usize, look: Look, line: &mut String) {
    line.push_str(&super::time(events.time.get(row)));
    if look.has_node {
        let _infallible = write!(line, " [{}]", printable(events.node.get(row).unwrap_or_default()));
    }
    let place = look.palette.paint(Tone::Identity, &place(events, row)).into_owned();
    let program = look.palette.paint(Tone::Host, &program(events, row)).into_owned();
    let what = what(events, row);
    let _infallible = write!(line, ": {place} {what} {program}");
    let detail = detail(events, row);
    if !detail.is_empty() {
        let _infallible = write!(line, " ({detail})");
    }
    if let Some(action) = events.action.get(row) {
        let tone = if action.contains("SIGKILL") || action.contains("OVERRIDE") { Tone::Bad } else { Tone::Notable };
        let action = action.strip_prefix("KPROBE_ACTION_").unwrap_or(action);
        let _infallible = write!(line, " {}", look.palette.paint(tone, &printable(action)));
    }
}

/// Titles of the table.
pub(crate) const COLUMNS: &[&str] = &["TIMESTAMP", "WHERE", "EVENT", "PROCESS", "DETAIL"];

/// The cells of a row of the table.
pub(crate) fn cells(events: &View<'_>, row: usize, look: Look) -> Vec<String> {
    let mut cells = vec![
        super::time(events.time.get(row)),
        look.palette.paint(Tone::Identity, &place(events, row)).into_owned(),
        what(events, row),
        look.palette.paint(Tone::Host, &program(events, row)).into_owned(),
        detail(events, row),
    ];
    if look.has_node {
        cells.insert(1, printable(events.node.get(row).unwrap_or_default()).into_owned());
    }
    cells
}

/// `namespace/pod` or, for a process outside of any pod, the node.
fn place(events: &View<'_>, row: usize) -> String {
    let place = match (events.namespace.get(row), events.pod.get(row)) {
        (Some(namespace), Some(pod)) => format!("{namespace}/{pod}"),
        (None, Some(pod)) => pod.to_owned(),
        (_, None) => events.node.get(row).unwrap_or("host").to_owned(),
    };
    printable(&place).into_owned()
}

/// `exec` for `process_exec`.
fn what(events: &View<'_>, row: usize) -> String {
    let kind = events.kind.get(row).unwrap_or_default();
    printable(kind.strip_prefix("process_").unwrap_or(kind)).into_owned()
}

fn program(events: &View<'_>, row: usize) -> String {
    let binary = events.binary.get(row).unwrap_or("?");
    let text = match events.arguments.get(row) {
        Some(arguments) => format!("{binary} {arguments}"),
        None => binary.to_owned(),
    };
    printable(&text).into_owned()
}

/// What is special about the event.
fn detail(events: &View<'_>, row: usize) -> String {
    let mut parts = Vec::new();
    parts.extend(events.function.get(row).map(str::to_owned));
    parts.extend(events.file.get(row).map(str::to_owned));
    let end = |ip: Option<&str>, port: Option<u16>| match (ip, port) {
        (Some(ip), Some(port)) if ip.contains(':') => Some(format!("[{ip}]:{port}")),
        (Some(ip), Some(port)) => Some(format!("{ip}:{port}")),
        (Some(ip), None) => Some(ip.to_owned()),
        (None, _) => None,
    };
    let source = end(events.src_ip.get(row), events.src_port.get(row));
    let destination = end(events.dst_ip.get(row), events.dst_port.get(row));
    match (source, destination) {
        (Some(source), Some(destination)) => parts.push(format!("{source} -> {destination}")),
        (Some(one), None) | (None, Some(one)) => parts.push(one),
        (None, None) => {}
    }
    match (events.signal.get(row), events.exit_status.get(row)) {
        (Some(signal), _) => parts.push(format!("by {signal}")),
        (None, Some(status)) => parts.push(format!("status {status}")),
        (None, None) => {}
    }
    parts.extend(events.policy_name.get(row).map(|policy| format!("policy {policy}")));
    parts.extend(events.message.get(row).map(str::to_owned));
    printable(&parts.join(", ")).into_owned()
}
