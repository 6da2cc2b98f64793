//! Reading objects as the API writes them. Only what is kept is looked at; an object that is not as it should be is
//! refused by itself, and the list it came in is not.

mod yaml;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hindcast_model::{Timestamp, list};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::ApiResource;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::Kind;
use crate::claims::Uid;
use crate::fact::{Fact, Port};

/// Containers of a pod that are known by their ids, at most.
const MAX_CONTAINERS: usize = 64;
/// Addresses of one object, at most; a slice has up to 1000 endpoints.
const MAX_ADDRESSES: usize = 1024;

/// An object as it came. It can be read from any JSON object, so that one bad one does not spoil a list.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    meta: ObjectMeta,
    pub(crate) tree: Value,
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(|map| Self::new(Value::Object(map)))
    }
}

impl Raw {
    pub(crate) fn new(tree: Value) -> Self {
        // The version is all that the watcher looks for: it goes on from there.
        let resource_version = text(&tree, "/metadata/resourceVersion").map(str::to_owned);
        Self { meta: ObjectMeta { resource_version, ..ObjectMeta::default() }, tree }
    }
}

impl kube::Resource for Raw {
    type DynamicType = ApiResource;
    type Scope = kube::core::DynamicResourceScope;

    fn kind(resource: &ApiResource) -> std::borrow::Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> std::borrow::Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> std::borrow::Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> std::borrow::Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

/// What an object lacks to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} without {lacks}", kind = self.kind.name())]
pub(crate) struct Malformed {
    kind: Kind,
    lacks: &'static str,
}

/// The object that controls another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: Uid,
    pub(crate) kind: Arc<str>,
    pub(crate) name: Arc<str>,
}

/// What is kept of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    /// What it says of itself; the workload of a pod is not in it, others know that.
    pub(crate) fact: Fact,
    pub(crate) resource_version: Option<u64>,
    pub(crate) created: Option<Timestamp>,
    /// When somebody last wrote to it, its status aside.
    pub(crate) changed: Option<Timestamp>,
    pub(crate) owner: Option<Owner>,
    /// Addresses it has now.
    pub(crate) addresses: Vec<IpAddr>,
    /// From when on it may have had them.
    pub(crate) addresses_from: Option<Timestamp>,
    /// When it let them go, where it says so.
    pub(crate) addresses_to: Option<Timestamp>,
    /// Ids of containers, and other ids under which kubelet knows a pod.
    pub(crate) aliases: Vec<Arc<str>>,
}

impl Object {
    /// Reads an object.
    pub(crate) fn read(kind: Kind, tree: &Value) -> Result<Self, Malformed> {
        let lacks = |lacks| Malformed { kind, lacks };
        let named = |path, what| text(tree, path).filter(|text| !text.is_empty()).ok_or_else(|| lacks(what));
        let fact = Fact {
            kind,
            uid: named("/metadata/uid", "uid")?.into(),
            namespace: arc(tree, "/metadata/namespace"),
            name: named("/metadata/name", "name")?.into(),
            workload: None,
            workload_kind: None,
            labels: labels(tree),
            images: None,
            node: None,
            ports: Vec::new(),
            manifest: None,
        };
        let mut object = Self {
            fact,
            resource_version: text(tree, "/metadata/resourceVersion").and_then(|text| text.parse().ok()),
            created: time(tree, "/metadata/creationTimestamp"),
            changed: changed(tree),
            owner: owner(tree),
            addresses: Vec::new(),
            addresses_from: None,
            addresses_to: None,
            aliases: Vec::new(),
        };
        match kind {
            Kind::Pod => object.read_pod(tree),
            Kind::Node => object.read_node(tree),
            Kind::Service => object.read_service(tree),
            Kind::EndpointSlice => object.read_slice(tree),
            _ if kind.is_policy() => object.fact.manifest = Some(yaml::manifest(kind, tree).into()),
            _ => {}
        }
        object.addresses.sort_unstable();
        object.addresses.dedup();
        object.addresses.truncate(MAX_ADDRESSES);
        Ok(object)
    }

