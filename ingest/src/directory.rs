//! Which workload an address or a pod belonged to, and when: learned from what events say of their own endpoints.
//!
//! The directory only remembers. It is written to the table `workloads` as facts change, and never into an event: no
//! column marks a value as inferred, so a workload that the wire did not name stays unnamed there.
//!
//! A fact holds from its first observation until another contradicts it. An event that says less contradicts nothing.

mod observe;

use hashbrown::HashMap;
use hindcast_model::tables::workloads;
use hindcast_model::{Batch, SchemaError, TableId, Timestamp};

/// Versions remembered of one subject, at most; of more the oldest is forgotten here and stays in the table.
const MAX_VERSIONS: usize = 8;

/// What is known of a subject. What nobody said is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fact {
    /// Namespace.
    pub namespace: Option<String>,
    /// Pod.
    pub pod: Option<String>,
    /// Workload that owns the pod.
    pub workload: Option<String>,
    /// Kind of that workload.
    pub workload_kind: Option<String>,
    /// Labels, a list.
    pub labels: Option<String>,
    /// Security identity.
    pub identity: Option<u32>,
    /// Container image.
    pub images: Option<String>,
}

fn agrees<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
    one.is_none() || other.is_none() || one == other
}

impl Fact {
    /// Whether both can hold at once.
    fn agrees(&self, other: &Self) -> bool {
        agrees(self.namespace.as_ref(), other.namespace.as_ref())
            && agrees(self.pod.as_ref(), other.pod.as_ref())
            && agrees(self.workload.as_ref(), other.workload.as_ref())
            && agrees(self.workload_kind.as_ref(), other.workload_kind.as_ref())
            && agrees(self.labels.as_ref(), other.labels.as_ref())
            && agrees(self.identity.as_ref(), other.identity.as_ref())
        // A pod has several containers; the first image stands for them.
    }

    /// Both together.
    fn joined(&self, other: &Self) -> Self {
        let text = |one: &Option<String>, two: &Option<String>| one.clone().or_else(|| two.clone());
        Self {
            namespace: text(&self.namespace, &other.namespace),
            pod: text(&self.pod, &other.pod),
            workload: text(&self.workload, &other.workload),
            workload_kind: text(&self.workload_kind, &other.workload_kind),
            labels: text(&self.labels, &other.labels),
            identity: self.identity.or(other.identity),
            images: text(&self.images, &other.images),
        }
    }
}

/// Whom a fact is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Subject {
    pub(crate) cluster: Option<String>,
    /// An address; `None` for a pod known by its name only.
    pub(crate) ip: Option<String>,
    /// Namespace and name of a pod whose address nobody said.
    pub(crate) pod: Option<(Option<String>, String)>,
}

#[derive(Clone, Debug)]
struct Version {
    valid_from: Timestamp,
    fact: Fact,
}

#[derive(Debug, Default)]
struct Entry {
    /// By `valid_from`.
    versions: Vec<Version>,
    last_used: u64,
}

/// A row for the table `workloads`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Learning {
    pub(crate) subject: Subject,
    pub(crate) fact: Fact,
    pub(crate) valid_from: Timestamp,
    pub(crate) valid_to: Option<Timestamp>,
    pub(crate) learned_at: Timestamp,
}

/// What some batches taught.
#[derive(Debug, Default)]
pub(crate) struct Learned(Vec<Learning>);

impl Learned {
    /// The rows; `None` if nothing is new.
    pub(crate) fn batch(&self) -> Result<Option<Batch>, SchemaError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let mut builder = workloads::Builder::default();
        for learning in &self.0 {
            let row = builder.row();
            let Learning { subject, fact, .. } = learning;
            builder.valid_from.set(row, learning.valid_from.as_nanos());
            builder.learned_at.set(row, learning.learned_at.as_nanos());
            if let Some(valid_to) = learning.valid_to {
                builder.valid_to.set(row, valid_to.as_nanos());
            }
            let texts = [
                (&mut builder.cluster, &subject.cluster),
                (&mut builder.ip, &subject.ip),
                (&mut builder.namespace, &fact.namespace),
                (&mut builder.pod, &fact.pod),
                (&mut builder.workload, &fact.workload),
                (&mut builder.workload_kind, &fact.workload_kind),
                (&mut builder.labels, &fact.labels),
                (&mut builder.images, &fact.images),
            ];
            for (column, text) in texts {
                if let Some(text) = text {
                    column.set(row, text);
                }
            }
            if let Some(identity) = fact.identity {
                builder.identity.set(row, identity);
            }
            builder.commit();
        }
        Ok(Some(Batch { table: TableId::Workloads, records: builder.finish()? }))
    }
}

