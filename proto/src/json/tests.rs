//! JSON → wire → JSON.

use super::{JsonError, Message, from_wire, parse, to_wire};

fn there_and_back(message: Message, json: &str) -> Result<String, JsonError> {
    let mut wire = Vec::new();
    to_wire(message, &mut json.as_bytes().to_vec(), &mut wire)?;
    let mut out = Vec::new();
    from_wire(message, &wire, &mut out).unwrap();
    Ok(String::from_utf8(out).unwrap())
}

#[track_caller]
fn check(message: Message, json: &str, expected: &str) {
    assert_eq!(there_and_back(message, json).unwrap(), expected);
}

#[track_caller]
fn check_refused(message: Message, json: &str, expected: &str) {
    assert_eq!(there_and_back(message, json).unwrap_err().to_string(), expected);
}

#[test]
fn every_message_has_a_definition() {
    for message in Message::ALL {
        assert_eq!(message.definition().full_name, message.full_name());
    }
}

#[test]
fn fields_come_in_the_order_of_declaration() {
    check(
        Message::Flow,
        r#"{"Summary":"s","nodeName":"n","verdict":"DROPPED","uuid":"u","time":"2026-01-02T03:04:05.5Z"}"#,
        r#"{"time":"2026-01-02T03:04:05.500Z","uuid":"u","verdict":"DROPPED","node_name":"n","Summary":"s"}"#,
    );
}

