//! Scalar wire values → JSON.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use simd_json::StaticNode;

use super::{WireError, write};
use crate::schema::{Kind, schema};
use crate::wire::{Reader, Value, low_i32, low32};

/// Whether a value is what an absent field reads as.
pub(super) fn is_zero(kind: Kind, value: Value<'_>) -> bool {
    match (kind, value) {
        (Kind::Bool, Value::Varint(number)) => number == 0,
        (Kind::Int32 | Kind::Uint32 | Kind::Sint32 | Kind::Enum(_), Value::Varint(number)) => low32(number) == 0,
        (_, Value::Varint(number) | Value::Fixed64(number)) => number == 0,
        (_, Value::Fixed32(number)) => number == 0,
        (_, Value::Bytes(bytes)) => bytes.is_empty(),
        (_, Value::Group) => false,
    }
}

/// Writes a value, or the zero of its type.
pub(super) fn put_or_zero(kind: Kind, value: Option<Value<'_>>, out: &mut Vec<u8>) -> Result<(), WireError> {
    let zero = match kind {
        Kind::String | Kind::Bytes | Kind::Message(_) => Value::Bytes(&[]),
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => Value::Fixed64(0),
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => Value::Fixed32(0),
        _ => Value::Varint(0),
    };
    put(kind, value.unwrap_or(zero), out)
}

/// The next element of a packed field.
pub(super) fn next_packed<'a>(kind: Kind, elements: &mut Reader<'a>) -> Result<Value<'a>, WireError> {
    Ok(match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => Value::Fixed64(elements.fixed64()?),
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => Value::Fixed32(elements.fixed32()?),
        _ => Value::Varint(elements.varint()?),
    })
}

/// Writes a value.
pub(super) fn put(kind: Kind, value: Value<'_>, out: &mut Vec<u8>) -> Result<(), WireError> {
    match (kind, value) {
        (Kind::String, Value::Bytes(bytes)) => {
            write::text(std::str::from_utf8(bytes).map_err(|_error| WireError::not_utf8())?, out);
        }
        (Kind::Bytes, Value::Bytes(bytes)) => {
            out.push(b'"');
            out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
            out.push(b'"');
        }
        (Kind::Bool, Value::Varint(number)) => {
            out.extend_from_slice(if number == 0 { b"false" } else { b"true" });
        }
        (Kind::Enum(index), Value::Varint(number)) => {
            let number = low_i32(number);
            match schema().enums.get(index).and_then(|kind| kind.name(number)) {
                Some(name) => write::text(name, out),
                None => signed(i64::from(number), out),
            }
        }
        (Kind::Uint32, Value::Varint(number)) => unsigned(u64::from(low32(number)), out),
        (Kind::Int32, Value::Varint(number)) => signed(i64::from(low_i32(number)), out),
        (Kind::Sint32, Value::Varint(number)) => signed(i64::from(low_i32(zigzag(u64::from(low32(number))))), out),
        (Kind::Uint64, Value::Varint(number)) | (Kind::Fixed64, Value::Fixed64(number)) => {
            quoted(out, |out| unsigned(number, out));
        }
        (Kind::Int64, Value::Varint(number)) | (Kind::Sfixed64, Value::Fixed64(number)) => {
            quoted(out, |out| signed(number.cast_signed(), out));
        }
        (Kind::Sint64, Value::Varint(number)) => quoted(out, |out| signed(zigzag(number).cast_signed(), out)),
        (Kind::Fixed32, Value::Fixed32(number)) => unsigned(u64::from(number), out),
        (Kind::Sfixed32, Value::Fixed32(number)) => signed(i64::from(number.cast_signed()), out),
        (Kind::Double, Value::Fixed64(bits)) => float(f64::from_bits(bits), out),
        (Kind::Float, Value::Fixed32(bits)) => {
            let number = f32::from_bits(bits);
            // The shortest text of the narrow number, not of its wide copy.
            float(number.to_string().parse().unwrap_or_else(|_error| f64::from(number)), out);
        }
        _ => return Err(WireError::malformed()),
    }
    Ok(())
}

/// Writes a number, a truth value or `null` as it was read.
pub(super) fn put_static(value: StaticNode, out: &mut Vec<u8>) {
    match value {
        StaticNode::I64(number) => signed(number, out),
        StaticNode::U64(number) => unsigned(number, out),
        StaticNode::F64(number) => float(number, out),
        StaticNode::Bool(flag) => out.extend_from_slice(if flag { b"true" } else { b"false" }),
        StaticNode::Null => out.extend_from_slice(b"null"),
    }
}

fn zigzag(number: u64) -> u64 {
    number >> 1 ^ (number & 1).wrapping_neg()
}

fn quoted(out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    put(out);
    out.push(b'"');
}

fn signed(number: i64, out: &mut Vec<u8>) {
    if number < 0 {
        out.push(b'-');
    }
    unsigned(number.unsigned_abs(), out);
}

fn unsigned(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 20];
    let mut n_digits = 0;
    for place in digits.iter_mut().rev() {
        *place = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        n_digits += 1;
        if number == 0 {
            break;
        }
    }
    out.extend(digits.iter().skip(digits.len() - n_digits));
}

fn float(number: f64, out: &mut Vec<u8>) {
    let text = if number.is_nan() {
        "\"NaN\"".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "\"Infinity\"".to_owned() } else { "\"-Infinity\"".to_owned() }
    } else if number.fract() == 0.0 && number.abs() < 1e15 {
        format!("{number:.0}")
    } else {
        format!("{number:?}")
    };
    let _infallible = out.write_all(text.as_bytes());
}
