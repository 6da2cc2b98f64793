//! Objects are read for what is kept of them; what is not as it should be is named.
use serde_json::{Value, json};

use super::{Object, Raw};
use crate::Kind;

fn read(kind: Kind, tree: &Value) -> Object {
    Object::read(kind, tree).unwrap()
}

fn pod() -> Value {
    json!({
        "metadata": {
            "uid": "u1", "name": "web-1", "namespace": "shop", "resourceVersion": "7",
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "labels": {"tier": "fe", "app": "web"},
            "annotations": {"kubernetes.io/config.hash": "0123456789abcdef0123456789abcdef"},
            "ownerReferences": [
                {"uid": "x", "kind": "Thing", "name": "t"},
                {"uid": "r1", "kind": "ReplicaSet", "name": "web-abc", "controller": true},
            ],
        },
        "spec": {"nodeName": "n1", "containers": [{"image": "web:1"}, {"image": "proxy:2"}]},
        "status": {
            "phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
            "startTime": "2026-01-02T03:04:06Z",
            "containerStatuses": [{
                "containerID": "containerd://aa",
                "lastState": {"terminated": {"containerID": "containerd://bb"}},
            }],
        },
    })
}

#[test]
fn a_pod_has_addresses_an_owner_and_the_ids_it_is_known_by() {
    let object = read(Kind::Pod, &pod());
    assert_eq!(object.fact.labels.as_deref(), Some("k8s:app=web,k8s:tier=fe"));
    assert_eq!(object.fact.images.as_deref(), Some("web:1,proxy:2"));
    assert_eq!(object.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.1", "fd00::1"]);
    assert_eq!(object.owner.as_ref().map(|it| &*it.name), Some("web-abc"));
    assert_eq!(
        object.aliases.iter().map(|it| &**it).collect::<Vec<_>>(),
        ["0123456789abcdef0123456789abcdef", "aa", "bb"]
    );
    assert_eq!(object.resource_version, Some(7));
    assert_eq!(object.created.map(hindcast_model::Timestamp::to_parts), Some((1_767_323_045, 0)));
}

#[test]
fn a_pod_that_is_over_or_in_its_nodes_network_has_no_address() {
    let mut over = pod();
    over["status"]["phase"] = json!("Failed");
    over["status"]["containerStatuses"][0]["state"] = json!({"terminated": {"finishedAt": "2026-01-02T03:05:00Z"}});
    let over = read(Kind::Pod, &over);
    assert!(over.addresses.is_empty());
    assert_eq!(over.addresses_to.map(hindcast_model::Timestamp::to_parts), Some((1_767_323_101, 0)));
    let mut host = pod();
    host["spec"]["hostNetwork"] = json!(true);
    assert!(read(Kind::Pod, &host).addresses.is_empty());
}

#[test]
fn a_service_has_all_its_addresses_and_a_slice_those_of_its_endpoints() {
    let service = read(
        Kind::Service,
        &json!({
            "metadata": {"uid": "s", "name": "web", "namespace": "shop"},
            "spec": {
                "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"], "externalIPs": ["192.0.2.1"],
                "ports": [{"port": 80, "name": "http"}, {"port": 53, "protocol": "UDP"}],
            },
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}, {"hostname": "a.example"}]}},
        }),
    );
    assert_eq!(service.addresses.len(), 3);
    assert_eq!(&*service.fact.ports[0].protocol, "TCP");
    let headless =
        json!({"metadata": {"uid": "s", "name": "db"}, "spec": {"clusterIP": "None", "clusterIPs": ["None"]}});
    assert!(read(Kind::Service, &headless).addresses.is_empty());
    let slice = json!({
        "metadata": {"uid": "e", "name": "web-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
        "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"]}, {"addresses": ["host.example"]}],
        "ports": [{"port": 8080, "name": "http"}, {}],
    });
    let slice = read(Kind::EndpointSlice, &slice);
    assert_eq!((&*slice.fact.name, slice.addresses.len()), ("web", 2));
    assert_eq!(slice.fact.ports[1].number, None);
}

#[test]
fn anything_can_be_read_and_what_lacks_a_name_is_refused() {
    for text in ["{}", r#"{"metadata":5}"#, r#"{"metadata":{"labels":[],"uid":7}}"#] {
        let raw: Raw = serde_json::from_str(text).unwrap();
        for kind in Kind::ALL {
            assert!(Object::read(kind, &raw.tree).is_err());
        }
    }
    let odd = json!({
        "metadata": {"uid": "u", "name": "n", "labels": {"a": 5, "b": "c"}, "creationTimestamp": "soon",
            "ownerReferences": {"a": 1}, "managedFields": "x"},
        "spec": 5, "status": {"podIP": 7, "podIPs": [1, {"ip": "x"}], "containerStatuses": [null]},
    });
    for kind in Kind::ALL {
        let object = read(kind, &odd);
        assert!(object.addresses.is_empty() && object.created.is_none());
    }
    let error = Object::read(Kind::Pod, &json!({"metadata": {"uid": "u"}})).unwrap_err();
    assert_eq!(error.to_string(), "Pod without name");
}

#[test]
fn a_policy_is_told_as_its_author_would_write_it() {
    let tree = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {
            "uid": "p", "name": "web", "namespace": "shop", "generation": 3, "resourceVersion": "9",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
            "labels": {"owner": "on", "n": "5"},
            "managedFields": [
                {"time": "2026-01-02T03:04:05Z"},
                {"time": "2026-01-03T03:04:05Z", "subresource": "status"},
            ],
        },
        "spec": {
            "podSelector": {}, "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "a: b"}}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}],
                "ports": [{"port": 80, "protocol": "TCP"}, {"port": "http"}]}],
        },
        "status": {"ready": true},
    });
    let object = read(Kind::NetworkPolicy, &tree);
    let expected = r#"apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  labels:
    "n": "5"
    owner: "on"
  name: web
  namespace: shop
spec:
  ingress:
    - from:
        - podSelector:
            matchLabels:
              app: "a: b"
        - ipBlock:
            cidr: "10.0.0.0/8"
      ports:
        - port: 80
          protocol: TCP
        - port: http
  podSelector: {}
  policyTypes:
    - Ingress
"#;
    assert_eq!(object.fact.manifest.as_deref(), Some(expected));
    assert_eq!(object.changed.map(hindcast_model::Timestamp::to_parts), Some((1_767_323_045, 0)));
}
