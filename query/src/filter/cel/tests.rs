//! What is refused, what is bounded, and what unset fields are.

use super::super::tests::decode;
use super::*;

const FLOW: &str = r#"{"flow":{"time":"2026-11-23T01:00:00Z","node_name":"c/n1","verdict":"DROPPED","is_reply":false,"IP":{"source":"10.0.0.1","destination":"8.8.8.8","ipVersion":"IPv4"},"l4":{"UDP":{"source_port":5,"destination_port":53}},"source":{"namespace":"shop","pod_name":"web-1","labels":["k8s:app=web"],"identity":7}}}"#;

fn check(expression: &str) -> Result<bool, FilterError> {
    let records = decode(FLOW).flows.finish().unwrap();
    Ok(flow(expression)?.evaluate(&records)?.value(0))
}

#[test]
fn fields_read_as_a_protobuf_reader_sees_them() {
    for (expression, expected) in [
        ("_flow.source.pod_name == 'web-1'", true),
        ("_flow.destination.pod_name == ''", true),
        ("_flow.l4.TCP.destination_port == 0u", true),
        ("has(_flow.l4.TCP)", false),
        ("has(_flow.l4.UDP) && _flow.l4.UDP.destination_port == 53u", true),
        ("_flow.verdict == Verdict.DROPPED", true),
        ("_flow.verdict == flow.Verdict.FORWARDED", false),
        ("_flow.is_reply == false", true),
        ("_flow.source.labels.exists(l, l.startsWith('k8s:'))", true),
        ("_flow.source.labels[5] == 'x'", false),
        ("size(_flow.source.labels) == 1", true),
        ("cidr('10.0.0.0/8').containsIP(_flow.IP.source)", true),
        ("_flow.time > timestamp('2026-11-23T00:00:00Z')", true),
        ("_flow.source.identity in [7u, 8u]", true),
        ("_flow.IP.source.matches('^10[.]')", true),
    ] {
        assert_eq!(check(expression), Ok(expected), "{expression}");
    }
}

#[test]
fn what_cannot_be_true_or_costs_too_much_is_refused() {
    let deep = format!("{}true{}", "(".repeat(200), ")".repeat(200));
    let long = format!("'{}' == 'a'", "a".repeat(5000));
    let loops = "[1,2].all(a, [1,2].all(b, [1,2].all(c, a == b && b == c)))";
    let negations = format!("{}true", "!".repeat(300));
    for expression in [
        "flow.verdict == 2",
        "_flow.nothing == 1",
        "_flow.source.identity == 7",
        "_flow.source",
        "1 + 1",
        "unknown(1)",
        "_flow.source.pod_name",
        "_flow.",
        "",
        "flow.Workload{name: 'a'} == _flow.source.workloads[0]",
        deep.as_str(),
        long.as_str(),
        loops,
        negations.as_str(),
    ] {
        let error = flow(expression).map(|_| ()).unwrap_err();
        assert!(error.message.starts_with("error compiling CEL expression: "), "{expression:.40}: {}", error.message);
    }
}

#[test]
fn events_are_seen_by_kind() {
    let line = r#"{"process_exec":{"process":{"exec_id":"eA==","pid":5,"uid":0,"binary":"/bin/sh","start_time":"2026-11-23T01:00:00Z"}},"node_name":"n","time":"2026-11-23T01:00:00Z"}"#;
    let records = decode(line).runtime_events.finish().unwrap();
    let check = |text: &str| event(text).unwrap().evaluate(&records).unwrap().value(0);
    assert!(check("process_exec.process.uid == 0u"));
    assert!(check("process_exec.process.binary.endsWith('sh')"));
    assert!(!check("process_kprobe.process.binary.endsWith('sh')"));
    assert!(event("_flow.verdict == 1").is_err());
}
