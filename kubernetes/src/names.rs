//! Names for what sensors saw: a sensor knows addresses, containers and pods by uid; the cluster's API says what they are
//! called.
//!
//! A row gets the names that held at its own time. What stands in it already stays, with one exception: the workload of a
//! container is the container only as long as nobody knows its pod. Nothing is named that the API did not say.

use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringDictionaryBuilder};
use arrow::datatypes::Int32Type;
use hindcast_model::column::TextView;
use hindcast_model::tables::{flows, runtime_events};
use hindcast_model::{Batch, SchemaError, TableId, Timestamp, list};

use crate::{Fact, Kind, Reader};

/// How sensors write who a local process belongs to, among the labels.
const POD_LABEL: &str = "pod:uid=";
const CONTAINER_LABEL: &str = "container:id=";

/// Texts for a column, where there is something to say.
type Texts = Vec<Option<Arc<str>>>;

/// What is said of one end of a flow, or of a process.
#[derive(Debug, Default)]
struct Named {
    namespace: Texts,
    pod: Texts,
    workload: Texts,
    workload_kind: Texts,
    labels: Texts,
}

impl Named {
    fn new(n_rows: usize) -> Self {
        let none = || vec![None; n_rows];
        Self { namespace: none(), pod: none(), workload: none(), workload_kind: none(), labels: none() }
    }

    fn set(&mut self, row: usize, fact: &Fact, labels: Option<&str>) {
        let put = |texts: &mut Texts, text: Option<Arc<str>>| {
            if let Some(place) = texts.get_mut(row) {
                *place = text;
            }
        };
        put(&mut self.namespace, fact.namespace.clone());
        put(&mut self.pod, Some(Arc::clone(&fact.name)));
        put(&mut self.workload, fact.workload.clone());
        put(&mut self.workload_kind, fact.workload_kind.clone());
        let joined = match (labels, &fact.labels) {
            (Some(before), Some(more)) => Some(format!("{before},{more}").into()),
            (None, more) => more.clone(),
            (Some(_), None) => None,
        };
        put(&mut self.labels, joined);
    }

    /// The columns, by the names they have in a table.
    fn columns(self, names: [&'static str; 5]) -> impl Iterator<Item = (&'static str, Texts)> {
        names.into_iter().zip([self.namespace, self.pod, self.workload, self.workload_kind, self.labels])
    }
}

impl Reader<'_> {
    /// The batch with the names that held at the time of each row; as it is for tables without such columns.
    ///
    /// # Errors
    /// The batch does not have its table's form.
    pub fn name(&self, batch: Batch) -> Result<Batch, SchemaError> {
        let texts = match batch.table {
            TableId::Flows => self.flows(&batch.records)?,
            TableId::RuntimeEvents => self.processes(&batch.records)?,
            _ => return Ok(batch),
        };
        let mut records = batch.records;
        for (column, texts) in texts {
            if texts.iter().any(Option::is_some) {
                records = with_texts(records, column, &texts);
            }
        }
        Ok(Batch { table: batch.table, records })
    }

    fn flows(&self, records: &RecordBatch) -> Result<Vec<(&'static str, Texts)>, SchemaError> {
        let view = flows::View::new(records)?;
        let n_rows = records.num_rows();
        let (mut src, mut dst) = (Named::new(n_rows), Named::new(n_rows));
        let none = || -> Texts { vec![None; n_rows] };
        let mut services = [(none(), none()), (none(), none())];
        for row in 0..n_rows {
            let Some(at) = view.time.get(row).map(Timestamp::from_nanos) else { continue };
            let [src_service, dst_service] = &mut services;
            let ends = [
                (
                    &mut src,
                    src_service,
                    view.src_pod.get(row),
                    view.src_labels.get(row),
                    view.src_ip.get(row),
                    view.src_port.get(row),
                ),
                (
                    &mut dst,
                    dst_service,
                    view.dst_pod.get(row),
                    view.dst_labels.get(row),
                    view.dst_ip.get(row),
                    view.dst_port.get(row),
                ),
            ];
            for (named, (service, service_namespace), pod, labels, ip, port) in ends {
                let ip: Option<IpAddr> = ip.and_then(|text| text.parse().ok());
                if pod.is_none()
                    && let Some(fact) = self.pod_at(labels, ip, at)
                {
                    named.set(row, fact, labels);
                }
                if let (Some(ip), Some(port)) = (ip, port)
                    && let Some(found) = self.service_of(ip, port, at).filter(|found| !found.is_endpoint)
                    && let (Some(name), Some(namespace)) = (service.get_mut(row), service_namespace.get_mut(row))
                {
                    *name = Some(Arc::clone(&found.fact.name));
                    namespace.clone_from(&found.fact.namespace);
                }
            }
        }
        let [(src_service, src_space), (dst_service, dst_space)] = services;
        let ends = src
            .columns(["src_namespace", "src_pod", "src_workload", "src_workload_kind", "src_labels"])
            .chain(dst.columns(["dst_namespace", "dst_pod", "dst_workload", "dst_workload_kind", "dst_labels"]));
        let services = [
            ("src_service", src_service),
            ("src_service_namespace", src_space),
            ("dst_service", dst_service),
            ("dst_service_namespace", dst_space),
        ];
        Ok(ends.chain(services).collect())
    }

    fn processes(&self, records: &RecordBatch) -> Result<Vec<(&'static str, Texts)>, SchemaError> {
        let view = runtime_events::View::new(records)?;
        let mut named = Named::new(records.num_rows());
        for row in 0..records.num_rows() {
            let (Some(at), None) = (view.time.get(row).map(Timestamp::from_nanos), view.pod.get(row)) else { continue };
            if let Some(fact) = view.container_id.get(row).and_then(|id| self.pod_of_container(id, at)) {
                named.set(row, fact, view.pod_labels.get(row));
            }
        }
        Ok(named.columns(["namespace", "pod", "workload", "workload_kind", "pod_labels"]).collect())
    }

    /// The pod of an end: that of its process where the sensor knew it, else the one that had the address.
    fn pod_at(&self, labels: Option<&str>, ip: Option<IpAddr>, at: Timestamp) -> Option<&Arc<Fact>> {
        let labels: Vec<_> = labels.map(list::split).into_iter().flatten().collect();
        let by = |prefix: &str| labels.iter().find_map(|label| label.strip_prefix(prefix));
        let of_process = by(POD_LABEL)
            .and_then(|uid| self.pod_of(uid, at))
            .or_else(|| by(CONTAINER_LABEL).and_then(|id| self.pod_of_container(id, at)));
        of_process.or_else(|| self.workload_of(ip?, at).filter(|fact| fact.kind == Kind::Pod))
    }
}

/// The records with texts in a column; rows without a text keep what they have.
fn with_texts(records: RecordBatch, column: &str, texts: &Texts) -> RecordBatch {
    let Ok(place) = records.schema_ref().index_of(column) else { return records };
    let Some(before) = TextView::of(records.columns().get(place)) else { return records };
    let mut builder = StringDictionaryBuilder::<Int32Type>::new();
    for (row, text) in texts.iter().enumerate() {
        builder.append_option(text.as_deref().or_else(|| before.get(row)));
    }
    let mut arrays: Vec<ArrayRef> = records.columns().to_vec();
    if let Some(array) = arrays.get_mut(place) {
        *array = Arc::new(builder.finish());
    }
    // The type of the column and the number of rows are what they were.
    RecordBatch::try_new(records.schema(), arrays).unwrap_or(records)
}

#[cfg(test)]
mod tests;
