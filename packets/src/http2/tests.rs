//! Frames made by hand; starts in the middle; tables that were never seen.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::testing::{mutated, pieces};

fn frame(kind: u8, flags: u8, stream_id: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream_id.to_be_bytes(), payload].concat()
}

type Pairs<'a> = &'a [(&'a [u8], &'a [u8])];

const REQUEST: Pairs<'_> = &[
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/shop.Cart/Add"),
    (b":authority", b"cart:7070"),
    (b"content-type", b"application/grpc"),
    (b"x-note", b"once"),
];

/// What is in the static table goes by reference, everything else enters the table when first sent and goes by
/// reference from then on: a second block is all references.
#[derive(Default)]
struct Encoder(Vec<(Vec<u8>, Vec<u8>)>);

const STATIC: [(&[u8], &[u8], u8); 4] =
    [(b":method", b"GET", 2), (b":method", b"POST", 3), (b":scheme", b"http", 6), (b":status", b"200", 8)];

fn block(encoder: &mut Encoder, pairs: Pairs<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in pairs {
        let entered = encoder.0.iter().rev().position(|(known, held)| (&known[..], &held[..]) == (*name, *value));
        if let Some((_, _, index)) = STATIC.iter().find(|(known, held, _)| (known, held) == (name, value)) {
            bytes.push(0x80 | index);
        } else if let Some(position) = entered {
            bytes.push(0x80 | u8::try_from(62 + position).unwrap());
        } else {
            bytes.push(0x40);
            for text in [name, value] {
                bytes.push(u8::try_from(text.len()).unwrap());
                bytes.extend_from_slice(text);
            }
            encoder.0.push((name.to_vec(), value.to_vec()));
        }
    }
    bytes
}

fn headers(events: Vec<Event>) -> Vec<Fields> {
    events
        .into_iter()
        .filter_map(|event| if let Event::Headers { fields, .. } = event { Some(*fields) } else { None })
        .collect()
}

/// A preface, settings, and two requests; the second refers to the first. Gives where the second begins as well.
fn client() -> (Vec<u8>, usize) {
    let mut encoder = Encoder::default();
    let mut bytes = [PREFACE.as_slice(), &frame(4, 0, 0, &[0, 3, 0, 0, 0, 100])].concat();
    bytes.extend(frame(1, 0x04, 1, &block(&mut encoder, REQUEST)));
    bytes.extend(frame(0, 0x01, 1, b"\0\0\0\0\x02hi"));
    let second = bytes.len();
    bytes.extend(frame(1, 0x05, 3, &block(&mut encoder, REQUEST)));
    bytes.extend(frame(
        1,
        0x05,
        5,
        &block(&mut encoder, &[(b":method", b"GET"), (b":path", b"/new"), (b"x-note", b"once")]),
    ));
    (bytes, second)
}

#[test]
fn requests_are_told_with_and_without_the_table() {
    let fields = headers(Half::new().push(&client().0));
    assert_eq!(fields.len(), 3);
    assert_eq!(fields[0], fields[1]);
    assert_eq!(fields[0].path.as_deref(), Some("/shop.Cart/Add"));
    assert_eq!((fields[0].method.as_deref(), fields[0].authority.as_deref()), (Some("POST"), Some("cart:7070")));
    assert!(fields[0].is_grpc());
    assert_eq!(fields[0].others, [("x-note".to_owned(), "once".to_owned())]);
    assert_eq!(fields[2].path.as_deref(), Some("/new"));
}

#[test]
fn a_start_in_the_middle_says_unknown_and_invents_nothing() {
    let (bytes, second) = client();
    let mut half = Half::new();
    let fields = headers(half.push(&bytes[second..]));
    assert_eq!(fields.len(), 2);
    // POST and http are in the static table; everything else refers to what was not seen.
    assert_eq!((fields[0].method.as_deref(), fields[0].path.as_deref()), (Some("POST"), None));
    assert_eq!((fields[0].authority.as_deref(), fields[0].n_unknown), (None, 4));
    // A literal is known though the table is not, and an old reference after it stays unknown.
    assert_eq!((fields[1].path.as_deref(), fields[1].n_unknown), (Some("/new"), 1));
}

#[test]
fn entries_with_an_unknown_name_keep_their_place() {
    // Literal with indexing, name = entry 70 (never seen), value "v"; then a known pair; then both by reference.
    let bytes = [0x40 | 63, 7, 1, b'v', 0x40, 1, b'k', 1, b'w', 0x80 | 62, 0x80 | 63];
    let mut seen = Vec::new();
    let sink =
        |name: Option<&[u8]>, value: Option<&[u8]>| seen.push((name.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec)));
    Table::new().decode(&bytes, sink).unwrap();
    let unknown = (None, Some(b"v".to_vec()));
    let known = (Some(b"k".to_vec()), Some(b"w".to_vec()));
    assert_eq!(seen, [unknown.clone(), known.clone(), known, unknown]);
}

#[test]
fn a_gap_forgets_the_table() {
    let (bytes, second) = client();
    let mut half = Half::new();
    half.push(&bytes[..second]);
    half.gap();
    assert!(!half.is_in_step());
    let fields = headers(half.push(&bytes[second..]));
    assert_eq!(fields[0].path, None);
}

