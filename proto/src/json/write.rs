//! Wire bytes → JSON.

use hindcast_model::rest;
use simd_json::Node;

use super::read::Nodes;
use super::{MAX_BYTES, MAX_DEPTH, WireError, scalar, wellknown_text, with_tape};
use crate::schema::{self, Cardinality, FieldDef, Kind, MessageDef, Shape, schema};
use crate::wire::{Reader, Value};

/// Writes the JSON document of a message.
pub(super) fn document(message: &MessageDef, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
    if bytes.len() > MAX_BYTES {
        return Err(WireError::TooLarge { limit: "bytes of one message" });
    }
    value(message, bytes, MAX_DEPTH, out)
}

/// Writes the JSON form of a message.
fn value(message: &MessageDef, bytes: &[u8], depth: usize, out: &mut Vec<u8>) -> Result<(), WireError> {
    let depth = depth.checked_sub(1).ok_or(WireError::too_deep())?;
    match message.shape {
        Shape::Plain => {
            out.push(b'{');
            let start = out.len();
            members(message, bytes, depth, start, out)?;
            out.push(b'}');
            Ok(())
        }
        Shape::Any => any(bytes, depth, out),
        Shape::Wrapper => {
            let inner = message.by_number(1).ok_or(WireError::malformed())?;
            let mut last = None;
            let mut fields = Reader::new(bytes);
            while let Some(field) = fields.next()? {
                if field.number == 1 {
                    last = Some(field.value);
                }
            }
            scalar::put_or_zero(inner.kind, last, out)
        }
        Shape::Timestamp | Shape::Duration | Shape::FieldMask => wellknown_text::put(message.shape, bytes, out),
    }
}

/// One known field as it stands on the wire: its position in declaration order, and its value.
type Entry<'a> = (usize, Value<'a>);

/// Writes the members of a message without braces. `start` is where the first of them stands.
fn members(message: &MessageDef, bytes: &[u8], depth: usize, start: usize, out: &mut Vec<u8>) -> Result<(), WireError> {
    let mut entries: Vec<Entry<'_>> = Vec::with_capacity(16);
    let mut unknown: Vec<&[u8]> = Vec::new();
    let mut is_sorted = true;
    let mut fields = Reader::new(bytes);
    while let Some(field) = fields.next()? {
        if let Some(position) = message.position(field.number) {
            is_sorted &= entries.last().is_none_or(|(last, _)| *last <= position);
            entries.push((position, field.value));
        } else if field.number == rest::UNKNOWN_JSON
            && let Value::Bytes(text) = field.value
        {
            unknown.push(text);
        }
    }
    keep_last_of_oneofs(message, &mut entries);
    if !is_sorted {
        entries.sort_by_key(|(position, _)| *position);
    }
    for group in entries.chunk_by(|(left, _), (right, _)| left == right) {
        let Some(field) = group.first().and_then(|(position, _)| message.fields.get(*position)) else { continue };
        member(field, group, depth, start, out).map_err(|error| error.within(&field.name))?;
    }
    for text in unknown {
        unknown_members(text, start, out);
    }
    Ok(())
}

/// Of the members of a oneof only the last on the wire was set.
fn keep_last_of_oneofs(message: &MessageDef, entries: &mut Vec<Entry<'_>>) {
    let oneof = |position: usize| message.fields.get(position).map_or(0, |field| field.oneof);
    let is_mixed = |position: usize, entries: &[Entry<'_>]| {
        oneof(position) != 0 && entries.iter().any(|(other, _)| *other != position && oneof(*other) == oneof(position))
    };
    if !entries.iter().any(|(position, _)| is_mixed(*position, entries)) {
        return;
    }
    let mut kept: Vec<Entry<'_>> = Vec::with_capacity(entries.len());
    for entry in entries.drain(..) {
        if oneof(entry.0) != 0 {
            kept.retain(|(other, _)| *other == entry.0 || oneof(*other) != oneof(entry.0));
        }
        kept.push(entry);
    }
    *entries = kept;
}

