//! An object of a bucket as an input: read piece by piece, always the version that was listed.

use std::io::{self, Read};

use bytes::Bytes;
use hindcast_storage::objects::{Object, Objects};

/// Bytes that are asked for at once, and what that becomes where answers end in their middle.
const PIECE: u64 = 8 << 20;
const LEAST_PIECE: u64 = 128 << 10;

/// A listed object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) objects: Objects,
    pub(crate) object: Object,
}

impl Listed {
    /// Its address.
    pub(crate) fn url(&self) -> String {
        self.objects.url(&self.object.key)
    }

    /// Its bytes from `start` on, at most so many.
    pub(crate) fn read_at(&self, start: u64, len: u64) -> io::Result<Bytes> {
        let end = start.saturating_add(len).min(self.object.n_bytes);
        if start >= end {
            return Ok(Bytes::new());
        }
        let bytes = self.objects.read(&self.object, start..end).map_err(|error| {
            let is_gone = error.is_gone();
            let text = hindcast_model::report(&error);
            match is_gone {
                true => {
                    io::Error::new(io::ErrorKind::NotFound, format!("it changed or went while it was read: {text}"))
                }
                false => io::Error::other(text),
            }
        })?;
        match bytes.len() as u64 == end - start {
            true => Ok(bytes),
            false => {
                let text = format!("{} bytes came instead of {} from {start} on", bytes.len(), end - start);
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, text))
            }
        }
    }

    /// All of its bytes, in order.
    pub(crate) fn reader(&self) -> ObjectReader {
        ObjectReader { listed: self.clone(), position: 0, piece: Bytes::new(), piece_len: PIECE }
    }
}

/// Reads an object from its start.
#[derive(Debug)]
pub(crate) struct ObjectReader {
    listed: Listed,
    position: u64,
    piece: Bytes,
    piece_len: u64,
}

impl ObjectReader {
    /// The next piece; a smaller one where a large one does not come whole.
    fn fetch(&mut self) -> io::Result<()> {
        // What an input is shows at its start: the first piece is small.
        let mut len = if self.position == 0 { super::content::HEAD_LEN as u64 } else { self.piece_len };
        self.piece = loop {
            match self.listed.read_at(self.position, len) {
                Ok(piece) => break piece,
                Err(error) if len <= LEAST_PIECE || error.kind() == io::ErrorKind::NotFound => return Err(error),
                Err(_) => {
                    len /= 4;
                    self.piece_len = len;
                }
            }
        };
        self.position += self.piece.len() as u64;
        Ok(())
    }
}

impl Read for ObjectReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            self.fetch()?;
        }
        let n = self.piece.len().min(into.len());
        let taken = self.piece.split_to(n);
        into.get_mut(..n).unwrap_or_default().copy_from_slice(&taken);
        Ok(n)
    }
}
