//! What this build knows of each message, built once from the descriptor set: fields by number and by name.
//!
//! Names are found in a small open-addressing table; a field is found by its proto name and by its camelCase name.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost_reflect::{Cardinality as Label, DescriptorPool, EnumDescriptor, FieldDescriptor, MessageDescriptor};

/// A field's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    /// Index into [`Schema::enums`].
    Enum(usize),
    /// Index into [`Schema::messages`].
    Message(usize),
}

/// How often a field may occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cardinality {
    Singular,
    Repeated,
    Map,
}

/// A message whose JSON form is not an object of its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Plain,
    Timestamp,
    Duration,
    FieldMask,
    Any,
    Wrapper,
}

/// One field.
#[derive(Debug)]
pub(crate) struct FieldDef {
    pub(crate) name: String,
    /// `"name":` as it stands in JSON.
    pub(crate) json_key: String,
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    pub(crate) cardinality: Cardinality,
    /// Whether a zero that was set differs from nothing.
    pub(crate) has_presence: bool,
    /// The oneof it belongs to, counted from 1; 0 for none.
    pub(crate) oneof: u16,
}

/// One message.
#[derive(Debug)]
pub(crate) struct MessageDef {
    pub(crate) full_name: String,
    pub(crate) shape: Shape,
    /// In the order of declaration.
    pub(crate) fields: Vec<FieldDef>,
    names: NameIndex,
    /// Positions of fields with numbers below [`DENSE`], by number.
    dense: Vec<u16>,
    /// Number and position of the others.
    sparse: Vec<(u32, u16)>,
}

/// One enum.
#[derive(Debug)]
pub(crate) struct EnumDef {
    values: Vec<(i32, String)>,
    names: NameIndex,
    /// Whether value n stands at position n.
    is_dense: bool,
}

/// Everything in the descriptor set.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) messages: Vec<MessageDef>,
    pub(crate) enums: Vec<EnumDef>,
    by_name: HashMap<String, usize>,
}

const DENSE: u32 = 64;
const NONE: u16 = u16::MAX;

/// The descriptors, for reflection.
pub(crate) static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "the bytes are built with this crate")]
    DescriptorPool::decode(crate::FILE_DESCRIPTOR_SET).expect("the crate's own descriptor set")
});

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::of(&POOL));

/// The schema of this crate.
pub(crate) fn schema() -> &'static Schema {
    &SCHEMA
}

/// The message of that name.
pub(crate) fn message(full_name: &str) -> Option<&'static MessageDef> {
    SCHEMA.messages.get(*SCHEMA.by_name.get(full_name)?)
}

impl Schema {
    fn of(pool: &DescriptorPool) -> Self {
        let messages: Vec<MessageDescriptor> = pool.all_messages().collect();
        let enums: Vec<EnumDescriptor> = pool.all_enums().collect();
        let by_name = (0..).zip(&messages).map(|(index, message)| (message.full_name().to_owned(), index)).collect();
        let enum_names = (0..).zip(&enums).map(|(index, kind)| (kind.full_name().to_owned(), index)).collect();
        Self {
            messages: messages.iter().map(|message| MessageDef::of(message, &by_name, &enum_names)).collect(),
            enums: enums.iter().map(EnumDef::of).collect(),
            by_name,
        }
    }

    /// The message type of a field.
    pub(crate) fn message_of(&self, field: &FieldDef) -> Option<&MessageDef> {
        match field.kind {
            Kind::Message(index) => self.messages.get(index),
            _ => None,
        }
    }
}

impl MessageDef {
    fn of(message: &MessageDescriptor, messages: &HashMap<String, usize>, enums: &HashMap<String, usize>) -> Self {
        let oneofs: Vec<_> = message.oneofs().collect();
        // Descriptors list fields by number; declaration order is the order of the file.
        let mut declared: Vec<FieldDescriptor> = message.fields().collect();
        let order: HashMap<i32, usize> = message
            .descriptor_proto()
            .field
            .iter()
            .enumerate()
            .map(|(position, field)| (field.number.unwrap_or_default(), position))
            .collect();
        declared.sort_by_key(|field| order.get(&i32::try_from(field.number()).unwrap_or(0)).copied());
        let fields: Vec<FieldDef> = declared.iter().map(|field| field_of(field, &oneofs, messages, enums)).collect();
        let mut dense = vec![NONE; DENSE as usize];
        let mut sparse = Vec::new();
        for (position, field) in (0_u16..).zip(&fields) {
            match dense.get_mut(field.number as usize) {
                Some(place) => *place = position,
                None => sparse.push((field.number, position)),
            }
        }
        let names = (0_u16..).zip(&declared).flat_map(|(position, field)| {
            let camel = (field.json_name() != field.name()).then(|| (field.json_name().to_owned(), position));
            std::iter::once((field.name().to_owned(), position)).chain(camel)
        });
        Self {
            full_name: message.full_name().to_owned(),
            shape: shape_of(message.full_name()),
            names: NameIndex::of(names.collect()),
            dense,
            sparse,
            fields,
        }
    }

    /// The field that JSON calls `name`.
    #[inline]
    pub(crate) fn by_name(&self, name: &str) -> Option<&FieldDef> {
        self.fields.get(usize::from(self.names.find(name)?))
    }

    /// The field with that number.
    #[inline]
    pub(crate) fn by_number(&self, number: u32) -> Option<&FieldDef> {
        self.fields.get(self.position(number)?)
    }

    /// Where the field with that number stands in `fields`.
    #[inline]
    pub(crate) fn position(&self, number: u32) -> Option<usize> {
        match self.dense.get(number as usize) {
            Some(&NONE) => None,
            Some(position) => Some(usize::from(*position)),
            None => {
                self.sparse.iter().find(|(sparse, _)| *sparse == number).map(|(_, position)| usize::from(*position))
            }
        }
    }
}

