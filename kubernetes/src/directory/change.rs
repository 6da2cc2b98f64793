//! What an object that came, changed or went does to the directory, and which rows tell it.

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashSet;
use hindcast_model::Timestamp;

use crate::Kind;
use crate::claims::{Claim, Uid};
use crate::fact::Fact;
use crate::object::{Object, Owner};
use crate::rows::{Learning, Reason};

use super::state::{End, Entry, Ledger, State};

/// Names of objects that a row of losses tells, at most.
const MAX_NAMES: usize = 8;

/// Name and kind of a workload.
type Workload = (Option<Arc<str>>, Option<Arc<str>>);

/// When the addresses of an object may have begun and ended.
#[derive(Clone, Copy, Debug)]
struct Times {
    from: Timestamp,
    to: Timestamp,
}

fn is_between(kind: &str) -> Option<Kind> {
    Kind::BETWEEN.into_iter().find(|between| between.name() == kind)
}

impl State {
    pub(crate) fn listing(&mut self, kind: Kind) {
        *self.epochs.entry(kind).or_default() += 1;
    }

    pub(crate) fn listed(&mut self, kind: Kind, now: Timestamp) {
        self.note_time(now);
        self.unknown.remove(&kind);
        let epoch = self.epoch(kind);
        let is_missing = |entry: &Entry| entry.kind == kind && entry.end.is_none() && entry.epoch < epoch;
        let mut missing: Vec<Uid> =
            self.entries.iter().filter(|(_, entry)| is_missing(entry)).map(|(uid, _)| Arc::clone(uid)).collect();
        missing.sort_unstable();
        let mut names = Vec::new();
        for uid in &missing {
            if let Some(fact) = self.entries.get(uid).and_then(Entry::current).filter(|_| names.len() < MAX_NAMES) {
                names.push(fact.name.to_string());
            }
            self.end(uid, now, true, now);
        }
        if !missing.is_empty() {
            let n_missing = u64::try_from(missing.len()).unwrap_or(u64::MAX);
            self.counts.missed_deletions += n_missing;
            self.outbox.lose(Reason::MissedDeletion, kind, now, n_missing, names.join(", "));
        }
    }

    pub(crate) fn apply(&mut self, object: Object, now: Timestamp) {
        self.note_time(now);
        self.counts.received += 1;
        let (uid, kind) = (Arc::clone(&object.fact.uid), object.fact.kind);
        let epoch = self.epoch(kind);
        let Some(entry) = self.entries.get_mut(&uid) else {
            if self.make_room() {
                self.insert(object, epoch, now);
            } else {
                self.counts.over_capacity += 1;
                self.outbox.lose(Reason::OverCapacity, kind, now, 1, object.fact.name.to_string());
            }
            return;
        };
        let is_older = entry.resource_version.zip(object.resource_version).is_some_and(|(have, came)| came < have);
        if is_older || entry.end.is_some_and(|end| !end.is_presumed) {
            // A list of a server that lags behind; what it has existed, unless we know better.
            entry.epoch = epoch;
            self.counts.stale += 1;
            return;
        }
        entry.epoch = epoch;
        entry.resource_version = object.resource_version;
        if entry.end.is_some() {
            self.resume(&uid, &object.addresses, now);
        }
        self.update(object, now);
    }

    pub(crate) fn delete(&mut self, object: Object, now: Timestamp) {
        self.note_time(now);
        self.counts.received += 1;
        let uid = &object.fact.uid;
        if self.entries.get(uid).is_some_and(|entry| entry.end.is_none()) {
            self.end(uid, now, false, object.addresses_to.map_or(now, |to| to.min(now)));
        }
    }

    pub(crate) fn do_without(&mut self, kind: Kind, now: Timestamp) {
        self.note_time(now);
        if Kind::BETWEEN.contains(&kind) && self.unknown.insert(kind) {
            let owners: Vec<Uid> = self.dependents.keys().map(Arc::clone).collect();
            for owner in owners {
                self.settle_dependents(&owner, now);
            }
        }
    }

