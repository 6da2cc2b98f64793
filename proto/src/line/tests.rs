//! What a line is shows in its content; and every recorded line comes back as it was.

use std::path::PathBuf;

use hindcast_model::tables::{agent_events, flows, losses, runtime_events};
use hindcast_model::{SourceKind, TableId, Timestamp};
use serde_json::{Map, Value};

use super::{CriPrefix, cri_prefix, decode_line};
use crate::json::{Message, from_wire};
use crate::{EventBuilders, Origin, Recorded, RejectReason, hubble, tetragon_codec};

#[expect(unreachable_pub, reason = "public to the integration tests, which own it")]
#[path = "../../../tests/harness/skip.rs"]
mod skip;

const ORIGIN: Origin<'static> =
    Origin { kind: SourceKind::Hubble, source: "test", recorded_at: Timestamp::from_nanos(1) };

/// Decodes lines, encodes the rows again and gives the documents in the order of tables.
fn there_and_back(lines: &[&str]) -> Vec<String> {
    let mut builders = EventBuilders::default();
    for line in lines {
        decode_line(&mut line.as_bytes().to_vec(), &ORIGIN, &mut builders).unwrap_or_else(|error| {
            panic!("{error}: {line}");
        });
    }
    let mut documents = Vec::new();
    for batch in builders.finish().unwrap() {
        for row in 0..batch.records.num_rows() {
            let mut wire = Vec::new();
            let message = match batch.table {
                TableId::Flows => hubble::encode_recorded(&flows::View::new(&batch.records).unwrap(), row, &mut wire),
                TableId::RuntimeEvents => {
                    let view = runtime_events::View::new(&batch.records).unwrap();
                    tetragon_codec::encode_response(&view, row, &mut wire);
                    Message::GetEventsResponse
                }
                TableId::AgentEvents => {
                    hubble::encode_agent_event(&agent_events::View::new(&batch.records).unwrap(), row, &mut wire);
                    Message::ExportEvent
                }
                _ => {
                    let view = losses::View::new(&batch.records).unwrap();
                    if tetragon_codec::encode_rate_limit(&view, row, &mut wire) {
                        Message::GetEventsResponse
                    } else {
                        assert!(hubble::encode_lost(&view, row, &mut wire));
                        Message::ExportEvent
                    }
                }
            };
            let mut json = Vec::new();
            from_wire(message, &wire, &mut json).unwrap();
            documents.push(String::from_utf8(json).unwrap());
        }
    }
    documents
}

/// A document in one form: times with nine decimals, nothing that reads as absent.
fn normal(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept: Map<String, Value> = members
                .iter()
                .filter(|(name, value)| !value.is_null() && !is_written_zero(name, value))
                .map(|(name, value)| (name.clone(), normal(value)))
                .collect();
            Value::Object(kept)
        }
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::String(text) if is_time(text) => {
            let (whole, digits) =
                text.trim_end_matches('Z').split_once('.').unwrap_or((text.trim_end_matches('Z'), ""));
            Value::String(format!("{whole}.{digits:0<9}Z"))
        }
        other => other.clone(),
    }
}

/// Zeros that proto JSON leaves out; the hand-made recording has these two.
fn is_written_zero(name: &str, value: &Value) -> bool {
    (name == "sub_type" && *value == 0) || *value == "VERDICT_UNKNOWN"
}

fn is_time(text: &str) -> bool {
    text.len() >= 20 && text.ends_with('Z') && text.as_bytes()[4] == b'-' && text.as_bytes()[10] == b'T'
}

#[track_caller]
fn check_same(line: &str) {
    let back = there_and_back(&[line]);
    let [back] = back.as_slice() else { panic!("{} documents of one line", back.len()) };
    let (before, after): (Value, Value) = (serde_json::from_str(line).unwrap(), serde_json::from_str(back).unwrap());
    assert_eq!(normal(&before), normal(&after), "\n{line}\n{back}");
}

#[track_caller]
fn check_refused(line: &str, reason: RejectReason, detail: &str) {
    let mut builders = EventBuilders::default();
    let error = decode_line(&mut line.as_bytes().to_vec(), &ORIGIN, &mut builders).unwrap_err();
    assert_eq!((error.reason, error.detail.as_ref()), (reason, detail), "{line}");
    assert_eq!(builders.n_rows(), 0);
    assert!(builders.finish().unwrap().is_empty());
}

