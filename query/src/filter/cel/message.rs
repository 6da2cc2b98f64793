//! A protobuf message as a CEL value: fields are read when they are asked for. An unset scalar is its default, an
//! unset message an empty one, an unset wrapper null; `has` is told apart by a mark on the field's name.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use ::cel::ExecutionError;
use ::cel::common::traits::Indexer;
use ::cel::common::types::{
    CelBool, CelBytes, CelDouble, CelDuration, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelTimestamp,
    CelUInt, Type,
};
use ::cel::common::value::{CowVal, StaticVal, Val};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _, Value};

/// Precedes the name of a field whose presence is asked for.
pub(super) const PRESENCE: char = '\u{1}';

static MESSAGE: Type = Type::new_unspecified_type("message");

/// A message.
#[derive(Clone, Debug)]
pub(super) struct MessageValue(Arc<DynamicMessage>);

impl MessageValue {
    pub(super) fn new(message: DynamicMessage) -> Self {
        Self(Arc::new(message))
    }

    fn field(&self, name: &str) -> Result<Box<dyn Val>, ExecutionError> {
        let missing = || ExecutionError::no_such_key(name);
        if let Some(name) = name.strip_prefix(PRESENCE) {
            let field = self.0.descriptor().get_field_by_name(name).ok_or_else(missing)?;
            return if self.0.has_field(&field) { Ok(Box::new(CelBool::from(true))) } else { Err(missing()) };
        }
        let field = self.0.descriptor().get_field_by_name(name).ok_or_else(missing)?;
        if !self.0.has_field(&field)
            && !field.is_list()
            && !field.is_map()
            && field.kind().as_message().is_some_and(is_wrapper)
        {
            return Ok(Box::new(CelNull));
        }
        Ok(convert(&self.0.get_field(&field), &field))
    }
}

impl Val for MessageValue {
    fn get_type(&self) -> &Type {
        &MESSAGE
    }

    fn cel_type() -> &'static Type {
        &MESSAGE
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Self>().is_some_and(|other| *other.0 == *self.0)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for MessageValue {}

impl Indexer for MessageValue {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        match index.downcast_ref::<CelString<'_>>() {
            Some(name) => self.field(name.inner()).map(CowVal::Owned),
            None => Err(ExecutionError::no_such_key("a message is indexed by the names of its fields")),
        }
    }

    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(index).map(CowVal::into_owned)
    }
}

/// Whether a message is a wrapper of a scalar, `google.protobuf.BoolValue` and the like.
pub(super) fn is_wrapper(message: &MessageDescriptor) -> bool {
    matches!(
        message.full_name(),
        "google.protobuf.BoolValue"
            | "google.protobuf.Int32Value"
            | "google.protobuf.Int64Value"
            | "google.protobuf.UInt32Value"
            | "google.protobuf.UInt64Value"
            | "google.protobuf.FloatValue"
            | "google.protobuf.DoubleValue"
            | "google.protobuf.StringValue"
            | "google.protobuf.BytesValue"
    )
}

fn convert(value: &Value, field: &FieldDescriptor) -> Box<dyn Val> {
    match value {
        Value::List(items) => {
            Box::new(CelList::from(items.iter().map(|item| scalar(item, &field.kind())).collect::<Vec<_>>()))
        }
        Value::Map(entries) => {
            let kind = match field.kind() {
                Kind::Message(entry) => entry.map_entry_value_field().kind(),
                other => other,
            };
            let entries = entries.iter().map(|(name, value)| (key(name), scalar(value, &kind)));
            Box::new(CelMap::from(entries.collect::<HashMap<_, _>>()))
        }
        other => scalar(other, &field.kind()),
    }
}

fn key(key: &MapKey) -> CelMapKey<'static> {
    match key {
        MapKey::Bool(value) => CelMapKey::from(*value),
        MapKey::I32(value) => CelMapKey::from(i64::from(*value)),
        MapKey::I64(value) => CelMapKey::from(*value),
        MapKey::U32(value) => CelMapKey::from(u64::from(*value)),
        MapKey::U64(value) => CelMapKey::from(*value),
        MapKey::String(value) => CelMapKey::from(value.clone()),
    }
}

fn scalar(value: &Value, kind: &Kind) -> Box<dyn Val> {
    match value {
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::I32(value) | Value::EnumNumber(value) => Box::new(CelInt::from(i64::from(*value))),
        Value::I64(value) => Box::new(CelInt::from(*value)),
        Value::U32(value) => Box::new(CelUInt::from(u64::from(*value))),
        Value::U64(value) => Box::new(CelUInt::from(*value)),
        Value::F32(value) => Box::new(CelDouble::from(f64::from(*value))),
        Value::F64(value) => Box::new(CelDouble::from(*value)),
        Value::String(value) => Box::new(CelString::from(value.clone())),
        Value::Bytes(value) => Box::new(CelBytes::from(value.to_vec())),
        Value::Message(message) => inner(message),
        // Lists of lists do not exist on a wire.
        Value::List(_) | Value::Map(_) => {
            tracing::debug!(?kind, "a repeated value inside of another");
            Box::new(CelNull)
        }
    }
}

fn inner(message: &DynamicMessage) -> Box<dyn Val> {
    let part = |name: &str| message.get_field_by_name(name).map(std::borrow::Cow::into_owned);
    let seconds = || part("seconds").and_then(|value| value.as_i64()).unwrap_or(0);
    let nanos = || part("nanos").and_then(|value| value.as_i32()).unwrap_or(0);
    match message.descriptor().full_name() {
        "google.protobuf.Timestamp" => {
            let nanos = u32::try_from(nanos()).unwrap_or(0);
            let instant = chrono::DateTime::from_timestamp(seconds(), nanos).unwrap_or_default();
            Box::new(CelTimestamp::from(instant.fixed_offset()))
        }
        "google.protobuf.Duration" => {
            let whole = chrono::Duration::try_seconds(seconds()).unwrap_or_default();
            Box::new(CelDuration::from(whole + chrono::Duration::nanoseconds(i64::from(nanos()))))
        }
        _ if is_wrapper(&message.descriptor()) => match message.descriptor().get_field(1) {
            Some(field) => convert(&message.get_field(&field), &field),
            None => Box::new(CelNull),
        },
        _ => Box::new(MessageValue::new(message.clone())),
    }
}
