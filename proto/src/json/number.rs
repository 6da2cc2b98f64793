//! JSON values of scalar fields → wire bytes.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use simd_json::{Node, StaticNode};

use super::JsonError;
use super::read::Told;
use crate::schema::{FieldDef, Kind, schema};
use crate::wire;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// A scalar as the wire writes it.
enum Scalar<'d> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Text(&'d str),
    Bytes(Vec<u8>),
}

/// Writes a scalar field; a zero only where `keep_zero`.
pub(super) fn scalar(field: &FieldDef, value: Node<'_>, keep_zero: bool, out: &mut Vec<u8>) -> Result<Told, JsonError> {
    let Some(scalar) = read(field.kind, value)? else { return Ok(Told::Unknown) };
    match scalar {
        Scalar::Varint(0) | Scalar::Fixed64(0) | Scalar::Fixed32(0) | Scalar::Text("") if !keep_zero => {}
        Scalar::Bytes(bytes) if bytes.is_empty() && !keep_zero => {}
        Scalar::Varint(number) => wire::put_number(out, field.number, number),
        Scalar::Text(text) => wire::put_bytes(out, field.number, text.as_bytes()),
        Scalar::Bytes(bytes) => wire::put_bytes(out, field.number, &bytes),
        Scalar::Fixed64(bits) => {
            wire::put_tag(out, field.number, 1);
            out.extend_from_slice(&bits.to_le_bytes());
        }
        Scalar::Fixed32(bits) => {
            wire::put_tag(out, field.number, 5);
            out.extend_from_slice(&bits.to_le_bytes());
        }
    }
    Ok(Told::Known)
}

/// Writes an element of a packed field.
pub(super) fn packed(field: &FieldDef, value: Node<'_>, out: &mut Vec<u8>) -> Result<Told, JsonError> {
    let Some(scalar) = read(field.kind, value)? else { return Ok(Told::Unknown) };
    match scalar {
        Scalar::Varint(number) => wire::put_varint(out, number),
        Scalar::Fixed64(bits) => out.extend_from_slice(&bits.to_le_bytes()),
        Scalar::Fixed32(bits) => out.extend_from_slice(&bits.to_le_bytes()),
        Scalar::Text(_) | Scalar::Bytes(_) => return Err(JsonError::field("a packed value")),
    }
    Ok(Told::Known)
}

/// Writes a map key, which JSON always holds as a text.
pub(super) fn map_key(key: &FieldDef, name: &str, out: &mut Vec<u8>) -> Result<(), JsonError> {
    let value = match (key.kind, name) {
        (Kind::Bool, "true") => Node::Static(StaticNode::Bool(true)),
        (Kind::Bool, "false") => Node::Static(StaticNode::Bool(false)),
        _ => Node::String(name),
    };
    scalar(key, value, false, out).map(|_told| ())
}

/// The wire value of a JSON value; `None` for an enum name that has no number.
fn read<'d>(kind: Kind, value: Node<'d>) -> Result<Option<Scalar<'d>>, JsonError> {
    let scalar = match kind {
        Kind::String => match value {
            Node::String(text) => Scalar::Text(text),
            _ => return Err(JsonError::field("a text")),
        },
        Kind::Bool => match value {
            Node::Static(StaticNode::Bool(flag)) => Scalar::Varint(u64::from(flag)),
            _ => return Err(JsonError::field("true or false")),
        },
        Kind::Enum(index) => return enumeration(index, value),
        Kind::Uint32 => Scalar::Varint(u64::from(unsigned32(value)?)),
        Kind::Uint64 => Scalar::Varint(unsigned(value).ok_or(JsonError::field("an unsigned 64-bit number"))?),
        Kind::Int32 => Scalar::Varint(wire::signed(i64::from(signed32(value)?))),
        Kind::Int64 => Scalar::Varint(wire::signed(signed64(value)?)),
        Kind::Sint32 | Kind::Sint64 => {
            let number = if kind == Kind::Sint32 { i64::from(signed32(value)?) } else { signed64(value)? };
            Scalar::Varint((number << 1 ^ number >> 63).cast_unsigned())
        }
        Kind::Fixed32 => Scalar::Fixed32(unsigned32(value)?),
        Kind::Sfixed32 => Scalar::Fixed32(signed32(value)?.cast_unsigned()),
        Kind::Fixed64 => Scalar::Fixed64(unsigned(value).ok_or(JsonError::field("an unsigned 64-bit number"))?),
        Kind::Sfixed64 => Scalar::Fixed64(signed64(value)?.cast_unsigned()),
        Kind::Double => Scalar::Fixed64(float(value)?.to_bits()),
        Kind::Float => Scalar::Fixed32(narrow(float(value)?)?.to_bits()),
        Kind::Bytes => match value {
            Node::String(text) => Scalar::Bytes(bytes(text)?),
            _ => return Err(JsonError::field("base64")),
        },
        Kind::Message(_) => return Err(JsonError::field("a scalar")),
    };
    Ok(Some(scalar))
}