/// The documents of a recording: lines, or one document over many lines.
fn documents(folder: &str) -> Vec<String> {
    let shared = std::env::var_os("HINDCAST_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let Ok(entries) = std::fs::read_dir(shared.join("data").join(folder)) else {
        skip::skip("proto::line::tests", "no recordings lie beside the repository");
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut documents = Vec::new();
    for path in paths {
        if path.extension().is_none_or(|extension| extension != "json" && extension != "jsonl") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        if serde_json::from_str::<Value>(&text).is_ok() {
            documents.push(text);
        } else {
            // Cut and broken lines are part of some recordings.
            documents
                .extend(text.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).map(str::to_owned));
        }
    }
    documents
}

#[test]
fn every_recorded_hubble_line_comes_back() {
    let documents = documents("hubble");
    for document in &documents {
        check_same(document);
    }
    println!("{} documents", documents.len());
}

#[test]
fn every_recorded_tetragon_line_comes_back() {
    let documents = documents("tetragon");
    for document in &documents {
        check_same(document);
    }
    println!("{} documents", documents.len());
}

#[test]
fn a_whole_recording_comes_back_in_one_batch() {
    let documents = documents("hubble");
    let lines: Vec<&str> = documents.iter().map(String::as_str).collect();
    for (before, after) in documents.iter().zip(there_and_back(&lines)) {
        let (before, after): (Value, Value) =
            (serde_json::from_str(before).unwrap(), serde_json::from_str(&after).unwrap());
        assert_eq!(normal(&before), normal(&after));
    }
}

const FLOW: &str = r#"{"flow":{"time":"2026-01-02T03:04:05.600Z","verdict":"DROPPED","uuid":"u"},"node_name":"n","time":"2026-01-02T03:04:05.600Z"}"#;

