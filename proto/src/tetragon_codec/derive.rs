//! Columns for people, copied out of a runtime event: what runs, where, and what it touched. Padding is trimmed here;
//! the message itself stays as it came.

use hindcast_model::column::{DictColumn, U16Column, U32Column, U64Column};
use hindcast_model::list;
use hindcast_model::tables::runtime_events::Builder;

use crate::hubble::{Fault, Instant, bytes, instant, number, text};
use crate::json::Message;
use crate::schema::{self, FieldDef, Kind as FieldKind, schema};
use crate::wire::{Reader, Value, low_i32, low32};

fn put(column: &mut DictColumn, row: usize, value: Value<'_>) -> Result<(), Fault> {
    let text = text(value)?.trim_end_matches('\0');
    if !text.is_empty() {
        column.set(row, text);
    }
    Ok(())
}

/// Sets a column unless an earlier argument did.
fn put_first(column: &mut DictColumn, row: usize, value: Value<'_>) -> Result<(), Fault> {
    if column.get(row).is_none() { put(column, row, value) } else { Ok(()) }
}

fn put_port(column: &mut U16Column, row: usize, value: Value<'_>) -> Result<(), Fault> {
    if let (None, Ok(port)) = (column.get(row), u16::try_from(low32(number(value)?))) {
        column.set(row, port);
    }
    Ok(())
}

/// Sets a column to what a wrapper message holds, even to 0.
fn put_wrapped(column: &mut U32Column, row: usize, value: Value<'_>) -> Result<(), Fault> {
    column.set(row, low32(wrapped(value)?));
    Ok(())
}

fn wrapped(value: Value<'_>) -> Result<u64, Fault> {
    let mut inner = 0;
    let mut fields = Reader::new(bytes(value)?);
    while let Some(field) = fields.next()? {
        if field.number == 1 {
            inner = number(field.value)?;
        }
    }
    Ok(inner)
}

/// Columns of the process.
pub(super) fn process(message: &[u8], events: &mut Builder) -> Result<(), Fault> {
    let row = events.row();
    let mut fields = Reader::new(message);
    let mut docker = None;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => put(&mut events.exec_id, row, field.value)?,
            2 => put_wrapped(&mut events.pid, row, field.value)?,
            3 => put_wrapped(&mut events.uid, row, field.value)?,
            4 => put(&mut events.cwd, row, field.value)?,
            5 => put(&mut events.binary, row, field.value)?,
            6 => put(&mut events.arguments, row, field.value)?,
            7 => put(&mut events.flags, row, field.value)?,
            8 => {
                if let Ok(time) = instant(bytes(field.value)?)?.timestamp() {
                    events.start_time.set(row, time.as_nanos());
                }
            }
            9 => put_wrapped(&mut events.auid, row, field.value)?,
            10 => pod(bytes(field.value)?, events)?,
            11 => docker = Some(field.value),
            12 => put(&mut events.parent_exec_id, row, field.value)?,
            14 => capabilities(bytes(field.value)?, events)?,
            16 => put_wrapped(&mut events.tid, row, field.value)?,
            20 => events.in_init_tree.set(row, wrapped(field.value)? != 0),
            _ => {}
        }
    }
    docker.map_or(Ok(()), |id| put_first(&mut events.container_id, row, id))
}

/// Columns of the parent.
pub(super) fn parent(message: &[u8], events: &mut Builder) -> Result<(), Fault> {
    let row = events.row();
    let mut fields = Reader::new(message);
    while let Some(field) = fields.next()? {
        match field.number {
            5 => put(&mut events.parent_binary, row, field.value)?,
            6 => put(&mut events.parent_arguments, row, field.value)?,
            _ => {}
        }
    }
    Ok(())
}

fn pod(message: &[u8], events: &mut Builder) -> Result<(), Fault> {
    let row = events.row();
    let mut labels: Vec<String> = Vec::new();
    let mut fields = Reader::new(message);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => put(&mut events.namespace, row, field.value)?,
            2 => put(&mut events.pod, row, field.value)?,
            4 => container(bytes(field.value)?, events)?,
            5 => labels.push(label(bytes(field.value)?)?),
            6 => put(&mut events.workload, row, field.value)?,
            7 => put(&mut events.workload_kind, row, field.value)?,
            _ => {}
        }
    }
    labels.sort_unstable();
    if let Some(labels) = list::join(labels.iter().map(String::as_str)) {
        events.pod_labels.set(row, &labels);
    }
    Ok(())
}

fn label(entry: &[u8]) -> Result<String, Fault> {
    let (mut key, mut value) = ("", "");
    let mut fields = Reader::new(entry);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => key = text(field.value)?,
            2 => value = text(field.value)?,
            _ => {}
        }
    }
    Ok(format!("{key}={value}"))
}