fn enumeration(index: usize, value: Node<'_>) -> Result<Option<Scalar<'static>>, JsonError> {
    if let Node::String(name) = value {
        let number = schema().enums.get(index).and_then(|kind| kind.number(name));
        return Ok(number.map(|number| Scalar::Varint(wire::signed(i64::from(number)))));
    }
    let number = signed32(value).map_err(|_error| JsonError::field("a name or a number of an enum"))?;
    Ok(Some(Scalar::Varint(wire::signed(i64::from(number)))))
}

fn bytes(text: &str) -> Result<Vec<u8>, JsonError> {
    let engine = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    engine.decode(text).map_err(|_error| JsonError::field("base64"))
}

fn unsigned32(value: Node<'_>) -> Result<u32, JsonError> {
    unsigned(value).and_then(|number| u32::try_from(number).ok()).ok_or(JsonError::field("an unsigned 32-bit number"))
}

fn signed32(value: Node<'_>) -> Result<i32, JsonError> {
    signed(value).and_then(|number| i32::try_from(number).ok()).ok_or(JsonError::field("a 32-bit number"))
}

fn signed64(value: Node<'_>) -> Result<i64, JsonError> {
    signed(value).ok_or(JsonError::field("a 64-bit number"))
}

fn unsigned(value: Node<'_>) -> Option<u64> {
    match value {
        Node::Static(StaticNode::U64(number)) => Some(number),
        Node::Static(StaticNode::I64(number)) => u64::try_from(number).ok(),
        Node::Static(StaticNode::F64(number)) => whole(number).and_then(|number| u64::try_from(number).ok()),
        Node::String(text) => {
            text.parse().ok().or_else(|| whole(exact(text)?).and_then(|number| u64::try_from(number).ok()))
        }
        _ => None,
    }
}

fn signed(value: Node<'_>) -> Option<i64> {
    match value {
        Node::Static(StaticNode::I64(number)) => Some(number),
        Node::Static(StaticNode::U64(number)) => i64::try_from(number).ok(),
        Node::Static(StaticNode::F64(number)) => whole(number).and_then(|number| i64::try_from(number).ok()),
        Node::String(text) => {
            text.parse().ok().or_else(|| whole(exact(text)?).and_then(|number| i64::try_from(number).ok()))
        }
        _ => None,
    }
}

/// A number in a text with a point or an exponent; such a text has to look like a JSON number.
fn exact(text: &str) -> Option<f64> {
    if text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E')) {
        text.parse().ok()
    } else {
        None
    }
}

/// A float without a fraction.
#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range of the target")]
fn whole(number: f64) -> Option<i128> {
    if number.fract() == 0.0 && number.abs() < 1e30 { Some(number as i128) } else { None }
}

fn float(value: Node<'_>) -> Result<f64, JsonError> {
    let number = match value {
        Node::Static(StaticNode::F64(number)) => Some(number),
        #[expect(clippy::cast_precision_loss, reason = "the nearest float is what is asked for")]
        Node::Static(StaticNode::U64(number)) => Some(number as f64),
        #[expect(clippy::cast_precision_loss, reason = "the nearest float is what is asked for")]
        Node::Static(StaticNode::I64(number)) => Some(number as f64),
        Node::String("NaN") => Some(f64::NAN),
        Node::String("Infinity") => Some(f64::INFINITY),
        Node::String("-Infinity") => Some(f64::NEG_INFINITY),
        Node::String(text) => exact(text),
        _ => None,
    };
    number.ok_or(JsonError::field("a number"))
}

#[expect(clippy::cast_possible_truncation, reason = "the nearest 32-bit float is what is asked for")]
fn narrow(number: f64) -> Result<f32, JsonError> {
    let narrow = number as f32;
    if narrow.is_infinite() && number.is_finite() { Err(JsonError::field("a 32-bit number")) } else { Ok(narrow) }
}

/// Appends the bytes that a base64 text holds.
pub(super) fn base64_value(value: Node<'_>, out: &mut Vec<u8>) -> Result<(), JsonError> {
    let Node::String(text) = value else { return Err(JsonError::field("base64")) };
    out.extend_from_slice(&bytes(text)?);
    Ok(())
}
