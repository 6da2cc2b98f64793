//! What the objects of a cluster were, and which addresses they had, by time.
//!
//! One writer, the watch, takes in what the API says; readers look up while rows are enriched. A reader holds a lock
//! that only a change waits for, and a change takes microseconds: take one [`Reader`] for a batch.
//!
//! A fact holds from when the API says it began, or from when it was learned where the API does not say. It ends when
//! the object says so, or when the deletion was learned. An address belongs to whoever took it last, until that one
//! lets go. An object that was gone at a new list ended when that was noticed, unless somebody else is known to have
//! had the address before.

mod change;
mod state;

use std::net::IpAddr;
use std::sync::Arc;

use hindcast_model::{Batch, SchemaError, Timestamp};
use parking_lot::{RwLock, RwLockReadGuard};
use serde_json::Value;

use crate::fact::{Fact, ServiceAt};
use crate::object::Object;
use crate::rows::{Reason, batches};
use crate::{Config, Kind};
use state::{Ledger, State};

/// What is known of a cluster, by time.
#[derive(Debug)]
pub struct Directory {
    cluster: String,
    state: RwLock<State>,
}

/// How much is known, and what happened to it. All but the first three are counts that only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Objects that exist.
    pub objects: u64,
    /// Objects that are gone and still remembered.
    pub gone: u64,
    /// Addresses somebody has or had.
    pub addresses: u64,
    /// Objects that came, again or for the first time.
    pub received: u64,
    /// Objects that were not as they should be.
    pub malformed: u64,
    /// Objects that came later than a newer state of them.
    pub stale: u64,
    /// Objects there was no room for.
    pub over_capacity: u64,
    /// Objects whose end was noticed at a new list only.
    pub missed_deletions: u64,
    /// Times the clock went back.
    pub clock_jumps: u64,
}

/// Looks up while holding off changes. Many may exist at once; not to be held across an await.
#[derive(Debug)]
pub struct Reader<'a>(RwLockReadGuard<'a, State>);

impl Directory {
    /// A directory that knows nothing yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { cluster: config.cluster.clone(), state: RwLock::new(State::new(config)) }
    }

    /// Many look-ups at one state of the directory.
    #[must_use]
    pub fn reader(&self) -> Reader<'_> {
        Reader(self.state.read())
    }

    /// [`Reader::workload_of`], once.
    #[must_use]
    pub fn workload_of(&self, address: IpAddr, at: Timestamp) -> Option<Arc<Fact>> {
        self.reader().workload_of(address, at).map(Arc::clone)
    }

    /// [`Reader::pod_of`], once.
    #[must_use]
    pub fn pod_of(&self, uid: &str, at: Timestamp) -> Option<Arc<Fact>> {
        self.reader().pod_of(uid, at).map(Arc::clone)
    }

    /// [`Reader::pod_of_container`], once.
    #[must_use]
    pub fn pod_of_container(&self, container_id: &str, at: Timestamp) -> Option<Arc<Fact>> {
        self.reader().pod_of_container(container_id, at).map(Arc::clone)
    }

    /// [`Reader::service_of`], once.
    #[must_use]
    pub fn service_of(&self, address: IpAddr, port: u16, at: Timestamp) -> Option<ServiceAt> {
        self.reader().service_of(address, port, at)
    }

    /// How much is known.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state.read().counts()
    }

    /// Name of the cluster, as rows have it; empty for none.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// A list of all objects of a kind begins: each comes through [`Directory::apply`], then [`Directory::listed`] ends
    /// it. A list that breaks off is begun again.
    pub(crate) fn listing(&self, kind: Kind) {
        self.state.write().listing(kind);
    }

    /// A list is complete: what was not in it is gone.
    pub(crate) fn listed(&self, kind: Kind, now: Timestamp) {
        self.state.write().listed(kind, now);
    }

    /// An object exists, and is so.
    pub(crate) fn apply(&self, kind: Kind, tree: &Value, now: Timestamp) {
        match Object::read(kind, tree) {
            Ok(object) => self.state.write().apply(object, now),
            Err(malformed) => self.state.write().refuse(kind, &malformed, now),
        }
    }

    /// An object was deleted; `tree` is its last state.
    pub(crate) fn delete(&self, kind: Kind, tree: &Value, now: Timestamp) {
        match Object::read(kind, tree) {
            Ok(object) => self.state.write().delete(object, now),
            Err(malformed) => self.state.write().refuse(kind, &malformed, now),
        }
    }

    /// Objects of a kind will not come: what would be learned from them is told as far as it is known.
    pub(crate) fn do_without(&self, kind: Kind, now: Timestamp) {
        self.state.write().do_without(kind, now);
    }

    /// Takes account of something that could not be kept.
    pub(crate) fn lose(&self, reason: Reason, kind: Kind, now: Timestamp, detail: String) {
        self.state.write().outbox.lose(reason, kind, now, 1, detail);
    }

    /// Up to `n_rows` rows that are to be written, the oldest first, and what was lost; nothing where nothing changed.
    /// What is gone for long is forgotten.
    pub(crate) fn take(&self, n_rows: usize, now: Timestamp) -> Result<Vec<Batch>, SchemaError> {
        let (rows, lost) = {
            let mut state = self.state.write();
            state.forget(now);
            (state.outbox.take_rows(n_rows), state.outbox.take_losses(&self.cluster, now)?)
        };
        let mut all = batches(&rows, &self.cluster)?;
        all.extend(lost);
        Ok(all)
    }
}