    fn epoch(&self, kind: Kind) -> u64 {
        self.epochs.get(&kind).copied().unwrap_or_default()
    }

    fn insert(&mut self, object: Object, epoch: u64, now: Timestamp) {
        let uid = Arc::clone(&object.fact.uid);
        let kind = object.fact.kind;
        // A policy may have changed since it was made, and how it was before is not known.
        let began = if kind.is_policy() { object.changed.or(object.created) } else { object.created };
        let from = began.unwrap_or(now).min(now);
        let fact = Arc::new(self.with_workload(object.fact.clone(), object.owner.as_ref(), None));
        let mut entry = Entry {
            kind,
            versions: Vec::new(),
            held: Vec::new(),
            had_address: false,
            end: None,
            resource_version: object.resource_version,
            epoch,
            owner: None,
            aliases: Vec::new(),
        };
        entry.push(from, Arc::clone(&fact));
        self.entries.insert(Arc::clone(&uid), entry);
        self.tell(&fact, None, from, None, now);
        self.link(&uid, &object);
        self.readdress(&uid, &object, now);
        self.settle_dependents(&uid, now);
    }

    /// An object that is known came again.
    fn update(&mut self, object: Object, now: Timestamp) {
        let uid = Arc::clone(&object.fact.uid);
        let Some(entry) = self.entries.get(&uid) else { return };
        let is_same_owner = entry.owner == object.owner;
        let before = entry.current().filter(|_| is_same_owner).map(Arc::clone);
        let fact = self.with_workload(object.fact.clone(), object.owner.as_ref(), before.as_deref());
        let changed = if fact.kind.is_policy() { object.changed.map_or(now, |changed| changed.min(now)) } else { now };
        self.change(&uid, fact, changed, now);
        self.link(&uid, &object);
        self.readdress(&uid, &object, now);
        if !is_same_owner {
            self.settle_dependents(&uid, now);
        }
    }

