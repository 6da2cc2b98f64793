//! Messages of `google.protobuf` whose JSON form is not an object of their fields.

use simd_json::Node;

use super::read::{Nodes, Reading, skip_value};
use super::{JsonError, number, time};
use crate::schema::{self, Shape};
use crate::wire;

/// Reads a message that JSON writes as a text.
pub(super) fn read_text(shape: Shape, text: &str, out: &mut Vec<u8>) -> Result<(), JsonError> {
    match shape {
        Shape::Timestamp => put_parts(out, time::parse_instant(text)?),
        Shape::Duration => put_parts(out, time::parse_duration(text)?),
        Shape::FieldMask => {
            for path in text.split(',').filter(|path| !path.is_empty()) {
                wire::put_bytes(out, 1, snake_path(path).as_bytes());
            }
        }
        Shape::Plain | Shape::Any | Shape::Wrapper => return Err(JsonError::field("an object")),
    }
    Ok(())
}

fn put_parts(out: &mut Vec<u8>, (seconds, nanos): (i64, i32)) {
    if seconds != 0 {
        wire::put_number(out, 1, wire::signed(seconds));
    }
    if nanos != 0 {
        wire::put_number(out, 2, wire::signed(i64::from(nanos)));
    }
}

/// A mask path in proto names. A segment that begins with a capital letter is a proto name already.
fn snake_path(path: &str) -> String {
    let mut snake = String::with_capacity(path.len() + 4);
    for (position, segment) in path.split('.').enumerate() {
        if position > 0 {
            snake.push('.');
        }
        if segment.starts_with(|first: char| first.is_ascii_uppercase()) {
            snake.push_str(segment);
            continue;
        }
        for character in segment.chars() {
            if character.is_ascii_uppercase() {
                snake.push('_');
            }
            snake.push(character.to_ascii_lowercase());
        }
    }
    snake
}

/// A mask path in camelCase; a segment that camelCase cannot express stays as it is.
pub(super) fn camel_path(path: &str) -> String {
    let segments: Vec<String> = path.split('.').map(camel_segment).collect();
    segments.join(".")
}

fn camel_segment(segment: &str) -> String {
    let mut camel = String::with_capacity(segment.len());
    let mut is_raised = false;
    for character in segment.chars() {
        if character == '_' {
            is_raised = true;
        } else {
            camel.push(if is_raised { character.to_ascii_uppercase() } else { character });
            is_raised = false;
        }
    }
    if snake_path(&camel) == segment { camel } else { segment.to_owned() }
}

/// Reads an `Any`: an object with `@type` and the members of that type, or with the type's own form under `value`.
pub(super) fn read_any(
    reading: &mut Reading,
    value: Node<'_>,
    nodes: &mut Nodes<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), JsonError> {
    let Node::Object { len, count } = value else { return Err(JsonError::field("an object")) };
    let inside = nodes.as_slice().get(..count).unwrap_or_default();
    skip_value(value, nodes);
    let Some(url) = find(inside, len, "@type") else {
        return if len == 0 { Ok(()) } else { Err(JsonError::field("an object with @type")) };
    };
    let Some(Node::String(url)) = url.first() else { return Err(JsonError::field("an object with @type")) };
    wire::put_bytes(out, 1, url.as_bytes());
    let message = schema::message(url.rsplit('/').next().unwrap_or_default());
    let open = wire::open(out, 2);
    match message {
        Some(message) if message.shape == Shape::Plain => {
            let without_type = without(inside, len, "@type");
            reading.members(message, len - 1, &mut without_type.iter(), out)?;
        }
        known => {
            let value = find(inside, len, "value").ok_or(JsonError::field("an object with value"))?;
            let mut nodes = value.iter();
            let first = *nodes.next().ok_or(JsonError::field("an object with value"))?;
            match known {
                Some(message) => reading.message(message, first, &mut nodes, out)?,
                None => number::base64_value(first, out)?,
            }
        }
    }
    open.close_or_drop(out, false);
    Ok(())
}

/// The value of the member `name` and what follows it.
fn find<'n, 'd>(inside: &'n [Node<'d>], n_members: usize, name: &str) -> Option<&'n [Node<'d>]> {
    let mut nodes = inside.iter();
    for _ in 0..n_members {
        let is_it = matches!(nodes.next()?, Node::String(key) if *key == name);
        let value = nodes.as_slice();
        if is_it {
            return Some(value);
        }
        skip_value(*nodes.next()?, &mut nodes);
    }
    None
}

/// The members without the one called `name`.
fn without<'d>(inside: &[Node<'d>], n_members: usize, name: &str) -> Vec<Node<'d>> {
    let mut kept = Vec::with_capacity(inside.len());
    let mut nodes = inside.iter();
    for _ in 0..n_members {
        let before = nodes.as_slice();
        let Some(Node::String(key)) = nodes.next() else { break };
        let Some(value) = nodes.next() else { break };
        skip_value(*value, &mut nodes);
        if *key != name {
            kept.extend_from_slice(before.get(..before.len() - nodes.as_slice().len()).unwrap_or_default());
        }
    }
    kept
}
