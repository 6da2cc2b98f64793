//! Captures: the packets of a pcap or pcapng file, one after the other, from anything that can be read.
//!
//! Both byte orders, all resolutions, several interfaces and sections. Damage is counted with its offset, and
//! reading goes on at the next block or record that makes sense; only a file that is no capture at all is an error.

mod legacy;
mod ng;
mod window;

use std::io::Read;
use std::sync::Arc;

use hindcast_model::{Kind, Timestamp};

use crate::Malformed;
use window::Window;

/// The largest packet or block that is read. Larger ones are counted as damage.
const MOST_BLOCK: usize = 1024 * 1024;
/// How many faults are kept with their offset; all are counted.
const MOST_FAULTS: usize = 32;

/// What captures begin with: a section of pcapng, and the classic format in both byte orders with microseconds, with
/// nanoseconds, and modified.
const MAGICS: [[u8; 4]; 7] = [
    [0x0A, 0x0D, 0x0D, 0x0A],
    [0xA1, 0xB2, 0xC3, 0xD4],
    [0xD4, 0xC3, 0xB2, 0xA1],
    [0xA1, 0xB2, 0x3C, 0x4D],
    [0x4D, 0x3C, 0xB2, 0xA1],
    [0xA1, 0xB2, 0xCD, 0x34],
    [0x34, 0xCD, 0xB2, 0xA1],
];

/// Whether a file that begins with these bytes, four at least, is a capture.
#[must_use]
pub fn looks_like(head: &[u8]) -> bool {
    MAGICS.iter().any(|magic| head.starts_with(magic))
}

/// One packet of a capture.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// When it was captured; `None` where the capture does not tell, as with simple packet blocks.
    pub time: Option<Timestamp>,
    /// What the bytes begin with: a number of the registry of link types.
    pub link_type: i32,
    /// Number of the interface within the capture, counted over all sections.
    pub interface: u32,
    /// Name of the interface, where the capture tells it.
    pub interface_name: Option<&'a Arc<str>>,
    /// Bytes that were captured.
    pub bytes: &'a [u8],
    /// Bytes that were on the wire.
    pub wire_len: u32,
    /// Where its record begins in the file.
    pub offset: u64,
}

/// What could not be read of a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Blocks and records that are not what they must be.
    pub n_blocks: u64,
    /// Bytes that were passed over in search of the next one that makes sense.
    pub n_bytes: u64,
    /// The first of them: what was wrong, and at which offset of the file.
    pub first: Vec<(u64, &'static str)>,
}

impl Damage {
    fn add(&mut self, offset: u64, what: &'static str) {
        self.n_blocks += 1;
        if self.first.len() < MOST_FAULTS {
            self.first.push((offset, what));
        }
    }
}

/// A capture that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file begins like no capture.
    #[error("neither pcap nor pcapng: {0}")]
    NotACapture(Malformed),
    /// The reader failed.
    #[error("reading the capture failed at byte {offset}")]
    Read {
        /// How far it was read.
        offset: u64,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

impl CaptureError {
    /// Who has to act on it.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::NotACapture(_) => Kind::Invalid,
            Self::Read { .. } => Kind::Unavailable,
        }
    }
}

#[derive(Debug)]
enum Format {
    Legacy(legacy::Legacy),
    Ng(ng::Sections),
}

/// Reads a capture.
#[derive(Debug)]
pub struct Capture<R> {
    window: Window<R>,
    format: Option<Format>,
    damage: Damage,
}

impl<R: Read> Capture<R> {
    /// A capture that has not been read yet.
    pub const fn new(reader: R) -> Self {
        Self {
            window: Window::new(reader),
            format: None,
            damage: Damage { n_blocks: 0, n_bytes: 0, first: Vec::new() },
        }
    }

    /// The next packet; `None` at the end.
    ///
    /// # Errors
    /// The reader fails, or what it gives is no capture.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        if self.format.is_none() {
            self.format = Some(self.open()?);
        }
        match &mut self.format {
            Some(Format::Legacy(legacy)) => legacy.next_frame(&mut self.window, &mut self.damage),
            Some(Format::Ng(sections)) => sections.next_frame(&mut self.window, &mut self.damage),
            None => Ok(None),
        }
    }

    fn open(&mut self) -> Result<Format, CaptureError> {
        let start = self.window.peek(24)?;
        if ng::is_section(start) {
            return Ok(Format::Ng(ng::Sections::default()));
        }
        let legacy = legacy::Legacy::parse(start).map_err(CaptureError::NotACapture)?;
        self.window.advance(legacy::HEADER_LEN);
        Ok(Format::Legacy(legacy))
    }

    /// What could not be read so far.
    #[must_use]
    pub const fn damage(&self) -> &Damage {
        &self.damage
    }

    /// How far the capture was read, bytes.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.window.position()
    }
}

#[cfg(test)]
mod tests;
