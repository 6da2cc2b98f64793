//! One classification for all errors, so that a door decides its status code and a caller its retry in one place.

use std::error::Error;
use std::fmt::Write as _;

/// Who has to act on an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request or the input is wrong; the same call will fail again.
    Invalid,
    /// The named thing does not exist.
    NotFound,
    /// A limit or a queue is full; the same call may pass later.
    Busy,
    /// Our own bytes on disk are damaged.
    Corrupt,
    /// Something we depend on is away.
    Unavailable,
    /// A promise of ours is broken.
    Internal,
}

/// The whole chain of an error on one line: `outer: cause: root`.
#[must_use]
pub fn report(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Some libraries repeat their source in their own text.
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            let _infallible = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}