#[test]
fn responses_trailers_continuations_and_padding() {
    let mut encoder = Encoder::default();
    let opening = block(&mut encoder, &[(b":status", b"200"), (b"content-type", b"application/grpc")]);
    let trailers = block(&mut encoder, &[(b"grpc-status", b"13"), (b"grpc-message", b"no")]);
    let mut bytes = frame(1, 0x08, 1, &[&[2][..], &opening[..3], &[0, 0]].concat());
    bytes.extend(frame(9, 0x04, 1, &opening[3..]));
    bytes.extend(frame(1, 0x25, 1, &[&[0, 0, 0, 0, 16][..], &trailers].concat()));
    bytes.extend(frame(3, 0, 3, &[0, 0, 0, 8]));
    bytes.extend(frame(7, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 2]));
    let mut half = Half::new();
    let events: Vec<Event> = bytes.chunks(7).flat_map(|piece| half.push(piece)).collect();
    // The first piece of seven bytes cannot be told from text.
    assert!(events.is_empty());
    let events = Half::new().push(&bytes);
    assert_eq!(events[2..], [Event::Reset { stream_id: 3, code: 8 }, Event::GoAway { code: 2 }]);
    let fields = headers(events);
    assert_eq!((fields[0].status, fields[1].grpc_status), (Some(200), Some(13)));
}

#[test]
fn an_interrupted_block_is_a_fault_and_loses_step() {
    let mut bytes = frame(1, 0, 1, &[0x82]);
    bytes.extend(frame(0, 0, 1, b"x"));
    let mut half = Half::new();
    assert_eq!(half.push(&bytes), [Event::Fault(Malformed::new("header block is interrupted", 0))]);
    assert!(!half.is_in_step());
}

#[test]
fn text_is_not_taken_for_frames() {
    for text in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\n", b"hello, world", b"PRI * HTTP/1.0\r\n\r\nxxxxxxxxx"]
    {
        assert_eq!(Half::new().push(text), []);
    }
}

#[test]
fn a_block_without_end_is_given_up() {
    let mut half = Half::new();
    let mut events = half.push(&frame(1, 0, 1, &[0x82; 16_000]));
    for _ in 0..8 {
        events.extend(half.push(&frame(9, 0, 1, &[0x82; 16_000])));
    }
    assert_eq!(events.first(), Some(&Event::Fault(Malformed::new("header block is too long", 64_036))));
    assert!(half.block.is_none() && half.pending.len() <= 24);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..600)) {
        let _events = Half::new().push(&bytes);
        let _either = Table::new().decode(&bytes, |_, _| ());
    }

    #[test]
    fn no_change_makes_it_panic_or_keep_much(bytes in mutated(&client().0), cuts in vec(any::<prop::sample::Index>(), 0..8)) {
        let mut half = Half::new();
        for piece in pieces(&bytes, &cuts) {
            let _events = half.push(piece);
            prop_assert!(half.pending.len() + half.block.as_ref().map_or(0, |block| block.bytes.len()) <= 2 * MOST_BLOCK);
        }
    }

    #[test]
    fn a_stream_gives_the_same_however_it_is_cut(cuts in vec(any::<prop::sample::Index>(), 0..12)) {
        let (bytes, _) = client();
        let mut half = Half::new();
        let events: Vec<Event> = pieces(&bytes, &cuts).into_iter().flat_map(|piece| half.push(piece)).collect();
        prop_assert_eq!(events, Half::new().push(&bytes));
    }

    #[test]
    fn whatever_is_told_was_sent(drop_at in 0_usize..6) {
        // Requests with paths of their own, the earliest ones not seen: each path told is the path sent.
        let mut encoder = Encoder::default();
        let paths: Vec<String> = (0..6).map(|n| format!("/path/{}", n % 3)).collect();
        let frames: Vec<Vec<u8>> = (1_u32..).step_by(2).zip(&paths).map(|(id, path)| {
            frame(1, 5, id, &block(&mut encoder, &[(b":method", b"GET"), (b":path", path.as_bytes()), (b"x", b"y")]))
        }).collect();
        let mut half = Half::new();
        for (sent, bytes) in paths.iter().zip(&frames).skip(drop_at) {
            for fields in headers(half.push(bytes)) {
                prop_assert!(fields.path.is_none_or(|told| told == *sent));
            }
        }
    }
}

#[test]
fn data_need_not_be_seen() {
    let mut half = Half::new();
    half.push(&[&PREFACE[..], &frame(4, 0, 0, &[])].concat());
    let mut encoder = Encoder::default();
    let asked = frame(1, 4, 1, &block(&mut encoder, REQUEST));
    let data = frame(0, 1, 1, &[b'd'; 1000]);
    half.push(&[&asked, &data[..100]].concat());
    assert_eq!(half.n_to_skip(), data.len() - 100);
    half.skip(500);
    half.skip(data.len() - 600);
    assert_eq!(half.n_to_skip(), 0);
    let again = headers(half.push(&frame(1, 5, 3, &block(&mut encoder, REQUEST))));
    assert_eq!(again[0].path.as_deref(), Some("/shop.Cart/Add"));
    // In the header of a frame nothing can be passed over.
    half.skip(10);
    assert!(half.is_in_step());
}
