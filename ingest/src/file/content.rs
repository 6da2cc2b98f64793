//! The text of an input, whatever it is packed in. Packing is seen in the first bytes, never in the name.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hindcast_packets::capture::looks_like;

use super::inputs::Place;

/// Bytes looked at to tell what an input is, and to know it again.
pub(crate) const HEAD_LEN: usize = 64 << 10;
/// The magic of gzip.
const GZIP: &[u8] = &[0x1f, 0x8b];
/// The magic of a zstd frame.
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Bytes read from a file at once before they are unpacked.
const PACKED_BUFFER: usize = 256 << 10;

/// How an input is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// As it is.
    Plain,
    /// gzip, one member or several.
    Gzip,
    /// zstd, one frame or several.
    Zstd,
}

impl Packing {
    /// The packing that content starting with `head` has.
    #[must_use]
    pub fn of(head: &[u8]) -> Self {
        if head.starts_with(GZIP) {
            Self::Gzip
        } else if head.starts_with(ZSTD) {
            Self::Zstd
        } else {
            Self::Plain
        }
    }
}

/// Counts the bytes that pass, as they lie on disk.
struct Counted<R> {
    inner: R,
    n_bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(into)?;
        self.n_bytes.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// An input opened for reading, unpacked.
pub(crate) struct Content {
    reader: Box<dyn Read + Send>,
    /// How it is packed.
    pub(crate) packing: Packing,
    /// Bytes taken so far, as they lie on disk.
    pub(crate) n_packed: Arc<AtomicU64>,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Content").field("packing", &self.packing).finish_non_exhaustive()
    }
}

impl Content {
    /// Opens an input.
    pub(crate) fn open(place: &Place) -> io::Result<Self> {
        match place {
            Place::Stdin => Self::of(io::stdin()),
            Place::File(path) | Place::Stream(path) => Self::of(File::open(path)?),
            Place::Object(listed) => Self::of(listed.reader()),
        }
    }

    /// The text in `reader`.
    pub(crate) fn of(reader: impl Read + Send + 'static) -> io::Result<Self> {
        let n_packed = Arc::new(AtomicU64::new(0));
        let mut counted = Counted { inner: reader, n_bytes: Arc::clone(&n_packed) };
        let mut head = Vec::with_capacity(ZSTD.len());
        read_up_to(&mut counted, &mut head, ZSTD.len())?;
        let packing = Packing::of(&head);
        let whole = io::Cursor::new(head).chain(counted);
        let reader: Box<dyn Read + Send> = match packing {
            Packing::Plain => Box::new(whole),
            Packing::Gzip => {
                Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(PACKED_BUFFER, whole)))
            }
            Packing::Zstd => {
                Box::new(zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(PACKED_BUFFER, whole))?)
            }
        };
        Ok(Self { reader, packing, n_packed })
    }
}

impl Read for Content {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.reader.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

/// Appends to `into` until it has `len` bytes or the input ends.
pub(crate) fn read_up_to(reader: &mut impl Read, into: &mut Vec<u8>, len: usize) -> io::Result<()> {
    let missing = len.saturating_sub(into.len());
    reader.take(missing as u64).read_to_end(into).map(|_n| ())
}

/// What speaks against text, for a person; `None` where nothing does.
pub(crate) fn not_text(head: &[u8]) -> Option<&'static str> {
    match head {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("it is UTF-16 text; convert it to UTF-8"),
        [b'P', b'K', 3, 4, ..] => Some("it is a zip archive; unpack it"),
        [b'B', b'Z', b'h', ..] => Some("it is packed with bzip2; unpack it"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Some("it is packed with xz; unpack it"),
        [b'P', b'A', b'R', b'1', ..] => Some("it is a Parquet file"),
        _ if looks_like(head) => Some("it is a packet capture; import it"),
        _ if head.get(257..262) == Some(b"ustar".as_slice()) => Some("it is a tar archive; unpack it"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
