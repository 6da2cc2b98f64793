//! Parsing JSON text to a tape, with buffers that a thread keeps.

use std::cell::Cell;

use simd_json::{Buffers, Node, Tape};

use super::{JsonError, MAX_BYTES, MAX_DEPTH};

struct Parser {
    buffers: Buffers,
    tape: Tape<'static>,
}

thread_local! {
    static PARSER: Cell<Option<Box<Parser>>> = const { Cell::new(None) };
}

/// Parses `json` and hands the nodes to `read`. A nested call works too: it parses with buffers of its own.
///
/// # Errors
/// The text is no JSON, or a limit is passed.
pub(crate) fn with_tape<T>(json: &mut [u8], read: impl FnOnce(&[Node<'_>]) -> T) -> Result<T, JsonError> {
    if json.len() > MAX_BYTES {
        return Err(JsonError::TooLarge { limit: "bytes of one document" });
    }
    let parser = PARSER
        .take()
        .unwrap_or_else(|| Box::new(Parser { buffers: Buffers::with_max_depth(4096, MAX_DEPTH), tape: Tape::null() }));
    let Parser { mut buffers, tape } = *parser;
    let mut tape = tape.reset();
    let outcome = match simd_json::fill_tape(json, &mut buffers, &mut tape) {
        Ok(()) => Ok(read(&tape.0)),
        Err(error) => Err(JsonError::NotJson { message: format!("{:?}", error.error()), position: error.index() }),
    };
    PARSER.set(Some(Box::new(Parser { buffers, tape: tape.reset() })));
    outcome
}
