//! Segments in and out of order, against a plain model.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::order::{Order, Piece};

/// Sends segments of `stream` and gives what came out: the bytes, with zeros for gaps, and how many were repeats.
fn give(start: u32, segments: &[(usize, usize)], stream: &[u8]) -> (Vec<u8>, usize) {
    let (mut out, mut n_repeats) = (Vec::new(), 0);
    let mut order = Order::<()>::default();
    order.begin(start);
    for (from, to) in segments {
        let seq = start.wrapping_add(u32::try_from(*from).unwrap());
        let length = u32::try_from(to - from).unwrap();
        let is_repeat = order.take(seq, &stream[*from..*to], length, (), |piece, ()| match piece {
            Piece::Bytes(bytes) => out.extend_from_slice(bytes),
            Piece::Gap(n_bytes) => out.resize(out.len() + n_bytes as usize, 0),
        });
        n_repeats += usize::from(is_repeat);
        assert!(order.n_held() <= 64 * 1024 + stream.len());
    }
    (out, n_repeats)
}

#[test]
fn late_and_repeated_segments_are_put_right() {
    let stream = b"abcdefghij";
    assert_eq!(give(u32::MAX - 3, &[(0, 2), (4, 6), (2, 4), (2, 4), (5, 10)], stream), (stream.to_vec(), 1));
    // Overlap: only what is new counts.
    assert_eq!(give(0, &[(0, 5), (3, 8), (8, 10)], stream), (stream.to_vec(), 0));
}

#[test]
fn a_keep_alive_is_no_retransmission() {
    assert_eq!(give(0, &[(0, 5), (4, 5)], b"abcde").1, 0);
}

#[test]
fn a_hole_is_given_up_when_too_much_waits() {
    let stream = vec![7; 200];
    let segments: Vec<(usize, usize)> = (0..50).map(|n| (10 + n * 3, 13 + n * 3)).collect();
    let (out, _) = give(0, &segments, &stream);
    assert_eq!(out[..11], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    assert_eq!(out.len(), 160);
}

proptest! {
    #[test]
    fn any_order_of_overlapping_segments_gives_the_stream(
        start in any::<u32>(),
        mut extra in vec((0_usize..60, 1_usize..20), 0..12),
        seed in vec(any::<prop::sample::Index>(), 12),
    ) {
        let stream: Vec<u8> = (1..=80).collect();
        // Every byte is sent at least once, some several times, in any order.
        let mut segments: Vec<(usize, usize)> = (0..8).map(|n| (n * 10, n * 10 + 10)).collect();
        segments.extend(extra.drain(..).map(|(from, length)| (from, from + length)));
        for (position, index) in seed.iter().enumerate() {
            let other = index.index(segments.len());
            let position = position % segments.len();
            segments.swap(position, other);
        }
        prop_assert_eq!(give(start, &segments, &stream).0, stream);
    }
}