impl Reader<'_> {
    /// The pod that had an address at an instant, or the node: pods in the network of their node have its address, and
    /// the address does not tell them apart.
    #[must_use]
    pub fn workload_of(&self, address: IpAddr, at: Timestamp) -> Option<&Arc<Fact>> {
        let address = address.to_canonical();
        self.0.holder(Ledger::Pods, address, at).or_else(|| self.0.holder(Ledger::Nodes, address, at))
    }

    /// What a pod was at an instant. Also takes the id that kubelet gives a pod of a file on the node. Who knows the
    /// uid has seen the pod, so a little before its first fact the first is meant, and after the last the last.
    #[must_use]
    pub fn pod_of(&self, uid: &str, at: Timestamp) -> Option<&Arc<Fact>> {
        self.0.object(uid, at).filter(|fact| fact.kind == Kind::Pod).or_else(|| self.0.aliased(uid, at))
    }

    /// What the pod of a container was at an instant. The id is without its runtime, as a cgroup has it.
    #[must_use]
    pub fn pod_of_container(&self, container_id: &str, at: Timestamp) -> Option<&Arc<Fact>> {
        self.0.aliased(container_id, at)
    }

    /// The service that an address leads to at an instant: its own address, or one of the endpoints behind it that
    /// serves the port. Of several services it is one that has the port, the last to take the address first.
    #[must_use]
    pub fn service_of(&self, address: IpAddr, port: u16, at: Timestamp) -> Option<ServiceAt> {
        let address = address.to_canonical();
        let name_of = |fact: &Fact| fact.ports.iter().find(|it| it.number == Some(port)).and_then(|it| it.name.clone());
        let has_port = |fact: &&Arc<Fact>| fact.ports.iter().any(|it| it.number == Some(port));
        let mut own = self.0.holders(Ledger::Services, address, at).peekable();
        let first = own.peek().copied();
        if let Some(fact) = own.find(has_port).or(first) {
            return Some(ServiceAt { port_name: name_of(fact), fact: Arc::clone(fact), is_endpoint: false });
        }
        let serves = |fact: &&Arc<Fact>| fact.ports.iter().any(|it| it.number.is_none_or(|number| number == port));
        let fact = self.0.holders(Ledger::Endpoints, address, at).find(serves)?;
        Some(ServiceAt { port_name: name_of(fact), fact: Arc::clone(fact), is_endpoint: true })
    }
}

#[cfg(test)]
mod tests;
