//! What waits to be written: rows of `workloads` and `policies`, and of `losses` for what could not be kept.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use hindcast_model::tables::{losses, policies, workloads};
use hindcast_model::{Batch, SchemaError, TableId, Timestamp};

use crate::Kind;
use crate::fact::Fact;

/// The column `source_kind` of what is lost here.
const SOURCE_KIND: &str = "kubernetes";
/// The column `stage`.
const STAGE: &str = "kubernetes";

/// Why something could not be kept, or is not as sure as it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// An object was not as it should be.
    Malformed,
    /// There are more objects than are remembered.
    OverCapacity,
    /// More rows waited than may.
    RowsShed,
    /// An object was gone when the API could be asked again: the end of its facts is when that was noticed.
    MissedDeletion,
    /// The API refuses us a kind.
    Forbidden,
}

impl Reason {
    /// The text in the column `reason`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed_object",
            Self::OverCapacity => "too_many_objects",
            Self::RowsShed => "too_many_rows",
            Self::MissedDeletion => "missed_deletion",
            Self::Forbidden => "forbidden",
        }
    }
}

/// A fact over an interval of time, as the tables have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Learning {
    pub(crate) fact: Arc<Fact>,
    pub(crate) ip: Option<IpAddr>,
    pub(crate) valid_from: Timestamp,
    pub(crate) valid_to: Option<Timestamp>,
    pub(crate) learned_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Loss {
    since: Timestamp,
    until: Timestamp,
    count: u64,
    /// The latest case, in words.
    detail: String,
}

/// Rows and losses since they were last taken.
#[derive(Debug)]
pub(crate) struct Outbox {
    rows: Vec<Learning>,
    max_rows: usize,
    losses: BTreeMap<(Reason, Kind), Loss>,
}

impl Outbox {
    pub(crate) const fn new(max_rows: usize) -> Self {
        Self { rows: Vec::new(), max_rows, losses: BTreeMap::new() }
    }

    pub(crate) fn tell(&mut self, learning: Learning) {
        if self.rows.len() >= self.max_rows {
            let (kind, name) = (learning.fact.kind, learning.fact.name.to_string());
            self.lose(Reason::RowsShed, kind, learning.learned_at, 1, name);
        } else {
            self.rows.push(learning);
        }
    }

    pub(crate) fn lose(&mut self, reason: Reason, kind: Kind, at: Timestamp, count: u64, detail: String) {
        let loss = self.losses.entry((reason, kind)).or_insert_with(|| Loss {
            since: at,
            until: at,
            count: 0,
            detail: String::new(),
        });
        loss.since = loss.since.min(at);
        loss.until = loss.until.max(at);
        loss.count += count;
        loss.detail = detail;
    }

    /// How much was lost for a reason since the losses were last taken.
    #[cfg(test)]
    pub(crate) fn lost(&self, reason: Reason) -> u64 {
        self.losses.iter().filter(|((other, _), _)| *other == reason).map(|(_, loss)| loss.count).sum()
    }

    /// Up to `n_rows` rows, the oldest first.
    pub(crate) fn take_rows(&mut self, n_rows: usize) -> Vec<Learning> {
        let n_rows = n_rows.min(self.rows.len());
        self.rows.drain(..n_rows).collect()
    }

    /// The losses as rows; `None` where nothing was lost.
    pub(crate) fn take_losses(&mut self, cluster: &str, now: Timestamp) -> Result<Option<Batch>, SchemaError> {
        if self.losses.is_empty() {
            return Ok(None);
        }
        let mut builder = losses::Builder::default();
        for ((reason, kind), loss) in std::mem::take(&mut self.losses) {
            let row = builder.row();
            builder.time.set(row, loss.since.as_nanos());
            builder.end_time.set(row, loss.until.as_nanos());
            builder.recorded_at.set(row, now.as_nanos());
            if !cluster.is_empty() {
                builder.cluster.set(row, cluster);
            }
            builder.source_kind.set(row, SOURCE_KIND);
            builder.source.set(row, kind.name());
            builder.stage.set(row, STAGE);
            builder.reason.set(row, reason.as_str());
            builder.count.set(row, loss.count);
            builder.detail.set(row, &loss.detail);
            builder.commit();
        }
        Ok(Some(Batch { table: TableId::Losses, records: builder.finish()? }))
    }
}

/// The rows of each table that has any.
pub(crate) fn batches(learned: &[Learning], cluster: &str) -> Result<Vec<Batch>, SchemaError> {
    let mut workloads = workloads::Builder::default();
    let mut policies = policies::Builder::default();
    for learning in learned {
        if learning.fact.kind.is_policy() {
            put_policy(&mut policies, learning, cluster);
        } else {
            put_workload(&mut workloads, learning, cluster);
        }
    }
    let mut batches = Vec::new();
    if workloads.row() > 0 {
        batches.push(Batch { table: TableId::Workloads, records: workloads.finish()? });
    }
    if policies.row() > 0 {
        batches.push(Batch { table: TableId::Policies, records: policies.finish()? });
    }
    Ok(batches)
}

fn put_workload(builder: &mut workloads::Builder, learning: &Learning, cluster: &str) {
    let row = builder.row();
    let fact = &learning.fact;
    builder.valid_from.set(row, learning.valid_from.as_nanos());
    builder.learned_at.set(row, learning.learned_at.as_nanos());
    if let Some(valid_to) = learning.valid_to {
        builder.valid_to.set(row, valid_to.as_nanos());
    }
    let ip = learning.ip.map(|ip| ip.to_string());
    let (pod, workload, workload_kind) = match fact.kind {
        Kind::Pod => (Some(&*fact.name), fact.workload.as_deref(), fact.workload_kind.as_deref()),
        kind => (None, Some(&*fact.name), Some(kind.name())),
    };
    let texts = [
        (&mut builder.cluster, Some(cluster).filter(|name| !name.is_empty())),
        (&mut builder.ip, ip.as_deref()),
        (&mut builder.namespace, fact.namespace.as_deref()),
        (&mut builder.pod, pod),
        (&mut builder.workload, workload),
        (&mut builder.workload_kind, workload_kind),
        (&mut builder.labels, fact.labels.as_deref()),
        (&mut builder.images, fact.images.as_deref()),
    ];
    for (column, text) in texts {
        if let Some(text) = text {
            column.set(row, text);
        }
    }
    builder.commit();
}

fn put_policy(builder: &mut policies::Builder, learning: &Learning, cluster: &str) {
    let row = builder.row();
    let fact = &learning.fact;
    builder.valid_from.set(row, learning.valid_from.as_nanos());
    builder.learned_at.set(row, learning.learned_at.as_nanos());
    if let Some(valid_to) = learning.valid_to {
        builder.valid_to.set(row, valid_to.as_nanos());
    }
    if !cluster.is_empty() {
        builder.cluster.set(row, cluster);
    }
    if let Some(namespace) = &fact.namespace {
        builder.namespace.set(row, namespace);
    }
    builder.name.set(row, &fact.name);
    builder.kind.set(row, fact.kind.name());
    if let Some(manifest) = &fact.manifest {
        builder.manifest.set(row, manifest);
    }
    builder.commit();
}
