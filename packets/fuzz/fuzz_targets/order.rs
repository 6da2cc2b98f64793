//! Segments in any order, with some missing, into HTTP/2 and DNS as the sensors read them: nothing is given twice, what is
//! kept is bounded, and what is passed over is only what a frame's length allows.
#![no_main]

use hindcast_packets::dns::Stream;
use hindcast_packets::http2::Half;
use hindcast_packets::order::{Order, Piece};
use libfuzzer_sys::fuzz_target;

/// Bytes that may wait, and a packet that comes on top.
const MOST_HELD: usize = 2 * 64 * 1024;

fuzz_target!(|bytes: &[u8]| {
    // Four bytes say where a segment lies, how much of it there is, and how much was copied.
    let mut segments = Vec::new();
    let mut rest = bytes;
    while let Some((head, after)) = rest.split_first_chunk::<4>() {
        let (seq, n_copied) = (u32::from(u16::from_le_bytes([head[0], head[1]])), usize::from(head[2]).min(after.len()));
        let (copied, after) = after.split_at(n_copied);
        segments.push((seq, copied, u32::from(head[3])));
        rest = after;
    }
    let (mut order, mut half, mut n_given) = (Order::<u64>::default(), Half::new(), 0_u64);
    order.begin(0);
    for (seq, copied, n_more) in &segments {
        let length = u32::try_from(copied.len()).unwrap_or(u32::MAX).saturating_add(*n_more);
        let mut put = |half: &mut Half, piece: Piece<'_>| match piece {
            Piece::Bytes(bytes) => {
                n_given += bytes.len() as u64;
                drop(half.push(bytes));
            }
            Piece::Gap(n_bytes) => {
                n_given += u64::from(n_bytes);
                half.gap();
            }
        };
        order.take(*seq, copied, length, 1, |piece, _stamp| put(&mut half, piece));
        while let Some(n_missing) = order.n_missing() {
            let n_bytes = usize::try_from(n_missing).unwrap_or(usize::MAX);
            if n_bytes > half.n_to_skip() {
                break;
            }
            half.skip(n_bytes);
            order.pass(n_missing, |piece, _stamp| put(&mut half, piece));
        }
        assert!(order.n_held() <= MOST_HELD && half.n_pending() <= 256 * 1024);
    }
    while order.waiting().is_some() {
        order.give_up(|piece, _stamp| n_given += piece_len(&piece));
    }
    // Sequence numbers end below 2^16 and a segment has 510 bytes at most: more was not there to be given.
    assert!(n_given <= (1 << 16) + 510, "{n_given} bytes were given");

    let (mut order, mut stream) = (Order::<()>::default(), Stream::new());
    for (seq, copied, n_more) in &segments {
        let length = u32::try_from(copied.len()).unwrap_or(u32::MAX).saturating_add(*n_more);
        order.take(*seq, copied, length, (), |piece, ()| match piece {
            Piece::Bytes(bytes) => drop(stream.push(bytes)),
            Piece::Gap(n_bytes) => drop(stream.skip(usize::try_from(n_bytes).unwrap_or(usize::MAX))),
        });
        assert!(stream.n_pending() <= 65_537);
    }
});

fn piece_len(piece: &Piece<'_>) -> u64 {
    match piece {
        Piece::Bytes(bytes) => bytes.len() as u64,
        Piece::Gap(n_bytes) => u64::from(*n_bytes),
    }
}
