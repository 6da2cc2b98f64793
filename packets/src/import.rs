//! A capture becomes rows: one for each connection, and one for each message of DNS and HTTP and each hello of TLS.
//!
//! Everything is counted: a packet is in a connection's row, or in the count of a reason why it is in none. The
//! number of connections followed at once and of bytes held for their applications' sake are bounded; what a bound
//! ended is counted too. Time is that of the packets, so the same capture gives the same rows in the same order.

mod row;
mod table;

use std::io::Read;
use std::time::Duration;

use hindcast_model::{Batch, Kind, SchemaError, SourceKind};

use crate::capture::{Capture, CaptureError, Damage};
use crate::layers::{self, NotUnderstood};
use crate::redact::Redactor;
use crate::rows::{Origin, Rows};
use table::Table;

/// How a capture is read.
#[derive(Clone, Debug)]
pub struct ImportConfig {
    /// Where the rows come from.
    pub origin: Origin,
    /// What is taken out of URLs and headers. The well-known secrets by default.
    pub redactor: Redactor,
    /// Rows of a batch, or a few more: a connection that ends does not end between two batches. 8192 by default.
    pub rows_per_batch: usize,
    /// Connections followed at once; the least recently seen make room. 65,536 by default.
    pub most_connections: usize,
    /// Bytes held for the applications of all connections: what came early, heads and hellos that are not whole.
    /// Beyond, a connection's application is given up. 64 MiB by default.
    pub most_held_bytes: usize,
    /// A TCP connection is over when nothing was seen of it for so long. 5 minutes by default.
    pub tcp_idle: Duration,
    /// An exchange of datagrams is over when nothing was seen of it for so long. 60 seconds by default.
    pub udp_idle: Duration,
    /// A closed TCP connection waits so long for stragglers. 10 seconds by default.
    pub closed_linger: Duration,
}

impl Default for ImportConfig {
    fn default() -> Self {
        Self {
            origin: Origin::default(),
            redactor: Redactor::default(),
            rows_per_batch: 8192,
            most_connections: 65_536,
            most_held_bytes: 64 << 20,
            tcp_idle: Duration::from_secs(300),
            udp_idle: Duration::from_secs(60),
            closed_linger: Duration::from_secs(10),
        }
    }
}

/// What became of a capture so far. `packets = in_connections + open + not_understood{reason}` at every moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportCounts {
    /// Packets read.
    pub packets: u64,
    /// Packets that the rows of connections count.
    pub in_connections: u64,
    /// Packets of connections that have no row yet.
    pub open: u64,
    /// Packets in no row, by reason, in the order of [`NotUnderstood::ALL`].
    pub not_understood: [u64; NotUnderstood::ALL.len()],
    /// Rows of connections.
    pub connections: u64,
    /// Rows of DNS messages.
    pub dns: u64,
    /// Rows of HTTP requests and responses.
    pub http: u64,
    /// Rows of TLS hellos.
    pub tls: u64,
    /// DNS messages that were not understood.
    pub dns_faults: u64,
    /// Places where HTTP was not understood any more.
    pub http_faults: u64,
    /// Handshakes of TLS that were not understood.
    pub tls_faults: u64,
    /// Connections whose row was written before they ended, to make room for others.
    pub evicted: u64,
    /// Connections whose applications were followed no further, to keep to the bound on bytes held.
    pub given_up: u64,
}

impl ImportCounts {
    /// How many packets were not understood for a reason.
    #[must_use]
    pub fn of(&self, reason: NotUnderstood) -> u64 {
        let counts = NotUnderstood::ALL.iter().zip(&self.not_understood);
        counts.filter(|(known, _)| **known == reason).map(|(_, count)| *count).sum()
    }

    /// Whether every packet is where it has to be (AC-1).
    #[must_use]
    pub fn add_up(&self) -> bool {
        self.packets == self.in_connections + self.open + self.not_understood.iter().sum::<u64>()
    }

    fn reject(&mut self, reason: NotUnderstood) {
        for (known, count) in NotUnderstood::ALL.iter().zip(&mut self.not_understood) {
            *count += u64::from(*known == reason);
        }
    }
}

/// A capture that cannot be made into rows.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The capture cannot be read.
    #[error("the capture cannot be read")]
    Capture(#[source] CaptureError),
    /// The rows do not have the table's form: a fault of ours.
    #[error("rows of a capture do not fit their table")]
    Rows(#[source] SchemaError),
}

impl ImportError {
    /// Who has to act on it.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Capture(error) => error.kind(),
            Self::Rows(_) => Kind::Internal,
        }
    }
}

/// Reads a capture and gives its rows, batch by batch.
#[derive(Debug)]
pub struct PcapImport<R> {
    capture: Capture<R>,
    table: Table,
    rows: Rows,
    counts: ImportCounts,
    rows_per_batch: usize,
    is_at_end: bool,
}

impl<R: Read> PcapImport<R> {
    /// An import with the usual bounds.
    #[must_use]
    pub fn new(reader: R) -> Self {
        Self::with_config(reader, ImportConfig::default())
    }

    /// An import.
    #[must_use]
    pub fn with_config(reader: R, config: ImportConfig) -> Self {
        let rows = Rows::new(SourceKind::Pcap, config.origin.clone());
        let rows_per_batch = config.rows_per_batch.max(1);
        let table = Table::new(config);
        let counts = ImportCounts::default();
        Self { capture: Capture::new(reader), table, rows, counts, rows_per_batch, is_at_end: false }
    }

    /// The next batch; `None` at the end.
    ///
    /// # Errors
    /// The capture cannot be read any further. [`PcapImport::finish`] still gives what was understood before.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, ImportError> {
        while !self.is_at_end && self.rows.len() < self.rows_per_batch {
            let Some(frame) = self.capture.next_frame().map_err(ImportError::Capture)? else {
                self.is_at_end = true;
                self.table.close_all(&mut self.rows, &mut self.counts);
                break;
            };
            self.counts.packets += 1;
            match (frame.time, layers::locate(&frame)) {
                (None, _) => self.counts.reject(NotUnderstood::NoTime),
                (Some(_), Err(reason)) => self.counts.reject(reason),
                (Some(time), Ok(segment)) => {
                    let place = table::Place {
                        time: time.as_nanos(),
                        interface: frame.interface,
                        interface_name: frame.interface_name,
                    };
                    self.table.take(&segment, place, &mut self.rows, &mut self.counts);
                }
            }
        }
        self.rows.finish().map_err(ImportError::Rows)
    }

    /// The rows of everything that is still open, after an error or when no more is to be read.
    ///
    /// # Errors
    /// The rows do not have the table's form.
    pub fn finish(&mut self) -> Result<Option<Batch>, ImportError> {
        self.is_at_end = true;
        self.table.close_all(&mut self.rows, &mut self.counts);
        self.rows.finish().map_err(ImportError::Rows)
    }

    /// What became of the capture so far.
    #[must_use]
    pub const fn counts(&self) -> &ImportCounts {
        &self.counts
    }

    /// What could not be read of the capture so far.
    #[must_use]
    pub const fn damage(&self) -> &Damage {
        self.capture.damage()
    }

    /// How far the capture was read, bytes.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.capture.position()
    }

    /// How many connections are followed, and how many bytes are held for their applications.
    #[must_use]
    pub fn n_held(&self) -> (usize, usize) {
        self.table.n_held()
    }
}

#[cfg(test)]
mod tests;
