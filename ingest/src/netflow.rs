//! Listening for flow exports over UDP: NetFlow 5, 7 and 9, IPFIX, and sFlow, on one port or several.
//!
//! UDP cannot be asked to wait: while the recorder is full the socket's buffer holds what comes, and what the kernel drops
//! then is counted as lost. What routers lost before is not known here.

mod drops;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use hindcast_model::tables::losses;
use hindcast_model::{Batch, SchemaError, SourceKind, TableId, Timestamp, report};
use hindcast_packets::export::{ExportConfig, ExportCounts, ExportDecoder};
use hindcast_proto::RejectReason;
use serde::{Deserialize, Serialize};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::{ConfigError, check_size, check_time};
use crate::file::{RejectedByReason, ReportArgs, report as report_rejected};
use crate::pipeline::{Part, Pipeline, Prepared, SubmitError};
use crate::source::{LostStage, Source, SourceState};
use drops::Drops;

/// The largest datagram there is.
const MAX_DATAGRAM: usize = 65_535;
/// Batches that wait to be recorded; beyond them the socket's buffer fills.
const MAX_WAITING: usize = 8;
/// Pause before an address that cannot be had is tried again.
const BIND_PAUSE: Duration = Duration::from_secs(5);

/// An address at which flow exports are expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetflowConfig {
    /// The source's name in the account; empty means `netflow:` and the address.
    pub name: String,
    /// Address and UDP port. Exporters are not authenticated: whoever reaches the port can tell of flows.
    pub listen: String,
    /// Buffer of the socket. The kernel gives at most `net.core.rmem_max`, unless the recorder may administer the network.
    pub receive_buffer: ByteSize,
    /// How long a record waits for company before it is recorded.
    #[serde(with = "humantime_serde")]
    pub flush_interval: Duration,
    /// Records that are recorded together at most.
    pub max_batch_rows: usize,
}

impl Default for NetflowConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            listen: "127.0.0.1:2055".to_owned(),
            receive_buffer: ByteSize::mib(8),
            flush_interval: Duration::from_millis(500),
            max_batch_rows: 8192,
        }
    }
}

impl NetflowConfig {
    pub(crate) fn check(&self, field: &str, errors: &mut Vec<ConfigError>) {
        if self.listen.parse::<SocketAddr>().is_err() {
            let problem = format!("{:?} is no address with a port, as 0.0.0.0:2055 is", self.listen);
            errors.push(ConfigError::new(format!("{field}.listen"), problem));
        }
        if self.max_batch_rows == 0 {
            errors.push(ConfigError::new(format!("{field}.max_batch_rows"), "must be at least 1"));
        }
        check_time(&format!("{field}.flush_interval"), self.flush_interval, errors);
        let (least, most) = (ByteSize::kib(64), ByteSize::gib(1));
        check_size(&format!("{field}.receive_buffer"), self.receive_buffer, least, most, errors);
    }

    /// The source's name in the account.
    #[must_use]
    pub fn source_name(&self) -> String {
        if self.name.is_empty() { format!("netflow:{}", self.listen) } else { self.name.clone() }
    }
}

/// What was gathered between two hand-overs.
#[derive(Debug)]
struct Gathered {
    batches: Result<Vec<Batch>, SchemaError>,
    /// Rows in them.
    n_rows: u64,
    rejected: RejectedByReason,
    /// Datagrams that the kernel dropped.
    n_dropped: u64,
    at: Timestamp,
}

/// Listens until it is cancelled.
pub async fn run(pipeline: Pipeline, config: NetflowConfig, cancel: CancellationToken) {
    let source = pipeline.source(&config.source_name());
    source.set_state(SourceState::Connecting);
    let socket = loop {
        match bind(&config).await {
            Ok(socket) => break socket,
            Err(error) => {
                let text = format!("cannot listen at {}: {error}", config.listen);
                tracing::warn!(error = text, "flow exports are not received");
                source.set_error(pipeline.now(), text);
                source.set_state(SourceState::Reconnecting);
            }
        }
        // Cancel safe: nothing is held while waiting.
        tokio::select! {
            () = tokio::time::sleep(BIND_PAUSE) => {}
            () = cancel.cancelled() => return source.set_state(SourceState::Finished),
        }
    };
    source.set_state(SourceState::Running);
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    let recording = record(pipeline.clone(), source.clone(), receiver);
    let listening = async {
        Box::pin(Listening::new(&pipeline, &config, socket, sender).run(&cancel)).await;
    };
    tokio::join!(recording, listening);
    source.set_state(SourceState::Finished);
}

async fn bind(config: &NetflowConfig) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind(&config.listen).await?;
    let size = usize::try_from(config.receive_buffer.as_u64()).unwrap_or(usize::MAX);
    use rustix::net::sockopt;
    // Beyond the limit of the machine only for whoever may.
    if sockopt::set_socket_recv_buffer_size_force(&socket, size).is_err() {
        sockopt::set_socket_recv_buffer_size(&socket, size)?;
    }
    Ok(socket)
}

struct Listening<'a> {
    pipeline: &'a Pipeline,
    config: &'a NetflowConfig,
    socket: UdpSocket,
    decoder: ExportDecoder,
    sender: mpsc::Sender<Gathered>,
    drops: Drops,
    /// What was told of already.
    told: ExportCounts,
    /// The last datagram that made no sense: who sent it, and what was wrong.
    last_fault: Option<String>,
}

