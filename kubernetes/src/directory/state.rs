//! The objects, who had which address, and how both are looked up and forgotten.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use hindcast_model::Timestamp;

use crate::claims::{Claims, Uid};
use crate::fact::Fact;
use crate::object::{Malformed, Owner};
use crate::rows::{Outbox, Reason};
use crate::{Config, Kind};

use super::Counts;

/// Versions remembered of one object, at most; of more the oldest is forgotten here and stays in the table.
const MAX_VERSIONS: usize = 8;

/// Holdings that ended and are remembered, for each object that may be.
const MAX_RELEASED: usize = 4;

/// Ids of containers of one pod that are remembered, at most.
pub(crate) const MAX_ALIASES: usize = 64;

/// Whose addresses are told apart: a node's and those of the pods in its network are the same, and so are those of pods
/// and of the endpoints of services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ledger {
    Pods,
    Nodes,
    Services,
    Endpoints,
}

impl Ledger {
    /// Whether an address is one holder's at a time. Services may share one and tell their ports apart.
    pub(crate) const fn is_exclusive(self) -> bool {
        matches!(self, Self::Pods | Self::Nodes)
    }

    /// Where the addresses of a kind are; `None` for what has none.
    pub(crate) fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Pod => Some(Self::Pods),
            Kind::Node => Some(Self::Nodes),
            Kind::Service => Some(Self::Services),
            Kind::EndpointSlice => Some(Self::Endpoints),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) from: Timestamp,
    pub(crate) fact: Arc<Fact>,
}

/// That an object is gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) at: Timestamp,
    /// It was gone at a new list: `at` is when that was noticed.
    pub(crate) is_presumed: bool,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    /// By `from`. Never empty.
    pub(crate) versions: Vec<Version>,
    /// Addresses it has.
    pub(crate) held: Vec<IpAddr>,
    /// Whether it ever had an address: the first it has is told from when it may have had it.
    pub(crate) had_address: bool,
    pub(crate) end: Option<End>,
    pub(crate) resource_version: Option<u64>,
    /// The list in which it was seen last.
    pub(crate) epoch: u64,
    pub(crate) owner: Option<Owner>,
    pub(crate) aliases: Vec<Arc<str>>,
}

impl Entry {
    pub(crate) fn current(&self) -> Option<&Arc<Fact>> {
        self.versions.last().map(|version| &version.fact)
    }

    fn at(&self, at: Timestamp) -> Option<&Arc<Fact>> {
        let after = self.versions.partition_point(|version| version.from <= at);
        self.versions.get(after.saturating_sub(1)).map(|version| &version.fact)
    }

    pub(crate) fn push(&mut self, from: Timestamp, fact: Arc<Fact>) {
        self.versions.push(Version { from, fact });
        if self.versions.len() > MAX_VERSIONS {
            self.versions.remove(0);
        }
    }
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) entries: HashMap<Uid, Entry>,
    pub(crate) ledgers: HashMap<(Ledger, IpAddr), Claims>,
    /// Pods by the ids of their containers, and by other ids of theirs.
    pub(crate) aliases: HashMap<Arc<str>, Uid>,
    /// Pods by what controls them.
    pub(crate) dependents: HashMap<Uid, HashSet<Uid>>,
    /// Kinds between pods and workloads that will not be known.
    pub(crate) unknown: HashSet<Kind>,
    /// Lists so far, by kind.
    pub(crate) epochs: HashMap<Kind, u64>,
    /// What is gone, in the order it went.
    pub(crate) gone: VecDeque<(Timestamp, Uid)>,
    /// Holdings that ended, in the order that was learned: when, of what, and until when they held.
    pub(crate) released: VecDeque<(Timestamp, (Ledger, IpAddr), Timestamp)>,
    pub(crate) outbox: Outbox,
    pub(crate) counts: Counts,
    pub(crate) last_now: Timestamp,
    max_objects: usize,
    history: Duration,
}

