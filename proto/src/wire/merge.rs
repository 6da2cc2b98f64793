//! Checking a stretch of wire bytes against its message, and rewriting a message so that no field occurs twice.

use crate::json::{MAX_DEPTH, WireError};
use crate::schema::{Cardinality, FieldDef, Kind, MessageDef, schema};
use crate::wire::{Field, Reader, Value, put_bytes};

/// Checks that all known fields have their own wire type and that texts are UTF-8, at every depth.
pub(crate) fn check(message: &MessageDef, bytes: &[u8]) -> Result<(), WireError> {
    check_within(message, bytes, MAX_DEPTH)
}

/// Checks one known field as [`check`] does.
pub(crate) fn check_field(field: &FieldDef, value: Value<'_>) -> Result<(), WireError> {
    check_value(field, value, MAX_DEPTH)
}

fn check_within(message: &MessageDef, bytes: &[u8], depth: usize) -> Result<(), WireError> {
    let depth = depth.checked_sub(1).ok_or(WireError::too_deep())?;
    let mut fields = Reader::new(bytes);
    while let Some(field) = fields.next()? {
        if let Some(known) = message.by_number(field.number) {
            check_value(known, field.value, depth).map_err(|error| error.within(&known.name))?;
        }
    }
    Ok(())
}

fn check_value(field: &FieldDef, value: Value<'_>, depth: usize) -> Result<(), WireError> {
    match (field.kind, value) {
        (Kind::Message(_), Value::Bytes(bytes)) => match schema().message_of(field) {
            Some(message) => check_within(message, bytes, depth),
            None => Err(WireError::malformed()),
        },
        (Kind::String, Value::Bytes(bytes)) => {
            std::str::from_utf8(bytes).map(|_text| ()).map_err(|_error| WireError::not_utf8())
        }
        (Kind::Bytes, Value::Bytes(_)) => Ok(()),
        (Kind::String | Kind::Bytes | Kind::Message(_), _) => Err(WireError::malformed()),
        (kind, Value::Bytes(bytes)) if field.cardinality == Cardinality::Repeated => check_packed(kind, bytes),
        (Kind::Double | Kind::Fixed64 | Kind::Sfixed64, Value::Fixed64(_))
        | (Kind::Float | Kind::Fixed32 | Kind::Sfixed32, Value::Fixed32(_)) => Ok(()),
        (Kind::Double | Kind::Fixed64 | Kind::Sfixed64 | Kind::Float | Kind::Fixed32 | Kind::Sfixed32, _) => {
            Err(WireError::malformed())
        }
        (_, Value::Varint(_)) => Ok(()),
        _ => Err(WireError::malformed()),
    }
}

fn check_packed(kind: Kind, bytes: &[u8]) -> Result<(), WireError> {
    let mut elements = Reader::new(bytes);
    while !elements.is_empty() {
        match kind {
            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => elements.fixed64().map(|_element| ())?,
            Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => elements.fixed32().map(|_element| ())?,
            _ => elements.varint().map(|_element| ())?,
        }
    }
    Ok(())
}

/// Rewrites a message so that every singular field occurs at most once, at every depth: of scalars the last one, of
/// messages their merge, of a oneof the member set last. The rewritten message says the same.
pub(crate) fn once(message: &MessageDef, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
    once_within(message, bytes, MAX_DEPTH, out)
}

fn once_within(message: &MessageDef, bytes: &[u8], depth: usize, out: &mut Vec<u8>) -> Result<(), WireError> {
    let depth = depth.checked_sub(1).ok_or(WireError::too_deep())?;
    let mut kept: Vec<Field<'_>> = Vec::new();
    let mut fields = Reader::new(bytes);
    while let Some(field) = fields.next()? {
        if let Some(known) = message.by_number(field.number) {
            check_value(known, field.value, MAX_DEPTH).map_err(|error| error.within(&known.name))?;
            let oneof = |number: u32| message.by_number(number).map_or(0, |other| other.oneof);
            if known.oneof != 0 {
                kept.retain(|other| other.number == field.number || oneof(other.number) != known.oneof);
            }
        }
        kept.push(field);
    }
    for (position, field) in kept.iter().enumerate() {
        let known = message.by_number(field.number).filter(|known| known.cardinality == Cardinality::Singular);
        let Some(known) = known else {
            out.extend_from_slice(field.raw);
            continue;
        };
        let later = kept.get(position + 1..).unwrap_or_default();
        if later.iter().any(|other| other.number == field.number) {
            continue;
        }
        let Some(inner) = schema().message_of(known) else {
            out.extend_from_slice(field.raw);
            continue;
        };
        let mut merged = Vec::new();
        for part in kept.iter().filter(|other| other.number == field.number) {
            if let Value::Bytes(part) = part.value {
                merged.extend_from_slice(part);
            }
        }
        let mut body = Vec::with_capacity(merged.len());
        once_within(inner, &merged, depth, &mut body)?;
        put_bytes(out, field.number, &body);
    }
    Ok(())
}
