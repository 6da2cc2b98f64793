//! The bytes of a log file.
//!
//! ```text
//! file   = header record*
//! header = magic "HCASTLOG" | version u32 | first lsn u64 | crc32c u32 of the 20 bytes before
//! record = length u32 | crc32c u32 of the payload | lsn u64 | synced lsn u64 | crc32c u32 of the 24 bytes before | payload
//! ```
//! The synced lsn is the last record that was durable when this one was written: a record that is damaged although a
//! later one calls it synced was damaged after the fact, one that nothing calls synced was torn by a crash.
//!
//! Numbers are little-endian. The lsn of a record is one more than that of the record before; the first has the
//! header's. What stands in a file from the first lsn of the next file on was never acknowledged and does not count.

use super::Damage;
use crate::ids::Lsn;

/// How every log file starts.
pub const MAGIC: [u8; 8] = *b"HCASTLOG";
/// The version this build writes and reads.
pub const VERSION: u32 = 1;
/// Length of a file's header.
pub const FILE_HEADER_LEN: usize = 24;
/// Length of a record's header.
pub const RECORD_HEADER_LEN: usize = 28;

/// The header of a file whose first record has `first`.
#[must_use]
pub fn file_header(first: Lsn) -> [u8; FILE_HEADER_LEN] {
    let mut header = [0; FILE_HEADER_LEN];
    put(&mut header, 0, &MAGIC);
    put(&mut header, 8, &VERSION.to_le_bytes());
    put(&mut header, 12, &first.get().to_le_bytes());
    let crc = crc32c::crc32c(header.get(..20).unwrap_or_default());
    put(&mut header, 20, &crc.to_le_bytes());
    header
}

/// The first lsn of a file.
///
/// # Errors
/// The header is not one of ours, or is damaged.
pub fn read_file_header(header: &[u8]) -> Result<Lsn, Damage> {
    if header.get(..8).is_some_and(|magic| magic != MAGIC) {
        return Err(Damage::Magic);
    }
    if header.len() < FILE_HEADER_LEN {
        return Err(Damage::Short { missing: missing(FILE_HEADER_LEN, header.len()) });
    }
    let version = u32_at(header, 8);
    if crc32c::crc32c(header.get(..20).unwrap_or_default()) != u32_at(header, 20) {
        return Err(Damage::Checksum);
    }
    if version != VERSION {
        return Err(Damage::Version { found: version, known: VERSION });
    }
    Ok(Lsn::new(u64_at(header, 12)))
}

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// Length of the payload.
    pub len: u32,
    /// Checksum of the payload.
    pub payload_crc: u32,
    /// Position of the record.
    pub lsn: Lsn,
    /// The last record that was durable when this one was written.
    pub synced: Lsn,
}

impl RecordHeader {
    /// Its bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; RECORD_HEADER_LEN] {
        let mut header = [0; RECORD_HEADER_LEN];
        put(&mut header, 0, &self.len.to_le_bytes());
        put(&mut header, 4, &self.payload_crc.to_le_bytes());
        put(&mut header, 8, &self.lsn.get().to_le_bytes());
        put(&mut header, 16, &self.synced.get().to_le_bytes());
        let crc = crc32c::crc32c(header.get(..24).unwrap_or_default());
        put(&mut header, 24, &crc.to_le_bytes());
        header
    }

    /// From its bytes.
    ///
    /// # Errors
    /// They are too few or damaged.
    pub fn read(header: &[u8]) -> Result<Self, Damage> {
        if header.len() < RECORD_HEADER_LEN {
            return Err(Damage::Short { missing: missing(RECORD_HEADER_LEN, header.len()) });
        }
        if crc32c::crc32c(header.get(..24).unwrap_or_default()) != u32_at(header, 24) {
            return Err(Damage::Checksum);
        }
        Ok(Self {
            len: u32_at(header, 0),
            payload_crc: u32_at(header, 4),
            lsn: Lsn::new(u64_at(header, 8)),
            synced: Lsn::new(u64_at(header, 16)),
        })
    }
}

/// The name of the file whose first record has `first`.
#[must_use]
pub fn file_name(first: Lsn) -> String {
    format!("{:020}.log", first.get())
}

/// The first lsn a file name speaks of.
#[must_use]
pub fn parse_file_name(name: &str) -> Option<Lsn> {
    let digits = name.strip_suffix(".log")?;
    if digits.len() != 20 { None } else { digits.parse().ok().map(Lsn::new) }
}

fn missing(wanted: usize, found: usize) -> u64 {
    u64::try_from(wanted.saturating_sub(found)).unwrap_or(u64::MAX)
}

fn put(target: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = target.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |chunk| u64::from_le_bytes(*chunk))
}
