//! The newer format: sections of blocks, each block with its length at both ends.

use std::io::Read;
use std::sync::Arc;

use hindcast_model::Timestamp;
use pcap_parser::{Block, parse_block_be, parse_block_le};

use super::window::Window;
use super::{CaptureError, Damage, Frame, MOST_BLOCK};

/// Interfaces kept over all sections; packets of further ones are damage.
const MOST_INTERFACES: usize = 4096;
/// A section header block begins like this in either byte order.
const SECTION: [u8; 4] = [0x0A, 0x0D, 0x0D, 0x0A];
/// The shortest block: type, two lengths.
const LEAST_BLOCK: usize = 12;

/// Whether bytes begin a section.
pub(super) fn is_section(bytes: &[u8]) -> bool {
    bytes.starts_with(&SECTION) && byte_order(bytes).is_some()
}

/// Whether the section that begins here is big-endian; `None` where it is no section.
fn byte_order(bytes: &[u8]) -> Option<bool> {
    match bytes.get(8..12)? {
        [0x1A, 0x2B, 0x3C, 0x4D] => Some(true),
        [0x4D, 0x3C, 0x2B, 0x1A] => Some(false),
        _ => None,
    }
}

#[derive(Debug)]
struct Interface {
    link_type: i32,
    /// Units per second; `None` where the capture tells one that cannot be.
    resolution: Option<u64>,
    offset_s: i64,
    snap_len: u32,
    name: Option<Arc<str>>,
}

/// What the sections read so far have told.
#[derive(Debug, Default)]
pub(super) struct Sections {
    is_big_endian: bool,
    /// Interfaces of earlier sections.
    n_before: u32,
    interfaces: Vec<Interface>,
}

/// Where the packet of a block is.
struct Packet {
    interface: usize,
    time: Option<Timestamp>,
    start: usize,
    captured: usize,
    wire_len: u32,
}

