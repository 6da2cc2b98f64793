//! Rows of sensors get the names that held at their time, and keep what they had.
use hindcast_model::tables::{flows, runtime_events};
use hindcast_model::{Batch, TableId, Timestamp};
use serde_json::{Value, json};

use crate::{Config, Directory, Kind};

fn at(second: i64) -> Timestamp {
    Timestamp::from_nanos(second * 1_000_000_000)
}

/// A pod that began at a second, with a container of its uid.
fn pod(uid: &str, created: i64, address: &str) -> Value {
    json!({
        "metadata": {"uid": uid, "name": format!("web-{uid}"), "namespace": "shop", "labels": {"app": "web"},
            "creationTimestamp": format!("1970-01-01T00:00:{created:02}Z")},
        "status": {"phase": "Running", "podIP": address, "startTime": format!("1970-01-01T00:00:{created:02}Z"),
            "containerStatuses": [{"name": "web", "containerID": format!("containerd://{}", uid.repeat(64))}]},
    })
}

fn directory() -> Directory {
    let directory = Directory::new(&Config::default());
    directory.apply(Kind::Pod, &pod("a", 10, "10.0.0.1"), at(10));
    let service = json!({
        "metadata": {"uid": "s", "name": "web", "namespace": "shop", "creationTimestamp": "1970-01-01T00:00:05Z"},
        "spec": {"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"], "ports": [{"port": 80, "protocol": "TCP"}]},
    });
    directory.apply(Kind::Service, &service, at(5));
    directory
}

/// Flows from a process of the pod by uid to an address, one a second.
fn flows_to(addresses: &[&str], first: i64) -> Batch {
    let mut builder = flows::Builder::default();
    for (second, address) in (first..).zip(addresses) {
        let row = builder.row();
        builder.time.set(row, at(second).as_nanos());
        builder.recorded_at.set(row, at(second).as_nanos());
        builder.source_kind.set(row, "sensor");
        builder.src_ip.set(row, "192.0.2.7");
        builder.src_workload.set(row, "some-container");
        builder.src_workload_kind.set(row, "Container");
        builder.src_labels.set(row, "container:id=x,pod:uid=a");
        builder.dst_ip.set(row, address);
        builder.dst_port.set(row, 80);
        builder.flow_count.set(row, 1);
        builder.commit();
    }
    Batch { table: TableId::Flows, records: builder.finish().unwrap() }
}

#[test]
fn both_ends_are_named_as_they_were_then() {
    let directory = directory();
    let batch = directory.reader().name(flows_to(&["10.0.0.1", "10.96.0.1", "198.51.100.1"], 20)).unwrap();
    let view = flows::View::new(&batch.records).unwrap();
    assert_eq!((view.src_pod.get(0), view.src_namespace.get(0)), (Some("web-a"), Some("shop")));
    assert_eq!(view.src_labels.get(0), Some("container:id=x,pod:uid=a,k8s:app=web"));
    assert_eq!((view.dst_pod.get(0), view.dst_service.get(0)), (Some("web-a"), None));
    let service = (view.dst_pod.get(1), view.dst_service.get(1), view.dst_service_namespace.get(1));
    assert_eq!(service, (None, Some("web"), Some("shop")));
    assert_eq!((view.dst_pod.get(2), view.dst_service.get(2), view.dst_labels.get(2)), (None, None, None));
}

#[test]
fn an_address_is_nobodys_before_the_api_said_so_and_a_uid_always_its_pods() {
    let directory = directory();
    let named = directory.reader().name(flows_to(&["10.0.0.1", "10.96.0.1"], 3)).unwrap();
    let view = flows::View::new(&named.records).unwrap();
    assert_eq!((view.dst_pod.get(0), view.dst_service.get(1)), (None, None));
    assert_eq!((view.src_pod.get(0), view.dst_workload.get(0)), (Some("web-a"), None));
    // What nothing is known of keeps what the sensor said.
    let unknown = Directory::new(&Config::default());
    let named = unknown.reader().name(flows_to(&["10.0.0.1"], 20)).unwrap();
    assert_eq!(named.records, flows_to(&["10.0.0.1"], 20).records);
}

#[test]
fn a_process_is_found_by_its_container() {
    let mut builder = runtime_events::Builder::default();
    for container in ["a".repeat(64), "b".repeat(64)] {
        let row = builder.row();
        builder.time.set(row, at(20).as_nanos());
        builder.recorded_at.set(row, at(20).as_nanos());
        builder.source_kind.set(row, "sensor");
        builder.kind.set(row, "process_exec");
        builder.container_id.set(row, &container);
        builder.commit();
    }
    let batch = Batch { table: TableId::RuntimeEvents, records: builder.finish().unwrap() };
    let named = directory().reader().name(batch).unwrap();
    let view = runtime_events::View::new(&named.records).unwrap();
    assert_eq!((view.pod.get(0), view.namespace.get(0)), (Some("web-a"), Some("shop")));
    assert_eq!((view.pod_labels.get(0), view.pod.get(1)), (Some("k8s:app=web"), None));
}
