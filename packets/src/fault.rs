//! What a parser says of bytes that are not what their protocol asks for.

use hindcast_model::Kind;

/// Bytes that are not what their protocol asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{what} at byte {offset}")]
pub struct Malformed {
    /// What is wrong, from a closed list per parser.
    pub what: &'static str,
    /// Where, counted from the first byte the parser was given.
    pub offset: usize,
}

impl Malformed {
    /// A fault at a byte.
    #[must_use]
    pub const fn new(what: &'static str, offset: usize) -> Self {
        Self { what, offset }
    }

    /// The input is wrong; it will be wrong again.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        Kind::Invalid
    }
}
