//! Heads whole and cut, and streams of messages however they are cut.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::testing::{mutated, pieces};

const REQUEST: &[u8] = b"POST /items?id=7 HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\nX-Note: a\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\n";

#[test]
fn a_request_tells_its_line_and_headers() {
    let request = parse_request(REQUEST).unwrap().unwrap();
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/items?id=7"));
    assert_eq!((request.version, request.host()), (Some("HTTP/1.1"), Some("shop.example")));
    assert_eq!(content_length(&request.headers), Some(5));
    assert_eq!(request.head_len, Some(REQUEST.len()));
}

#[test]
fn a_cut_request_tells_what_is_there() {
    let cut = parse_request(&REQUEST[..12]).unwrap().unwrap();
    assert_eq!((cut.method.as_str(), cut.target.as_str(), cut.is_target_whole), ("POST", "/items?", false));
    assert_eq!(cut.version, None);
    let cut = parse_request(&REQUEST[..55]).unwrap().unwrap();
    assert_eq!((cut.is_target_whole, cut.headers.len(), cut.head_len), (true, 1, None));
    assert_eq!(parse_request(b"PO").unwrap(), None);
    assert_eq!(parse_request(b"POST ").unwrap(), None);
}

#[test]
fn a_response_tells_its_status() {
    let response = parse_response(RESPONSE).unwrap().unwrap();
    assert_eq!((response.version, response.status), ("HTTP/1.1", 404));
    assert_eq!(parse_response(b"HTTP/1.1 40").unwrap(), None);
    assert_eq!(parse_response(b"HTTP/1.1 2OO OK\r\n\r\n").unwrap_err().what, "status is not three digits");
}

#[test]
fn starts_are_recognised_as_far_as_they_go() {
    assert!(looks_like_request(b"GE") && looks_like_request(b"DELETE /") && looks_like_response(b"HTTP/"));
    assert!(!looks_like_request(b"GETS ") && !looks_like_request(b"") && !looks_like_response(b"HTTPS"));
    assert!(!looks_like_request(b"PRI * HTTP/2.0"));
}

#[test]
fn two_lengths_in_one_header_are_no_length() {
    let headers = vec![("Content-Length".to_owned(), "5, 5".to_owned())];
    assert_eq!(content_length(&headers), None);
}

/// The heads of a stream, by method or status.
fn heads(side: Side, stream: &[&[u8]]) -> Vec<String> {
    let mut reader = Stream::new(side);
    let mut heads = Vec::new();
    for piece in stream {
        let mut rest: &[u8] = piece;
        while !rest.is_empty() {
            let Ok((head, later)) = reader.push(rest) else { return heads };
            rest = later;
            match head {
                Some(Head::Request(request)) => heads.push(request.target),
                Some(Head::Response(response)) => heads.push(response.status.to_string()),
                None => {}
            }
        }
    }
    heads
}

fn requests() -> Vec<u8> {
    [REQUEST, b"hello", b"GET /two HTTP/1.1\r\n\r\n", REQUEST, b"GET /"].concat()
}

fn responses() -> Vec<u8> {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4;x=y\r\nHTTP\r\n10\r\n0123456789abcdef\r\n0\r\nT: v\r\n\r\n";
    let early = b"HTTP/1.1 100 Continue\r\n\r\n";
    [early.as_slice(), chunked, RESPONSE, b"gone", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", RESPONSE]
        .concat()
}

#[test]
fn bodies_are_counted_off() {
    assert_eq!(heads(Side::Requests, &[&requests()]), ["/items?id=7", "/two", "/items?id=7"]);
    assert_eq!(heads(Side::Responses, &[&responses()]), ["100", "200", "404", "304", "404"]);
}

#[test]
fn a_gap_inside_of_a_body_does_no_harm() {
    let mut stream = Stream::new(Side::Responses);
    let (head, rest) = stream.push(RESPONSE).unwrap();
    assert!(head.is_some() && rest.is_empty());
    stream.gap(4);
    assert!(stream.push(RESPONSE).unwrap().0.is_some());
    stream.gap(5);
    assert!(stream.is_opaque());
    stream.resume();
    assert!(!stream.is_opaque());
}

#[test]
fn a_switched_connection_is_opaque() {
    let switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
    let mut stream = Stream::new(Side::Responses);
    assert!(stream.push(switch).unwrap().0.is_some());
    assert!(stream.is_opaque());
    assert_eq!(stream.push(RESPONSE).unwrap(), (None, [].as_slice()));
}

#[test]
fn a_head_without_end_is_given_up() {
    let mut stream = Stream::new(Side::Requests);
    stream.push(b"GET / HTTP/1.1\r\nX: ").unwrap();
    let mut n_kept = 0;
    let fault = (0..100).find_map(|_| {
        let result = stream.push(&[b'a'; 1000]).err();
        n_kept = n_kept.max(stream.pending().len());
        result
    });
    assert_eq!(fault.map(|fault| fault.what), Some("head is too long"));
    assert!(n_kept <= 32 * 1024);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..600)) {
        let _either = (parse_request(&bytes), parse_response(&bytes));
        let _heads = (heads(Side::Requests, &[&bytes]), heads(Side::Responses, &[&bytes]));
    }

    #[test]
    fn no_change_makes_it_panic(request in mutated(&requests()), response in mutated(&responses())) {
        let _either = (parse_request(&request), parse_response(&response));
        let _heads = (heads(Side::Requests, &[&request]), heads(Side::Responses, &[&response]));
    }

    #[test]
    fn a_stream_gives_the_same_however_it_is_cut(cuts in vec(any::<prop::sample::Index>(), 0..12)) {
        let (requests, responses) = (requests(), responses());
        prop_assert_eq!(heads(Side::Requests, &pieces(&requests, &cuts)).len(), 3);
        prop_assert_eq!(heads(Side::Responses, &pieces(&responses, &cuts)).len(), 5);
    }
}
