//! Where one record ends and the next begins.
//!
//! A record is a line, a JSON document over several lines, or several lines that a container runtime cut one line
//! into (CRI, tag `P`). A document opens at a line that starts with `{` in its first column and leaves a bracket
//! open; its other lines start with white space, a quote or a closing bracket. Any other line ends it, so that a torn
//! line costs itself and nothing after it.
//!
//! [`boundary`] and [`frame`] agree: no record of the rules above crosses a boundary.

use memchr::memchr;

mod cri;
mod depth;

use cri::CriLine;
use depth::Depth;

/// A place in a block at which no record is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Boundary {
    /// Bytes before it.
    pub(crate) end: usize,
    /// Lines before it.
    pub(crate) n_lines: u64,
}

/// What the framing makes of a stretch of a block.
#[derive(Debug)]
pub(crate) enum Item<'a> {
    /// A record to decode; it may be changed in place.
    Record(&'a mut [u8]),
    /// A record known to be bad.
    Torn(TornKind),
}

/// Why a record is bad before anyone looks inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TornKind {
    /// A JSON document whose brackets never close.
    OpenDocument,
    /// The rest of a document whose start is missing.
    OrphanLines,
    /// A line in CRI parts whose last part is missing.
    OpenPart,
}

impl TornKind {
    /// For a person.
    pub(crate) const fn detail(self) -> &'static str {
        match self {
            Self::OpenDocument => "a JSON document that is never closed",
            Self::OrphanLines => "lines of a JSON document whose start is missing",
            Self::OpenPart => "a line in parts whose last part is missing",
        }
    }
}

/// Whether a line can only belong to a document that an earlier line opened.
const fn continues(first: u8) -> bool {
    matches!(first, b' ' | b'\t' | b'"' | b'}' | b']')
}

fn trimmed_end(line: &[u8]) -> &[u8] {
    line.trim_ascii_end()
}

/// The brackets a first line leaves open; `None` for a line that stands alone.
fn opens(line: &[u8]) -> Option<Depth> {
    let line = trimmed_end(line);
    if line.first() != Some(&b'{') || line.last() == Some(&b'}') {
        return None;
    }
    let mut depth = Depth::default();
    depth.feed(line);
    depth.is_open().then_some(depth)
}

/// The last boundary in `block`, which starts at one. The end of an unterminated line is not one.
pub(crate) fn boundary(block: &[u8]) -> Boundary {
    let mut safe = Boundary::default();
    let mut document: Option<Depth> = None;
    let mut parts = [false; 2];
    let (mut start, mut n_lines) = (0, 0);
    while let Some(line) = block.get(start..)
        && let Some(length) = memchr(b'\n', line)
    {
        let line = line.get(..length).unwrap_or_default();
        if !line.first().is_none_or(|first| continues(*first)) && document.is_some() {
            document = None;
            if parts == [false; 2] {
                safe = Boundary { end: start, n_lines };
            }
        }
        match &mut document {
            Some(depth) => {
                depth.feed(line);
                if !depth.is_open() {
                    document = None;
                }
            }
            None => document = opens(line),
        }
        if document.is_none()
            && let Some(cri) = CriLine::parse(line)
            && let Some(open) = parts.get_mut(cri.stream)
        {
            *open = cri.is_partial;
        }
        start += length + 1;
        n_lines += 1;
        if document.is_none() && parts == [false; 2] {
            safe = Boundary { end: start, n_lines };
        }
    }
    safe
}

/// A part of a line, waiting for the next.
#[derive(Debug)]
struct Parts {
    line: u64,
    text: Vec<u8>,
}

/// A stretch of lines that is one record, or the rest of one.
#[derive(Clone, Copy, Debug)]
struct Open {
    line: u64,
    start: usize,
}

/// Cuts blocks into items.
#[derive(Debug, Default)]
struct Framer {
    document: Option<(Open, Depth)>,
    orphans: Option<Open>,
    parts: [Option<Parts>; 2],
}

/// Hands every record of `block` to `sink` with the number of its first line; `first_line` is that of the block.
/// What is open at the end of the block is torn. Blank lines are no records.
pub(crate) fn frame(block: &mut [u8], first_line: u64, sink: &mut impl FnMut(u64, Item<'_>)) {
    let mut framer = Framer::default();
    let (mut start, mut line) = (0, first_line);
    while start < block.len() {
        let rest = block.get(start..).unwrap_or_default();
        let length = memchr(b'\n', rest).unwrap_or(rest.len());
        framer.line(block, start, length, line, sink);
        start += length + 1;
        line += 1;
    }
    framer.finish(sink);
}

impl Framer {
    fn line(
        &mut self,
        block: &mut [u8],
        start: usize,
        length: usize,
        number: u64,
        sink: &mut impl FnMut(u64, Item<'_>),
    ) {
        let text = block.get(start..start + length).unwrap_or_default();
        let first = text.first().copied();
        if let Some((open, depth)) = &mut self.document {
            if first.is_none_or(continues) {
                depth.feed(text);
                if !depth.is_open() {
                    let open = *open;
                    self.document = None;
                    if let Some(document) = block.get_mut(open.start..start + length) {
                        sink(open.line, Item::Record(document));
                    }
                }
                return;
            }
            sink(open.line, Item::Torn(TornKind::OpenDocument));
            self.document = None;
        }
        if trimmed_end(text).is_empty() {
            return;
        }
        if first.is_some_and(continues) && text.trim_ascii_start().first() != Some(&b'{') {
            self.orphans.get_or_insert(Open { line: number, start });
            return;
        }
        self.end_orphans(sink);
        if let Some(depth) = opens(text) {
            self.document = Some((Open { line: number, start }, depth));
            return;
        }
        if let Some(cri) = CriLine::parse(text)
            && self.part(&cri, text, number, sink)
        {
            return;
        }
        if let Some(record) = block.get_mut(start..start + length) {
            sink(number, Item::Record(record));
        }
    }

    /// Takes a CRI line that is, or ends, a line in parts; `false` for one that stands alone.
    fn part(&mut self, cri: &CriLine, text: &[u8], number: u64, sink: &mut impl FnMut(u64, Item<'_>)) -> bool {
        let Some(slot) = self.parts.get_mut(cri.stream) else { return false };
        let content = text.get(cri.content..).unwrap_or_default();
        match slot.take() {
            None if !cri.is_partial => return false,
            None => *slot = Some(Parts { line: number, text: content.to_vec() }),
            Some(mut parts) => {
                parts.text.extend_from_slice(content);
                if cri.is_partial {
                    *slot = Some(parts);
                } else {
                    sink(parts.line, Item::Record(&mut parts.text));
                }
            }
        }
        true
    }

    fn end_orphans(&mut self, sink: &mut impl FnMut(u64, Item<'_>)) {
        if let Some(open) = self.orphans.take() {
            sink(open.line, Item::Torn(TornKind::OrphanLines));
        }
    }

    fn finish(mut self, sink: &mut impl FnMut(u64, Item<'_>)) {
        self.end_orphans(sink);
        if let Some((open, _)) = self.document {
            sink(open.line, Item::Torn(TornKind::OpenDocument));
        }
        for parts in self.parts.into_iter().flatten() {
            sink(parts.line, Item::Torn(TornKind::OpenPart));
        }
    }
}

#[cfg(test)]
mod tests;