#[test]
fn numbers_are_read_in_every_form() {
    check(Message::Flow, r#"{"socket_cookie":18446744073709551615}"#, r#"{"socket_cookie":"18446744073709551615"}"#);
    check(Message::Flow, r#"{"socketCookie":"18446744073709551615"}"#, r#"{"socket_cookie":"18446744073709551615"}"#);
    check(Message::Flow, r#"{"drop_reason":1.33e2,"proxy_port":"15001"}"#, r#"{"drop_reason":133,"proxy_port":15001}"#);
    check(Message::Process, r#"{"uid":0,"auid":4294967295}"#, r#"{"uid":0,"auid":4294967295}"#);
    check(Message::Flow, r#"{"event_type":{"type":-2147483648}}"#, r#"{"event_type":{"type":-2147483648}}"#);
    check(Message::ServerStatusResponse, r#"{"flows_rate":0.1}"#, r#"{"flows_rate":0.1}"#);
    check(Message::ServerStatusResponse, r#"{"flows_rate":"-Infinity"}"#, r#"{"flows_rate":"-Infinity"}"#);
    check(Message::ServerStatusResponse, r#"{"flows_rate":1e300}"#, r#"{"flows_rate":1e300}"#);
    check_refused(
        Message::Flow,
        r#"{"drop_reason":4294967296}"#,
        r#"field "drop_reason" is not an unsigned 32-bit number"#,
    );
    check_refused(
        Message::Flow,
        r#"{"l4":{"TCP":{"source_port":-1}}}"#,
        r#"field "l4.TCP.source_port" is not an unsigned 32-bit number"#,
    );
    check_refused(Message::Flow, r#"{"source":{"labels":["a",1]}}"#, r#"field "source.labels" is not a text"#);
}

#[test]
fn enums_are_read_by_name_and_number_and_kept_when_unknown() {
    check(Message::Flow, r#"{"verdict":2}"#, r#"{"verdict":"DROPPED"}"#);
    check(Message::Flow, r#"{"verdict":99}"#, r#"{"verdict":99}"#);
    check(Message::Flow, r#"{"verdict":"SHRUGGED","uuid":"u"}"#, r#"{"uuid":"u","verdict":"SHRUGGED"}"#);
    check(Message::FlowFilter, r#"{"verdict":["DROPPED",1,"NEW"]}"#, r#"{"verdict":["DROPPED",1,"NEW"]}"#);
    check(Message::FlowFilter, r#"{"verdict":["DROPPED",1]}"#, r#"{"verdict":["DROPPED","FORWARDED"]}"#);
}

#[test]
fn unknown_members_stay_in_their_message() {
    let json =
        r#"{"source":{"namespace":"a","moods":[{"x":[1,-2.5,null,true,{}]}],"é\n\"":"\u0001"},"extra":{"k":[]}}"#;
    check(Message::Flow, json, json);
}

#[test]
fn zeros_are_left_out_but_not_where_they_mean_something() {
    check(
        Message::Flow,
        r#"{"uuid":"","drop_reason":0,"verdict":"VERDICT_UNKNOWN","is_reply":false}"#,
        r#"{"is_reply":false}"#,
    );
    check(Message::Flow, r#"{"l4":{"ICMPv4":{}},"source":{},"l7":null}"#, r#"{"l4":{"ICMPv4":{}},"source":{}}"#);
    check(Message::Flow, r#"{"source":{"labels":["",""]},"node_labels":[]}"#, r#"{"source":{"labels":["",""]}}"#);
    let zero_argument = r#"{"process_kprobe":{"args":[{"int_arg":0},{"string_arg":""},{"size_arg":"0"}]}}"#;
    check(Message::GetEventsResponse, zero_argument, zero_argument);
}

#[test]
fn well_known_messages_have_their_own_form() {
    for time in [
        "1970-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999Z",
        "2024-02-29T12:00:00.000001Z",
    ] {
        check(Message::Flow, &format!(r#"{{"time":"{time}"}}"#), &format!(r#"{{"time":"{time}"}}"#));
    }
    check(Message::Flow, r#"{"time":"2026-01-01T01:30:00.120+02:30"}"#, r#"{"time":"2025-12-31T23:00:00.120Z"}"#);
    for bad in [
        "2026-02-29T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "0000-01-01T00:00:00Z",
        "2026-01-01T00:00:00.Z",
    ] {
        check_refused(Message::Flow, &format!(r#"{{"time":"{bad}"}}"#), r#"field "time" is not a time (RFC 3339)"#);
    }
    for span in ["0s", "1.500s", "-0.000000001s", "315576000000s"] {
        let json = format!(r#"{{"aggregation_options":{{"window_size":"{span}"}}}}"#);
        check(Message::GetEventsRequest, &json, &json);
    }
    let mask = r#"{"field_mask":"time,source.podName,IP,Type"}"#;
    check(Message::GetFlowsRequest, mask, mask);
    check(
        Message::Flow,
        r#"{"extensions":{"tls":true,"@type":"type.googleapis.com/observer.TLS","enabled":true}}"#,
        r#"{"extensions":{"@type":"type.googleapis.com/observer.TLS","enabled":true,"tls":true}}"#,
    );
    let of_time = r#"{"extensions":{"@type":"a/google.protobuf.Duration","value":"3s"}}"#;
    check(Message::Flow, of_time, of_time);
    let unknown = r#"{"extensions":{"@type":"a/b.C","value":"AAEC"}}"#;
    check(Message::Flow, unknown, unknown);
}

#[test]
fn maps_bytes_and_escapes_come_back() {
    let json = r#"{"process_loader":{"process":{"pod":{"pod_labels":{"a":"1","b/c":"é"}}},"path":"/x\u0000\t\\","buildid":"3q2+7w=="}}"#;
    check(Message::GetEventsResponse, json, json);
    check(
        Message::GetEventsResponse,
        r#"{"processLoader":{"buildid":"3q2-7w"}}"#,
        r#"{"process_loader":{"buildid":"3q2+7w=="}}"#,
    );
}

#[test]
fn broken_documents_are_refused() {
    for broken in ["", "   ", "{", "nothing", "{\"a\":}", "[1", "{\"time\":\"2026", "\u{feff}{}"] {
        let error = there_and_back(Message::Flow, broken).unwrap_err();
        assert!(matches!(error, JsonError::NotJson { .. }), "{broken:?}: {error}");
    }
    check_refused(Message::Flow, "[]", r#"field "" is not an object"#);
    let deep = "[".repeat(2000) + &"]".repeat(2000);
    assert!(there_and_back(Message::Flow, &deep).is_err());
}

#[test]
fn a_message_struct_is_read_from_json() {
    let filter: crate::flow::FlowFilter =
        parse(Message::FlowFilter, r#"{"source_pod":["shop/"],"reply":[true,false]}"#).unwrap();
    assert_eq!(filter.source_pod, ["shop/"]);
    assert_eq!(filter.reply, [true, false]);
}
