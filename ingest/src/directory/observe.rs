//! What a batch of events says of its endpoints, each combination once.

use arrow::array::Array as _;
use hashbrown::HashMap;
use hindcast_model::column::{TextView, U32View};
use hindcast_model::tables::{flows, runtime_events};
use hindcast_model::{Batch, SourceKind, TableId, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use super::{Directory, Fact, Learned, Subject};

/// Columns of a fact in the order of [`Statement`].
const N_TEXTS: usize = 8;

/// The columns in which one side of an event speaks.
#[derive(Debug)]
struct Speaker<'a> {
    cluster: TextView<'a>,
    node_cluster: TextView<'a>,
    ip: TextView<'a>,
    namespace: TextView<'a>,
    pod: TextView<'a>,
    workload: TextView<'a>,
    workload_kind: TextView<'a>,
    labels: TextView<'a>,
    images: TextView<'a>,
    source_kind: TextView<'a>,
    identity: Option<&'a U32View<'a>>,
}

/// One combination of values, by their dictionary keys.
type Statement = [i64; N_TEXTS + 1];

/// Something equal for equal values within one batch; -1 for null.
fn code(view: &TextView<'_>, row: usize) -> i64 {
    match view {
        TextView::Absent => -1,
        TextView::Dict(keys, _) => {
            if keys.is_null(row) {
                -1
            } else {
                i64::from(keys.value(row))
            }
        }
        TextView::Plain(_) | TextView::View(_) => {
            view.get(row).map_or(-1, |text| i64::from_le_bytes(xxh3_64(text.as_bytes()).to_le_bytes()))
        }
    }
}

impl Speaker<'_> {
    fn identity(&self, row: usize) -> Option<u32> {
        self.identity?.get(row)
    }

    fn statement(&self, row: usize) -> Statement {
        [
            code(&self.pod, row),
            code(&self.ip, row),
            code(&self.namespace, row),
            code(&self.workload, row),
            code(&self.workload_kind, row),
            code(&self.labels, row),
            code(&self.images, row),
            if matches!(self.cluster, TextView::Absent) {
                code(&self.node_cluster, row)
            } else {
                code(&self.cluster, row)
            },
            self.identity(row).map_or(-1, i64::from),
        ]
    }

    fn told(&self, row: usize) -> Option<(Subject, Fact)> {
        let text = |view: &TextView<'_>| view.get(row).map(str::to_owned);
        let fact = Fact {
            namespace: text(&self.namespace),
            pod: Some(text(&self.pod)?),
            workload: text(&self.workload),
            workload_kind: text(&self.workload_kind),
            labels: text(&self.labels),
            identity: self.identity(row),
            images: text(&self.images),
        };
        let cluster = text(&self.cluster).or_else(|| text(&self.node_cluster));
        let ip = text(&self.ip);
        let pod = if ip.is_some() { None } else { fact.pod.clone().map(|pod| (fact.namespace.clone(), pod)) };
        Some((Subject { cluster, ip, pod }, fact))
    }

    /// Every combination that names a pod, with the first time it was seen.
    fn combinations(&self, times: impl Fn(usize) -> Option<i64>, n_rows: usize) -> Vec<(i64, usize)> {
        let mut first_seen: HashMap<Statement, (i64, usize)> = HashMap::new();
        for row in 0..n_rows {
            let statement = self.statement(row);
            // A sensor knows no names: those in its rows are from the cluster's API, which tells them itself.
            if statement.first() == Some(&-1) || self.source_kind.get(row) == Some(SourceKind::Sensor.as_str()) {
                continue;
            }
            let time = times(row).unwrap_or_default();
            let seen = first_seen.entry(statement).or_insert((time, row));
            *seen = (*seen).min((time, row));
        }
        let mut combinations: Vec<_> = first_seen.into_values().collect();
        combinations.sort_unstable();
        combinations
    }
}

impl Directory {
    /// Takes in what the events of a batch say of their endpoints.
    pub(crate) fn learn(&mut self, batch: &Batch, now: Timestamp, learned: &mut Learned) {
        match batch.table {
            TableId::Flows => {
                if let Ok(view) = flows::View::new(&batch.records) {
                    self.hear(&source_of(&view), |row| view.time.get(row), view.n_rows(), now, learned);
                    self.hear(&destination_of(&view), |row| view.time.get(row), view.n_rows(), now, learned);
                }
            }
            TableId::RuntimeEvents => {
                if let Ok(view) = runtime_events::View::new(&batch.records) {
                    self.hear(&pod_of(&view), |row| view.time.get(row), view.n_rows(), now, learned);
                }
            }
            TableId::AgentEvents
            | TableId::Edges1m
            | TableId::Edges1h
            | TableId::Workloads
            | TableId::Policies
            | TableId::Losses
            | TableId::Ingested => {}
        }
    }

    fn hear(
        &mut self,
        speaker: &Speaker<'_>,
        times: impl Fn(usize) -> Option<i64>,
        n_rows: usize,
        now: Timestamp,
        learned: &mut Learned,
    ) {
        for (time, row) in speaker.combinations(times, n_rows) {
            if let Some((subject, fact)) = speaker.told(row) {
                self.observe(subject, fact, Timestamp::from_nanos(time), now, learned);
            }
        }
    }
}

const fn source_of<'a>(view: &'a flows::View<'a>) -> Speaker<'a> {
    Speaker {
        cluster: view.src_cluster,
        node_cluster: view.cluster,
        ip: view.src_ip,
        namespace: view.src_namespace,
        pod: view.src_pod,
        workload: view.src_workload,
        workload_kind: view.src_workload_kind,
        labels: view.src_labels,
        images: TextView::Absent,
        source_kind: view.source_kind,
        identity: Some(&view.src_identity),
    }
}

const fn destination_of<'a>(view: &'a flows::View<'a>) -> Speaker<'a> {
    Speaker {
        cluster: view.dst_cluster,
        node_cluster: view.cluster,
        ip: view.dst_ip,
        namespace: view.dst_namespace,
        pod: view.dst_pod,
        workload: view.dst_workload,
        workload_kind: view.dst_workload_kind,
        labels: view.dst_labels,
        images: TextView::Absent,
        source_kind: view.source_kind,
        identity: Some(&view.dst_identity),
    }
}

const fn pod_of<'a>(view: &runtime_events::View<'a>) -> Speaker<'a> {
    Speaker {
        cluster: view.cluster,
        node_cluster: TextView::Absent,
        ip: TextView::Absent,
        namespace: view.namespace,
        pod: view.pod,
        workload: view.workload,
        workload_kind: view.workload_kind,
        labels: view.pod_labels,
        images: view.image,
        source_kind: view.source_kind,
        identity: None,
    }
}
