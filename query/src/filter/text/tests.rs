//! The grammar: what a text means, by the rows it selects, and where an error is.

use hindcast_model::column::TextView;
use serde_json::json;

use super::*;
use crate::filter::tests::{decode, selected};

fn flows() -> arrow::array::RecordBatch {
    let web = json!({"identity": 101, "namespace": "shop", "pod_name": "web-7f-1", "labels": ["k8s:app=web"],
        "workloads": [{"name": "web", "kind": "Deployment"}]});
    let db = json!({"identity": 102, "namespace": "payments", "pod_name": "db-0", "labels": ["k8s:app=db"],
        "workloads": [{"name": "db", "kind": "StatefulSet"}]});
    let flow = |rest: serde_json::Value| {
        let mut flow = json!({"time": "2026-05-28T21:00:00Z", "node_name": "n1", "Type": "L3_L4"});
        flow.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        json!({"flow": flow, "time": "2026-05-28T21:00:00Z", "node_name": "n1"}).to_string()
    };
    let lines = [
        flow(json!({"uuid": "a", "verdict": "FORWARDED", "source": web, "destination": db, "is_reply": false,
            "IP": {"source": "10.0.1.5", "destination": "10.0.2.7", "ipVersion": "IPv4"},
            "l4": {"TCP": {"source_port": 40000, "destination_port": 5432}},
            "traffic_direction": "EGRESS", "Summary": "TCP Flags: SYN"})),
        flow(json!({"uuid": "b", "verdict": "DROPPED", "drop_reason_desc": "POLICY_DENIED", "source": web,
            "destination": {"identity": 2, "labels": ["reserved:world"]}, "is_reply": false,
            "destination_names": ["www.example.com", "example.com"],
            "IP": {"source": "10.0.1.5", "destination": "93.184.216.34", "ipVersion": "IPv4"},
            "l4": {"TCP": {"source_port": 40001, "destination_port": 443}}, "traffic_direction": "EGRESS"})),
        flow(json!({"uuid": "c", "verdict": "FORWARDED", "source": db, "destination": web, "is_reply": true,
            "Type": "L7", "l4": {"TCP": {"source_port": 80, "destination_port": 40002}},
            "l7": {"type": "RESPONSE", "latency_ns": "250000000", "http": {"code": 503, "method": "POST",
                "url": "http://pay.local/api/v1/charge?x=1", "protocol": "HTTP/1.1"}},
            "traffic_direction": "INGRESS"})),
        flow(json!({"uuid": "d", "verdict": "FORWARDED", "source": {"identity": 1, "labels": ["reserved:host"]},
            "IP": {"source": "fd00::1", "destination": "fd00::53", "ipVersion": "IPv6"}, "is_reply": false,
            "Type": "L7", "l4": {"UDP": {"source_port": 5353, "destination_port": 53}},
            "l7": {"type": "RESPONSE", "dns": {"query": "db.internal.", "rcode": 3}}})),
    ];
    decode(&lines.join("\n")).flows.finish().unwrap()
}

#[test]
fn a_text_means_these_flows() {
    let records = flows();
    for (text, expected) in [
        ("", "abcd"),
        ("  ", "abcd"),
        ("ns:payments", "ac"),
        ("namespace=payments", "ac"),
        ("from:ns:payments", "c"),
        ("TO:NS:payments", "a"),
        ("ns!=payments", "bd"),
        ("-ns:payments", "bd"),
        ("not ns:payments", "bd"),
        ("--ns:payments", "ac"),
        ("ns:payments,nowhere", "ac"),
        ("ns:pay*", "ac"),
        ("ns:\"pay*\"", ""),
        ("ns:*", "abc"),
        ("-ns:*", "d"),
        ("ns:~/^pay/", "ac"),
        ("pod:web", "abc"),
        ("pod:we", ""),
        ("pod:shop/web", "abc"),
        ("pod:payments/web", ""),
        ("to:db", "a"),
        ("from:web", "ab"),
        ("to:10.0.2.7", "a"),
        ("verdict:dropped", "b"),
        ("verdict:DROPPED or reply:true", "bc"),
        ("verdict:forwarded ns:shop", "ac"),
        ("verdict:forwarded and ns:shop", "ac"),
        ("ns:nowhere ns:shop or verdict:dropped", "b"),
        ("ns:nowhere (ns:shop or verdict:dropped)", ""),
        ("-(verdict:dropped or reply:yes)", "ad"),
        ("reason:policy_denied", "b"),
        ("port:443", "b"),
        ("port:5000..6000", "ad"),
        ("to:port:..53", "d"),
        ("to:port>=5432", "ac"),
        ("to:port<443", "d"),
        ("ip:10.0.2.0/24", "a"),
        ("ip:10.0.1.5,10.0.2.7", "ab"),
        ("ip:fd00:0::53", "d"),
        ("ip:fd00::/16", "d"),
        ("name:example.com", "b"),
        ("name:*.Example.com.", "b"),
        ("identity:world", "b"),
        ("identity:102", "ac"),
        ("label:app=web", "abc"),
        ("label:\"app in (db),!x\"", "ac"),
        ("to:label:reserved:world", "b"),
        ("proto:udp", "d"),
        ("proto:http", "c"),
        ("proto:dns", "d"),
        ("dir:in", "c"),
        ("dir:egress", "ab"),
        ("status:5xx", "c"),
        ("http.status:503", "c"),
        ("method:post", "c"),
        ("http.path:/api/v1/charge", "c"),
        ("http.path:/api/*", "c"),
        ("http.path:~/charge$/", "c"),
        ("url:*pay.local*", "c"),
        ("latency>=250ms", "c"),
        ("latency>0.25s", ""),
        ("latency:1us..1h", "c"),
        ("dns:db.internal", "d"),
        ("dns:*.internal", "d"),
        ("rcode:3", "d"),
        ("summary:syn", "a"),
        ("\"flags: syn\"", "a"),
        ("EXAMPLE", "b"),
        ("-example", "acd"),
        ("type:l7", "cd"),
        ("drop_reason:*", "b"),
        ("dst_port:53", "d"),
        ("summary:\"\"", "bcd"),
    ] {
        let filter = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(selected(&filter, &records).concat(), expected, "{text}");
    }
}

