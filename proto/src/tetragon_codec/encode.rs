//! A row of `runtime_events` → `tetragon.GetEventsResponse`.

use hindcast_model::rest;
use hindcast_model::tables::losses;
use hindcast_model::tables::runtime_events::View;

use super::kind::Kind;
use crate::events::RATE_LIMIT_REASON;
use crate::hubble::put_time;
use crate::wire::{self, Reader, Value};

/// Appends the `tetragon.GetEventsResponse` of a row: the same message as came in.
pub fn encode_response(view: &View<'_>, row: usize, out: &mut Vec<u8>) {
    let kind = view.kind.get(row).and_then(Kind::by_name);
    let remainder = view.rest.get(row).unwrap_or_default();
    if let Some(kind) = kind {
        let event = wire::open(out, kind.number);
        if let Some(process) = view.process.get(row) {
            wire::put_bytes(out, kind.process, process);
        } else if view.exec_id.get(row).is_some() && kind.process != 0 {
            let process = wire::open(out, kind.process);
            own_process(view, row, out);
            process.close(out);
        }
        if let Some(parent) = view.parent.get(row) {
            wire::put_bytes(out, kind.parent, parent);
        }
        let mut fields = Reader::new(remainder);
        while let Ok(Some(field)) = fields.next() {
            if let Value::Bytes(message) = field.value
                && field.number == kind.number
            {
                out.extend_from_slice(message);
            }
        }
        event.close(out);
    }
    let mut has_time = true;
    let mut fields = Reader::new(remainder);
    while let Ok(Some(field)) = fields.next() {
        match field.number {
            rest::NO_TIME => has_time = false,
            number if kind.is_some_and(|kind| kind.number == number) => {}
            _ => out.extend_from_slice(field.raw),
        }
    }
    if let Some(node) = view.node.get(row) {
        wire::put_bytes(out, 1000, node.as_bytes());
    }
    if let Some(time) = view.time.get(row).filter(|_nanos| has_time) {
        put_time(out, 1001, time);
    }
    if let Some(cluster) = view.cluster.get(row) {
        wire::put_bytes(out, 1003, cluster.as_bytes());
    }
}

/// Appends the `tetragon.GetEventsResponse` that told of a loss; `false` if the row's loss was told otherwise.
#[must_use]
pub fn encode_rate_limit(view: &losses::View<'_>, row: usize, out: &mut Vec<u8>) -> bool {
    match view.rest.get(row).filter(|_rest| view.reason.get(row) == Some(RATE_LIMIT_REASON)) {
        Some(message) => {
            out.extend_from_slice(message);
            true
        }
        None => false,
    }
}

/// A process that no wire told of, from the columns: what our own sensors saw.
fn own_process(view: &View<'_>, row: usize, out: &mut Vec<u8>) {
    let put_text = |out: &mut Vec<u8>, number, text: Option<&str>| {
        if let Some(text) = text {
            wire::put_bytes(out, number, text.as_bytes());
        }
    };
    let put_wrapped = |out: &mut Vec<u8>, number, value: Option<u32>| {
        if let Some(value) = value {
            let open = wire::open(out, number);
            if value != 0 {
                wire::put_number(out, 1, u64::from(value));
            }
            open.close(out);
        }
    };
    put_text(out, 1, view.exec_id.get(row));
    put_wrapped(out, 2, view.pid.get(row));
    put_wrapped(out, 3, view.uid.get(row));
    put_text(out, 4, view.cwd.get(row));
    put_text(out, 5, view.binary.get(row));
    put_text(out, 6, view.arguments.get(row));
    put_text(out, 7, view.flags.get(row));
    if let Some(time) = view.start_time.get(row) {
        put_time(out, 8, time);
    }
    put_wrapped(out, 9, view.auid.get(row));
    if view.pod.get(row).is_some() || view.namespace.get(row).is_some() {
        let pod = wire::open(out, 10);
        put_text(out, 1, view.namespace.get(row));
        put_text(out, 2, view.pod.get(row));
        let container = wire::open(out, 4);
        put_text(out, 1, view.container_id.get(row));
        put_text(out, 2, view.container_name.get(row));
        container.close_or_drop(out, false);
        put_text(out, 6, view.workload.get(row));
        put_text(out, 7, view.workload_kind.get(row));
        pod.close(out);
    }
    put_text(out, 12, view.parent_exec_id.get(row));
    put_wrapped(out, 16, view.tid.get(row));
}