impl<'a> Listening<'a> {
    fn new(
        pipeline: &'a Pipeline,
        config: &'a NetflowConfig,
        socket: UdpSocket,
        sender: mpsc::Sender<Gathered>,
    ) -> Self {
        let drops = Drops::of(&socket);
        let decoder = ExportDecoder::new(ExportConfig::default());
        Self { pipeline, config, socket, decoder, sender, drops, told: ExportCounts::default(), last_fault: None }
    }

    async fn run(mut self, cancel: &CancellationToken) {
        let mut datagram = vec![0; MAX_DATAGRAM];
        let mut flush = tokio::time::interval(self.config.flush_interval);
        flush.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // All arms are cancel safe: a datagram is received or stays with the kernel.
            let is_due = tokio::select! {
                () = cancel.cancelled() => break,
                _ = flush.tick() => true,
                received = self.socket.recv_from(&mut datagram) => {
                    // An error is of an earlier datagram of ours, and we send none.
                    if let Ok((len, exporter)) = received {
                        self.take(datagram.get(..len).unwrap_or_default(), exporter);
                    }
                    self.decoder.n_rows() >= self.config.max_batch_rows
                }
            };
            if is_due && self.hand_over().await.is_err() {
                return;
            }
        }
        while let Ok((len, exporter)) = self.socket.try_recv_from(&mut datagram) {
            self.take(datagram.get(..len).unwrap_or_default(), exporter);
        }
        // The receiver may be gone with a store that is closed; its rows are counted there.
        drop(self.hand_over().await);
    }

    fn take(&mut self, datagram: &[u8], exporter: SocketAddr) {
        let now = self.pipeline.now();
        if let Err(fault) = self.decoder.take(exporter.ip().to_canonical(), now, datagram) {
            self.last_fault = Some(format!("a datagram from {exporter}: {fault}"));
        }
    }

    async fn hand_over(&mut self) -> Result<(), mpsc::error::SendError<Gathered>> {
        let batches = self.decoder.finish();
        let counts = self.decoder.counts().clone();
        let rejected = self.rejected(&counts);
        let n_rows = counts.rows - self.told.rows;
        self.told = counts;
        let n_dropped = self.drops.news();
        if n_rows == 0 && rejected.is_empty() && n_dropped == 0 {
            return Ok(());
        }
        let gathered = Gathered { batches, n_rows, rejected, n_dropped, at: self.pipeline.now() };
        self.sender.send(gathered).await
    }

    /// What made no row since the last time.
    fn rejected(&mut self, now: &ExportCounts) -> RejectedByReason {
        let told = &self.told;
        let mut rejected = RejectedByReason::new();
        let mut add = |reason: RejectReason, count: u64, detail: String| {
            if count > 0 {
                rejected.entry(reason).or_default().add_unnumbered(count, detail);
            }
        };
        let n = now.malformed - told.malformed;
        add(RejectReason::BadField, n, self.last_fault.take().unwrap_or_default());
        let n = now.rejected - told.rejected;
        add(RejectReason::Unsupported, n, format!("{n} records without addresses or time, or of unknown packets"));
        let n = now.missing_template - told.missing_template;
        add(RejectReason::UnknownKind, n, format!("{n} sets of records came before their template"));
        rejected
    }
}

/// Records what was gathered, one after the other.
async fn record(pipeline: Pipeline, source: Source, mut receiver: mpsc::Receiver<Gathered>) {
    while let Some(gathered) = receiver.recv().await {
        source.count_received(gathered.n_rows);
        source.count_missed(gathered.n_dropped);
        for (reason, lines) in &gathered.rejected {
            source.count_received(lines.count);
            source.count_rejected(*reason, lines.count);
        }
        let n_rows = gathered.n_rows;
        let part = match part(gathered, &source) {
            Ok(part) => part,
            Err(error) => {
                tracing::error!(error = report(&error), "rows of flow exports do not fit their table");
                source.count_lost(LostStage::Append, n_rows);
                continue;
            }
        };
        if let Err(error) = pipeline.submit_or_lose(&source, vec![part]).await {
            source.set_error(pipeline.now(), report(&error));
        }
    }
}

fn part(gathered: Gathered, source: &Source) -> Result<Part, SubmitError> {
    let assemble = |error: SchemaError| SubmitError::Assemble(Arc::new(error));
    let mut part = Part::default();
    for batch in gathered.batches.map_err(assemble)? {
        part.events.push(Prepared::accepted(&batch, gathered.at)?);
    }
    let args =
        ReportArgs { source: source.name(), kind: SourceKind::Netflow, time: gathered.at, recorded_at: gathered.at };
    part.n_rejected = gathered.rejected.values().map(|lines| lines.count).sum();
    part.reports.extend(report_rejected(&gathered.rejected, args).map_err(assemble)?);
    if gathered.n_dropped > 0 {
        part.reports.push(dropped(gathered.n_dropped, gathered.at, source).map_err(assemble)?);
    }
    Ok(part)
}

/// A report of datagrams that the kernel had no room for.
fn dropped(n_dropped: u64, at: Timestamp, source: &Source) -> Result<Prepared, SchemaError> {
    let mut builder = losses::Builder::default();
    let row = builder.row();
    builder.time.set(row, at.as_nanos());
    builder.recorded_at.set(row, at.as_nanos());
    builder.source_kind.set(row, SourceKind::Netflow.as_str());
    builder.source.set(row, source.name());
    builder.stage.set(row, "kernel");
    builder.reason.set(row, "receive_buffer_full");
    builder.count.set(row, n_dropped);
    builder.detail.set(row, "datagrams; each holds several records");
    builder.commit();
    Ok(Prepared::new(Batch { table: TableId::Losses, records: builder.finish()? }))
}

#[cfg(test)]
mod tests;
