//! Tunnels: what is below an EtherType, in GRE, and on the ports of UDP.

use super::link::{after, ether_type, ppp};
use super::{Layer, NotUnderstood};

/// EtherType of Ethernet within something else.
const BRIDGED: u16 = 0x6558;

/// The layer below an EtherType that the library does not take off; `None` for every other one.
pub(super) fn below(kind: u16, bytes: &[u8]) -> Option<Result<Layer<'_>, NotUnderstood>> {
    match kind {
        0x8847 | 0x8848 => Some(mpls(bytes)),
        // PPPoE session: version and type, code 0, session, length.
        0x8864 => Some(after(bytes, 6).and_then(ppp)),
        BRIDGED => Some(Ok(Layer::Ethernet(bytes))),
        0x880B => Some(ppp(bytes)),
        _ => None,
    }
}

/// Takes a stack of labels off. What is below is known by its first four bits, as routers guess it as well.
pub(super) fn mpls(bytes: &[u8]) -> Result<Layer<'_>, NotUnderstood> {
    let mut labels = bytes.chunks_exact(4);
    let depth = labels.position(|label| label.get(2).is_some_and(|byte| byte & 1 != 0)).ok_or(NotUnderstood::Cut)?;
    let content = after(bytes, (depth + 1) * 4)?;
    match content.first().map(|first| first >> 4) {
        Some(4 | 6) => Ok(Layer::Ip(content)),
        // A control word stands before bridged Ethernet.
        Some(0) => Ok(Layer::Ethernet(after(content, 4)?)),
        Some(_) => Err(NotUnderstood::NotIp),
        None => Err(NotUnderstood::Cut),
    }
}

/// Takes a GRE header off; gives the virtual network where NVGRE tells one.
pub(super) fn gre(bytes: &[u8]) -> Result<(Layer<'_>, Option<u32>), NotUnderstood> {
    let flags = ether_type(bytes, 0)?;
    let kind = ether_type(bytes, 2)?;
    let version = flags & 7;
    let has = |bit: u16| flags & bit != 0;
    // The source routes of RFC 1701 are not in use.
    if version > 1 || has(0x4000) {
        return Err(NotUnderstood::Malformed);
    }
    let mut length = 4;
    if has(0x8000) {
        length += 4;
    }
    let key_at = length;
    if has(0x2000) {
        length += 4;
    }
    if has(0x1000) {
        length += 4;
    }
    if version == 1 && has(0x0080) {
        length += 4;
    }
    let content = after(bytes, length)?;
    let key = bytes.get(key_at..).and_then(|rest| rest.first_chunk::<4>()).map(|key| u32::from_be_bytes(*key));
    match kind {
        0x0800 | 0x86DD => Ok((Layer::Ip(content), None)),
        BRIDGED => Ok((Layer::Ethernet(content), key.filter(|_| has(0x2000)).map(|key| key >> 8))),
        // ERSPAN: type 1 has no header, type 2 one of eight bytes, type 3 one of twelve, or twenty.
        0x88BE if !has(0x1000) => Ok((Layer::Ethernet(content), None)),
        0x88BE => Ok((Layer::Ethernet(after(content, 8)?), None)),
        0x22EB => {
            let has_more = content.get(11).is_some_and(|byte| byte & 1 != 0);
            Ok((Layer::Ethernet(after(content, if has_more { 20 } else { 12 })?), None))
        }
        _ => match below(kind, content) {
            Some(inner) => Ok((inner?, None)),
            None => Err(NotUnderstood::NotIp),
        },
    }
}

/// The layer within a datagram, if its ports and first bytes are those of a tunnel.
pub(super) fn in_udp(from: u16, to: u16, payload: &[u8]) -> Option<(Layer<'_>, Option<u32>)> {
    match to {
        // 8472 was the port of VXLAN before 4789 was assigned, and still is in Linux and in overlays built on it.
        4789 | 8472 => vxlan(payload),
        6081 => geneve(payload),
        4754 => gre(payload).ok(),
        6635 => mpls(payload).ok().map(|layer| (layer, None)),
        _ if from == 4789 || from == 8472 => vxlan(payload),
        _ if from == 6081 => geneve(payload),
        _ => None,
    }
}

fn vxlan(payload: &[u8]) -> Option<(Layer<'_>, Option<u32>)> {
    match payload {
        // The flag says that there is a network number; the fourth byte is reserved but for VXLAN-GPE.
        [flags, _, _, 0 | 3, high, middle, low, _, content @ ..] if flags & 0x08 != 0 => {
            Some((Layer::Ethernet(content), Some(u32::from_be_bytes([0, *high, *middle, *low]))))
        }
        _ => None,
    }
}

fn geneve(payload: &[u8]) -> Option<(Layer<'_>, Option<u32>)> {
    let [first, _flags, kind_high, kind_low, high, middle, low, _reserved, rest @ ..] = payload else { return None };
    if first >> 6 != 0 {
        return None;
    }
    let content = rest.get(usize::from(first & 0x3F) * 4..)?;
    let layer = match u16::from_be_bytes([*kind_high, *kind_low]) {
        BRIDGED => Layer::Ethernet(content),
        kind => Layer::EtherType(kind, content),
    };
    Some((layer, Some(u32::from_be_bytes([0, *high, *middle, *low]))))
}