#[test]
fn an_error_says_where_it_is_and_what_was_meant() {
    for (text, span, says, meant) in [
        ("ns:shop verdct:dropped", 8..14, "no key", Some("verdict")),
        ("to:nmae:x", 0..7, "no key", Some("name")),
        ("(ns:a", 0..1, "not closed", None),
        ("ns:a)", 4..5, "closing bracket", None),
        ("ns:a or", 7..7, "ends where", None),
        ("or ns:a", 0..2, "both sides", None),
        ("ns:", 3..3, "value", None),
        ("ns:a,", 5..5, "value", None),
        ("ns:\"a", 3..5, "quote", None),
        ("ns:~/a", 3..6, "slash", None),
        ("ns:~/(/", 3..7, "", None),
        ("port:http", 5..9, "no number", None),
        ("port:1..x", 5..9, "no number", None),
        ("ns>a", 0..2, "compared", None),
        ("to:verdict:dropped", 0..10, "sides", None),
        ("ip:10.0.0.0/99", 3..14, "no network", None),
        ("ip:10.0.0", 3..9, "no address", None),
        ("reply:perhaps", 6..13, "neither", None),
        ("latency>5", 8..9, "no time", None),
        ("bytes>many", 6..10, "no size", None),
        ("status:9yxx", 7..11, "no status", None),
        ("label:\"app in (\"", 6..16, "", None),
        ("é verdct:x", 3..9, "no key", Some("verdict")),
    ] {
        let error = parse(text).expect_err(text);
        assert_eq!(error.span, Some(span), "{text}: {error}");
        assert!(error.message.contains(says), "{text}: {error}");
        assert_eq!(error.suggestion.as_deref(), meant, "{text}: {error}");
    }
    for long in ["x ".repeat(513), "(".repeat(65), "-".repeat(70) + "a", "a".repeat(16_385)] {
        assert!(parse(&long).is_err(), "{long:.20}");
    }
}

#[test]
fn a_text_means_these_runtime_events() {
    let event = |kind: &str, process: serde_json::Value| {
        json!({kind: {"process": process}, "node_name": "n1", "time": "2026-05-28T21:00:00Z"}).to_string()
    };
    let lines = [
        event(
            "process_exec",
            json!({"exec_id": "a", "pid": 10, "uid": 0, "binary": "/usr/bin/curl",
            "arguments": "-s http://x", "start_time": "2026-05-28T21:00:00Z",
            "cap": {"effective": ["CAP_NET_ADMIN"]},
            "pod": {"namespace": "shop", "name": "web-1", "pod_labels": {"app": "web"}, "workload": "web"}}),
        ),
        event(
            "process_exit",
            json!({"exec_id": "b", "pid": 20, "uid": 1000, "binary": "/usr/sbin/sshd",
            "start_time": "2026-05-28T21:00:00Z"}),
        ),
    ];
    let records = decode(&lines.join("\n")).runtime_events.finish().unwrap();
    for (text, expected) in [
        ("", "ab"),
        ("binary:curl", "a"),
        ("binary:/usr/bin/curl", "a"),
        ("binary:bin/curl", ""),
        ("binary:/usr/*", "ab"),
        ("kind:exec", "a"),
        ("kind:process_exit", "b"),
        ("args:HTTP", "a"),
        ("ns:shop pod:web", "a"),
        ("-pod:*", "b"),
        ("label:app=web", "a"),
        ("cap:net_admin", "a"),
        ("cap:CAP_CHOWN", ""),
        ("uid>0", "b"),
        ("pid:10,20", "ab"),
        ("sshd", "b"),
    ] {
        let filter = parse_for(TableId::RuntimeEvents, text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let rows = filter.evaluate(&records).unwrap();
        let ids = TextView::of(records.column_by_name("exec_id")).unwrap();
        let found = (0..records.num_rows()).filter(|row| rows.value(*row)).map(|row| ids.get(row).unwrap());
        assert_eq!(found.collect::<String>(), expected, "{text}");
    }
    let error = parse_for(TableId::RuntimeEvents, "cap:everything").unwrap_err();
    assert_eq!(error.span, Some(4..14));
}
