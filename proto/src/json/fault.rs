//! What can be wrong with a document or a message; a fault names the path of its field.

use hindcast_model::Kind;

use crate::wire::WireFault;
use crate::{RejectReason, Rejection};

/// Why a JSON document is no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text is no JSON.
    #[error("not a JSON document: {message} at byte {position}")]
    NotJson {
        /// What the parser missed.
        message: String,
        /// Where.
        position: usize,
    },
    /// A limit on size or depth is passed.
    #[error("the document is too large: {limit}")]
    TooLarge {
        /// Which limit.
        limit: &'static str,
    },
    /// A known field has a value of another type.
    #[error("field {path:?} is not {expected}")]
    Field {
        /// The field, with dots.
        path: String,
        /// What belongs there.
        expected: &'static str,
    },
}

impl JsonError {
    /// Who has to act on it.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        Kind::Invalid
    }

    pub(crate) const fn field(expected: &'static str) -> Self {
        Self::Field { path: String::new(), expected }
    }

    #[cold]
    pub(crate) fn within(self, name: &str) -> Self {
        match self {
            Self::Field { path, expected } => Self::Field { path: join(name, &path), expected },
            other => other,
        }
    }
}

impl From<JsonError> for Rejection {
    #[cold]
    fn from(error: JsonError) -> Self {
        let reason = match &error {
            JsonError::NotJson { .. } => RejectReason::NotJson,
            JsonError::TooLarge { .. } => RejectReason::TooLarge,
            JsonError::Field { .. } => RejectReason::BadField,
        };
        Self { reason, detail: error.to_string().into() }
    }
}

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes end inside of a field.
    #[error("the message ends inside of field {path:?}")]
    Truncated {
        /// The field, with dots.
        path: String,
    },
    /// The bytes are no protobuf, or a field has another wire type than its own.
    #[error("field {path:?} is malformed")]
    Malformed {
        /// The field, with dots.
        path: String,
    },
    /// A text is not UTF-8.
    #[error("the text in field {path:?} is not UTF-8")]
    NotUtf8 {
        /// The field, with dots.
        path: String,
    },
    /// A limit on size or depth is passed.
    #[error("the message is too large: {limit}")]
    TooLarge {
        /// Which limit.
        limit: &'static str,
    },
}

impl WireError {
    /// Who has to act on it.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        Kind::Invalid
    }

    pub(crate) const fn malformed() -> Self {
        Self::Malformed { path: String::new() }
    }

    pub(crate) const fn not_utf8() -> Self {
        Self::NotUtf8 { path: String::new() }
    }

    pub(crate) const fn too_deep() -> Self {
        Self::TooLarge { limit: "nesting" }
    }

    #[cold]
    pub(crate) fn within(self, name: &str) -> Self {
        match self {
            Self::Truncated { path } => Self::Truncated { path: join(name, &path) },
            Self::Malformed { path } => Self::Malformed { path: join(name, &path) },
            Self::NotUtf8 { path } => Self::NotUtf8 { path: join(name, &path) },
            Self::TooLarge { limit } => Self::TooLarge { limit },
        }
    }
}

impl From<WireFault> for WireError {
    #[cold]
    fn from(fault: WireFault) -> Self {
        match fault {
            WireFault::Truncated => Self::Truncated { path: String::new() },
            WireFault::Malformed => Self::malformed(),
        }
    }
}

impl From<WireError> for Rejection {
    #[cold]
    fn from(error: WireError) -> Self {
        let reason = match &error {
            WireError::Truncated { .. } => RejectReason::Truncated,
            WireError::Malformed { .. } => RejectReason::BadField,
            WireError::NotUtf8 { .. } => RejectReason::NotUtf8,
            WireError::TooLarge { .. } => RejectReason::TooLarge,
        };
        Self { reason, detail: error.to_string().into() }
    }
}

fn join(name: &str, path: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{name}.{path}") }
}
