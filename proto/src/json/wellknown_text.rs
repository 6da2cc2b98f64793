//! Messages that JSON writes as one text: wire bytes → JSON.

use super::{WireError, time, wellknown, write};
use crate::schema::Shape;
use crate::wire::{Reader, Value, low_i32};

/// Writes a time, a duration or a field mask.
pub(super) fn put(shape: Shape, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut paths = String::new();
    let mut fields = Reader::new(bytes);
    while let Some(field) = fields.next()? {
        match (field.number, field.value) {
            (1, Value::Varint(number)) => seconds = number.cast_signed(),
            (2, Value::Varint(number)) => nanos = low_i32(number),
            (1, Value::Bytes(path)) if shape == Shape::FieldMask => {
                if !paths.is_empty() {
                    paths.push(',');
                }
                paths.push_str(&wellknown::camel_path(
                    std::str::from_utf8(path).map_err(|_error| WireError::not_utf8())?,
                ));
            }
            (1 | 2, _) => return Err(WireError::malformed()),
            _ => {}
        }
    }
    match shape {
        Shape::FieldMask => write::text(&paths, out),
        Shape::Duration => {
            out.push(b'"');
            if !time::put_duration(out, seconds, nanos) {
                return Err(WireError::malformed());
            }
            out.push(b'"');
        }
        Shape::Timestamp | Shape::Plain | Shape::Any | Shape::Wrapper => {
            let nanos = u32::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
            let (Some(nanos), true) = (nanos, time::SECONDS.contains(&seconds)) else {
                return Err(WireError::malformed());
            };
            out.push(b'"');
            time::put_instant(out, seconds, nanos);
            out.push(b'"');
        }
    }
    Ok(())
}