    fn read_pod(&mut self, tree: &Value) {
        self.fact.node = arc(tree, "/spec/nodeName");
        let mut images: Vec<&str> = items(tree, "/spec/containers").filter_map(|it| text(it, "/image")).collect();
        images.dedup();
        self.fact.images = list::join(images).map(Arc::from);
        let statuses = || {
            ["/status/containerStatuses", "/status/initContainerStatuses", "/status/ephemeralContainerStatuses"]
                .into_iter()
                .flat_map(|path| items(tree, path))
        };
        let ids = statuses().flat_map(|status| {
            ["/containerID", "/state/terminated/containerID", "/lastState/terminated/containerID"]
                .into_iter()
                .filter_map(|path| text(status, path))
                // `containerd://…`; a cgroup has the id alone.
                .filter_map(|id| id.rsplit_once("://").map(|(_, id)| id))
        });
        // A pod of a file on the node has a uid of its own there: a hash, which the copy in the API tells.
        let hash = tree.pointer("/metadata/annotations").and_then(|it| it.get("kubernetes.io/config.hash"));
        let mut aliases: Vec<Arc<str>> = ids.chain(hash.and_then(Value::as_str)).map(Arc::from).collect();
        aliases.sort_unstable();
        aliases.dedup();
        aliases.truncate(MAX_CONTAINERS);
        self.aliases = aliases;
        let is_over = matches!(text(tree, "/status/phase"), Some("Succeeded" | "Failed"));
        // A pod in the network of its node has the node's address, which stays the node's.
        let is_in_host = tree.pointer("/spec/hostNetwork").and_then(Value::as_bool).unwrap_or(false);
        if !is_over && !is_in_host {
            let all = items(tree, "/status/podIPs").filter_map(|it| text(it, "/ip"));
            self.addresses = all.chain(text(tree, "/status/podIP")).filter_map(address).collect();
        }
        self.addresses_from = time(tree, "/status/startTime");
        let finished: Option<Vec<Timestamp>> = items(tree, "/status/containerStatuses")
            .map(|status| time(status, "/state/terminated/finishedAt"))
            .collect();
        let last = finished.and_then(|times| times.into_iter().max());
        // The API tells whole seconds, so it was over by the end of that one.
        self.addresses_to = last.map(|last| last.saturating_add(Duration::from_secs(1)));
    }

    fn read_node(&mut self, tree: &Value) {
        self.addresses = items(tree, "/status/addresses")
            .filter(|it| matches!(text(it, "/type"), Some("InternalIP" | "ExternalIP")))
            .filter_map(|it| text(it, "/address"))
            .filter_map(address)
            .collect();
    }

    fn read_service(&mut self, tree: &Value) {
        // A headless service has the word None for an address.
        let own = items(tree, "/spec/clusterIPs").filter_map(Value::as_str).chain(text(tree, "/spec/clusterIP"));
        let external = items(tree, "/spec/externalIPs").filter_map(Value::as_str);
        let balanced = items(tree, "/status/loadBalancer/ingress").filter_map(|it| text(it, "/ip"));
        self.addresses = own.chain(external).chain(balanced).filter_map(address).collect();
        self.fact.ports = ports(tree, "/spec/ports");
    }

    fn read_slice(&mut self, tree: &Value) {
        let service = tree.pointer("/metadata/labels").and_then(|it| it.get("kubernetes.io/service-name"));
        // A slice that belongs to no service leads to none.
        let Some(service) = service.and_then(Value::as_str) else { return };
        self.fact.name = service.into();
        self.fact.labels = None;
        self.fact.ports = ports(tree, "/ports");
        self.addresses = items(tree, "/endpoints")
            .flat_map(|endpoint| items(endpoint, "/addresses"))
            .filter_map(Value::as_str)
            .filter_map(address)
            .collect();
    }
}

fn text<'a>(tree: &'a Value, path: &str) -> Option<&'a str> {
    tree.pointer(path)?.as_str()
}

fn arc(tree: &Value, path: &str) -> Option<Arc<str>> {
    text(tree, path).filter(|text| !text.is_empty()).map(Arc::from)
}

fn items<'a>(tree: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    tree.pointer(path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter()
}

fn address(text: &str) -> Option<IpAddr> {
    text.parse().map(|address: IpAddr| address.to_canonical()).ok()
}

fn time(tree: &Value, path: &str) -> Option<Timestamp> {
    let time: k8s_openapi::jiff::Timestamp = text(tree, path)?.parse().ok()?;
    i64::try_from(time.as_nanosecond()).map(Timestamp::from_nanos).ok()
}

fn changed(tree: &Value) -> Option<Timestamp> {
    items(tree, "/metadata/managedFields")
        .filter(|field| text(field, "/subresource").is_none_or(str::is_empty))
        .filter_map(|field| time(field, "/time"))
        .max()
}

fn labels(tree: &Value) -> Option<Arc<str>> {
    let labels = tree.pointer("/metadata/labels")?.as_object()?;
    let sorted: BTreeMap<&str, &str> =
        labels.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect();
    let mut joined = String::new();
    for (key, value) in sorted {
        list::push(&mut joined, &format!("k8s:{key}={value}"));
    }
    (!joined.is_empty()).then(|| joined.into())
}

fn owner(tree: &Value) -> Option<Owner> {
    let controls = |it: &&Value| it.pointer("/controller").and_then(Value::as_bool).unwrap_or(false);
    let owner = items(tree, "/metadata/ownerReferences").find(controls)?;
    Some(Owner { uid: arc(owner, "/uid")?, kind: arc(owner, "/kind")?, name: arc(owner, "/name")? })
}

fn ports(tree: &Value, path: &str) -> Vec<Port> {
    items(tree, path)
        .map(|port| Port {
            number: port.pointer("/port").and_then(Value::as_u64).and_then(|number| u16::try_from(number).ok()),
            name: arc(port, "/name"),
            protocol: arc(port, "/protocol").unwrap_or_else(|| Arc::from("TCP")),
        })
        .collect()
}

#[cfg(test)]
mod tests;
