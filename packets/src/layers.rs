//! From a frame to the segment or datagram it carries: link layers, tags and tunnels are taken off.
//!
//! What is told is the innermost pair of endpoints. VLAN, MACsec in the clear, PPPoE, MPLS, GRE (ERSPAN and NVGRE
//! too), IP in IP, VXLAN and Geneve are unwrapped; a datagram on a tunnel's port that does not hold a tunnel is a
//! datagram. Fragments are not put together: the first one tells its ports, the others tell none.

mod link;
mod tunnel;

use std::net::IpAddr;

use etherparse::{LaxNetSlice, LaxSlicedPacket, LinkSlice, TcpSlice, UdpSlice};

use crate::capture::Frame;

/// More layers than this in one frame are not unwrapped.
const MOST_LAYERS: usize = 12;

/// Protocol numbers that are read.
mod ip_number {
    pub(super) const IPV4: u8 = 4;
    pub(super) const TCP: u8 = 6;
    pub(super) const UDP: u8 = 17;
    pub(super) const IPV6: u8 = 41;
    pub(super) const GRE: u8 = 47;
    pub(super) const MPLS: u8 = 137;
}

/// Why a packet tells of no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NotUnderstood {
    /// The frame has no time.
    NoTime,
    /// The link layer is not one that is read here.
    LinkType,
    /// Nothing of the internet protocol: ARP, LLDP, 802.11 management, …
    NotIp,
    /// Another transport than TCP and UDP: ICMP, SCTP, ESP, …
    Transport,
    /// A fragment that is not the first.
    Fragment,
    /// The capture kept too little of the packet to tell the ports.
    Cut,
    /// A header is not what its protocol asks for.
    Malformed,
    /// Tunnels within tunnels, more than are unwrapped.
    TooDeep,
}

impl NotUnderstood {
    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 8] = [
        Self::NoTime,
        Self::LinkType,
        Self::NotIp,
        Self::Transport,
        Self::Fragment,
        Self::Cut,
        Self::Malformed,
        Self::TooDeep,
    ];

    /// The reason as metrics and reports name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoTime => "no_time",
            Self::LinkType => "link_type",
            Self::NotIp => "not_ip",
            Self::Transport => "other_transport",
            Self::Fragment => "later_fragment",
            Self::Cut => "cut",
            Self::Malformed => "malformed",
            Self::TooDeep => "too_deep",
        }
    }
}

/// One side of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// Address.
    pub ip: IpAddr,
    /// Port.
    pub port: u16,
}

/// What only TCP tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tcp {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Flags as the column `tcp_flags` holds them.
    pub flags: u16,
}

/// A segment of TCP or a datagram of UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Sender.
    pub from: Endpoint,
    /// Receiver.
    pub to: Endpoint,
    /// `None` for UDP.
    pub tcp: Option<Tcp>,
    /// Hardware addresses of the innermost Ethernet header, sender first.
    pub macs: Option<([u8; 6], [u8; 6])>,
    /// Number of the virtual network of the innermost tunnel that has one.
    pub network: Option<u32>,
    /// Bytes of the IP packet on the wire.
    pub ip_len: u32,
    /// The payload, as far as it was captured.
    pub payload: &'a [u8],
    /// Bytes of the payload on the wire.
    pub payload_len: u32,
    /// Whether the packet is the first fragment of several.
    pub is_fragment: bool,
}

/// What one layer holds.
enum Layer<'a> {
    /// Begins with an Ethernet header.
    Ethernet(&'a [u8]),
    /// Content of an EtherType.
    EtherType(u16, &'a [u8]),
    /// Begins with an IP header.
    Ip(&'a [u8]),
}

/// What is known before the innermost packet is reached.
#[derive(Default)]
struct Outside {
    macs: Option<([u8; 6], [u8; 6])>,
    network: Option<u32>,
    /// Bytes of the frame that the capture did not keep.
    n_cut: usize,
}

/// Finds the innermost segment or datagram of a frame.
///
/// # Errors
/// The frame holds none, or none that can be told.
pub fn locate<'a>(frame: &Frame<'a>) -> Result<Segment<'a>, NotUnderstood> {
    let wire_len = usize::try_from(frame.wire_len).unwrap_or(usize::MAX);
    let mut outside = Outside { n_cut: wire_len.saturating_sub(frame.bytes.len()), ..Outside::default() };
    let layer = link::first_layer(frame.link_type, frame.bytes)?;
    descend(layer, &mut outside, 0)
}

