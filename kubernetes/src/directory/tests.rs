//! Facts hold from when they began to when they ended, in whatever order they are told; rows say the same.
mod model;
mod rows;

use std::net::IpAddr;
use std::sync::Arc;

use hindcast_model::Timestamp;
use serde_json::{Value, json};

use super::Directory;
use crate::{Config, Fact, Kind, Reason};

/// Seconds of the tests' time.
fn at(second: i64) -> Timestamp {
    Timestamp::from_nanos(second * 1_000_000_000)
}

/// A time as the API writes it.
fn text(second: i64) -> String {
    format!("1970-01-01T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn pod(uid: &str, created: i64, address: Option<&str>) -> Value {
    json!({
        "metadata": {"uid": uid, "name": format!("pod-{uid}"), "namespace": "shop", "creationTimestamp": text(created),
            "labels": {"app": "web"}},
        "status": {"phase": "Running", "podIP": address, "startTime": text(created)},
    })
}

fn owned(mut tree: Value, uid: &str, kind: &str, name: &str) -> Value {
    tree["metadata"]["ownerReferences"] = json!([{"uid": uid, "kind": kind, "name": name, "controller": true}]);
    tree
}

fn object(uid: &str, name: &str) -> Value {
    json!({"metadata": {"uid": uid, "name": name, "namespace": "shop", "creationTimestamp": text(1)}})
}

fn directory() -> Directory {
    Directory::new(&Config { cluster: "east".to_owned(), ..Config::default() })
}

fn name(fact: Option<Arc<Fact>>) -> Option<String> {
    fact.map(|fact| fact.name.to_string())
}

fn at_address(directory: &Directory, second: i64) -> Option<String> {
    name(directory.workload_of(ip("10.0.0.1"), at(second)))
}

#[test]
fn an_address_is_whose_it_was_at_the_time() {
    let directory = directory();
    directory.apply(Kind::Pod, &pod("a", 10, Some("10.0.0.1")), at(12));
    assert_eq!(at_address(&directory, 9), None);
    assert_eq!(at_address(&directory, 10), Some("pod-a".to_owned()));
    directory.delete(Kind::Pod, &pod("a", 10, Some("10.0.0.1")), at(20));
    // The time of the API is whole seconds, and says no more than that the next began not before.
    directory.apply(Kind::Pod, &pod("b", 19, Some("10.0.0.1")), at(22));
    assert_eq!(at_address(&directory, 19), Some("pod-a".to_owned()));
    assert_eq!(at_address(&directory, 20), Some("pod-b".to_owned()));
    let mapped = directory.workload_of(ip("::ffff:10.0.0.1"), at(30));
    assert_eq!(name(mapped), Some("pod-b".to_owned()));
}

#[test]
fn a_later_pod_closes_an_earlier_one_whose_deletion_was_missed() {
    let directory = directory();
    directory.listing(Kind::Pod);
    directory.apply(Kind::Pod, &pod("a", 10, Some("10.0.0.1")), at(12));
    directory.listed(Kind::Pod, at(12));
    directory.listing(Kind::Pod);
    directory.apply(Kind::Pod, &pod("b", 50, Some("10.0.0.1")), at(60));
    directory.listed(Kind::Pod, at(60));
    assert_eq!(at_address(&directory, 49), Some("pod-a".to_owned()));
    assert_eq!(at_address(&directory, 50), Some("pod-b".to_owned()));
    assert_eq!(directory.counts().missed_deletions, 1);
    assert_eq!(directory.state.read().outbox.lost(Reason::MissedDeletion), 1);
    // A list that lagged behind: the pod was there all the time.
    directory.listing(Kind::Pod);
    directory.listed(Kind::Pod, at(70));
    assert_eq!(at_address(&directory, 70), None);
    directory.listing(Kind::Pod);
    directory.apply(Kind::Pod, &pod("b", 50, Some("10.0.0.1")), at(80));
    directory.listed(Kind::Pod, at(80));
    assert_eq!(at_address(&directory, 75), Some("pod-b".to_owned()));
}

#[test]
fn a_pod_told_late_finds_its_place() {
    let directory = directory();
    directory.apply(Kind::Pod, &pod("b", 50, Some("10.0.0.1")), at(60));
    directory.apply(Kind::Pod, &pod("a", 10, Some("10.0.0.1")), at(61));
    assert_eq!(at_address(&directory, 49), Some("pod-a".to_owned()));
    assert_eq!(at_address(&directory, 61), Some("pod-b".to_owned()));
}

#[test]
fn a_pod_that_is_over_lets_its_address_go_and_stays_known() {
    let directory = directory();
    directory.apply(Kind::Pod, &pod("a", 10, Some("10.0.0.1")), at(12));
    let mut over = pod("a", 10, Some("10.0.0.1"));
    over["status"]["phase"] = json!("Succeeded");
    over["status"]["containerStatuses"] =
        json!([{"containerID": "containerd://c1", "state": {"terminated": {"finishedAt": text(14)}}}]);
    directory.apply(Kind::Pod, &over, at(20));
    assert_eq!(at_address(&directory, 14), Some("pod-a".to_owned()));
    assert_eq!(at_address(&directory, 15), None);
    assert_eq!(name(directory.pod_of("a", at(30))), Some("pod-a".to_owned()));
    assert_eq!(name(directory.pod_of_container("c1", at(13))), Some("pod-a".to_owned()));
    assert_eq!(name(directory.pod_of_container("c2", at(13))), None);
}

#[test]
fn pods_in_the_network_of_their_node_leave_it_the_address() {
    let directory = directory();
    let node = json!({"metadata": {"uid": "n", "name": "node-1", "creationTimestamp": text(1)},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": "x"}]}});
    directory.apply(Kind::Node, &node, at(5));
    let mut host = pod("h", 10, Some("10.0.0.1"));
    host["spec"] = json!({"hostNetwork": true});
    directory.apply(Kind::Pod, &host, at(12));
    let found = directory.workload_of(ip("10.0.0.1"), at(13)).unwrap();
    assert_eq!((found.kind, &*found.name), (Kind::Node, "node-1"));
    assert!(directory.pod_of("h", at(13)).is_some());
    assert!(directory.pod_of("n", at(13)).is_none(), "a node is no pod");
}

#[test]
fn a_workload_is_found_above_what_stands_between_whichever_comes_first() {
    let directory = directory();
    let workload = |uid| {
        let fact = directory.pod_of(uid, at(20))?;
        Some((fact.workload.as_deref()?.to_owned(), fact.workload_kind.as_deref()?.to_owned()))
    };
    let named = |name: &str, kind: &str| Some((name.to_owned(), kind.to_owned()));
    directory.apply(Kind::Pod, &owned(pod("a", 10, None), "r", "ReplicaSet", "web-1"), at(10));
    assert_eq!(workload("a"), None, "not known yet");
    directory.apply(Kind::ReplicaSet, &owned(object("r", "web-1"), "d", "Deployment", "web"), at(11));
    assert_eq!(workload("a"), named("web", "Deployment"));
    assert_eq!(name(directory.pod_of("a", at(10))), Some("pod-a".to_owned()));
    let first = directory.pod_of("a", at(10)).unwrap();
    assert_eq!(first.workload.as_deref(), Some("web"), "it was so before it was learned");
    directory.apply(Kind::Pod, &owned(pod("b", 10, None), "j", "Job", "backup-77"), at(12));
    directory.do_without(Kind::Job, at(13));
    assert_eq!(workload("b"), named("backup-77", "Job"));
    directory.apply(Kind::Pod, &owned(pod("c", 10, None), "s", "StatefulSet", "db"), at(12));
    assert_eq!(workload("c"), named("db", "StatefulSet"));
    directory.apply(Kind::Pod, &pod("d", 10, None), at(12));
    assert_eq!(workload("d"), named("pod-d", "Pod"));
    // What owned it goes first: the pod keeps it.
    directory.delete(Kind::ReplicaSet, &object("r", "web-1"), at(13));
    directory.take(100, at(13 + 7200)).unwrap();
    directory.apply(Kind::Pod, &owned(pod("a", 10, Some("10.0.0.1")), "r", "ReplicaSet", "web-1"), at(7300));
    assert_eq!(workload("a"), named("web", "Deployment"));
}

#[test]
fn an_address_leads_to_its_service_by_port() {
    let directory = directory();
    let service = |uid: &str, port: u16, name: &str| {
        let mut tree = object(uid, uid);
        tree["spec"] = json!({"clusterIP": "10.96.0.1", "ports": [{"port": port, "name": name}]});
        tree
    };
    directory.apply(Kind::Service, &service("web", 80, "http"), at(5));
    directory.apply(Kind::Service, &service("db", 5432, "sql"), at(6));
    let found = |address, port, second| {
        let found = directory.service_of(ip(address), port, at(second))?;
        Some((found.fact.name.to_string(), found.port_name.map(|it| it.to_string()), found.is_endpoint))
    };
    let named = |name: &str, port: Option<&str>, is_endpoint| Some((name.into(), port.map(str::to_owned), is_endpoint));
    assert_eq!(found("10.96.0.1", 80, 7), named("web", Some("http"), false));
    assert_eq!(found("10.96.0.1", 5432, 7), named("db", Some("sql"), false));
    assert_eq!(found("10.96.0.1", 9, 7), named("db", None, false));
    let slice = |addresses: &[&str], changed: i64| {
        json!({
            "metadata": {"uid": "e", "name": "web-x", "namespace": "shop", "creationTimestamp": text(1),
                "labels": {"kubernetes.io/service-name": "web"}, "managedFields": [{"time": text(changed)}]},
            "endpoints": [{"addresses": addresses}], "ports": [{"port": 8080, "name": "http"}],
        })
    };
    directory.apply(Kind::EndpointSlice, &slice(&["10.0.0.1", "10.0.0.2"], 8), at(9));
    directory.apply(Kind::EndpointSlice, &slice(&["10.0.0.2"], 20), at(20));
    assert_eq!(found("10.0.0.1", 8080, 8), named("web", Some("http"), true));
    assert_eq!(found("10.0.0.1", 9090, 8), None);
    assert_eq!(found("10.0.0.1", 8080, 20), None);
    assert_eq!(found("10.0.0.2", 8080, 30), named("web", Some("http"), true));
}

#[test]
fn older_states_and_clocks_that_go_back_change_nothing_that_was_known() {
    let directory = directory();
    let version = |mut tree: Value, version: &str| {
        tree["metadata"]["resourceVersion"] = json!(version);
        tree
    };
    directory.apply(Kind::Pod, &version(pod("a", 10, Some("10.0.0.1")), "9"), at(12));
    directory.apply(Kind::Pod, &version(pod("a", 10, Some("10.0.0.2")), "8"), at(13));
    assert_eq!(at_address(&directory, 14), Some("pod-a".to_owned()));
    directory.delete(Kind::Pod, &version(pod("a", 10, None), "10"), at(5));
    assert_eq!(at_address(&directory, 14), None);
    directory.apply(Kind::Pod, &version(pod("a", 10, Some("10.0.0.1")), "9"), at(15));
    assert_eq!(at_address(&directory, 16), None, "what was deleted does not come back");
    let counts = directory.counts();
    assert_eq!((counts.stale, counts.clock_jumps), (2, 1));
    // What begins in the future, by a clock that is ahead of ours, begins now.
    directory.apply(Kind::Pod, &pod("z", 500, Some("10.0.0.9")), at(20));
    assert_eq!(name(directory.workload_of(ip("10.0.0.9"), at(20))), Some("pod-z".to_owned()));
}

#[test]
fn bounds_are_kept_and_what_exists_is_dearer_than_what_is_gone() {
    let directory = Directory::new(&Config { max_objects: 2, pending_rows: 2, batch_rows: 2, ..Config::default() });
    directory.apply(Kind::Pod, &pod("a", 10, Some("10.0.0.1")), at(12));
    directory.apply(Kind::Pod, &pod("b", 10, Some("10.0.0.2")), at(12));
    directory.apply(Kind::Pod, &pod("c", 10, Some("10.0.0.3")), at(12));
    assert_eq!(directory.counts().over_capacity, 1);
    directory.delete(Kind::Pod, &pod("a", 10, None), at(13));
    directory.apply(Kind::Pod, &pod("c", 10, Some("10.0.0.3")), at(14));
    assert!(directory.pod_of("c", at(14)).is_some() && directory.pod_of("a", at(12)).is_none());
    assert_eq!(directory.state.read().outbox.lost(Reason::RowsShed), 6);
    let batches = directory.take(10, at(14)).unwrap();
    assert_eq!(
        batches.iter().map(|it| (it.table.name(), it.n_rows())).collect::<Vec<_>>(),
        [("workloads", 2), ("losses", 2)]
    );
    // Everything is forgotten in the end.
    for uid in ["b", "c"] {
        directory.delete(Kind::Pod, &pod(uid, 10, None), at(20));
    }
    directory.take(10, at(20 + 3601)).unwrap();
    let counts = directory.counts();
    assert_eq!((counts.objects, counts.gone, counts.addresses), (0, 0, 0));
    let state = directory.state.read();
    assert!(state.aliases.is_empty() && state.dependents.is_empty() && state.released.is_empty());
}
