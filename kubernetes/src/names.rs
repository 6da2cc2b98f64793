//! Names for what sensors saw: a sensor knows addresses, containers and pods by uid; the cluster's API says what they are
//! called.
//!
//! A row gets the names that held at its own time. What stands in it already stays, with one exception: the workload of a
//! container is the container only as long as nobody knows its pod. Nothing is named that the API did not say.

use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringDictionaryBuilder};
use arrow::datatypes::Int32Type;
use hindcast_model::column::{TextView, U16View};
use hindcast_model::tables::{flows, runtime_events};
use hindcast_model::{Batch, SchemaError, TableId, Timestamp, list};

use crate::{Fact, Kind, Reader};

/// How sensors write who a local process belongs to, among the labels.
const POD_LABEL: &str = "pod:uid=";
const CONTAINER_LABEL: &str = "container:id=";

/// Texts for a column, where there is something to say.
type Texts = Vec<Option<Arc<str>>>;

/// Texts for columns of a table.
type Columns = Vec<(&'static str, Texts)>;

/// What a sensor said of one end of flows.
struct End<'a> {
    pod: TextView<'a>,
    labels: TextView<'a>,
    ip: TextView<'a>,
    port: U16View<'a>,
}

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
        let columns = match batch.table {
            TableId::Flows => self.flows(&batch.records)?,
            TableId::RuntimeEvents => self.processes(&batch.records)?,
            _ => return Ok(batch),
        };
        Ok(Batch { table: batch.table, records: with_texts(batch.records, columns) })
    }

    fn flows(&self, records: &RecordBatch) -> Result<Columns, SchemaError> {
        let view = flows::View::new(records)?;
        let times: Vec<Timestamp> =
            (0..view.n_rows()).map(|row| Timestamp::from_nanos(view.time.get(row).unwrap_or_default())).collect();
        let src = End { pod: view.src_pod, labels: view.src_labels, ip: view.src_ip, port: view.src_port };
        let dst = End { pod: view.dst_pod, labels: view.dst_labels, ip: view.dst_ip, port: view.dst_port };
        let mut columns = self.end(
            &src,
            &times,
            ["src_namespace", "src_pod", "src_workload", "src_workload_kind", "src_labels"],
            ["src_service", "src_service_namespace"],
        );
        columns.extend(self.end(
            &dst,
            &times,
            ["dst_namespace", "dst_pod", "dst_workload", "dst_workload_kind", "dst_labels"],
            ["dst_service", "dst_service_namespace"],
        ));
        Ok(columns)
    }

    /// One end of flows: whose it was, and the service where the address was a service's own.
    fn end(
        &self,
        end: &End<'_>,
        times: &[Timestamp],
        names: [&'static str; 5],
        of_service: [&'static str; 2],
    ) -> Columns {
        let mut named = Named::new(times.len());
        let (mut services, mut namespaces): (Texts, Texts) = (vec![None; times.len()], vec![None; times.len()]);
        let places = services.iter_mut().zip(&mut namespaces);
        for ((row, at), (service, namespace)) in times.iter().enumerate().zip(places) {
            let ip: Option<IpAddr> = end.ip.get(row).and_then(|text| text.parse().ok());
            let labels = end.labels.get(row);
            if end.pod.get(row).is_none()
                && let Some(fact) = self.pod_at(labels, ip, *at)
            {
                named.set(row, fact, labels);
            }
            if let (Some(ip), Some(port)) = (ip, end.port.get(row))
                && let Some(found) = self.service_of(ip, port, *at).filter(|found| !found.is_endpoint)
            {
                *service = Some(Arc::clone(&found.fact.name));
                namespace.clone_from(&found.fact.namespace);
            }
        }
        named.columns(names).chain(of_service.into_iter().zip([services, namespaces])).collect()
    }

    fn processes(&self, records: &RecordBatch) -> Result<Columns, SchemaError> {
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

/// The records with texts in their columns; rows without a text keep what they have.
fn with_texts(records: RecordBatch, columns: Columns) -> RecordBatch {
    let schema = records.schema();
    let mut arrays = records.columns().to_vec();
    for (name, texts) in columns.into_iter().filter(|(_, texts)| texts.iter().any(Option::is_some)) {
        let Some(array) = schema.index_of(name).ok().and_then(|place| arrays.get_mut(place)) else { continue };
        let Some(before) = TextView::of(Some(&*array)) else { continue };
        let mut builder = StringDictionaryBuilder::<Int32Type>::new();
        for (row, text) in texts.iter().enumerate() {
            builder.append_option(text.as_deref().or_else(|| before.get(row)));
        }
        let named: ArrayRef = Arc::new(builder.finish());
        *array = named;
    }
    // The types of the columns and the number of rows are what they were.
    RecordBatch::try_new(schema, arrays).unwrap_or(records)
}

#[cfg(test)]
mod tests;