    /// A fact that may differ from the last one holds from an instant on.
    fn change(&mut self, uid: &Uid, fact: Fact, from: Timestamp, now: Timestamp) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        let Some(last) = entry.versions.last_mut() else { return };
        if *last.fact == fact {
            return;
        }
        let is_completed = {
            let names = (fact.workload.clone(), fact.workload_kind.clone());
            let completed = Fact { workload: names.0, workload_kind: names.1, ..Fact::clone(&last.fact) };
            completed == fact && (last.fact.workload.is_none() || from <= last.from)
        };
        let from = from.max(last.from);
        let old_from = last.from;
        let (old, fact) = (Arc::clone(&last.fact), Arc::new(fact));
        // What was not known before was so all the same.
        let from = if is_completed { old_from } else { from };
        if from == old_from {
            last.fact = Arc::clone(&fact);
        } else {
            entry.push(from, Arc::clone(&fact));
            self.tell(&old, None, old_from, Some(from), now);
        }
        self.tell(&fact, None, from, None, now);
        let Some(ledger) = Ledger::of(fact.kind) else { return };
        let held = self.entries.get(uid).map(|entry| entry.held.clone()).unwrap_or_default();
        for ip in held {
            let Some(claims) = self.ledgers.get_mut(&(ledger, ip)) else { continue };
            let Some(row_from) = claims.begin_row(uid, from) else { continue };
            if row_from < from {
                self.tell(&old, Some(ip), row_from, Some(from), now);
            }
            self.tell(&fact, Some(ip), from.max(row_from), None, now);
        }
    }

    /// Keeps by what an object can be found.
    fn link(&mut self, uid: &Uid, object: &Object) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        // Of a container that was restarted often, the last ids are in the object; those before stay.
        for alias in &object.aliases {
            if !entry.aliases.contains(alias) {
                entry.aliases.push(Arc::clone(alias));
                self.aliases.insert(Arc::clone(alias), Arc::clone(uid));
            }
        }
        while entry.aliases.len() > super::state::MAX_ALIASES {
            let oldest = entry.aliases.remove(0);
            self.aliases.remove(&oldest);
        }
        if entry.owner == object.owner {
            return;
        }
        let before = std::mem::replace(&mut entry.owner, object.owner.clone());
        if entry.kind != Kind::Pod {
            return;
        }
        if let Some(owner) = before {
            self.unlink(&owner.uid, uid);
        }
        if let Some(owner) = object.owner.as_ref().filter(|owner| is_between(&owner.kind).is_some()) {
            self.dependents.entry(Arc::clone(&owner.uid)).or_default().insert(Arc::clone(uid));
        }
    }

    /// Lets go the addresses an object no longer has and takes those it has now.
    fn readdress(&mut self, uid: &Uid, object: &Object, now: Timestamp) {
        let Some(ledger) = Ledger::of(object.fact.kind) else { return };
        let Some(entry) = self.entries.get_mut(uid) else { return };
        // A slice changes all the time: of what stands in it now, no more is known than when it was last written.
        let began = if ledger == Ledger::Endpoints { object.changed } else { object.addresses_from.or(object.created) };
        let times = Times {
            from: if entry.had_address { now } else { began.unwrap_or(now).min(now) },
            to: object.addresses_to.map_or(now, |to| to.min(now)),
        };
        entry.had_address |= !object.addresses.is_empty();
        let wanted: HashSet<IpAddr> = object.addresses.iter().copied().collect();
        let (kept, gone): (Vec<IpAddr>, Vec<IpAddr>) = entry.held.iter().partition(|ip| wanted.contains(*ip));
        entry.held.clone_from(&kept);
        let Some(fact) = entry.current().map(Arc::clone) else { return };
        let kept: HashSet<IpAddr> = kept.into_iter().collect();
        for ip in gone {
            self.release(ledger, ip, &fact, times.to, false, now);
        }
        for ip in object.addresses.iter().filter(|ip| !kept.contains(*ip)) {
            self.take(ledger, *ip, &fact, times.from, now);
        }
    }

    fn take(&mut self, ledger: Ledger, ip: IpAddr, fact: &Arc<Fact>, from: Timestamp, now: Timestamp) {
        let uid = &fact.uid;
        let claims = self.ledgers.entry((ledger, ip)).or_default();
        let (from, to, ended) = if ledger.is_exclusive() {
            let taken = claims.take(uid, from);
            (taken.from, taken.to, taken.ended)
        } else {
            claims.share(uid, from);
            (from, None, Vec::new())
        };
        for claim in &ended {
            if let Some(entry) = self.entries.get_mut(&claim.holder) {
                entry.held.retain(|held| *held != ip);
            }
            self.tell_claim(ledger, ip, claim, now);
        }
        if let Some(to) = to {
            self.released.push_back((now, (ledger, ip), to));
        } else if let Some(entry) = self.entries.get_mut(uid) {
            entry.held.push(ip);
        }
        self.tell(fact, Some(ip), from, to, now);
    }

    fn release(
        &mut self,
        ledger: Ledger,
        ip: IpAddr,
        fact: &Arc<Fact>,
        at: Timestamp,
        is_presumed: bool,
        now: Timestamp,
    ) {
        let claims = self.ledgers.get_mut(&(ledger, ip));
        if let Some(claim) = claims.and_then(|claims| claims.release(&fact.uid, at, is_presumed)).cloned() {
            self.tell_claim(ledger, ip, &claim, now);
        }
    }

    /// A holding ended.
    fn tell_claim(&mut self, ledger: Ledger, ip: IpAddr, claim: &Claim, now: Timestamp) {
        let Some(to) = claim.to else { return };
        self.released.push_back((now, (ledger, ip), to));
        let fact = self.entries.get(&claim.holder).and_then(Entry::current).map(Arc::clone);
        if let Some(fact) = fact {
            // Where the clock went back the row that began after the end is left with no time at all.
            self.tell(&fact, Some(ip), claim.row_from, Some(to.max(claim.row_from)), now);
        }
    }

    /// An object is gone; its addresses may have been free before.
    fn end(&mut self, uid: &Uid, at: Timestamp, is_presumed: bool, released_at: Timestamp) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        entry.end = Some(End { at, is_presumed });
        self.gone.push_back((at, Arc::clone(uid)));
        let held = std::mem::take(&mut entry.held);
        let Some((from, fact)) = entry.versions.last().map(|last| (last.from, Arc::clone(&last.fact))) else { return };
        if let Some(ledger) = Ledger::of(fact.kind) {
            for ip in held {
                self.release(ledger, ip, &fact, released_at, is_presumed, at);
            }
        }
        self.tell(&fact, None, from, Some(at.max(from)), at);
    }

    /// An object that was missing in one list is in the next, and is the same: it was never gone.
    fn resume(&mut self, uid: &Uid, addresses: &[IpAddr], now: Timestamp) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        entry.end = None;
        let Some((from, fact)) = entry.versions.last().map(|last| (last.from, Arc::clone(&last.fact))) else { return };
        self.tell(&fact, None, from, None, now);
        let Some(ledger) = Ledger::of(fact.kind) else { return };
        for ip in addresses {
            let claims = self.ledgers.get_mut(&(ledger, *ip));
            let Some(row_from) = claims.and_then(|claims| claims.resume(uid)).map(|claim| claim.row_from) else {
                continue;
            };
            if let Some(entry) = self.entries.get_mut(uid) {
                entry.held.push(*ip);
            }
            self.tell(&fact, Some(*ip), row_from, None, now);
        }
    }

    /// Pods learn of their workload when what stands between them is known.
    fn settle_dependents(&mut self, owner: &Uid, now: Timestamp) {
        let Some(pods) = self.dependents.get(owner) else { return };
        let mut pods: Vec<Uid> = pods.iter().map(Arc::clone).collect();
        pods.sort_unstable();
        for uid in pods {
            let Some(entry) = self.entries.get(&uid).filter(|entry| entry.end.is_none()) else { continue };
            let Some(last) = entry.current() else { continue };
            let fact = self.with_workload(Fact::clone(last), entry.owner.as_ref(), Some(last));
            self.change(&uid, fact, now, now);
        }
    }

    /// A fact with the workload that the directory knows: of a pod the one that owns it, of what stands between the one
    /// above.
    fn with_workload(&self, fact: Fact, owner: Option<&Owner>, before: Option<&Fact>) -> Fact {
        let (workload, workload_kind) = match fact.kind {
            Kind::Pod => self.workload_of(&fact, owner, before),
            kind if Kind::BETWEEN.contains(&kind) => named(owner),
            _ => (None, None),
        };
        Fact { workload, workload_kind, ..fact }
    }

    fn workload_of(&self, pod: &Fact, owner: Option<&Owner>, before: Option<&Fact>) -> Workload {
        let Some(owner) = owner else {
            // As Hubble has it: a pod that nothing controls is its own workload.
            return (Some(Arc::clone(&pod.name)), Some(Arc::from(Kind::Pod.name())));
        };
        let Some(between) = is_between(&owner.kind) else { return named(Some(owner)) };
        if let Some(entry) = self.entries.get(&owner.uid) {
            return named(entry.owner.as_ref().or(Some(owner)));
        }
        match before {
            Some(before) if before.workload.is_some() => (before.workload.clone(), before.workload_kind.clone()),
            _ if self.unknown.contains(&between) => named(Some(owner)),
            _ => (None, None),
        }
    }

    fn tell(
        &mut self,
        fact: &Arc<Fact>,
        ip: Option<IpAddr>,
        valid_from: Timestamp,
        valid_to: Option<Timestamp>,
        learned_at: Timestamp,
    ) {
        // What stands in between or behind an address is for look-ups; the tables have no columns for it.
        let is_in_between = Kind::BETWEEN.contains(&fact.kind) && fact.workload.is_some();
        if !is_in_between && fact.kind != Kind::EndpointSlice {
            self.outbox.tell(Learning { fact: Arc::clone(fact), ip, valid_from, valid_to, learned_at });
        }
    }
}

fn named(owner: Option<&Owner>) -> Workload {
    (owner.map(|owner| Arc::clone(&owner.name)), owner.map(|owner| Arc::clone(&owner.kind)))
}