/// Writes one field with all its occurrences.
fn member(
    field: &FieldDef,
    group: &[Entry<'_>],
    depth: usize,
    start: usize,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    let begin = |out: &mut Vec<u8>| {
        if out.len() > start {
            out.push(b',');
        }
        out.extend_from_slice(field.json_key.as_bytes());
    };
    match field.cardinality {
        Cardinality::Map => {
            begin(out);
            map(field, group, depth, out)
        }
        Cardinality::Repeated => {
            let before = out.len();
            begin(out);
            if !repeated(field, group, depth, out)? {
                out.truncate(before);
            }
            Ok(())
        }
        Cardinality::Singular => {
            let Some((_, last)) = group.last() else { return Ok(()) };
            if let Some(message) = schema().message_of(field) {
                begin(out);
                return merged(message, group, depth, out);
            }
            if !field.has_presence && scalar::is_zero(field.kind, *last) {
                return Ok(());
            }
            begin(out);
            scalar::put(field.kind, *last, out)
        }
    }
}

/// Writes a message field; several occurrences are merged, which is what their bytes behind one another are.
fn merged(message: &MessageDef, group: &[Entry<'_>], depth: usize, out: &mut Vec<u8>) -> Result<(), WireError> {
    if let [(_, Value::Bytes(bytes))] = group {
        return value(message, bytes, depth, out);
    }
    let mut bytes = Vec::new();
    for (_, part) in group {
        let Value::Bytes(part) = part else { return Err(WireError::malformed()) };
        bytes.extend_from_slice(part);
    }
    value(message, &bytes, depth, out)
}

/// Writes an array; `false` if it has no elements.
fn repeated(field: &FieldDef, group: &[Entry<'_>], depth: usize, out: &mut Vec<u8>) -> Result<bool, WireError> {
    out.push(b'[');
    let start = out.len();
    let comma = |out: &mut Vec<u8>| {
        if out.len() > start {
            out.push(b',');
        }
    };
    for (_, item) in group {
        match (field.kind, *item) {
            (Kind::Message(_), Value::Bytes(bytes)) => {
                comma(out);
                let message = schema().message_of(field).ok_or(WireError::malformed())?;
                value(message, bytes, depth, out)?;
            }
            (Kind::String | Kind::Bytes, item) => {
                comma(out);
                scalar::put(field.kind, item, out)?;
            }
            (kind, Value::Bytes(bytes)) => {
                let mut elements = Reader::new(bytes);
                while !elements.is_empty() {
                    comma(out);
                    scalar::put(kind, scalar::next_packed(kind, &mut elements)?, out)?;
                }
            }
            (kind, item) => {
                comma(out);
                scalar::put(kind, item, out)?;
            }
        }
    }
    let has_elements = out.len() > start;
    out.push(b']');
    Ok(has_elements)
}

/// Writes a map, sorted by key; of equal keys the last counts.
fn map(field: &FieldDef, group: &[Entry<'_>], depth: usize, out: &mut Vec<u8>) -> Result<(), WireError> {
    let entry = schema().message_of(field).ok_or(WireError::malformed())?;
    let (Some(key), Some(item)) = (entry.by_number(1), entry.by_number(2)) else {
        return Err(WireError::malformed());
    };
    let mut items: Vec<(Vec<u8>, Option<Value<'_>>)> = Vec::with_capacity(group.len());
    for (_, value) in group {
        let Value::Bytes(bytes) = value else { return Err(WireError::malformed()) };
        let (mut name, mut item) = (None, None);
        let mut fields = Reader::new(bytes);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => name = Some(field.value),
                2 => item = Some(field.value),
                _ => {}
            }
        }
        let mut text = Vec::new();
        scalar::put_or_zero(key.kind, name, &mut text)?;
        if text.first() != Some(&b'"') {
            text.insert(0, b'"');
            text.push(b'"');
        }
        items.push((text, item));
    }
    items.sort_by(|(left, _), (right, _)| left.cmp(right));
    out.push(b'{');
    let start = out.len();
    for same in items.chunk_by(|(left, _), (right, _)| left == right) {
        let Some((name, value_of)) = same.last() else { continue };
        if out.len() > start {
            out.push(b',');
        }
        out.extend_from_slice(name);
        out.push(b':');
        match schema().message_of(item) {
            Some(message) => {
                let bytes = if let Some(Value::Bytes(bytes)) = value_of { bytes } else { &[][..] };
                value(message, bytes, depth, out)?;
            }
            None => scalar::put_or_zero(item.kind, *value_of, out)?,
        }
    }
    out.push(b'}');
    Ok(())
}

fn any(bytes: &[u8], depth: usize, out: &mut Vec<u8>) -> Result<(), WireError> {
    let (mut url, mut content): (&[u8], &[u8]) = (&[], &[]);
    let mut fields = Reader::new(bytes);
    while let Some(field) = fields.next()? {
        match (field.number, field.value) {
            (1, Value::Bytes(bytes)) => url = bytes,
            (2, Value::Bytes(bytes)) => content = bytes,
            _ => {}
        }
    }
    let url = std::str::from_utf8(url).map_err(|_error| WireError::not_utf8())?;
    out.push(b'{');
    if url.is_empty() && content.is_empty() {
        out.push(b'}');
        return Ok(());
    }
    let start = out.len();
    out.extend_from_slice(b"\"@type\":");
    text(url, out);
    match schema::message(url.rsplit('/').next().unwrap_or_default()) {
        Some(message) if message.shape == Shape::Plain => members(message, content, depth, start, out)?,
        known => {
            out.extend_from_slice(b",\"value\":");
            match known {
                Some(message) => value(message, content, depth, out)?,
                None => scalar::put(Kind::Bytes, Value::Bytes(content), out)?,
            }
        }
    }
    out.push(b'}');
    Ok(())
}

/// Writes members that were kept as JSON text. Another program may have set the field: what is no object is no
/// member of ours, and is left out like any unknown field.
fn unknown_members(kept: &[u8], start: usize, out: &mut Vec<u8>) {
    let parsed = with_tape(&mut kept.to_vec(), |nodes| {
        let mut nodes = nodes.iter();
        let Some(Node::Object { len, .. }) = nodes.next() else { return };
        for _ in 0..*len {
            let (Some(Node::String(name)), Some(value)) = (nodes.next(), nodes.next()) else { return };
            if out.len() > start {
                out.push(b',');
            }
            text(name, out);
            out.push(b':');
            node(*value, &mut nodes, out);
        }
    });
    drop(parsed);
}

/// Writes a JSON value as it was read; `nodes` moves past it.
pub(super) fn node(value: Node<'_>, nodes: &mut Nodes<'_, '_>, out: &mut Vec<u8>) {
    match value {
        Node::String(string) => text(string, out),
        Node::Static(simple) => scalar::put_static(simple, out),
        Node::Array { len, .. } => {
            out.push(b'[');
            for position in 0..len {
                let Some(item) = nodes.next() else { break };
                if position > 0 {
                    out.push(b',');
                }
                node(*item, nodes, out);
            }
            out.push(b']');
        }
        Node::Object { len, .. } => {
            out.push(b'{');
            for position in 0..len {
                let (Some(Node::String(name)), Some(item)) = (nodes.next(), nodes.next()) else { break };
                if position > 0 {
                    out.push(b',');
                }
                text(name, out);
                out.push(b':');
                node(*item, nodes, out);
            }
            out.push(b'}');
        }
    }
}

/// Writes a JSON text with its quotes.
pub(super) fn text(string: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let needs_escape = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    if string.bytes().fold(false, |found, byte| found | needs_escape(byte)) {
        for byte in string.bytes() {
            match byte {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                byte if byte < 0x20 => {
                    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
                    out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 0xF)]);
                }
                byte => out.push(byte),
            }
        }
    } else {
        out.extend_from_slice(string.as_bytes());
    }
    out.push(b'"');
}
