//! Texts out of heads.

use hindcast_packets::http1::Request;

use super::{trace_id, url_of};

#[test]
fn a_url_has_the_host_where_the_request_names_it() {
    let mut request = Request { target: "/a?b=1".to_owned(), ..Request::default() };
    assert_eq!(url_of(&request), "/a?b=1");
    request.headers.push(("Host".to_owned(), "shop:8080".to_owned()));
    assert_eq!(url_of(&request), "http://shop:8080/a?b=1");
    request.target = "http://other/".to_owned();
    assert_eq!(url_of(&request), "http://other/");
}

#[test]
fn a_trace_id_is_taken_only_whole() {
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    assert_eq!(trace_id(&format!("00-{id}-00f067aa0ba902b7-01")), Some(id.to_owned()));
    assert_eq!(trace_id("00-4bf92f"), None);
    assert_eq!(trace_id(""), None);
}