impl Sections {
    pub(super) fn next_frame<'a, R: Read>(
        &'a mut self,
        window: &'a mut Window<R>,
        damage: &mut Damage,
    ) -> Result<Option<Frame<'a>>, CaptureError> {
        let (packet, length, offset) = loop {
            let offset = window.position();
            let Some(length) = self.block_len(window, damage)? else { return Ok(None) };
            let packet = self.block(window.held(length), offset, damage);
            window.advance(length);
            if let Some(packet) = packet {
                break (packet, length, offset);
            }
        };
        // A packet that is given names an interface that was described.
        let Some(interface) = self.interfaces.get(packet.interface) else { return Ok(None) };
        let bytes = window.taken(length);
        Ok(Some(Frame {
            time: packet.time,
            link_type: interface.link_type,
            interface: self.n_before + u32::try_from(packet.interface).unwrap_or(u32::MAX),
            interface_name: interface.name.as_ref(),
            bytes: bytes.get(packet.start..packet.start + packet.captured).unwrap_or_default(),
            wire_len: packet.wire_len,
            offset,
        }))
    }

    /// The length of the next block, which is then in the window to its end. Damage before it is passed over.
    fn block_len<R: Read>(
        &mut self,
        window: &mut Window<R>,
        damage: &mut Damage,
    ) -> Result<Option<usize>, CaptureError> {
        let mut is_lost = false;
        loop {
            let offset = window.position();
            let start = window.peek(LEAST_BLOCK)?;
            if start.len() < LEAST_BLOCK {
                let n_left = start.len();
                if n_left > 0 && !is_lost {
                    damage.add(offset, "file ends within a block");
                }
                damage.n_bytes += n_left as u64;
                window.advance(n_left);
                return Ok(None);
            }
            let is_big_endian = if is_section(start) { byte_order(start).unwrap_or(false) } else { self.is_big_endian };
            let length = number(start, 4, is_big_endian).and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
            let can_be = (LEAST_BLOCK..=MOST_BLOCK).contains(&length) && length.is_multiple_of(4);
            let block = if can_be { window.peek(length)? } else { &[] };
            let is_whole = can_be && block.len() == length;
            // Both ends agree: this is a block, whatever it holds.
            if is_whole && number(block, length - 4, is_big_endian) == u32::try_from(length).ok() {
                return Ok(Some(length));
            }
            if !is_lost {
                damage.add(
                    offset,
                    if can_be && !is_whole { "file ends within a block" } else { "lengths of a block disagree" },
                );
                is_lost = true;
            }
            // Blocks lie at multiples of four bytes.
            damage.n_bytes += 4;
            window.advance(4);
        }
    }

    /// Reads a block; gives its packet, if it is one.
    fn block(&mut self, bytes: &[u8], offset: u64, damage: &mut Damage) -> Option<Packet> {
        if is_section(bytes) {
            self.is_big_endian = byte_order(bytes).unwrap_or(false);
            let n_ended = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
            self.n_before = self.n_before.saturating_add(n_ended);
            self.interfaces.clear();
            return None;
        }
        let parsed = if self.is_big_endian { parse_block_be(bytes) } else { parse_block_le(bytes) };
        let Ok((_rest, block)) = parsed else {
            damage.add(offset, "block is not what its type asks for");
            return None;
        };
        let packet = match block {
            Block::InterfaceDescription(description) => {
                self.describe(&description, offset, damage);
                return None;
            }
            Block::EnhancedPacket(packet) => Packet {
                interface: usize::try_from(packet.if_id).unwrap_or(usize::MAX),
                time: self.time(packet.if_id, packet.ts_high, packet.ts_low),
                start: 28,
                captured: usize::try_from(packet.caplen).unwrap_or(usize::MAX),
                wire_len: packet.origlen,
            },
            Block::SimplePacket(packet) => {
                let snap_len = self.interfaces.first().map_or(0, |interface| interface.snap_len);
                let kept = if snap_len == 0 { packet.origlen } else { packet.origlen.min(snap_len) };
                let captured = usize::try_from(kept).unwrap_or(usize::MAX).min(bytes.len().saturating_sub(16));
                Packet { interface: 0, time: None, start: 12, captured, wire_len: packet.origlen }
            }
            _ => return None,
        };
        let is_held = packet.start.checked_add(packet.captured).is_some_and(|end| end <= bytes.len().saturating_sub(4));
        if !is_held || packet.interface >= self.interfaces.len() {
            damage.add(
                offset,
                if is_held {
                    "packet names an interface that was not described"
                } else {
                    "packet is longer than its block"
                },
            );
            return None;
        }
        Some(packet)
    }

    fn describe(&mut self, description: &pcap_parser::InterfaceDescriptionBlock<'_>, offset: u64, damage: &mut Damage) {
        let n_known = usize::try_from(self.n_before).unwrap_or(usize::MAX).saturating_add(self.interfaces.len());
        if n_known >= MOST_INTERFACES {
            damage.add(offset, "too many interfaces");
            return;
        }
        self.interfaces.push(Interface {
            link_type: description.linktype.0,
            resolution: description.ts_resolution(),
            offset_s: description.ts_offset(),
            snap_len: description.snaplen,
            name: description.if_name().and_then(Result::ok).map(|name| Arc::from(name.trim_end_matches('\0'))),
        });
    }

    fn time(&self, interface: u32, high: u32, low: u32) -> Option<Timestamp> {
        let interface = self.interfaces.get(usize::try_from(interface).ok()?)?;
        let resolution = i128::from(interface.resolution?);
        let units = i128::from((u64::from(high) << 32) | u64::from(low));
        let nanos = (units * 1_000_000_000).checked_div(resolution)? + i128::from(interface.offset_s) * 1_000_000_000;
        i64::try_from(nanos).ok().map(Timestamp::from_nanos)
    }
}

fn number(bytes: &[u8], at: usize, is_big_endian: bool) -> Option<u32> {
    let bytes = *bytes.get(at..)?.first_chunk::<4>()?;
    Some(if is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
}
