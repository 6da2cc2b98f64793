//! Captures written by hand, in every order and resolution, damaged, and cut.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::testing::mutated;

/// Time, link type, bytes and interface.
type Seen = (Option<i64>, i32, Vec<u8>, u32);

fn read(bytes: &[u8]) -> (Vec<Seen>, Damage) {
    let mut capture = Capture::new(bytes);
    let mut frames = Vec::new();
    while let Ok(Some(frame)) = capture.next_frame() {
        frames.push((frame.time.map(Timestamp::as_nanos), frame.link_type, frame.bytes.to_vec(), frame.interface));
    }
    (frames, capture.damage().clone())
}

fn words(words: &[u32], is_big_endian: bool) -> Vec<u8> {
    words.iter().flat_map(|word| if is_big_endian { word.to_be_bytes() } else { word.to_le_bytes() }).collect()
}

fn legacy(magic: u32, is_big_endian: bool, packets: &[&[u8]]) -> Vec<u8> {
    let version = if is_big_endian { 0x0002_0004 } else { 0x0004_0002 };
    let mut bytes = words(&[magic, version, 0, 0, 65_535, 1], is_big_endian);
    for (second, packet) in (100..).zip(packets) {
        let length = u32::try_from(packet.len()).unwrap();
        bytes.extend(words(&[second, 5, length, length], is_big_endian));
        bytes.extend_from_slice(packet);
    }
    bytes
}

fn block(kind: u32, content: &[u8], is_big_endian: bool) -> Vec<u8> {
    let padded = content.len().next_multiple_of(4);
    let length = u32::try_from(padded + 12).unwrap();
    let mut bytes = words(&[kind, length], is_big_endian);
    bytes.extend_from_slice(content);
    bytes.resize(8 + padded, 0);
    bytes.extend(words(&[length], is_big_endian));
    bytes
}

fn ng(is_big_endian: bool) -> Vec<u8> {
    let order = is_big_endian;
    let version: u32 = if order { 0x0001_0000 } else { 1 };
    let mut bytes = block(0x0A0D_0D0A, &words(&[0x1A2B_3C4D, version, u32::MAX, u32::MAX], order), order);
    let link = |kind: u16| if order { u32::from(kind) << 16 } else { u32::from(kind) };
    bytes.extend(block(1, &words(&[link(1), 0], order), order));
    // Nanoseconds: option 9, length 1, value 9.
    let option = if order { 0x0009_0001 } else { 0x0001_0009 };
    let value = if order { 0x0900_0000 } else { 9 };
    bytes.extend(block(1, &words(&[link(113), 0, option, value, 0], order), order));
    bytes.extend(block(6, &[words(&[0, 0, 7_000_000, 5, 9], order), b"frame".to_vec()].concat(), order));
    bytes.extend(block(6, &[words(&[1, 1, 0, 4, 4], order), b"sll!".to_vec()].concat(), order));
    bytes.extend(block(3, &[words(&[3], order), b"spb".to_vec()].concat(), order));
    bytes
}

#[test]
fn classic_captures_in_every_order_and_resolution() {
    for (magic, is_big_endian, nanos) in
        [(0xA1B2_C3D4, false, 5000), (0xA1B2_C3D4, true, 5000), (0xA1B2_3C4D, false, 5), (0xA1B2_3C4D, true, 5)]
    {
        let (frames, damage) = read(&legacy(magic, is_big_endian, &[b"one", b"three"]));
        assert_eq!(damage, Damage::default());
        assert_eq!(frames[0], (Some(100_000_000_000 + nanos), 1, b"one".to_vec(), 0));
        assert_eq!(frames[1].2, b"three");
    }
}

#[test]
fn newer_captures_in_both_orders() {
    for is_big_endian in [false, true] {
        let twice = [ng(is_big_endian), ng(!is_big_endian)].concat();
        let (frames, damage) = read(&twice);
        assert_eq!(damage, Damage::default());
        assert_eq!(frames[0], (Some(7_000_000_000), 1, b"frame".to_vec(), 0));
        assert_eq!(frames[1], (Some(4_294_967_296), 113, b"sll!".to_vec(), 1));
        assert_eq!(frames[2], (None, 1, b"spb".to_vec(), 0));
        assert_eq!(frames[4].3, 3);
    }
}

#[test]
fn a_damaged_record_is_counted_and_the_rest_is_read() {
    let mut bytes = legacy(0xA1B2_C3D4, false, &[&[1; 60], &[2; 60], &[3; 60], &[4; 60]]);
    bytes[24 + 76 + 8..24 + 76 + 12].fill(0xFF);
    let (frames, damage) = read(&bytes);
    assert_eq!(frames.iter().map(|frame| frame.2[0]).collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!((damage.n_blocks, damage.n_bytes, damage.first[0].0), (1, 76, 100));
}

#[test]
fn a_damaged_block_is_counted_and_the_rest_is_read() {
    let mut bytes = ng(false);
    let at = bytes.windows(5).position(|window| window == b"frame").unwrap() - 28;
    bytes[at + 4] = 0x20;
    let (frames, damage) = read(&bytes);
    assert_eq!(frames.iter().map(|frame| frame.2.as_slice()).collect::<Vec<_>>(), [&b"sll!"[..], b"spb"]);
    assert_eq!((damage.n_blocks, damage.n_bytes), (1, 40));
    assert_eq!(damage.first, [(at as u64, "lengths of a block disagree")]);
}

#[test]
fn a_packet_that_the_file_does_not_hold_to_its_end_is_told_as_far_as_it_goes() {
    let bytes = legacy(0xA1B2_C3D4, false, &[b"whole", b"halved"]);
    let (frames, damage) = read(&bytes[..bytes.len() - 3]);
    assert_eq!(frames[1].2, b"hal");
    assert_eq!(damage.first[0].1, "file ends within a packet");
}

#[test]
fn other_files_are_refused() {
    let mut capture = Capture::new(&b"hello, this is no capture at all"[..]);
    let error = capture.next_frame().unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(error.to_string(), "neither pcap nor pcapng: header is not one of a capture at byte 0");
    assert!(Capture::new(&b""[..]).next_frame().is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..600)) {
        let _all = read(&bytes);
        let _all = read(&[legacy(0xA1B2_C3D4, true, &[]), bytes.clone()].concat());
        let _all = read(&[ng(false), bytes].concat());
    }

    #[test]
    fn no_change_makes_it_panic(legacy in mutated(&legacy(0xA1B2_3C4D, false, &[b"a", b"bb"])), ng in mutated(&ng(true))) {
        let _all = (read(&legacy), read(&ng));
    }
}
