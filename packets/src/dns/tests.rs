//! DNS messages made by hand, changed and cut.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::testing::{hex, mutated, pieces};

/// `A? example.org.`, answered by a CNAME and two addresses, all names compressed but the first.
fn response() -> Vec<u8> {
    hex("beef 8180 0001 0003 0000 0000
         07 6578616d706c65 03 6f7267 00 0001 0001
         c00c 0005 0001 0000012c 0006 03 777777 c00c
         c029 0001 0001 0000003c 0004 c0000201
         c029 001c 0001 0000003c 0010 20010db8000000000000000000000001")
}

#[test]
fn a_response_tells_names_addresses_and_the_shortest_life() {
    let message = parse(&response()).unwrap();
    assert!(message.is_response);
    assert_eq!((message.id, message.rcode, message.n_unread), (0xBEEF, 0, 0));
    assert_eq!(message.questions, [Question { name: "example.org.".to_owned(), qtype: "A".to_owned() }]);
    assert_eq!(message.cnames().collect::<Vec<_>>(), ["www.example.org."]);
    let ips: Vec<String> = message.ips().map(|ip| ip.to_string()).collect();
    assert_eq!(ips, ["192.0.2.1", "2001:db8::1"]);
    assert_eq!(message.ttl_s(), Some(60));
    assert_eq!(message.answers.iter().map(|answer| answer.rrtype.as_str()).collect::<Vec<_>>(), ["CNAME", "A", "AAAA"]);
}

#[test]
fn a_cut_response_still_tells_its_question() {
    let whole = response();
    let message = parse(&whole[..45]).unwrap();
    assert_eq!(message.questions.len(), 1);
    assert_eq!(message.n_unread, 3);
    assert_eq!(message.fault.map(|fault| fault.offset), Some(41));
    assert_eq!(parse(&whole[..20]).unwrap_err().offset, 12);
    assert_eq!(parse(&whole[..5]).unwrap_err().to_string(), "header is not whole at byte 4");
}

#[test]
fn an_unknown_type_is_named_by_number() {
    let message = parse(&hex("0001 0100 0001 0000 0000 0000 01 61 00 1267 0001")).unwrap();
    assert_eq!(message.questions[0].qtype, "TYPE4711");
}

#[test]
fn a_name_that_points_at_itself_is_refused() {
    assert_eq!(parse(&hex("0001 0100 0001 0000 0000 0000 c00c 0001 0001")).unwrap_err().what, "name is not a DNS name");
}

#[test]
fn an_address_of_the_wrong_length_is_not_an_address() {
    let mut bytes = response();
    let at = bytes.len() - 16 - 2;
    bytes[at + 1] = 8;
    let message = parse(&bytes[..bytes.len() - 8]).unwrap();
    assert_eq!(message.ips().count(), 1);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..600)) {
        let _either = parse(&bytes);
    }

    #[test]
    fn no_change_makes_it_panic_or_keep_much(bytes in mutated(&response())) {
        if let Ok(message) = parse(&bytes) {
            prop_assert!(message.questions.len() + message.answers.len() <= 2 * MOST_RECORDS);
        }
    }

    #[test]
    fn a_stream_gives_the_same_however_it_is_cut(cuts in vec(any::<prop::sample::Index>(), 0..12), n in 1_usize..4) {
        let one = response();
        let framed: Vec<u8> = (0..n).flat_map(|_| [&u16::try_from(one.len()).unwrap().to_be_bytes(), one.as_slice()].concat()).collect();
        let mut stream = Stream::new();
        let messages: Vec<_> = pieces(&framed, &cuts).into_iter().flat_map(|piece| stream.push(piece)).collect();
        prop_assert_eq!(messages, vec![parse(&one); n]);
        prop_assert_eq!(stream.n_pending(), 0);
    }

    #[test]
    fn a_stream_of_anything_stays_bounded(bytes in vec(any::<u8>(), 0..4000)) {
        let mut stream = Stream::new();
        let _messages = stream.push(&bytes);
        prop_assert!(stream.n_pending() <= 2 + 65_535);
    }
}

#[test]
fn a_message_that_lacks_bytes_is_told_as_far_as_it_was_read() {
    let one = response();
    let framed = [&u16::try_from(one.len()).unwrap().to_be_bytes(), one.as_slice()].concat();
    let mut stream = Stream::new();
    let n_seen = framed.len() - 20;
    assert!(stream.push(&framed[..n_seen]).is_empty());
    let told = stream.skip(15).unwrap().unwrap().unwrap();
    assert!(told.questions.len() == 1 && told.n_unread > 0, "{told:?}");
    // The rest of it is passed over, and the next is read.
    assert_eq!(stream.skip(2), Ok(None));
    assert_eq!(stream.push(&[&framed[n_seen + 17..], &framed].concat()), [parse(&one)]);
    // Where bytes between two messages are missing nobody knows where the next begins.
    assert!(stream.skip(1).is_err());
}