#[test]
fn bare_and_odd_envelopes_come_back() {
    check_same(r#"{"time":"2026-01-02T03:04:05Z","verdict":"DROPPED","node_name":"c/n","IP":{}}"#);
    check_same(r#"{"flow":{"verdict":"FORWARDED"},"node_name":"n","time":"2026-01-02T03:04:05Z"}"#);
    check_same(r#"{"flow":{"time":"2026-01-02T03:04:05Z"},"node_name":"n","time":"2026-01-02T03:04:06Z"}"#);
    check_same(
        r#"{"flow":{"time":"2026-01-02T03:04:05Z","node_name":"a/b/c"},"time":"2026-01-02T03:04:05Z","more":{"x":1}}"#,
    );
    check_same(r#"{"flow":{"time":"2026-01-02T03:04:05Z"}}"#);
    check_same(FLOW);
}

#[test]
fn what_has_no_column_comes_back() {
    for inner in [
        r#""source":{},"destination":{"workloads":[{}]}"#,
        r#""source":{"workloads":[{"name":"a","kind":"b"},{"name":"c"},{}],"mood":1}"#,
        r#""source":{"workloads":[{"name":"a","uid":"x"},{"name":"c"}],"labels":["","a,b\\",""]}"#,
        r#""l4":{}"#,
        r#""l4":{"TCP":{"source_port":70000,"destination_port":4294967295,"flags":{}}}"#,
        r#""l4":{"ICMPv6":{"type":300,"code":1}},"ethernet":{},"source_service":{},"trace_context":{"parent":{}}"#,
        r#""l4":{"IGMP":{"type":1,"group_address":"224.0.0.1"}},"interface":{},"ip_trace_id":{"ip_option_type":3}"#,
        r#""l7":{}"#,
        r#""l7":{"type":"SAMPLE","latency_ns":"5","http":{"code":70000,"headers":[{},{"key":"a"}]}}"#,
        r#""l7":{"http":{"code":200,"headers":[{"key":"a","value":"b","x":1},{"key":"c"}]}}"#,
        r#""l7":{"type":"RESPONSE","dns":{"rcode":70000,"ips":["",""],"qtypes":["A"],"ttl":4}}"#,
        r#""l7":{"kafka":{"topic":"t","api_version":-1}},"l4":{"UDP":{}}"#,
        r#""verdict":77,"drop_reason_desc":"SOMETHING_NEW","traffic_direction":-3,"event_type":{},"proxy_port":70000"#,
        r#""egress_allowed_by":[{"name":"p","namespace":"n","labels":["a"],"revision":"3","kind":"K"}],"policy_log":["x"]"#,
        r#""tunnel":{"protocol":"VXLAN","vni":3,"l4":{"UDP":{"source_port":1}}},"aggregate":{"ingress_flow_count":3}"#,
        r#""extensions":{"@type":"a/observer.TLS","enabled":true},"node_labels":["a=b"],"file":{"name":"f","line":1},"reply":true"#,
    ] {
        check_same(&format!(r#"{{"flow":{{"time":"2026-01-02T03:04:05Z",{inner}}},"time":"2026-01-02T03:04:05Z"}}"#));
    }
}

#[test]
fn events_about_the_agent_come_back() {
    for event in [
        r#""lost_events":{"source":"PERF_EVENT_RING_BUFFER","num_events_lost":"7","cpu":0,"first":"2026-01-02T03:04:04Z","last":"2026-01-02T03:04:05Z"}"#,
        r#""lost_events":{"source":"SOMETHING_NEW"}"#,
        r#""node_status":{"state_change":"NODE_GONE","node_names":["a","b"],"message":"m"}"#,
        r#""agent_event":{"type":"ENDPOINT_CREATED","endpoint_update":{"id":"3","labels":["x"]}}"#,
        r#""debug_event":{"type":"DBG_CT_MATCH","hash":0,"message":"m","cpu":3}"#,
    ] {
        check_same(&format!(r#"{{{event},"node_name":"c/n","time":"2026-01-02T03:04:05.000000001Z"}}"#));
    }
}

#[test]
fn odd_runtime_events_come_back() {
    for event in [
        r#""process_exec":{"process":{"start_time":"2026-01-02T03:04:05Z"}}"#,
        r#""process_exit":{"process":{},"parent":{},"time":"2026-01-02T03:04:05Z","status":3},"node_name":"n""#,
        r#""process_throttle":{"type":"THROTTLE_START","cgroup":"a\u0000\u0000"},"time":"2026-01-02T03:04:05Z""#,
        r#""process_brand_new":{"process":{"pid":3},"x":[1]},"node_name":"a/b","time":"2026-01-02T03:04:05Z""#,
        r#""process_loader":{"parent":{"pid":3},"buildid":"AAEC"},"cluster_name":"c","node_labels":{"b":"2","a":"1"},"time":"2026-01-02T03:04:05Z","aggregation_info":{"count":"3"}"#,
        r#""rate_limit_info":{"number_of_dropped_process_events":"1338"},"node_name":"n","time":"2026-01-02T03:04:05Z""#,
        r#""process_kprobe":{"args":[{"sock_arg":{"saddr":"1.2.3.4","sport":70000},"label":"l"},{"int_arg":0}],"action":"NEW_ACTION","function_name":"f"},"time":"2026-01-02T03:04:05Z""#,
        r#""process_listen":{"process":{"pid":1},"ip":"0.0.0.0","port":80,"protocol":"TCP"},"time":"2026-01-02T03:04:05Z""#,
    ] {
        check_same(&format!("{{{event}}}"));
    }
}

#[test]
fn columns_say_what_the_event_says() {
    let mut builders = EventBuilders::default();
    let kprobe = r#"{"process_kprobe":{"process":{"exec_id":"e","pid":5,"binary":"/b","pod":{"namespace":"ns","pod_labels":{"b":"2","a":"1"}},"docker":"d","cap":{"effective":["CAP_CHOWN","DAC_OVERRIDE"]}},"function_name":"tcp_connect","args":[{"sock_arg":{"saddr":"1.2.3.4","sport":1,"daddr":"5.6.7.8","dport":2}}],"policy_name":"p","tags":["x","y"]},"node_name":"n","time":"2026-01-02T03:04:05Z"}"#;
    assert_eq!(decode_line(&mut kprobe.as_bytes().to_vec(), &ORIGIN, &mut builders), Ok(Recorded::Runtime));
    assert_eq!(decode_line(&mut FLOW.as_bytes().to_vec(), &ORIGIN, &mut builders), Ok(Recorded::Flow));
    let batches = builders.finish().unwrap();
    let flows = flows::View::new(&batches[0].records).unwrap();
    assert_eq!(flows.verdict.get(0), Some("DROPPED"));
    assert_eq!(flows.uuid.get(0), Some("u"));
    assert_eq!(flows.flow_count.get(0), Some(1));
    assert_eq!(flows.source.get(0), Some("test"));
    assert_eq!(flows.time.get(0), Some(1_767_323_045_600_000_000));
    // The flow named no node, so the envelope's stands in the column.
    assert_eq!((flows.cluster.get(0), flows.node.get(0)), (None, Some("n")));
    let events = runtime_events::View::new(&batches[1].records).unwrap();
    assert_eq!(events.kind.get(0), Some("process_kprobe"));
    assert_eq!((events.exec_id.get(0), events.pid.get(0), events.uid.get(0)), (Some("e"), Some(5), None));
    assert_eq!((events.namespace.get(0), events.pod_labels.get(0)), (Some("ns"), Some("a=1,b=2")));
    assert_eq!((events.container_id.get(0), events.cap_effective.get(0)), (Some("d"), Some(3)));
    assert_eq!((events.function.get(0), events.policy_name.get(0)), (Some("tcp_connect"), Some("p")));
    assert_eq!((events.src_ip.get(0), events.src_port.get(0)), (Some("1.2.3.4"), Some(1)));
    assert_eq!((events.dst_ip.get(0), events.dst_port.get(0)), (Some("5.6.7.8"), Some(2)));
    assert_eq!(events.tags.get(0), Some("x,y"));
}

#[test]
fn log_prefixes_and_wrappings_are_taken_off() {
    let quoted = FLOW.replace('\\', "\\\\").replace('"', "\\\"");
    for line in [
        format!("2026-01-02T03:04:05.678901234Z stdout F {FLOW}"),
        format!("  {FLOW}\r\n"),
        format!("time=\"2026-01-02T03:04:05Z\" level=info msg=\"{quoted}\" subsys=hubble"),
        format!(r#"{{"level":"info","msg":"{quoted}"}}"#),
        format!(r#"2026-01-02T03:04:05.678901234Z stderr F {{"time":"x","level":"info","msg":"{quoted}"}}"#),
    ] {
        assert_eq!(
            there_and_back(&[&line]),
            [FLOW.replace("\"verdict\":\"DROPPED\",\"uuid\":\"u\"", "\"uuid\":\"u\",\"verdict\":\"DROPPED\"")],
            "{line}"
        );
    }
    assert_eq!(cri_prefix(b"2026-01-02T03:04:05.678Z stdout P {"), Some(CriPrefix { content: 34, is_partial: true }));
    assert_eq!(cri_prefix(b"2026-01-02T03:04:05.678Z stdout X {"), None);
    assert_eq!(cri_prefix(b"{\"flow\""), None);
}

#[test]
fn bad_lines_are_refused_with_a_reason() {
    check_refused("this is not json", RejectReason::NotJson, "the line is no JSON object");
    check_refused("", RejectReason::NotJson, "the line is no JSON object");
    check_refused("{}", RejectReason::UnknownKind, "no member of the document names an event");
    check_refused(r#"{"level":"info","msg":"hello"}"#, RejectReason::UnknownKind, "a log line without an event");
    check_refused(r#"{"flow":{"verdict":"DROPPED"}}"#, RejectReason::MissingTime, "flow.time");
    check_refused(
        r#"{"flow":{"time":"0001-01-01T00:00:00Z"}}"#,
        RejectReason::TimeOutOfRange,
        "flow.time: time -62135596800 s + 0 ns is outside 1677-09-21 to 2262-04-11, or its nanoseconds are not 0 to 999999999",
    );
    check_refused(r#"{"flow":{"time":5}}"#, RejectReason::BadField, r#"field "flow.time" is not a text"#);
    check_refused(
        r#"{"flow":{"source":{"identity":"x"}}}"#,
        RejectReason::BadField,
        r#"field "flow.source.identity" is not an unsigned 32-bit number"#,
    );
    check_refused(r#"{"process_kprobe":{"process":{"pid":1}}}"#, RejectReason::MissingTime, "time");
}