fn descend<'a>(layer: Layer<'a>, outside: &mut Outside, depth: usize) -> Result<Segment<'a>, NotUnderstood> {
    if depth >= MOST_LAYERS {
        return Err(NotUnderstood::TooDeep);
    }
    let packet = match layer {
        Layer::Ethernet(bytes) => LaxSlicedPacket::from_ethernet(bytes).map_err(|_length| NotUnderstood::Cut)?,
        Layer::EtherType(kind, bytes) => match tunnel::below(kind, bytes) {
            Some(inner) => return descend(inner?, outside, depth + 1),
            None => LaxSlicedPacket::from_ether_type(kind.into(), bytes),
        },
        Layer::Ip(bytes) => LaxSlicedPacket::from_ip(bytes).map_err(|_header| ip_fault(bytes))?,
    };
    if let Some(LinkSlice::Ethernet2(ethernet)) = &packet.link {
        outside.macs = Some((ethernet.source(), ethernet.destination()));
    }
    match &packet.net {
        Some(net @ (LaxNetSlice::Ipv4(_) | LaxNetSlice::Ipv6(_))) => within_ip(net, outside, depth),
        Some(LaxNetSlice::Arp(_)) => Err(NotUnderstood::NotIp),
        None => {
            let payload = packet.ether_payload();
            let inner = payload.and_then(|payload| tunnel::below(payload.ether_type.0, payload.payload));
            match inner {
                Some(inner) => descend(inner?, outside, depth + 1),
                None if packet.stop_err.is_some() => Err(NotUnderstood::Malformed),
                None => Err(NotUnderstood::NotIp),
            }
        }
    }
}

fn ip_fault(bytes: &[u8]) -> NotUnderstood {
    let least = match bytes.first().map(|first| first >> 4) {
        Some(4) => 20,
        Some(6) => 40,
        Some(_) => return NotUnderstood::Malformed,
        None => return NotUnderstood::Cut,
    };
    if bytes.len() < least { NotUnderstood::Cut } else { NotUnderstood::Malformed }
}

/// What an IP header tells of what it carries.
struct Carried<'a> {
    from: IpAddr,
    to: IpAddr,
    protocol: u8,
    payload: &'a [u8],
    /// Bytes of the payload on the wire.
    payload_len: usize,
    ip_len: u32,
    /// Whether it is a fragment, and whether it is the first.
    fragment: Option<bool>,
}

fn within_ip<'a>(net: &LaxNetSlice<'a>, outside: &mut Outside, depth: usize) -> Result<Segment<'a>, NotUnderstood> {
    let carried = carried(net, outside).ok_or(NotUnderstood::NotIp)?;
    if carried.fragment == Some(false) {
        return Err(NotUnderstood::Fragment);
    }
    match carried.protocol {
        ip_number::IPV4 | ip_number::IPV6 => descend(Layer::Ip(carried.payload), outside, depth + 1),
        ip_number::GRE => {
            let (layer, network) = tunnel::gre(carried.payload)?;
            outside.network = network.or(outside.network);
            descend(layer, outside, depth + 1)
        }
        ip_number::MPLS => descend(tunnel::mpls(carried.payload)?, outside, depth + 1),
        ip_number::TCP => tcp(&carried, outside),
        ip_number::UDP => {
            let datagram = udp(&carried, outside)?;
            let kept = (outside.macs, outside.network);
            if let Some((layer, network)) = tunnel::in_udp(datagram.from.port, datagram.to.port, datagram.payload) {
                outside.network = network.or(outside.network);
                if let Ok(inner) = descend(layer, outside, depth + 1) {
                    return Ok(inner);
                }
                (outside.macs, outside.network) = kept;
            }
            Ok(Segment { macs: kept.0, network: kept.1, ..datagram })
        }
        _ => Err(NotUnderstood::Transport),
    }
}

