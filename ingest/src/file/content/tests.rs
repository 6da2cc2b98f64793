//! The same text comes out however it was packed.
use std::io::{Cursor, Read as _, Write as _};

use super::{Content, Packing, not_text};

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("packs");
    encoder.finish().expect("packs")
}

fn check(packed: Vec<u8>, packing: Packing, text: &[u8]) {
    let mut content = Content::of(Cursor::new(packed)).expect("opens");
    let mut found = Vec::new();
    content.read_to_end(&mut found).expect("unpacks");
    assert_eq!((content.packing, found.as_slice()), (packing, text));
}

#[test]
fn text_comes_out_of_every_packing() {
    let text = b"{\"flow\":{}}\n".repeat(1000);
    check(text.clone(), Packing::Plain, &text);
    check(Vec::new(), Packing::Plain, b"");
    check(b"{}".to_vec(), Packing::Plain, b"{}");
    let (a, b) = text.split_at(5000);
    check([gzip(a), gzip(b)].concat(), Packing::Gzip, &text);
    let zstd = |part: &[u8]| zstd::encode_all(part, 1).expect("packs");
    check([zstd(a), zstd(b)].concat(), Packing::Zstd, &text);
}

#[test]
fn a_cut_gzip_gives_its_good_part_then_an_error() {
    let text: Vec<u8> = (0..200_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let mut packed = gzip(&text);
    packed.truncate(packed.len() / 2);
    let mut content = Content::of(Cursor::new(packed)).expect("opens");
    let mut found = Vec::new();
    content.read_to_end(&mut found).expect_err("the end is missing");
    assert!(found.len() > text.len() / 4 && text.starts_with(&found), "{} bytes of {}", found.len(), text.len());
}

#[test]
fn foreign_content_is_named() {
    assert!(not_text(b"\xff\xfe{\0").is_some_and(|text| text.contains("UTF-16")));
    assert!(not_text(b"PAR1....").is_some());
    assert_eq!(not_text(b"{\"flow\""), None);
    assert_eq!(not_text(b""), None);
}
