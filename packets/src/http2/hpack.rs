//! HPACK for a listener that may have come late.
//!
//! The library decodes; it stops at the first reference to an entry that it does not hold. A listener has to go on,
//! and has to keep the table in step: so a block is handed to the library field by field, and a literal whose name
//! is not known is entered under a name that cannot occur, to keep the positions of all later entries.

use fluke_hpack::Decoder;

use crate::Malformed;

/// The largest table a sender may ask for. The peer's SETTINGS, which would tell, may not have been seen.
const MOST_TABLE: usize = 64 * 1024;
/// Stands in the table for a name that is not known; no field name holds a zero byte.
const UNKNOWN_NAME: &[u8] = b"\0";
/// Literal with incremental indexing and a new name that is [`UNKNOWN_NAME`]: as it stands on the wire.
const UNKNOWN_NAME_LITERAL: &[u8] = &[0x40, 0x01, 0x00];
/// Entries of the static table.
const N_STATIC: usize = 61;

/// The dynamic table of one direction.
pub(super) struct Table {
    decoder: Decoder<'static>,
    /// What its sender allows it to hold, and what it may hold at most by what entered it.
    most_bytes: usize,
    n_entered: usize,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Table")
    }
}

/// One field representation of a block.
struct Representation {
    length: usize,
    kind: RepresentationKind,
    /// Where the value begins, for literals.
    value_at: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RepresentationKind {
    Indexed(usize),
    /// A literal that enters the table, with the index of its name or 0.
    Entering(usize),
    /// A literal that does not.
    Passing(usize),
    SizeUpdate(usize),
}

impl Table {
    pub(super) fn new() -> Self {
        let mut decoder = Decoder::new();
        decoder.set_max_allowed_table_size(MOST_TABLE);
        Self { decoder, most_bytes: 4096, n_entered: 0 }
    }

    /// How many bytes it may hold.
    pub(super) fn n_held(&self) -> usize {
        self.n_entered.min(self.most_bytes)
    }

    /// Reads a block. `sink` gets each field; a `None` is a name or value that is not known.
    ///
    /// # Errors
    /// The block is not HPACK from some byte on; the table is then of no use.
    pub(super) fn decode(
        &mut self,
        block: &[u8],
        mut sink: impl FnMut(Option<&[u8]>, Option<&[u8]>),
    ) -> Result<(), Malformed> {
        let mut offset = 0;
        while let Some(rest) = block.get(offset..).filter(|rest| !rest.is_empty()) {
            let representation = representation(rest).map_err(|what| Malformed::new(what, offset))?;
            let bytes = rest.get(..representation.length).unwrap_or(rest);
            match representation.kind {
                RepresentationKind::SizeUpdate(size) => self.resize(bytes, size, offset)?,
                RepresentationKind::Indexed(index)
                | RepresentationKind::Entering(index)
                | RepresentationKind::Passing(index) => {
                    if matches!(representation.kind, RepresentationKind::Entering(_)) {
                        // Huffman's shortest code has five bits: a text is at most 8/5 of what it takes.
                        self.n_entered = self.n_entered.saturating_add(bytes.len() * 2 + 32);
                    }
                    let is_held = index <= N_STATIC || self.holds(index);
                    match representation.kind {
                        _ if is_held => self.field(bytes, offset, &mut sink)?,
                        RepresentationKind::Entering(_) => {
                            let value = bytes.get(representation.value_at..).unwrap_or_default();
                            let literal = [UNKNOWN_NAME_LITERAL, value].concat();
                            self.field(&literal, offset, &mut sink)?;
                        }
                        _ => sink(None, None),
                    }
                }
            }
            offset += representation.length;
        }
        Ok(())
    }

    /// Whether the library holds the dynamic entry. Asking for an indexed field changes nothing.
    fn holds(&mut self, index: usize) -> bool {
        let mut wire = Vec::with_capacity(4);
        write_index(&mut wire, index);
        self.decoder.decode_with_cb(&wire, |_name, _value| ()).is_ok()
    }

