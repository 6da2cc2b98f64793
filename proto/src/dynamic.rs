//! Wire bytes → reflected messages, for expressions over any field. Slower than columns by far: only for what has no
//! column.

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, ReflectMessage as _};

use crate::json::{Message, WireError};
use crate::schema::POOL;

/// The descriptors of all messages of this crate.
#[must_use]
pub fn pool() -> &'static DescriptorPool {
    &POOL
}

/// The descriptor of a message.
#[must_use]
pub fn descriptor(message: Message) -> Option<MessageDescriptor> {
    POOL.get_message_by_name(message.full_name())
}

/// A message by reflection.
///
/// # Errors
/// The bytes are no message of that type.
pub fn decode(message: Message, wire: &[u8]) -> Result<DynamicMessage, WireError> {
    let descriptor = descriptor(message).ok_or(WireError::malformed())?;
    DynamicMessage::decode(descriptor, wire).map_err(|_error| WireError::malformed())
}

/// The event inside of a `tetragon.GetEventsResponse` by reflection, with the name of its kind; `None` if its kind is
/// unknown.
///
/// # Errors
/// The bytes are no message of that type.
pub fn runtime_event(wire: &[u8]) -> Result<Option<(String, DynamicMessage)>, WireError> {
    let response = decode(Message::GetEventsResponse, wire)?;
    let Some(oneof) = response.descriptor().oneofs().find(|oneof| oneof.name() == "event") else { return Ok(None) };
    let Some(field) = oneof.fields().find(|field| response.has_field(field)) else { return Ok(None) };
    let event = response.get_field(&field).as_message().cloned();
    Ok(event.map(|event| (field.name().to_owned(), event)))
}
