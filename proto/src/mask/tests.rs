//! Masks over flows and runtime events.

use super::{FieldFilters, FieldMask, kind_name};
use crate::json::{Message, from_wire, to_wire};
use crate::tetragon::{EventType, FieldFilter, FieldFilterAction};

fn wire(message: Message, json: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    to_wire(message, &mut json.as_bytes().to_vec(), &mut wire).unwrap();
    wire
}

fn json(message: Message, wire: &[u8]) -> String {
    let mut out = Vec::new();
    from_wire(message, wire, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

const RESPONSE: &str = r#"{"flow":{"time":"2026-01-02T03:04:05Z","verdict":"DROPPED","IP":{"source":"1.2.3.4","destination":"5.6.7.8"},"source":{"identity":3,"pod_name":"p","workloads":[{"name":"a","kind":"b"}]},"node_name":"n","Summary":"s"},"node_name":"n","time":"2026-01-02T03:04:05Z"}"#;

#[track_caller]
fn check(paths: &[&str], expected: &str) {
    let mask = FieldMask::new(Message::Flow, paths).unwrap();
    let mut out = Vec::new();
    mask.apply_to_response(&wire(Message::GetFlowsResponse, RESPONSE), &mut out).unwrap();
    assert_eq!(json(Message::GetFlowsResponse, &out), expected);
}

#[test]
fn a_mask_keeps_what_it_names() {
    check(&["verdict", "IP.source"], r#"{"flow":{"verdict":"DROPPED","IP":{"source":"1.2.3.4"}}}"#);
    check(
        &["source.pod_name", "source.workloads.kind", "source.nothing", "nothing.at.all"],
        r#"{"flow":{"source":{"pod_name":"p","workloads":[{"kind":"b"}]}}}"#,
    );
    check(&["IP.source", "IP", "IP.destination"], r#"{"flow":{"IP":{"source":"1.2.3.4","destination":"5.6.7.8"}}}"#);
    check(
        &["time", "node_name", "Summary"],
        r#"{"flow":{"time":"2026-01-02T03:04:05Z","node_name":"n","Summary":"s"},"node_name":"n","time":"2026-01-02T03:04:05Z"}"#,
    );
    check(&["nothing"], r#"{"flow":{}}"#);
    assert!(FieldMask::new::<&str>(Message::Flow, &[]).is_none());
}

fn filter(action: FieldFilterAction, kinds: &[EventType], invert: bool, paths: &[&str]) -> FieldFilter {
    FieldFilter {
        event_set: kinds.iter().map(|kind| i32::from(*kind)).collect(),
        fields: Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
        action: action.into(),
        invert_event_set: Some(invert),
    }
}

#[track_caller]
fn check_events(filters: &[FieldFilter], expected: &str) {
    let event = r#"{"process_exec":{"process":{"pid":1,"binary":"/b","pod":{"name":"p","namespace":"n"}},"parent":{"pid":2}},"node_name":"n","time":"2026-01-02T03:04:05Z"}"#;
    let mut out = Vec::new();
    FieldFilters::new(filters).apply(&wire(Message::GetEventsResponse, event), &mut out).unwrap();
    assert_eq!(
        json(Message::GetEventsResponse, &out),
        expected.replace('#', r#","node_name":"n","time":"2026-01-02T03:04:05Z"}"#)
    );
}

#[test]
fn field_filters_apply_to_their_kinds_in_order() {
    use FieldFilterAction::{Exclude, Include};
    let whole =
        r#"{"process_exec":{"process":{"pid":1,"binary":"/b","pod":{"name":"p","namespace":"n"}},"parent":{"pid":2}}#"#
            .replace(r#""name":"p","namespace":"n""#, r#""namespace":"n","name":"p""#);
    check_events(&[], &whole);
    check_events(
        &[filter(Include, &[], false, &["process.pod.name"])],
        r#"{"process_exec":{"process":{"pod":{"name":"p"}}}#"#,
    );
    check_events(&[filter(Include, &[EventType::ProcessExit], false, &["process.pid"])], &whole);
    check_events(
        &[filter(Include, &[EventType::ProcessExit], true, &["process.pid"])],
        r#"{"process_exec":{"process":{"pid":1}}#"#,
    );
    check_events(
        &[filter(Exclude, &[EventType::ProcessExec], false, &["process.pod", "process.binary"])],
        r#"{"process_exec":{"process":{"pid":1},"parent":{"pid":2}}#"#,
    );
    check_events(
        &[filter(Include, &[], false, &["process"]), filter(Exclude, &[], false, &["process.pod", "process.pid"])],
        r#"{"process_exec":{"process":{"binary":"/b"}}#"#,
    );
    assert_eq!(kind_name(EventType::ProcessKprobe), Some("process_kprobe"));
    assert_eq!(kind_name(EventType::Undef), None);
}
