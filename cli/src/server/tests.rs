//! Tests of what is read from a server.

use super::*;

#[test]
fn events_are_put_together_from_their_lines() {
    assert_eq!(
        parse_event("event: flow\nid: 3\ndata: {\"a\":\ndata: 1}\n"),
        Some(Event { name: "flow".to_owned(), text: "{\"a\":\n1}".to_owned() })
    );
    assert_eq!(parse_event(": still here\n"), None, "a comment is no event");
    assert_eq!(parse_event("data:x\n").map(|event| event.name), Some("message".to_owned()));
}

#[test]
fn a_server_needs_a_web_address() {
    let access = Access::default();
    assert!(Server::new(Some("ftp://host"), &access).is_err());
    assert!(Server::new(Some("http://"), &access).is_err());
    assert_eq!(Server::new(Some("recorder:7171"), &access).unwrap().url().as_str(), "http://recorder:7171/");
}

#[test]
fn a_token_is_not_printed() {
    assert_eq!(format!("{:?}", Token("hunter2".to_owned())), "Token(…)");
}
