//! Link layers, by the numbers of the registry of link types.

use super::{Layer, NotUnderstood};

/// The layer that a frame of a link type begins with.
pub(super) fn first_layer(link_type: i32, bytes: &[u8]) -> Result<Layer<'_>, NotUnderstood> {
    match link_type {
        1 => Ok(Layer::Ethernet(bytes)),
        // Loopback: four bytes of address family in the byte order of the machine (0) or of the network (108).
        0 | 108 => Ok(Layer::Ip(after(bytes, 4)?)),
        // Raw IP; 12 and 14 are what some systems wrote for it. 228 and 229 say which version.
        12 | 14 | 101 | 228 | 229 => Ok(Layer::Ip(bytes)),
        // PPP, with or without its two bytes of address and control.
        9 | 50 => match bytes {
            [0xFF, 0x03, rest @ ..] => ppp(rest),
            rest => ppp(rest),
        },
        // Linux cooked: the protocol is the last two bytes of sixteen; in version 2 the first two of twenty.
        113 => Ok(Layer::EtherType(ether_type(bytes, 14)?, after(bytes, 16)?)),
        276 => Ok(Layer::EtherType(ether_type(bytes, 0)?, after(bytes, 20)?)),
        // IPNET of Solaris, 24 bytes; and the log of OpenBSD's filter, whose first byte tells its length.
        226 => Ok(Layer::Ip(after(bytes, 24)?)),
        117 => {
            let length = usize::from(bytes.first().copied().unwrap_or_default()).next_multiple_of(4);
            Ok(Layer::Ip(after(bytes, length)?))
        }
        _ => Err(NotUnderstood::LinkType),
    }
}

/// The layer below a PPP header that begins with its protocol.
pub(super) fn ppp(bytes: &[u8]) -> Result<Layer<'_>, NotUnderstood> {
    match bytes {
        [0x00, 0x21 | 0x57, rest @ ..] | [0x21 | 0x57, rest @ ..] => Ok(Layer::Ip(rest)),
        [0x02, 0x81 | 0x83, rest @ ..] => Ok(Layer::EtherType(0x8847, rest)),
        [] | [_] => Err(NotUnderstood::Cut),
        _ => Err(NotUnderstood::NotIp),
    }
}

pub(super) fn after(bytes: &[u8], n_bytes: usize) -> Result<&[u8], NotUnderstood> {
    bytes.get(n_bytes..).ok_or(NotUnderstood::Cut)
}

pub(super) fn ether_type(bytes: &[u8], at: usize) -> Result<u16, NotUnderstood> {
    let bytes = bytes.get(at..).and_then(|rest| rest.first_chunk::<2>()).ok_or(NotUnderstood::Cut)?;
    Ok(u16::from_be_bytes(*bytes))
}