impl EnumDef {
    fn of(kind: &EnumDescriptor) -> Self {
        let values: Vec<(i32, String)> = kind.values().map(|value| (value.number(), value.name().to_owned())).collect();
        let names = (0_u16..).zip(&values).map(|(position, (_, name))| (name.clone(), position)).collect();
        let is_dense = (0_i32..).zip(&values).all(|(position, (number, _))| position == *number);
        Self { names: NameIndex::of(names), is_dense, values }
    }

    /// The number of a name.
    pub(crate) fn number(&self, name: &str) -> Option<i32> {
        self.values.get(usize::from(self.names.find(name)?)).map(|(number, _)| *number)
    }

    /// The name of a number.
    pub(crate) fn name(&self, number: i32) -> Option<&str> {
        if self.is_dense {
            return self.values.get(usize::try_from(number).ok()?).map(|(_, name)| name.as_str());
        }
        self.values.iter().find(|(known, _)| *known == number).map(|(_, name)| name.as_str())
    }
}

fn shape_of(full_name: &str) -> Shape {
    match full_name {
        "google.protobuf.Timestamp" => Shape::Timestamp,
        "google.protobuf.Duration" => Shape::Duration,
        "google.protobuf.FieldMask" => Shape::FieldMask,
        "google.protobuf.Any" => Shape::Any,
        "google.protobuf.DoubleValue"
        | "google.protobuf.FloatValue"
        | "google.protobuf.Int64Value"
        | "google.protobuf.UInt64Value"
        | "google.protobuf.Int32Value"
        | "google.protobuf.UInt32Value"
        | "google.protobuf.BoolValue"
        | "google.protobuf.StringValue"
        | "google.protobuf.BytesValue" => Shape::Wrapper,
        _ => Shape::Plain,
    }
}

fn field_of(
    field: &FieldDescriptor,
    oneofs: &[prost_reflect::OneofDescriptor],
    messages: &HashMap<String, usize>,
    enums: &HashMap<String, usize>,
) -> FieldDef {
    use prost_reflect::Kind as Reflected;
    let index_of = |names: &HashMap<String, usize>, name: &str| names.get(name).copied().unwrap_or(usize::MAX);
    let kind = match field.kind() {
        Reflected::Double => Kind::Double,
        Reflected::Float => Kind::Float,
        Reflected::Int32 => Kind::Int32,
        Reflected::Int64 => Kind::Int64,
        Reflected::Uint32 => Kind::Uint32,
        Reflected::Uint64 => Kind::Uint64,
        Reflected::Sint32 => Kind::Sint32,
        Reflected::Sint64 => Kind::Sint64,
        Reflected::Fixed32 => Kind::Fixed32,
        Reflected::Fixed64 => Kind::Fixed64,
        Reflected::Sfixed32 => Kind::Sfixed32,
        Reflected::Sfixed64 => Kind::Sfixed64,
        Reflected::Bool => Kind::Bool,
        Reflected::String => Kind::String,
        Reflected::Bytes => Kind::Bytes,
        Reflected::Enum(kind) => Kind::Enum(index_of(enums, kind.full_name())),
        Reflected::Message(kind) => Kind::Message(index_of(messages, kind.full_name())),
    };
    let cardinality = if field.is_map() {
        Cardinality::Map
    } else if field.cardinality() == Label::Repeated {
        Cardinality::Repeated
    } else {
        Cardinality::Singular
    };
    let oneof = field.containing_oneof().and_then(|oneof| oneofs.iter().position(|known| *known == oneof));
    FieldDef {
        name: field.name().to_owned(),
        json_key: format!("\"{}\":", field.name()),
        number: field.number(),
        kind,
        cardinality,
        has_presence: field.supports_presence(),
        oneof: oneof.and_then(|position| u16::try_from(position + 1).ok()).unwrap_or(0),
    }
}

/// Names and what they stand for, found by a hash of their length and ends.
#[derive(Debug)]
struct NameIndex {
    names: Vec<(String, u16)>,
    slots: Vec<u16>,
    shift: u32,
}

impl NameIndex {
    fn of(names: Vec<(String, u16)>) -> Self {
        let bits = (names.len() * 4).max(8).next_power_of_two().trailing_zeros();
        let mut index = Self { slots: vec![NONE; 1 << bits], shift: 64 - bits, names: Vec::new() };
        for (position, (name, _)) in (0_u16..).zip(&names) {
            let mut slot = index.slot(name.as_bytes());
            while index.slots.get(slot).is_some_and(|taken| *taken != NONE) {
                slot = (slot + 1) % index.slots.len();
            }
            if let Some(place) = index.slots.get_mut(slot) {
                *place = position;
            }
        }
        index.names = names;
        index
    }

    #[inline]
    fn find(&self, name: &str) -> Option<u16> {
        let mut slot = self.slot(name.as_bytes());
        loop {
            let position = *self.slots.get(slot)?;
            if position == NONE {
                return None;
            }
            let (known, target) = self.names.get(usize::from(position))?;
            if known == name {
                return Some(*target);
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the shift leaves fewer bits than a slot index has")]
    fn slot(&self, name: &[u8]) -> usize {
        let ends = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
            (Some(first), Some(last)) => u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(29),
            _ => match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
                (Some(first), Some(last)) => {
                    u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
                }
                _ => name.iter().fold(0, |ends, byte| ends << 8 | u64::from(*byte)),
            },
        };
        ((ends ^ (name.len() as u64) << 57).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }
}

#[cfg(test)]
mod tests;
