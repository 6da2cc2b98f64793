//! Hellos made by hand, in pieces, changed and cut.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::testing::{hex, mutated, pieces};

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &u16::try_from(content.len()).unwrap().to_be_bytes(), content].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind], &length[1..], body].concat()
}

fn records(message: &[u8], most: usize) -> Vec<u8> {
    let record = |part: &[u8]| [&[0x16, 3, 1][..], &u16::try_from(part.len()).unwrap().to_be_bytes(), part].concat();
    message.chunks(most).flat_map(record).collect()
}

fn client_hello() -> Vec<u8> {
    let mut body = hex("0303");
    body.extend([7; 32]);
    body.extend(hex("00 0006 7a7a 1301 c02f 01 00"));
    let mut extensions = extension(0x2A2A, &[]);
    // An extension that is not what its type asks for, before the ones that are read.
    extensions.extend(extension(13, &[0xFF, 0xFF]));
    extensions.extend(extension(0, &[&hex("000e 00 000b")[..], b"example.org"].concat()));
    extensions.extend(extension(16, b"\x00\x0c\x02h2\x08http/1.1"));
    extensions.extend(extension(43, &hex("06 0a0a 0304 0303")));
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    message(1, &body)
}

fn server_hello(extensions: &[u8]) -> Vec<u8> {
    let mut body = hex("0303");
    body.extend([9; 32]);
    body.extend(hex("00 1301 00"));
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    message(2, &body)
}

fn first(bytes: &[u8]) -> Hello {
    Reassembler::new().push(bytes).unwrap().unwrap()
}

#[test]
fn a_client_hello_tells_what_is_offered_without_grease() {
    let Hello::Client(hello) = first(&records(&client_hello(), 16_000)) else { panic!("not of a client") };
    assert_eq!(hello.server_name.as_deref(), Some("example.org"));
    assert_eq!(hello.alpn, ["h2", "http/1.1"]);
    assert_eq!(hello.versions, [0x0304, 0x0303]);
    assert_eq!(hello.ciphers, [0x1301, 0xC02F]);
}

#[test]
fn a_server_hello_tells_what_was_chosen() {
    let chosen = extension(43, &hex("0304"));
    let Hello::Server(hello) = first(&records(&server_hello(&chosen), 16_000)) else { panic!("not of a server") };
    assert_eq!((hello.version, hello.alpn, hello.is_retry), (0x0304, None, false));
    assert_eq!(version_name(hello.version), "TLS 1.3");
    assert_eq!(cipher_name(hello.cipher), "TLS_AES_128_GCM_SHA256");
    // A fault of the library: it takes padding (21) for encrypt-then-mac. It must not hide what follows.
    let older = [extension(21, &[0; 3]), extension(16, b"\x00\x03\x02h2")].concat();
    let Hello::Server(hello) = first(&records(&server_hello(&older), 16_000)) else { panic!() };
    assert_eq!((hello.version, hello.alpn.as_deref()), (0x0303, Some("h2")));
}

#[test]
fn a_version_without_a_name_is_told_as_a_number() {
    assert_eq!((version_name(0x0305).as_ref(), version_name(0x7F17).as_ref()), ("0x0305", "TLS 1.3 draft 23"));
    assert_eq!(cipher_name(0xFFFE), "0xfffe");
}

#[test]
fn other_bytes_are_refused_at_once() {
    let refuse = |bytes: &[u8]| Reassembler::new().push(bytes).unwrap_err();
    assert_eq!(refuse(b"GET / HTTP/1.1\r\n"), Malformed::new("record is not of a handshake", 0));
    assert_eq!(refuse(&hex("16 0301 ffff")), Malformed::new("record has a length it must not have", 3));
    assert_eq!(refuse(&hex("16 0301 0004 0b 000000")).what, "handshake does not begin with a hello");
    assert!(
        !looks_like_handshake(b"GET")
            && looks_like_handshake(&[0x16])
            && !looks_like_handshake(&hex("16 0301 0010 0b"))
    );
}

#[test]
fn a_hello_of_many_records_is_bounded() {
    let mut large = records(&[&[1, 0x00, 0xFF, 0xFF][..], &[0; 60_000]].concat(), 16_000);
    large.extend(records(&[0; 16_000], 16_000));
    let mut reassembler = Reassembler::new();
    let mut most = 0;
    for piece in large.chunks(1000) {
        let _either = reassembler.push(piece);
        most = most.max(reassembler.n_pending());
    }
    assert!(most <= MOST_HELLO + 2 * MOST_RECORD);
    assert!(reassembler.is_done());
    let refused = Reassembler::new().push(&records(&[1, 0x02, 0, 0], 16_000)).unwrap_err();
    assert_eq!(refused.what, "hello is too long");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..600)) {
        let _either = Reassembler::new().push(&bytes);
        let _either = (parse_client_hello(&bytes), parse_server_hello(&bytes));
        let _either = Reassembler::new().push(&records(&message(1, &bytes), 100));
        let _looks = looks_like_handshake(&bytes);
    }

    #[test]
    fn no_change_makes_it_panic(bytes in mutated(&records(&client_hello(), 90))) {
        let _either = Reassembler::new().push(&bytes);
    }

    #[test]
    fn a_hello_is_the_same_however_it_is_cut(cuts in vec(any::<prop::sample::Index>(), 0..12), most in 1_usize..200) {
        let whole = first(&records(&client_hello(), 16_000));
        let bytes = [records(&client_hello(), most), vec![0x17; 40]].concat();
        let mut reassembler = Reassembler::new();
        let told: Vec<Hello> = pieces(&bytes, &cuts).into_iter().filter_map(|piece| reassembler.push(piece).unwrap()).collect();
        prop_assert_eq!(told, vec![whole]);
    }
}
