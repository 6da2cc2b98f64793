//! Typed access to field values while decoding, and why decoding stops.

use crate::Rejection;
use crate::json::WireError;
use crate::schema;
use crate::wire::{Value, WireFault};

/// Why decoding a message stopped.
#[derive(Debug)]
pub(crate) enum Fault {
    /// A field that should occur once occurs again: the message has to be rewritten first.
    Repeated,
    /// The bytes are not that message.
    Wire(WireError),
    /// The message is refused for what it says.
    Rejected(Rejection),
}

impl Fault {
    /// Adds the name of the field it happened in.
    #[cold]
    pub(crate) fn in_field(self, message: &str, number: u32) -> Self {
        match self {
            Self::Repeated | Self::Rejected(_) => self,
            Self::Wire(error) => {
                let known = schema::message(message).and_then(|message| message.by_number(number));
                Self::Wire(error.within(known.map_or("(unknown)", |field| field.name.as_str())))
            }
        }
    }
}

impl From<WireFault> for Fault {
    fn from(fault: WireFault) -> Self {
        Self::Wire(fault.into())
    }
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<WireError> for Fault {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<Fault> for Rejection {
    fn from(fault: Fault) -> Self {
        match fault {
            // A rewritten message repeats nothing.
            Fault::Repeated => WireError::malformed().into(),
            Fault::Wire(error) => error.into(),
            Fault::Rejected(rejection) => rejection,
        }
    }
}

/// A varint's value.
#[inline]
pub(crate) const fn number(value: Value<'_>) -> Result<u64, Fault> {
    match value {
        Value::Varint(number) => Ok(number),
        _ => Err(Fault::Wire(WireError::malformed())),
    }
}

/// The bytes of a length-delimited value.
#[inline]
pub(crate) const fn bytes(value: Value<'_>) -> Result<&[u8], Fault> {
    match value {
        Value::Bytes(bytes) => Ok(bytes),
        _ => Err(Fault::Wire(WireError::malformed())),
    }
}

/// A text.
#[inline]
pub(crate) fn text(value: Value<'_>) -> Result<&str, Fault> {
    std::str::from_utf8(bytes(value)?).map_err(|_error| Fault::Wire(WireError::not_utf8()))
}
