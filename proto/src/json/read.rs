//! JSON nodes → wire bytes.

use std::slice::Iter;

use hindcast_model::rest;
use simd_json::{Node, StaticNode};

use super::{JsonError, MAX_DEPTH, number, wellknown, write};
use crate::schema::{Cardinality, FieldDef, Kind, MessageDef, Shape, schema};
use crate::wire;

/// The nodes that are still to be read, in document order.
pub(crate) type Nodes<'n, 'd> = Iter<'n, Node<'d>>;

/// What is needed while reading one document.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Members that nobody knows, of the messages being read, innermost last.
    unknown: Draft,
    depth: usize,
}

/// JSON members under construction: `{"a":1,"b":2` without the end.
#[derive(Debug, Default)]
struct Draft(Vec<u8>);

impl Draft {
    const fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds a member to the object that began at `start`.
    fn push(&mut self, start: usize, name: &str, value: Node<'_>, nodes: &mut Nodes<'_, '_>) {
        self.0.push(if self.0.len() == start { b'{' } else { b',' });
        write::text(name, &mut self.0);
        self.0.push(b':');
        write::node(value, nodes, &mut self.0);
    }

    /// Ends the object that began at `start`, as a field of the message at the end of `out`.
    fn flush(&mut self, start: usize, out: &mut Vec<u8>) {
        if self.0.len() > start {
            self.0.push(b'}');
            wire::put_bytes(out, rest::UNKNOWN_JSON, self.0.get(start..).unwrap_or_default());
            self.0.truncate(start);
        }
    }
}

/// Moves past the rest of a value whose first node was taken.
pub(crate) fn skip_value(value: Node<'_>, nodes: &mut Nodes<'_, '_>) {
    if let Node::Object { count, .. } | Node::Array { count, .. } = value
        && count > 0
    {
        nodes.nth(count - 1);
    }
}

/// Whether a value of a known field was written, or is one that this build has no number for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Known,
    Unknown,
}

impl Reading {
    /// Reads a whole document.
    pub(crate) fn document(
        &mut self,
        message: &MessageDef,
        nodes: &[Node<'_>],
        out: &mut Vec<u8>,
    ) -> Result<(), JsonError> {
        let mut nodes = nodes.iter();
        let root = nodes.next().ok_or(JsonError::field("an object"))?;
        self.message(message, *root, &mut nodes, out)
    }

    /// Reads the value of a message field, without tag and length.
    pub(crate) fn message(
        &mut self,
        message: &MessageDef,
        value: Node<'_>,
        nodes: &mut Nodes<'_, '_>,
        out: &mut Vec<u8>,
    ) -> Result<(), JsonError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(JsonError::TooLarge { limit: "nesting" });
        }
        match message.shape {
            Shape::Plain => {
                let Node::Object { len, .. } = value else { return Err(JsonError::field("an object")) };
                self.members(message, len, nodes, out)?;
            }
            Shape::Any => wellknown::read_any(self, value, nodes, out)?,
            Shape::Wrapper => {
                let inner = message.by_number(1).ok_or(JsonError::field("a wrapper"))?;
                number::scalar(inner, value, false, out)?;
            }
            Shape::Timestamp | Shape::Duration | Shape::FieldMask => {
                let Node::String(text) = value else { return Err(JsonError::field("a text")) };
                wellknown::read_text(message.shape, text, out)?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads the members of an object as fields.
    pub(crate) fn members(
        &mut self,
        message: &MessageDef,
        n_members: usize,
        nodes: &mut Nodes<'_, '_>,
        out: &mut Vec<u8>,
    ) -> Result<(), JsonError> {
        let unknown = self.unknown.len();
        for _ in 0..n_members {
            let (Some(Node::String(name)), Some(value)) = (nodes.next(), nodes.next()) else { break };
            match message.by_name(name) {
                Some(field) => {
                    if matches!(value, Node::Static(StaticNode::Null)) {
                        continue;
                    }
                    let before = nodes.clone();
                    let told = self.field(field, *value, nodes, out).map_err(|error| error.within(&field.name))?;
                    if told == Told::Unknown {
                        *nodes = before;
                        self.unknown.push(unknown, name, *value, nodes);
                    }
                }
                None => self.unknown.push(unknown, name, *value, nodes),
            }
        }
        self.unknown.flush(unknown, out);
        Ok(())
    }

    fn field(
        &mut self,
        field: &FieldDef,
        value: Node<'_>,
        nodes: &mut Nodes<'_, '_>,
        out: &mut Vec<u8>,
    ) -> Result<Told, JsonError> {
        match field.cardinality {
            Cardinality::Singular => self.one(field, value, field.has_presence, nodes, out),
            Cardinality::Repeated => self.many(field, value, nodes, out),
            Cardinality::Map => self.map(field, value, nodes, out),
        }
    }

    fn one(
        &mut self,
        field: &FieldDef,
        value: Node<'_>,
        keep_zero: bool,
        nodes: &mut Nodes<'_, '_>,
        out: &mut Vec<u8>,
    ) -> Result<Told, JsonError> {
        if let Some(message) = schema().message_of(field) {
            let open = wire::open(out, field.number);
            self.message(message, value, nodes, out)?;
            open.close(out);
            return Ok(Told::Known);
        }
        number::scalar(field, value, keep_zero, out)
    }

    fn many(
        &mut self,
        field: &FieldDef,
        value: Node<'_>,
        nodes: &mut Nodes<'_, '_>,
        out: &mut Vec<u8>,
    ) -> Result<Told, JsonError> {
        let Node::Array { len, .. } = value else { return Err(JsonError::field("an array")) };
        let start = out.len();
        if let Kind::String | Kind::Bytes | Kind::Message(_) = field.kind {
            for _ in 0..len {
                let Some(item) = nodes.next() else { break };
                self.one(field, *item, true, nodes, out)?;
            }
            return Ok(Told::Known);
        }
        let open = wire::open(out, field.number);
        for _ in 0..len {
            let Some(item) = nodes.next() else { break };
            if number::packed(field, *item, out)? == Told::Unknown {
                out.truncate(start);
                return Ok(Told::Unknown);
            }
        }
        open.close_or_drop(out, false);
        Ok(Told::Known)
    }

    fn map(
        &mut self,
        field: &FieldDef,
        value: Node<'_>,
        nodes: &mut Nodes<'_, '_>,
        out: &mut Vec<u8>,
    ) -> Result<Told, JsonError> {
        let Node::Object { len, .. } = value else { return Err(JsonError::field("an object")) };
        let entry = schema().message_of(field).ok_or(JsonError::field("a map"))?;
        let (Some(key), Some(item)) = (entry.by_number(1), entry.by_number(2)) else {
            return Err(JsonError::field("a map"));
        };
        let start = out.len();
        for _ in 0..len {
            let (Some(Node::String(name)), Some(value)) = (nodes.next(), nodes.next()) else { break };
            let open = wire::open(out, field.number);
            number::map_key(key, name, out)?;
            if self.field(item, *value, nodes, out).map_err(|error| error.within(name))? == Told::Unknown {
                out.truncate(start);
                return Ok(Told::Unknown);
            }
            open.close(out);
        }
        Ok(Told::Known)
    }
}