/// What is known of addresses and pods, by time.
#[derive(Debug)]
pub(crate) struct Directory {
    entries: HashMap<Subject, Entry>,
    max_entries: usize,
    use_count: u64,
}

impl Directory {
    /// Remembers up to `max_entries` subjects.
    pub(crate) fn new(max_entries: usize) -> Self {
        Self { entries: HashMap::new(), max_entries, use_count: 0 }
    }

    /// What was known of an address at an instant.
    pub(crate) fn look_up(&self, cluster: Option<&str>, ip: &str, at: Timestamp) -> Option<Fact> {
        let subject = Subject { cluster: cluster.map(str::to_owned), ip: Some(ip.to_owned()), pod: None };
        let versions = &self.entries.get(&subject)?.versions;
        let after = versions.partition_point(|version| version.valid_from <= at);
        versions.get(after.checked_sub(1)?).map(|version| version.fact.clone())
    }

    /// Takes in a row of the table, as it was written before.
    pub(crate) fn restore(&mut self, subject: Subject, valid_from: Timestamp, fact: Fact) {
        let entry = self.entries.entry(subject).or_default();
        match entry.versions.binary_search_by_key(&valid_from, |version| version.valid_from) {
            Ok(found) => {
                if let Some(version) = entry.versions.get_mut(found) {
                    version.fact = fact.joined(&version.fact);
                }
            }
            Err(place) => entry.versions.insert(place, Version { valid_from, fact }),
        }
    }

    /// Takes in an observation; what the table has to learn goes to `learned`.
    pub(crate) fn observe(
        &mut self,
        subject: Subject,
        fact: Fact,
        time: Timestamp,
        now: Timestamp,
        learned: &mut Learned,
    ) {
        self.use_count += 1;
        let entry = self.entries.entry(subject.clone()).or_default();
        entry.last_used = self.use_count;
        let mut tell = |valid_from, valid_to, fact: &Fact| {
            let (subject, fact) = (subject.clone(), fact.clone());
            learned.0.push(Learning { subject, fact, valid_from, valid_to, learned_at: now });
        };
        let after = entry.versions.partition_point(|version| version.valid_from <= time);
        let next_from = entry.versions.get(after).map(|next| next.valid_from);
        let before = after.checked_sub(1);
        if let Some(current) = before.and_then(|at| entry.versions.get_mut(at)) {
            if current.fact.agrees(&fact) {
                let joined = current.fact.joined(&fact);
                if joined != current.fact {
                    tell(current.valid_from, next_from, &joined);
                    current.fact = joined;
                }
                return;
            }
            if current.valid_from < time {
                tell(current.valid_from, Some(time), &current.fact);
            }
        }
        if let Some(next) = entry.versions.get_mut(after)
            && next.fact.agrees(&fact)
        {
            // The same, seen earlier than known.
            next.valid_from = time;
            next.fact = next.fact.joined(&fact);
            let joined = next.fact.clone();
            let until = entry.versions.get(after + 1).map(|later| later.valid_from);
            tell(time, until, &joined);
            return;
        }
        tell(time, next_from, &fact);
        entry.versions.insert(after, Version { valid_from: time, fact });
        if entry.versions.len() > MAX_VERSIONS {
            entry.versions.remove(0);
        }
    }

    /// Forgets the subjects of what was not recorded after all; they are learned again.
    pub(crate) fn unlearn(&mut self, learned: &Learned) {
        for learning in &learned.0 {
            self.entries.remove(&learning.subject);
        }
    }

    /// Keeps the bound; how many subjects are known.
    pub(crate) fn forget(&mut self) -> usize {
        if self.entries.len() > self.max_entries {
            let mut used: Vec<u64> = self.entries.values().map(|entry| entry.last_used).collect();
            used.sort_unstable();
            let limit = used.get(used.len() - self.max_entries / 2 - 1).copied().unwrap_or_default();
            self.entries.retain(|_, entry| entry.last_used > limit);
        }
        self.entries.len()
    }
}

#[cfg(test)]
mod tests;