impl State {
    pub(crate) fn new(config: &Config) -> Self {
        let unknown = Kind::BETWEEN.into_iter().filter(|kind| !config.kinds.contains(kind)).collect();
        Self {
            entries: HashMap::new(),
            ledgers: HashMap::new(),
            aliases: HashMap::new(),
            dependents: HashMap::new(),
            unknown,
            epochs: HashMap::new(),
            gone: VecDeque::new(),
            released: VecDeque::new(),
            outbox: Outbox::new(config.pending_rows),
            counts: Counts::default(),
            last_now: Timestamp::MIN,
            max_objects: config.max_objects,
            history: config.history,
        }
    }

    pub(crate) fn holders(&self, ledger: Ledger, address: IpAddr, at: Timestamp) -> impl Iterator<Item = &Arc<Fact>> {
        let claims = self.ledgers.get(&(ledger, address));
        claims.into_iter().flat_map(move |claims| claims.at(at)).filter_map(move |uid| self.object(uid, at))
    }

    pub(crate) fn holder(&self, ledger: Ledger, address: IpAddr, at: Timestamp) -> Option<&Arc<Fact>> {
        self.holders(ledger, address, at).next()
    }

    pub(crate) fn object(&self, uid: &str, at: Timestamp) -> Option<&Arc<Fact>> {
        self.entries.get(uid)?.at(at)
    }

    pub(crate) fn aliased(&self, alias: &str, at: Timestamp) -> Option<&Arc<Fact>> {
        self.object(self.aliases.get(alias)?, at)
    }

    pub(crate) fn counts(&self) -> Counts {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let gone = self.entries.values().filter(|entry| entry.end.is_some()).count();
        Counts {
            objects: count(self.entries.len() - gone),
            gone: count(gone),
            addresses: count(self.ledgers.len()),
            ..self.counts
        }
    }

    /// Notes the time; the clock may have gone back, and then what is learned now is stamped as it says.
    pub(crate) fn note_time(&mut self, now: Timestamp) {
        if now < self.last_now {
            self.counts.clock_jumps += 1;
        }
        self.last_now = now;
    }

    pub(crate) fn refuse(&mut self, kind: Kind, malformed: &Malformed, now: Timestamp) {
        self.note_time(now);
        self.counts.received += 1;
        self.counts.malformed += 1;
        self.outbox.lose(Reason::Malformed, kind, now, 1, malformed.to_string());
    }

    /// Whether there is room for one more object; what is gone makes place for what exists.
    pub(crate) fn make_room(&mut self) -> bool {
        while self.entries.len() >= self.max_objects {
            let Some((at, uid)) = self.gone.pop_front() else { return false };
            self.remove_gone(&uid, at);
        }
        true
    }

    /// Forgets what is gone for longer than events come late.
    pub(crate) fn forget(&mut self, now: Timestamp) {
        let before = now.saturating_sub(self.history);
        while let Some((at, uid)) = self.gone.pop_front_if(|(at, _)| *at < before) {
            self.remove_gone(&uid, at);
        }
        let most = self.max_objects.saturating_mul(MAX_RELEASED);
        while self.released.len() > most || self.released.front().is_some_and(|(at, ..)| *at < before) {
            let Some((_, place, until)) = self.released.pop_front() else { return };
            if self.ledgers.get_mut(&place).is_some_and(|claims| claims.forget(until)) {
                self.ledgers.remove(&place);
            }
        }
    }

    /// Removes an object that went at an instant, unless it has come back since.
    fn remove_gone(&mut self, uid: &Uid, at: Timestamp) {
        if self.entries.get(uid).and_then(|entry| entry.end).is_none_or(|end| end.at != at) {
            return;
        }
        let Some(entry) = self.entries.remove(uid) else { return };
        for alias in &entry.aliases {
            // The hash of a file on the node is that of its next pod too.
            if self.aliases.get(alias) == Some(uid) {
                self.aliases.remove(alias);
            }
        }
        if let Some(owner) = &entry.owner {
            self.unlink(&owner.uid, uid);
        }
    }

    pub(crate) fn unlink(&mut self, owner: &Uid, pod: &Uid) {
        if let Some(pods) = self.dependents.get_mut(owner) {
            pods.remove(pod);
            if pods.is_empty() {
                self.dependents.remove(owner);
            }
        }
    }
}
