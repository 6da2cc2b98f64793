//! A reader seen through a window: some bytes ahead can be looked at before they are taken.

use std::io::{ErrorKind, Read};

use super::CaptureError;

/// How much is asked of the reader at once.
const CHUNK: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Window<R> {
    reader: R,
    buffer: Vec<u8>,
    /// Where the window begins in the buffer.
    start: usize,
    /// Where it begins in the file.
    position: u64,
    is_at_end: bool,
}

impl<R> Window<R> {
    pub(super) const fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new(), start: 0, position: 0, is_at_end: false }
    }

    /// Where the window begins in the file.
    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// The bytes that are there already, at most `n_bytes`.
    pub(super) fn held(&self, n_bytes: usize) -> &[u8] {
        let held = self.buffer.get(self.start..).unwrap_or_default();
        held.get(..n_bytes).unwrap_or(held)
    }

    /// The last `n_bytes` bytes that were passed over; gone with the next look ahead.
    pub(super) fn taken(&self, n_bytes: usize) -> &[u8] {
        self.buffer.get(self.start.saturating_sub(n_bytes)..self.start).unwrap_or_default()
    }

    /// Passes over bytes that were looked at.
    pub(super) fn advance(&mut self, n_bytes: usize) {
        let n_bytes = n_bytes.min(self.buffer.len() - self.start);
        self.start += n_bytes;
        self.position += n_bytes as u64;
    }
}

impl<R: Read> Window<R> {
    /// The next `n_bytes` bytes, or as many as there are before the end.
    pub(super) fn peek(&mut self, n_bytes: usize) -> Result<&[u8], CaptureError> {
        while self.buffer.len() - self.start < n_bytes && !self.is_at_end {
            self.fill()?;
        }
        Ok(self.held(n_bytes))
    }

    fn fill(&mut self) -> Result<(), CaptureError> {
        // Moving what is held for every few bytes would cost more than reading does.
        if self.start >= CHUNK {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let held = self.buffer.len();
        // What a length field claims is believed one chunk at a time: a wrong one costs nothing.
        self.buffer.resize(held + CHUNK, 0);
        let space = self.buffer.get_mut(held..).unwrap_or_default();
        let result = self.reader.read(space);
        match result {
            Ok(n_read) => {
                self.buffer.truncate(held + n_read);
                self.is_at_end = n_read == 0;
                Ok(())
            }
            Err(error) => {
                self.buffer.truncate(held);
                if error.kind() == ErrorKind::Interrupted {
                    return Ok(());
                }
                Err(CaptureError::Read { offset: self.position + held as u64, source: error })
            }
        }
    }
}
