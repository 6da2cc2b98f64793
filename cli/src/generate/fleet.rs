//! Who there is in a generated recording, over its whole time.

use hindcast_model::{Timestamp, list};

/// The invented world of a recording.
#[derive(Debug)]
pub struct Fleet {
    /// Name of the cluster.
    pub cluster: &'static str,
    /// Its nodes.
    pub nodes: Vec<Node>,
    /// Its workloads.
    pub workloads: Vec<Workload>,
    /// Who is outside of the cluster.
    pub outside: Vec<Outside>,
    /// Who talks to whom.
    pub edges: Vec<Edge>,
    /// Names asked for over DNS.
    pub dns_names: Vec<String>,
}

/// A machine of the cluster.
#[derive(Debug)]
pub struct Node {
    /// Its name, without the cluster.
    pub name: String,
}

/// Something that runs pods.
#[derive(Debug)]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// Deployment, `StatefulSet`, `DaemonSet` or `CronJob`.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// Its security identity.
    pub identity: u32,
    /// Its security labels, a [`list`].
    pub labels: String,
    /// The program its containers run.
    pub binary: &'static str,
    /// Its pods: one slot per replica.
    pub slots: Vec<Slot>,
}

/// One replica of a workload: a succession of pods.
#[derive(Debug)]
pub struct Slot {
    /// The pods, by the time they came up. Never empty.
    pub pods: Vec<Pod>,
}

/// One pod.
#[derive(Debug)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its address.
    pub ip: String,
    /// Index of its node.
    pub node: usize,
    /// Its number on the node.
    pub endpoint_id: u32,
    /// When it came up.
    pub since: Timestamp,
}

/// Somebody outside of the cluster.
#[derive(Debug)]
pub struct Outside {
    /// Their DNS name, where they have one.
    pub name: Option<String>,
    /// Their addresses.
    pub ips: Vec<String>,
}

/// One side of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// Index of a workload.
    Workload(usize),
    /// Index of an outsider.
    Outside(usize),
}

/// What is spoken over an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// TCP that nobody looks into.
    Tcp,
    /// HTTP through a proxy.
    Http,
    /// DNS through a proxy.
    Dns,
}

/// Who talks to whom, how much and how well.
#[derive(Debug)]
pub struct Edge {
    /// Who asks.
    pub client: Party,
    /// Which replica of the client asks; any where it is `None`.
    pub client_slot: Option<usize>,
    /// Who answers.
    pub server: Party,
    /// The server's port.
    pub port: u16,
    /// What is spoken.
    pub speech: Speech,
    /// URLs asked for, where HTTP is spoken.
    pub urls: Vec<String>,
    /// Share of the traffic, against the other edges.
    pub weight: f64,
    /// Whether it follows the hours of the day.
    pub is_daily: bool,
    /// Median latency, milliseconds.
    pub latency_ms: f64,
    /// Share of requests that fail.
    pub error_rate: f64,
    /// Share of flows that policy denies.
    pub denied_rate: f64,
    /// Times at which it is otherwise.
    pub episodes: Vec<Episode>,
}

/// A time during which an edge is different.
#[derive(Clone, Copy, Debug)]
pub struct Episode {
    /// From when on.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Weight on top of the edge's own.
    pub weight: f64,
    /// What the latency is multiplied by.
    pub slowdown: f64,
    /// Share of failing requests on top of the edge's own.
    pub error_rate: f64,
}

impl Fleet {
    /// The name on the wire of the node with that index: cluster, slash, node.
    #[must_use]
    pub fn node_name(&self, node: usize) -> &str {
        self.nodes.get(node).map_or("", |node| node.name.as_str())
    }
}

impl Slot {
    /// The pod that is up at that instant: the first one before there was any.
    #[must_use]
    pub fn pod_at(&self, time: Timestamp) -> Option<&Pod> {
        let n_before = self.pods.partition_point(|pod| pod.since <= time);
        self.pods.get(n_before.saturating_sub(1))
    }
}

impl Edge {
    /// The episodes that hold at that instant.
    pub fn episodes_at(&self, time: Timestamp) -> impl Iterator<Item = &Episode> {
        self.episodes.iter().filter(move |episode| episode.from <= time && time < episode.until)
    }
}

/// Security labels as Cilium gives them to the pods of a workload.
pub(super) fn labels(cluster: &str, namespace: &str, name: &str, tier: &str) -> String {
    let labels = [
        format!("k8s:app={name}"),
        format!("k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name={namespace}"),
        format!("k8s:io.cilium.k8s.policy.cluster={cluster}"),
        format!("k8s:io.cilium.k8s.policy.serviceaccount={name}"),
        format!("k8s:io.kubernetes.pod.namespace={namespace}"),
        format!("k8s:tier={tier}"),
    ];
    list::join(labels.iter().map(String::as_str)).unwrap_or_default()
}

/// The pod address with that number, in 10.0.0.0/8.
pub(super) fn pod_ip(number: u64) -> String {
    let [.., high, middle, low] = (number + 256).to_be_bytes();
    format!("10.{high}.{middle}.{low}")
}

/// The hash parts of a Deployment's pod name.
pub(super) fn pod_name(workload: &str, replica_set: u64, pod: u64) -> String {
    format!("{workload}-{:08x}-{:05x}", replica_set & 0xffff_ffff, pod & 0xf_ffff)
}