fn carried<'a>(net: &LaxNetSlice<'a>, outside: &Outside) -> Option<Carried<'a>> {
    let (from, to, payload, header_len, promised, fragment) = match net {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            let payload = ip.payload().clone();
            let header_len = header.slice().len() + extensions_len(ip.extensions());
            let promised = usize::from(header.total_len()).checked_sub(header_len);
            let fragment = header.is_fragmenting_payload().then(|| header.fragments_offset().value() == 0);
            let (from, to) = (IpAddr::V4(header.source_addr()), IpAddr::V4(header.destination_addr()));
            (from, to, payload, header_len, promised, fragment)
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            let payload = ip.payload().clone();
            let header_len = 40 + ip.extensions().slice().len();
            let promised = match header.payload_length() {
                0 => None,
                length => (40 + usize::from(length)).checked_sub(header_len),
            };
            let first = ip.extensions().clone().into_iter().find_map(|extension| match extension {
                etherparse::Ipv6ExtensionSlice::Fragment(fragment) => Some(fragment.fragment_offset().value() == 0),
                _ => None,
            });
            let fragment = if ip.is_payload_fragmented() { first.or(Some(false)) } else { None };
            let (from, to) = (IpAddr::V6(header.source_addr()), IpAddr::V6(header.destination_addr()));
            (from, to, payload, header_len, promised, fragment)
        }
        LaxNetSlice::Arp(_) => return None,
    };
    // A length of 0 stands for more than the field holds: then the frame's own length tells.
    let payload_len = promised.unwrap_or_else(|| payload.payload.len() + outside.n_cut);
    Some(Carried {
        from,
        to,
        protocol: payload.ip_number.0,
        payload: payload.payload,
        payload_len,
        ip_len: u32::try_from(header_len + payload_len).unwrap_or(u32::MAX),
        fragment,
    })
}

fn extensions_len(extensions: etherparse::Ipv4ExtensionsSlice<'_>) -> usize {
    extensions.auth.map_or(0, |header| header.slice().len())
}

fn tcp<'a>(carried: &Carried<'a>, outside: &Outside) -> Result<Segment<'a>, NotUnderstood> {
    let cut = if carried.payload.len() < 20 { NotUnderstood::Cut } else { NotUnderstood::Malformed };
    let (flags, header_len, payload, header) = match TcpSlice::from_slice(carried.payload) {
        Ok(tcp) => {
            let high = u16::from(tcp.ns()) << 8;
            let low = carried.payload.get(13).copied().unwrap_or_default();
            (high | u16::from(low), tcp.header_len(), tcp.payload(), carried.payload)
        }
        // The options are cut: everything before them is there.
        Err(_) if carried.payload.len() >= 20 => {
            let offset = carried.payload.get(12).copied().unwrap_or_default();
            let header_len = usize::from(offset >> 4) * 4;
            if header_len < 20 || header_len > carried.payload_len {
                return Err(NotUnderstood::Malformed);
            }
            let low = carried.payload.get(13).copied().unwrap_or_default();
            (u16::from(offset & 1) << 8 | u16::from(low), header_len, <&[u8]>::default(), carried.payload)
        }
        Err(_) => return Err(cut),
    };
    let number = |at: usize| {
        let bytes = header.get(at..).and_then(|rest| rest.first_chunk::<4>());
        bytes.map(|bytes| u32::from_be_bytes(*bytes)).unwrap_or_default()
    };
    let tcp = Tcp { seq: number(4), ack: number(8), flags };
    Ok(segment(carried, outside, Some(tcp), header_len, payload))
}

fn udp<'a>(carried: &Carried<'a>, outside: &Outside) -> Result<Segment<'a>, NotUnderstood> {
    let udp = UdpSlice::from_slice_lax(carried.payload).map_err(|_length| NotUnderstood::Cut)?;
    let mut datagram = segment(carried, outside, None, 8, udp.payload());
    if !datagram.is_fragment && udp.length() >= 8 {
        datagram.payload_len = datagram.payload_len.min(u32::from(udp.length()) - 8);
    }
    Ok(datagram)
}

fn segment<'a>(
    carried: &Carried<'a>,
    outside: &Outside,
    tcp: Option<Tcp>,
    header_len: usize,
    payload: &'a [u8],
) -> Segment<'a> {
    let port = |at: usize| {
        let bytes = carried.payload.get(at..).and_then(|rest| rest.first_chunk::<2>());
        bytes.map(|bytes| u16::from_be_bytes(*bytes)).unwrap_or_default()
    };
    let payload_len = carried.payload_len.saturating_sub(header_len);
    Segment {
        from: Endpoint { ip: carried.from, port: port(0) },
        to: Endpoint { ip: carried.to, port: port(2) },
        tcp,
        macs: outside.macs,
        network: outside.network,
        ip_len: carried.ip_len,
        // The link layer may have padded a short frame.
        payload: payload.get(..payload_len).unwrap_or(payload),
        payload_len: u32::try_from(payload_len).unwrap_or(u32::MAX),
        is_fragment: carried.fragment.is_some(),
    }
}

#[cfg(test)]
mod tests;