fn container(message: &[u8], events: &mut Builder) -> Result<(), Fault> {
    let row = events.row();
    let mut fields = Reader::new(message);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => put(&mut events.container_id, row, field.value)?,
            2 => put(&mut events.container_name, row, field.value)?,
            3 => {
                let mut image = Reader::new(bytes(field.value)?);
                while let Some(field) = image.next()? {
                    if field.number == 2 {
                        put(&mut events.image, row, field.value)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn capabilities(message: &[u8], events: &mut Builder) -> Result<(), Fault> {
    let row = events.row();
    let sets: [(u32, &mut U64Column); 3] =
        [(1, &mut events.cap_permitted), (2, &mut events.cap_effective), (3, &mut events.cap_inheritable)];
    for (set, column) in sets {
        let mut bits = 0_u64;
        let mut add = |capability: u64| bits |= 1_u64.checked_shl(low32(capability)).unwrap_or(0);
        let mut fields = Reader::new(message);
        while let Some(field) = fields.next()? {
            match field.value {
                Value::Varint(capability) if field.number == set => add(capability),
                Value::Bytes(packed) if field.number == set => {
                    let mut elements = Reader::new(packed);
                    while !elements.is_empty() {
                        add(elements.varint()?);
                    }
                }
                _ => {}
            }
        }
        column.set(row, bits);
    }
    Ok(())
}

/// Columns of the event itself, by the names of its fields; gives the event's own time, if it has one.
pub(super) fn event(kind: u32, message: &[u8], events: &mut Builder) -> Result<Option<Instant>, Fault> {
    let row = events.row();
    let known = Message::GetEventsResponse.definition().by_number(kind);
    let Some(known) = known.and_then(|field| schema().message_of(field)) else { return Ok(None) };
    let (mut time, mut status) = (None, 0);
    let (mut subsystem, mut name) = ("", "");
    let mut tags = String::new();
    let mut fields = Reader::new(message);
    while let Some(field) = fields.next()? {
        let Some(field_def) = known.by_number(field.number) else { continue };
        match field_def.name.as_str() {
            "time" => time = Some(instant(bytes(field.value)?)?),
            "signal" => put(&mut events.signal, row, field.value)?,
            "status" => status = low32(number(field.value)?),
            "function_name" | "symbol" => put(&mut events.function, row, field.value)?,
            "subsys" | "provider" => subsystem = text(field.value)?,
            "event" | "name" => name = text(field.value)?,
            "policy_name" => put(&mut events.policy_name, row, field.value)?,
            "message" | "cgroup" => put(&mut events.message, row, field.value)?,
            "tags" => list::push(&mut tags, text(field.value)?),
            "action" | "type" => action(field_def, field.value, &mut events.action, row)?,
            "path" => put(&mut events.file, row, field.value)?,
            "args" => argument(bytes(field.value)?, events)?,
            "source_ip" | "ip" => put(&mut events.src_ip, row, field.value)?,
            "source_port" | "port" => put_port(&mut events.src_port, row, field.value)?,
            "destination_ip" => put(&mut events.dst_ip, row, field.value)?,
            "destination_port" => put_port(&mut events.dst_port, row, field.value)?,
            _ => {}
        }
    }
    if !subsystem.is_empty() || !name.is_empty() {
        events.function.set(row, &format!("{subsystem}/{name}"));
    }
    if !tags.is_empty() {
        events.tags.set(row, &tags);
    }
    // An exit without a signal and without a status was a success.
    if known.full_name == "tetragon.ProcessExit" && (status != 0 || events.signal.get(row).is_none()) {
        events.exit_status.set(row, status);
    }
    Ok(time)
}

fn action(field: &FieldDef, value: Value<'_>, column: &mut DictColumn, row: usize) -> Result<(), Fault> {
    let FieldKind::Enum(index) = field.kind else { return Ok(()) };
    let number = low_i32(number(value)?);
    match schema().enums.get(index).and_then(|kind| kind.name(number)) {
        _ if number == 0 => {}
        Some(name) => column.set(row, name),
        None => column.set(row, &number.to_string()),
    }
    Ok(())
}

/// Addresses and paths of an argument; of several arguments the first that has them counts.
fn argument(message: &[u8], events: &mut Builder) -> Result<(), Fault> {
    let row = events.row();
    let Some(known) = schema::message("tetragon.KprobeArgument") else { return Ok(()) };
    let mut fields = Reader::new(message);
    while let Some(field) = fields.next()? {
        let Value::Bytes(argument) = field.value else { continue };
        let Some(inner) = known.by_number(field.number).and_then(|field| schema().message_of(field)) else { continue };
        let is_file = matches!(
            inner.full_name.as_str(),
            "tetragon.KprobePath" | "tetragon.KprobeFile" | "tetragon.KprobeLinuxBinprm" | "tetragon.KprobeSockaddrUn"
        );
        let mut parts = Reader::new(argument);
        while let Some(part) = parts.next()? {
            let name = inner.by_number(part.number).map_or("", |field| field.name.as_str());
            match name {
                "saddr" => put_first(&mut events.src_ip, row, part.value)?,
                "daddr" | "addr" => put_first(&mut events.dst_ip, row, part.value)?,
                "sport" => put_port(&mut events.src_port, row, part.value)?,
                "dport" | "port" => put_port(&mut events.dst_port, row, part.value)?,
                "path" if is_file => put_first(&mut events.file, row, part.value)?,
                _ => {}
            }
        }
    }
    Ok(())
}