    fn field(
        &mut self,
        bytes: &[u8],
        offset: usize,
        sink: &mut impl FnMut(Option<&[u8]>, Option<&[u8]>),
    ) -> Result<(), Malformed> {
        let decoded = self.decoder.decode_with_cb(bytes, |name, value| {
            let name = Some(&*name).filter(|name| *name != UNKNOWN_NAME);
            sink(name, Some(&*value));
        });
        decoded.map_err(|_cause| Malformed::new("header field is not HPACK", offset))
    }

    /// A change of size alone is an error to the library, since none may end a block; it has been made all the same.
    fn resize(&mut self, bytes: &[u8], size: usize, offset: usize) -> Result<(), Malformed> {
        use fluke_hpack::decoder::DecoderError;
        match self.decoder.decode_with_cb(bytes, |_name, _value| ()) {
            Ok(()) | Err(DecoderError::SizeUpdateAtEnd) => {
                self.most_bytes = size;
                Ok(())
            }
            Err(_cause) => Err(Malformed::new("table is larger than any peer allows", offset)),
        }
    }
}

/// Writes an indexed field.
fn write_index(wire: &mut Vec<u8>, index: usize) {
    let Some(mut rest) = index.checked_sub(127) else {
        wire.push(0x80 | u8::try_from(index).unwrap_or(0));
        return;
    };
    wire.push(0xFF);
    while rest >= 128 {
        wire.push(0x80 | u8::try_from(rest & 0x7F).unwrap_or(0));
        rest >>= 7;
    }
    wire.push(u8::try_from(rest).unwrap_or(0));
}

/// Measures the field at the start of `bytes`.
fn representation(bytes: &[u8]) -> Result<Representation, &'static str> {
    let first = bytes.first().copied().unwrap_or_default();
    let prefix_bits = match first {
        0x80.. => 7,
        0x40..=0x7F => 6,
        0x20..=0x3F => 5,
        _ => 4,
    };
    let (index, mut length) = integer(bytes, prefix_bits)?;
    let kind = match first {
        0x80.. => RepresentationKind::Indexed(index),
        0x40..=0x7F => RepresentationKind::Entering(index),
        0x20..=0x3F => RepresentationKind::SizeUpdate(index),
        _ => RepresentationKind::Passing(index),
    };
    let is_literal = matches!(kind, RepresentationKind::Entering(_) | RepresentationKind::Passing(_));
    if is_literal && index == 0 {
        length += text_length(bytes.get(length..).unwrap_or_default())?;
    }
    let value_at = length;
    if is_literal {
        length += text_length(bytes.get(length..).unwrap_or_default())?;
    }
    Ok(Representation { length, kind, value_at })
}

/// Bytes that a text takes, its length included.
fn text_length(bytes: &[u8]) -> Result<usize, &'static str> {
    if bytes.is_empty() {
        return Err("header field is cut");
    }
    let (content, length) = integer(bytes, 7)?;
    let total = content + length;
    if total > bytes.len() { Err("text is longer than its block") } else { Ok(total) }
}

/// An integer with a prefix (RFC 7541 §5.1) and the bytes it takes. None in a block of 64 KiB needs more than 28 bits.
fn integer(bytes: &[u8], prefix_bits: u32) -> Result<(usize, usize), &'static str> {
    let mask = (1_usize << prefix_bits) - 1;
    let mut value = usize::from(bytes.first().copied().unwrap_or_default()) & mask;
    if value < mask {
        return Ok((value, 1));
    }
    for (position, byte) in bytes.iter().enumerate().skip(1).take(4) {
        value += usize::from(byte & 0x7F) << (7 * (position - 1));
        if byte & 0x80 == 0 {
            return Ok((value, position + 1));
        }
    }
    Err("number is cut or too large")
}
