//! The classic format: one header, then records of a few lengths and the packet.

use std::io::Read;

use hindcast_model::Timestamp;
use pcap_parser::PcapHeader;

use super::window::Window;
use super::{CaptureError, Damage, Frame, MOST_BLOCK};
use crate::Malformed;

/// Length of the header of the file.
pub(super) const HEADER_LEN: usize = 24;
/// Length of the header of a record; the modified format has eight bytes more.
const RECORD_LEN: usize = 16;

/// A capture in the classic format.
#[derive(Debug)]
pub(super) struct Legacy {
    is_big_endian: bool,
    nanos_per_unit: u64,
    record_len: usize,
    link_type: i32,
    snap_len: u32,
}

/// The numbers of a record's header.
struct Record {
    seconds: u32,
    fraction: u32,
    captured: usize,
    wire_len: u32,
}

impl Legacy {
    /// Reads the header of the file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let refuse = |_cause| Malformed::new("header is not one of a capture", 0);
        let (_rest, header): (_, PcapHeader) = pcap_parser::parse_pcap_header(bytes).map_err(refuse)?;
        Ok(Self {
            is_big_endian: header.is_bigendian(),
            nanos_per_unit: if header.is_nanosecond_precision() { 1 } else { 1000 },
            record_len: if header.is_modified_format() { RECORD_LEN + 8 } else { RECORD_LEN },
            // The upper bits tell of checksums of the link layer.
            link_type: header.network.0 & 0x0FFF_FFFF,
            snap_len: header.snaplen,
        })
    }

    pub(super) fn next_frame<'a, R: Read>(
        &'a mut self,
        window: &'a mut Window<R>,
        damage: &mut Damage,
    ) -> Result<Option<Frame<'a>>, CaptureError> {
        let mut is_lost = false;
        loop {
            let offset = window.position();
            let n_ahead = window.peek(self.record_len)?.len();
            if n_ahead < self.record_len {
                if n_ahead > 0 && !is_lost {
                    damage.add(offset, "file ends within the header of a record");
                }
                damage.n_bytes += n_ahead as u64;
                window.advance(n_ahead);
                return Ok(None);
            }
            let record = self.record(window.held(self.record_len)).filter(|record| self.is_plausible(record));
            // In search of a start, one record alone is not believed: what follows it has to make sense too.
            let record = match record {
                Some(record) if !is_lost || self.is_followed(window, &record)? => record,
                Some(_) | None => {
                    if !is_lost {
                        damage.add(offset, "record has lengths or a time that it must not have");
                        is_lost = true;
                    }
                    damage.n_bytes += 1;
                    window.advance(1);
                    continue;
                }
            };
            let total = self.record_len + record.captured;
            let n_ahead = window.peek(total)?.len();
            if n_ahead < total {
                damage.add(offset, "file ends within a packet");
            }
            let record_len = self.record_len;
            window.advance(n_ahead);
            return Ok(Some(self.frame(&record, offset, window.taken(n_ahead).get(record_len..).unwrap_or_default())));
        }
    }

    fn frame<'a>(&'a self, record: &Record, offset: u64, bytes: &'a [u8]) -> Frame<'a> {
        let nanos = u64::from(record.seconds) * 1_000_000_000 + u64::from(record.fraction) * self.nanos_per_unit;
        Frame {
            time: i64::try_from(nanos).ok().map(Timestamp::from_nanos),
            link_type: self.link_type,
            interface: 0,
            interface_name: None,
            bytes,
            wire_len: record.wire_len,
            offset,
        }
    }

    fn record(&self, bytes: &[u8]) -> Option<Record> {
        let number = |at: usize| {
            let bytes = *bytes.get(at..)?.first_chunk::<4>()?;
            Some(if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
        };
        let captured = usize::try_from(number(8)?).ok()?;
        Some(Record { seconds: number(0)?, fraction: number(4)?, captured, wire_len: number(12)? })
    }

    fn is_plausible(&self, record: &Record) -> bool {
        // Some writers keep more than the snap length they declare; none has kept more than this.
        let most = usize::try_from(self.snap_len).unwrap_or(MOST_BLOCK).clamp(262_144, MOST_BLOCK);
        let most_fraction = 1_000_000_000 / self.nanos_per_unit;
        record.captured <= most
            && u64::from(record.fraction) < most_fraction
            && record.captured <= 16 + record.wire_len as usize
    }

    /// Whether what follows a record is a plausible record as well, or the end.
    fn is_followed<R: Read>(&self, window: &mut Window<R>, record: &Record) -> Result<bool, CaptureError> {
        let total = self.record_len + record.captured;
        let ahead = window.peek(total + self.record_len)?;
        if ahead.len() < total || record.captured == 0 || record.seconds == 0 {
            return Ok(false);
        }
        let next = ahead.get(total..).unwrap_or_default();
        Ok(next.is_empty()
            || self
                .record(next)
                .is_some_and(|next| self.is_plausible(&next) && next.seconds.abs_diff(record.seconds) < 86_400))
    }
}
