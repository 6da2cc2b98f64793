//! What is known of an object of the cluster at a time.

use std::sync::Arc;

use crate::Kind;

/// What is known of an object. What its manifest does not say is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Kind of the object. An endpoint slice stands for the service it belongs to and has its name.
    pub kind: Kind,
    /// The object's uid.
    pub uid: Arc<str>,
    /// Namespace; `None` for what lies in none.
    pub namespace: Option<Arc<str>>,
    /// Name.
    pub name: Arc<str>,
    /// Name of the workload that owns a pod; of other objects nothing.
    pub workload: Option<Arc<str>>,
    /// Kind of that workload.
    pub workload_kind: Option<Arc<str>>,
    /// Labels as Hubble writes them, `k8s:key=value` in order of keys, as a list (`model::list`).
    pub labels: Option<Arc<str>>,
    /// Images of a pod's containers, each once, as a list.
    pub images: Option<Arc<str>>,
    /// Node of a pod.
    pub node: Option<Arc<str>>,
    /// Ports of a service or of a slice of its endpoints.
    pub ports: Vec<Port>,
    /// A policy as YAML.
    pub manifest: Option<Arc<str>>,
}

/// A port that a service has, or its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Number; `None` stands for every port.
    pub number: Option<u16>,
    /// Name, where it has one.
    pub name: Option<Arc<str>>,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Arc<str>,
}

/// A service that an address and port lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAt {
    /// The service: [`Fact::namespace`] and [`Fact::name`] are the service's.
    pub fact: Arc<Fact>,
    /// Name of the port, where the service has that port and it has a name.
    pub port_name: Option<Arc<str>>,
    /// The address is one of the endpoints behind the service, not the service's own.
    pub is_endpoint: bool,
}
