//! Packets built layer by layer.

use etherparse::{EtherType, IpNumber, PacketBuilder};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::testing::mutated;

const FROM: [u8; 4] = [10, 0, 0, 1];
const TO: [u8; 4] = [10, 0, 0, 2];

/// An Ethernet frame with a segment that carries `payload`.
fn tcp_frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(FROM, TO, 64).tcp(50_000, 80, 7, 1000).ack(9);
    builder.write(&mut bytes, payload).unwrap();
    bytes
}

fn udp_frame(ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ethernet2([6; 6], [8; 6]).ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64);
    builder.udp(ports.0, ports.1).write(&mut bytes, payload).unwrap();
    bytes
}

fn within_ip(protocol: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ethernet2([6; 6], [8; 6]).ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64);
    builder.write(&mut bytes, IpNumber(protocol), content).unwrap();
    bytes
}

fn frame(link_type: i32, bytes: &[u8]) -> Frame<'_> {
    let wire_len = u32::try_from(bytes.len()).unwrap();
    Frame { time: None, link_type, interface: 0, interface_name: None, bytes, wire_len, offset: 0 }
}

/// Expects the segment of [`tcp_frame`] in a frame.
fn expect_inner(link_type: i32, bytes: &[u8], network: Option<u32>) {
    let segment = locate(&frame(link_type, bytes)).unwrap();
    assert_eq!((segment.from.ip, segment.from.port), (IpAddr::from(FROM), 50_000));
    assert_eq!((segment.to.ip, segment.to.port), (IpAddr::from(TO), 80));
    assert_eq!(segment.tcp, Some(Tcp { seq: 7, ack: 9, flags: 16 }));
    assert_eq!((segment.payload, segment.payload_len, segment.ip_len), (&b"hello"[..], 5, 45));
    assert_eq!(segment.network, network);
}

#[test]
fn every_link_layer() {
    let ethernet = tcp_frame(b"hello");
    let ip = &ethernet[14..];
    expect_inner(1, &ethernet, None);
    expect_inner(101, ip, None);
    expect_inner(0, &[&[2, 0, 0, 0][..], ip].concat(), None);
    expect_inner(113, &[&[0; 14][..], &[8, 0], ip].concat(), None);
    expect_inner(276, &[&[8, 0][..], &[0; 18], ip].concat(), None);
    expect_inner(9, &[&[0xFF, 3, 0, 0x21][..], ip].concat(), None);
    assert_eq!(locate(&frame(147, ip)), Err(NotUnderstood::LinkType));
}

#[test]
fn tags_and_tunnels_are_taken_off() {
    let inner = tcp_frame(b"hello");
    let ip = &inner[14..];
    let tag = |kind: u16| [&inner[..12], &kind.to_be_bytes(), &[0, 7], &inner[12..]].concat();
    expect_inner(1, &tag(0x8100), None);
    expect_inner(1, &tag(0x88A8), None);
    let mpls = [&inner[..12], &[0x88, 0x47, 0, 0, 0x10, 0x40, 0, 0, 0x20, 0x01, 0x40], &[][..]].concat();
    let mpls = [&mpls[..14], &[0, 1, 0, 64, 0, 2, 1, 64], ip].concat();
    expect_inner(1, &mpls, None);
    let pppoe = [&inner[..12], &[0x88, 0x64, 0x11, 0, 0, 1, 0, 47, 0, 0x21], ip].concat();
    expect_inner(1, &pppoe, None);
    expect_inner(1, &within_ip(4, ip), None);
    expect_inner(1, &within_ip(47, &[&[0, 0, 8, 0][..], ip].concat()), None);
    let nvgre = [&[0x20, 0, 0x65, 0x58, 0, 0x12, 0x34, 0][..], &inner].concat();
    expect_inner(1, &within_ip(47, &nvgre), Some(0x1234));
    let vxlan = [&[8, 0, 0, 0, 0, 0, 42, 0][..], &inner].concat();
    expect_inner(1, &udp_frame((40_000, 4789), &vxlan), Some(42));
    expect_inner(1, &udp_frame((40_000, 8472), &vxlan), Some(42));
    let geneve = [&[1, 0, 0x65, 0x58, 0, 0, 43, 0, 1, 2, 3, 0][..], &inner].concat();
    expect_inner(1, &udp_frame((40_000, 6081), &geneve), Some(43));
}

#[test]
fn a_datagram_on_a_tunnels_port_without_a_tunnel_is_a_datagram() {
    let bytes = udp_frame((40_000, 4789), b"no tunnel at all");
    let segment = locate(&frame(1, &bytes)).unwrap();
    assert_eq!((segment.to.port, segment.tcp, segment.network), (4789, None, None));
    assert_eq!(segment.macs, Some(([6; 6], [8; 6])));
}

#[test]
fn a_cut_packet_tells_what_was_on_the_wire() {
    let whole = tcp_frame(&[7; 1000]);
    let cut = Frame { wire_len: u32::try_from(whole.len()).unwrap(), ..frame(1, &whole[..60]) };
    let segment = locate(&cut).unwrap();
    assert_eq!((segment.payload.len(), segment.payload_len, segment.ip_len), (6, 1000, 1040));
    let cut = Frame { wire_len: 1054, ..frame(1, &whole[..40]) };
    assert_eq!(locate(&cut), Err(NotUnderstood::Cut));
}

#[test]
fn padding_of_a_short_frame_is_no_payload() {
    let mut bytes = tcp_frame(b"");
    bytes.resize(60, 0);
    let segment = locate(&frame(1, &bytes)).unwrap();
    assert_eq!((segment.payload, segment.payload_len, segment.ip_len), (&b""[..], 0, 40));
}

#[test]
fn fragments_and_other_protocols_are_told_apart() {
    let mut first = tcp_frame(b"hello");
    first[20] = 0x20;
    assert!(locate(&frame(1, &first)).unwrap().is_fragment);
    let mut later = tcp_frame(b"hello");
    later[21] = 5;
    assert_eq!(locate(&frame(1, &later)), Err(NotUnderstood::Fragment));
    assert_eq!(locate(&frame(1, &within_ip(1, &[8, 0, 0, 0]))), Err(NotUnderstood::Transport));
    let mut arp = tcp_frame(b"");
    arp[12..14].copy_from_slice(&EtherType::ARP.0.to_be_bytes());
    assert!(matches!(locate(&frame(1, &arp)), Err(NotUnderstood::NotIp | NotUnderstood::Malformed)));
}

#[test]
fn tunnels_within_tunnels_end_somewhere() {
    let mut ip = tcp_frame(b"hello")[14..].to_vec();
    for _ in 0..20 {
        ip = within_ip(4, &ip)[14..].to_vec();
    }
    assert_eq!(locate(&frame(101, &ip)), Err(NotUnderstood::TooDeep));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..200), link_type in 0_i32..300) {
        let _either = locate(&frame(link_type, &bytes));
    }

    #[test]
    fn no_change_makes_it_panic(
        vxlan in mutated(&udp_frame((1, 4789), &[&[8, 0, 0, 0, 0, 0, 42, 0][..], &tcp_frame(b"hello")].concat())),
        gre in mutated(&within_ip(47, &[&[0x20, 0, 0x65, 0x58, 0, 0x12, 0x34, 0][..], &tcp_frame(b"hello")].concat())),
    ) {
        let _either = (locate(&frame(1, &vxlan)), locate(&frame(1, &gre)));
    }
}
