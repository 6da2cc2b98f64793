//! Cuts the text of an input into blocks of whole records, with exact line numbers and positions.
//!
//! Memory: one block at a time, as large as the block size or, where a record is larger, as that record, up to the
//! limit for lines. A longer line is passed over without being held.

use std::io::{self, Read};

use memchr::{memchr, memrchr};

use super::frame::{Boundary, boundary};
use super::known::Tail;

/// Bytes read at once while a line that is too long is passed over.
const SKIP_BUFFER: usize = 64 << 10;

/// Sizes that bound a reader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockLimits {
    /// Bytes of a block, more only for larger records.
    pub(crate) block: usize,
    /// Bytes of a record.
    pub(crate) line: usize,
}

/// Whole records that follow one another.
#[derive(Debug)]
pub(crate) struct Block {
    /// Their text.
    pub(crate) bytes: Vec<u8>,
    /// Number of the first line, from 1.
    pub(crate) first_line: u64,
    /// Where the next block starts.
    pub(crate) end: u64,
    /// The last place where no record is open: the end, unless the input ends inside of a record.
    pub(crate) safe: Boundary,
    /// How many lines.
    pub(crate) n_lines: u64,
}

/// What comes next in an input.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Records.
    Block(Block),
    /// A line longer than the limit.
    TooLarge {
        /// Its number.
        line: u64,
        /// Its length, its newline included.
        n_bytes: u64,
        /// Where the next line starts.
        end: u64,
        /// Its last bytes.
        tail: Tail,
    },
}

/// Reads one input.
#[derive(Debug)]
pub(crate) struct BlockReader<R> {
    content: R,
    limits: BlockLimits,
    carried: Vec<u8>,
    position: u64,
    line: u64,
    is_ended: bool,
    failure: Option<io::Error>,
}

impl<R: Read> BlockReader<R> {
    /// Reads `content`, of which `position` bytes were taken already; `line` is the number of the next line and
    /// `carried` its first bytes where they were read ahead.
    pub(crate) const fn new(content: R, limits: BlockLimits, position: u64, line: u64, carried: Vec<u8>) -> Self {
        Self { content, limits, carried, position, line, is_ended: false, failure: None }
    }

    /// Why reading ended early.
    pub(crate) fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// The number of the next line.
    pub(crate) const fn line(&self) -> u64 {
        self.line
    }

    /// The next piece; `None` at the end.
    pub(crate) fn next_piece(&mut self) -> Option<Piece> {
        let mut bytes = std::mem::take(&mut self.carried);
        let mut target = self.limits.block;
        loop {
            let is_idle = self.fill(&mut bytes, target);
            let safe = boundary(&bytes);
            if self.is_ended {
                return (!bytes.is_empty()).then(|| self.last(bytes, safe));
            }
            if safe.end > 0 && (is_idle || bytes.len() >= target) {
                return Some(Piece::Block(self.cut(bytes, safe)));
            }
            if is_idle {
                continue;
            }
            if bytes.len() < self.limits.line.max(self.limits.block) {
                target = bytes.len().saturating_mul(2);
                continue;
            }
            // A document that is too large is cut; what holds no newline at all is passed over.
            let Some(newline) = memrchr(b'\n', &bytes) else { return Some(self.pass_over(&bytes)) };
            let n_lines = count_lines(bytes.get(..=newline).unwrap_or_default());
            return Some(Piece::Block(self.cut(bytes, Boundary { end: newline + 1, n_lines })));
        }
    }

    /// Reads up to a length; whether it stopped because the input is silent.
    fn fill(&mut self, bytes: &mut Vec<u8>, target: usize) -> bool {
        while bytes.len() < target && !self.is_ended {
            let missing = target - bytes.len();
            bytes.reserve(missing);
            match self.content.by_ref().take(missing as u64).read_to_end(bytes) {
                Ok(n) if n == missing => {}
                Ok(_) => self.is_ended = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) => {
                    self.failure = Some(error);
                    self.is_ended = true;
                }
            }
        }
        false
    }

    fn cut(&mut self, mut bytes: Vec<u8>, at: Boundary) -> Block {
        self.carried = bytes.split_off(at.end);
        self.block(bytes, at, at.n_lines)
    }

    fn last(&mut self, bytes: Vec<u8>, safe: Boundary) -> Piece {
        if bytes.len() > self.limits.line && memchr(b'\n', &bytes).is_none() {
            return self.pass_over(&bytes);
        }
        let open = bytes.get(safe.end..).unwrap_or_default();
        let is_unterminated = open.last().is_some_and(|byte| *byte != b'\n');
        let n_lines = safe.n_lines + count_lines(open) + u64::from(is_unterminated);
        Piece::Block(self.block(bytes, safe, n_lines))
    }

    fn block(&mut self, bytes: Vec<u8>, safe: Boundary, n_lines: u64) -> Block {
        let first_line = self.line;
        self.position += bytes.len() as u64;
        self.line += n_lines;
        Block { bytes, first_line, end: self.position, safe, n_lines }
    }

    /// Passes over the rest of a line of which `held` was read.
    fn pass_over(&mut self, held: &[u8]) -> Piece {
        let (line, mut length) = (self.line, held.len() as u64);
        let mut tail = Tail::default();
        tail.push(held);
        let mut buffer = vec![0; SKIP_BUFFER];
        while !self.is_ended {
            match self.content.read(&mut buffer) {
                Ok(0) => self.is_ended = true,
                Ok(n) => {
                    let read = buffer.get(..n).unwrap_or_default();
                    if let Some(newline) = memchr(b'\n', read) {
                        length += newline as u64 + 1;
                        tail.push(read.get(..=newline).unwrap_or_default());
                        self.carried = read.get(newline + 1..).unwrap_or_default().to_vec();
                        break;
                    }
                    length += n as u64;
                    tail.push(read);
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
                Err(error) => {
                    self.failure = Some(error);
                    self.is_ended = true;
                }
            }
        }
        self.position += length;
        self.line += 1;
        Piece::TooLarge { line, n_bytes: length, end: self.position, tail }
    }
}

/// How many newlines.
pub(crate) fn count_lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests;
