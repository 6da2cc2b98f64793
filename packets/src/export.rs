//! Datagrams in which switches, routers and hosts export what they saw: NetFlow 5, 7 and 9, IPFIX, and sFlow.
//!
//! A record becomes a row. Templates are kept for each exporter and each of its domains, within bounds; a set of
//! records whose template is not known is counted, since how many records it holds cannot be. Rows tell what the
//! record tells: counts are as exported, and where the exporter samples, the row's `summary` says one in how many.

mod field;
mod netflow;
mod sflow;

use std::net::IpAddr;

use hindcast_model::{Batch, SchemaError, SourceKind, Timestamp};

use crate::Malformed;
use crate::rows::{Origin, Rows};
use netflow::Exporters;

/// How datagrams are read.
#[derive(Clone, Debug)]
pub struct ExportConfig {
    /// Cluster and node that rows are said to come from; the source is the exporter's address unless it is set.
    pub origin: Origin,
    /// Exporters and domains whose templates are kept; the one not heard of for longest makes room. 1024 by default.
    pub most_exporters: usize,
    /// Templates kept for each of them. 256 by default.
    pub most_templates: usize,
}

impl Default for ExportConfig {
    fn default() -> Self {
        Self { origin: Origin::default(), most_exporters: 1024, most_templates: 256 }
    }
}

/// What became of the datagrams so far. `records = rows + rejected` at every moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportCounts {
    /// Datagrams taken.
    pub datagrams: u64,
    /// Datagrams, or the rest of them, that are not what their version asks for.
    pub malformed: u64,
    /// Records read.
    pub records: u64,
    /// Rows made of them.
    pub rows: u64,
    /// Records that tell no addresses or no time, or of a sampled packet that was not understood.
    pub rejected: u64,
    /// Sets of records whose template is not known.
    pub missing_template: u64,
    /// Records that tell of the exporter and not of traffic: options, counters of interfaces.
    pub not_flows: u64,
    /// Exporters whose templates were forgotten to make room.
    pub evicted: u64,
}

/// Takes datagrams and gives rows.
#[derive(Debug)]
pub struct ExportDecoder {
    exporters: Exporters,
    origin: Origin,
    netflow: Rows,
    sflow: Rows,
    counts: ExportCounts,
}

/// Who sent a datagram, and when it came.
#[derive(Debug)]
pub(crate) struct Sender {
    ip: IpAddr,
    /// The address as rows have it.
    name: String,
    received_at: Timestamp,
}

impl ExportDecoder {
    /// A decoder that knows no template.
    #[must_use]
    pub fn new(config: ExportConfig) -> Self {
        Self {
            exporters: Exporters::new(config.most_exporters, config.most_templates),
            netflow: Rows::new(SourceKind::Netflow, config.origin.clone()),
            sflow: Rows::new(SourceKind::Sflow, config.origin.clone()),
            origin: config.origin,
            counts: ExportCounts::default(),
        }
    }

    /// Takes a datagram. What can be read of it is read; `received_at` is the time of records that tell none.
    ///
    /// # Errors
    /// The datagram, or its rest, is not what its version asks for. That is counted as well.
    pub fn take(&mut self, exporter: IpAddr, received_at: Timestamp, datagram: &[u8]) -> Result<(), Malformed> {
        self.counts.datagrams += 1;
        let sender = Sender { ip: exporter, name: exporter.to_string(), received_at };
        let has_source = self.origin.source.is_some();
        let result = if sflow::looks_like(datagram) {
            let mut sink = Sink { rows: &mut self.sflow, counts: &mut self.counts, sender, has_source };
            sflow::take(datagram, &mut sink)
        } else {
            let mut sink = Sink { rows: &mut self.netflow, counts: &mut self.counts, sender, has_source };
            self.exporters.take(datagram, &mut sink)
        };
        self.counts.malformed += u64::from(result.is_err());
        result
    }

    /// How many rows wait to be taken.
    #[must_use]
    pub const fn n_rows(&self) -> usize {
        self.netflow.len() + self.sflow.len()
    }

    /// The rows so far: one batch for each kind of source that had any.
    ///
    /// # Errors
    /// The rows do not have the table's form: a fault of ours.
    pub fn finish(&mut self) -> Result<Vec<Batch>, SchemaError> {
        Ok([self.netflow.finish()?, self.sflow.finish()?].into_iter().flatten().collect())
    }

    /// What became of the datagrams so far.
    #[must_use]
    pub const fn counts(&self) -> &ExportCounts {
        &self.counts
    }

    /// For how many exporters and domains templates are kept.
    #[must_use]
    pub fn n_exporters(&self) -> usize {
        self.exporters.len()
    }
}

/// Where the records of a datagram go.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    rows: &'a mut Rows,
    counts: &'a mut ExportCounts,
    sender: Sender,
    has_source: bool,
}

impl Sink<'_> {
    /// Begins a row of a record; its source is the exporter, unless the user named one.
    fn begin(&mut self, time: i64) -> usize {
        let row = self.rows.begin(time);
        if !self.has_source {
            self.rows.columns.source.set(row, &self.sender.name);
        }
        // Two routers on one way say the same of a flow: who saw it belongs to the record.
        self.rows.observer(row, &self.sender.name);
        self.rows.columns.flow_type.set(row, "L3_L4");
        row
    }

    fn end(&mut self) {
        self.rows.end();
        self.counts.rows += 1;
    }
}

#[cfg(test)]
mod tests;
