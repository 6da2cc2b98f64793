//! Counts brackets of a JSON text over several lines.

use memchr::memchr2;

/// How many brackets are open.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Depth {
    open: u32,
    is_broken: bool,
}

impl Depth {
    /// Reads on. A text cannot run over the end of a line: one that does makes the document broken.
    pub(super) fn feed(&mut self, line: &[u8]) {
        let mut rest = line;
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            match byte {
                b'{' | b'[' => self.open = self.open.saturating_add(1),
                b'}' | b']' => self.open = self.open.saturating_sub(1),
                b'"' => match text_end(rest) {
                    Some(end) => rest = rest.get(end..).unwrap_or_default(),
                    None => {
                        self.is_broken = true;
                        return;
                    }
                },
                _ => {}
            }
        }
    }

    /// Whether the document goes on.
    pub(super) const fn is_open(self) -> bool {
        self.open > 0 && !self.is_broken
    }
}

/// Where the text goes on after the closing quote.
fn text_end(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let found = at + memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(found) == Some(&b'"') {
            return Some(found + 1);
        }
        at = found + 2;
    }
}
