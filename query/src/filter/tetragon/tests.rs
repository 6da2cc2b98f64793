//! A case for each field of a filter, against a few events.

use arrow::array::RecordBatch;
use hindcast_model::column::TextView;
use hindcast_proto::tetragon::{CapFilter, CapabilitiesType};
use serde_json::{Value, json};

use super::*;
use crate::filter::tests::decode;

fn events() -> RecordBatch {
    let start = "2026-05-28T21:00:00Z";
    let event = |kind: &str, body: Value| json!({kind: body, "node_name": "n1", "time": start}).to_string();
    let pod = |name: &str, is_probe: bool| {
        json!({"namespace": "shop", "name": name, "pod_labels": {"app": "web"}, "workload": "web",
            "container": {"id": format!("containerd://{name}"), "name": "app", "maybe_exec_probe": is_probe}})
    };
    let lines = [
        event(
            "process_exec",
            json!({
            "process": {"exec_id": "a", "pid": 10, "binary": "/usr/bin/curl", "arguments": "-s http://x",
                "start_time": start, "pod": pod("web-1", false), "in_init_tree": false,
                "cap": {"permitted": ["CAP_NET_ADMIN", "CAP_CHOWN"], "effective": ["CAP_CHOWN"]}},
            "parent": {"exec_id": "p", "pid": 5, "binary": "/bin/bash", "arguments": "-c run", "start_time": start},
            "ancestors": [{"exec_id": "i", "pid": 1, "binary": "/sbin/init", "start_time": start}]}),
        ),
        event(
            "process_exit",
            json!({
            "process": {"exec_id": "b", "pid": 20, "binary": "/usr/sbin/sshd", "start_time": start,
                "in_init_tree": true}}),
        ),
        event(
            "process_kprobe",
            json!({
            "process": {"exec_id": "c", "pid": 30, "binary": "/usr/bin/nc", "start_time": start,
                "pod": pod("job-1", true)},
            "parent": {"exec_id": "a", "pid": 10, "binary": "/usr/bin/curl", "start_time": start},
            "function_name": "tcp_connect", "policy_name": "watch", "action": "KPROBE_ACTION_POST"}),
        ),
    ];
    decode(&lines.join("\n")).runtime_events.finish().unwrap()
}

fn found(filter: &Filter, records: &RecordBatch) -> String {
    let rows = filter.evaluate(records).unwrap();
    let ids = TextView::of(records.column_by_name("exec_id")).unwrap();
    (0..records.num_rows()).filter(|row| rows.value(*row)).map(|row| ids.get(row).unwrap()).collect()
}

fn list(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn capable(set: CapFilterSet) -> Option<CapFilter> {
    Some(CapFilter { permitted: Some(set), ..CapFilter::default() })
}

#[test]
fn every_field_selects_what_it_says() {
    let records = events();
    let (chown, admin) = (CapabilitiesType::CapChown as i32, CapabilitiesType::CapNetAdmin as i32);
    let none = Wanted::default;
    for (name, wanted, expected) in [
        ("nothing", none(), "abc"),
        ("binary", Wanted { binary_regex: list(&["curl$", "sshd"]), ..none() }, "ab"),
        ("arguments", Wanted { arguments_regex: list(&["http://"]), ..none() }, "a"),
        ("no arguments", Wanted { arguments_regex: list(&["^$"]), ..none() }, "bc"),
        ("namespace", Wanted { namespace: list(&["shop"]), ..none() }, "ac"),
        ("no pod", Wanted { namespace: list(&[""]), ..none() }, "b"),
        ("namespace pattern", Wanted { namespace_regex: list(&["^sh"]), ..none() }, "ac"),
        ("pod", Wanted { pod_regex: list(&["^web"]), ..none() }, "a"),
        ("container id", Wanted { container_id: list(&["job"]), ..none() }, "c"),
        ("container name", Wanted { container_name_regex: list(&["^app$"]), ..none() }, "ac"),
        ("pid", Wanted { pid: vec![10, 20], ..none() }, "ab"),
        ("pid set", Wanted { pid_set: vec![10], ..none() }, "ac"),
        ("event set", Wanted { event_set: vec![EventType::ProcessExec as i32], ..none() }, "a"),
        ("health check", Wanted { health_check: Some(true), ..none() }, "c"),
        ("no health check", Wanted { health_check: Some(false), ..none() }, "ab"),
        ("labels", Wanted { labels: list(&["app in (web)"]), ..none() }, "ac"),
        ("other labels", Wanted { labels: list(&["app=db", "tier"]), ..none() }, ""),
        ("policy", Wanted { policy_names: list(&["watch"]), ..none() }, "c"),
        ("parent", Wanted { parent_binary_regex: list(&["bash$"]), ..none() }, "a"),
        ("parent's arguments", Wanted { parent_arguments_regex: list(&["run"]), ..none() }, "a"),
        ("ancestor", Wanted { ancestor_binary_regex: list(&["init$"]), ..none() }, "a"),
        ("init tree", Wanted { in_init_tree: Some(true), ..none() }, "b"),
        ("not the init tree", Wanted { in_init_tree: Some(false), ..none() }, "ac"),
        (
            "any capability",
            Wanted { capabilities: capable(CapFilterSet { any: vec![chown], ..<_>::default() }), ..none() },
            "a",
        ),
        (
            "exactly",
            Wanted { capabilities: capable(CapFilterSet { exactly: vec![chown], ..<_>::default() }), ..none() },
            "",
        ),
        (
            "all",
            Wanted { capabilities: capable(CapFilterSet { all: vec![chown, admin], ..<_>::default() }), ..none() },
            "a",
        ),
        ("none", Wanted { capabilities: capable(CapFilterSet { none: vec![admin], ..<_>::default() }), ..none() }, ""),
        ("expression", Wanted { cel_expression: list(&["has(process_exit.process)"]), ..none() }, "b"),
        ("two fields", Wanted { namespace: list(&["shop"]), binary_regex: list(&["nc$"]), ..none() }, "c"),
    ] {
        let filter = from_filter(&wanted).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(found(&filter, &records), expected, "{name}");
    }
}

#[test]
fn lists_allow_any_and_deny_any() {
    let records = events();
    let pid = |pid| Wanted { pid: vec![pid], ..Wanted::default() };
    for (allow, deny, expected) in [
        (vec![], vec![], "abc"),
        (vec![pid(10), pid(30)], vec![], "ac"),
        (vec![], vec![pid(10), pid(30)], "b"),
        (vec![pid(10), pid(30)], vec![pid(30)], "a"),
    ] {
        assert_eq!(found(&from_request(&allow, &deny).unwrap(), &records), expected);
    }
}

#[test]
fn malformed_values_are_refused() {
    let none = Wanted::default;
    for wanted in [
        Wanted { binary_regex: list(&["("]), ..none() },
        Wanted { labels: list(&["app in ("]), ..none() },
        Wanted { capabilities: capable(CapFilterSet::default()), ..none() },
        Wanted { capabilities: capable(CapFilterSet { any: vec![1], all: vec![1], ..<_>::default() }), ..none() },
        Wanted { cel_expression: list(&["process_exit.process =="]), ..none() },
    ] {
        assert!(from_filter(&wanted).is_err(), "{wanted:?}");
    }
}
