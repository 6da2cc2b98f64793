//! One connection: messages become batches, batches are recorded.

use std::collections::BTreeMap;
use std::sync::Arc;

use hindcast_model::tables::losses;
use hindcast_model::{Batch, SchemaError, SourceKind, TableId, Timestamp};
use hindcast_proto::{EventBuilders, Origin, RawMessage};
use tonic::{Status, Streaming};

use super::continuity::Gap;
use super::{Continuity, Listener, StreamConfig, Wire};
use crate::file::RejectedByReason;
use crate::file::known::{Reached, Tally};
use crate::file::{ReportArgs, report};
use crate::pipeline::{Part, Prepared, SubmitError};

/// The stage of a gap in the column `stage`.
const STAGE: &str = "connection";
/// The reason of a gap in the column `reason`.
const DISCONNECTED: &str = "disconnected";
/// Rejected messages kept per batch and reason; only the first is shown.
const MAX_SAMPLES: usize = 1;

/// How a connection ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) n_messages: u64,
    pub(super) error: Option<Status>,
    /// Whether there is no use in another.
    pub(super) is_final: bool,
}

/// What goes on over all connections of a listener.
#[derive(Debug)]
pub(super) struct Session {
    continuity: Continuity,
    reached: Reached,
    kind: SourceKind,
    replays: bool,
}

/// Messages that were received and not recorded yet.
#[derive(Debug, Default)]
struct Gathered {
    builders: EventBuilders,
    n_messages: u64,
    rejected: RejectedByReason,
}

impl Session {
    pub(super) fn new(listener: &Listener, kind: SourceKind, replays: bool) -> Self {
        let reached = listener.pipeline.stream_reached(&listener.address).unwrap_or_else(|| Reached {
            source: listener.address.clone(),
            fingerprint: None,
            position: 0,
            mark: 0,
            pending: 0,
            is_complete: false,
            tally: Tally::default(),
            last_event_time: None,
        });
        // A clock in the future would make the next connection ask for nothing.
        let last = reached.last_event_time.map(|last| last.min(listener.pipeline.now()));
        Self { continuity: Continuity::new(last), reached, kind, replays }
    }

    /// From when on the next connection has to ask; `None` for everything there is.
    pub(super) fn since(&self, config: &StreamConfig) -> Option<Timestamp> {
        self.continuity.resume_at().map(|last| last.saturating_sub(config.overlap))
    }

    /// Records what the stream brings until it ends or the listener is cancelled.
    pub(super) async fn listen<W: Wire>(&mut self, listener: &Listener, mut stream: Streaming<RawMessage>) -> Ended {
        let mut gathered = Gathered::default();
        let mut n_messages = 0;
        let mut flush_at = None;
        let (error, is_cancelled) = loop {
            let deadline = flush_at.unwrap_or_else(tokio::time::Instant::now);
            // All three are cancel safe: a message is taken or stays, the deadline is absolute.
            tokio::select! {
                message = stream.message() => match message {
                    Ok(Some(message)) => {
                        n_messages += 1;
                        flush_at.get_or_insert_with(|| tokio::time::Instant::now() + listener.config.flush_interval);
                        gathered.add::<W>(listener, &message);
                    }
                    Ok(None) => break (None, false),
                    Err(status) => break (Some(status), false),
                },
                () = tokio::time::sleep_until(deadline), if flush_at.is_some() => {
                    flush_at = None;
                    if self.flush(listener, &mut gathered).await.is_err() {
                        return Ended { n_messages, error: None, is_final: true };
                    }
                }
                () = listener.cancel.cancelled() => break (None, true),
            }
            if gathered.n_messages >= listener.config.max_batch_rows as u64 {
                flush_at = None;
                if self.flush(listener, &mut gathered).await.is_err() {
                    return Ended { n_messages, error: None, is_final: true };
                }
            }
        };
        let flushed = self.flush(listener, &mut gathered).await;
        self.continuity.disconnected();
        Ended { n_messages, error, is_final: is_cancelled || flushed.is_err() }
    }

    /// Records what has gathered; tries again for as long as the store may take it.
    async fn flush(&mut self, listener: &Listener, gathered: &mut Gathered) -> Result<(), SubmitError> {
        if gathered.n_messages == 0 {
            return Ok(());
        }
        let Gathered { mut builders, n_messages, rejected } = std::mem::take(gathered);
        listener.source.count_received(n_messages);
        let n_rejected: u64 = rejected.values().map(|lines| lines.count).sum();
        rejected.iter().for_each(|(reason, lines)| listener.source.count_rejected(*reason, lines.count));
        let assemble = |error: SchemaError| SubmitError::Assemble(Arc::new(error));
        let preparing = tokio::task::spawn_blocking(move || {
            let batches = builders.finish()?;
            let nodes = nodes(&batches);
            Ok((batches.into_iter().map(Prepared::new).collect::<Vec<_>>(), nodes))
        });
        let (events, nodes) = match preparing.await {
            Ok(result) => result.map_err(assemble)?,
            Err(error) => return Err(SubmitError::Assemble(Arc::new(error))),
        };
        let gaps = self.continuity.observe(&nodes, self.replays);
        let now = listener.pipeline.now();
        let first = nodes.values().map(|(first, _)| *first).min();
        let args = ReportArgs {
            source: &listener.address,
            kind: self.kind,
            time: first.or(self.reached.last_event_time).unwrap_or(now),
            recorded_at: now,
        };
        let mut reports: Vec<Prepared> = report(&rejected, args).map_err(assemble)?.into_iter().collect();
        reports.extend(self.gap_rows(&gaps, now).map_err(assemble)?);
        let mut progress = self.reached.clone();
        progress.position += n_messages;
        let part = Part { events, reports, n_rejected, progress: Some(progress) };
        // The stream is not read meanwhile: the other side notices.
        let outcome = listener.pipeline.submit_patiently(&listener.source, part, &listener.cancel).await?;
        self.reached.position += n_messages;
        self.reached.tally +=
            Tally { recorded: outcome.recorded, deduplicated: outcome.deduplicated, rejected: n_rejected };
        self.reached.last_event_time = self.reached.last_event_time.max(outcome.last_event_time);
        Ok(())
    }

    fn gap_rows(&self, gaps: &[Gap], now: Timestamp) -> Result<Option<Prepared>, SchemaError> {
        if gaps.is_empty() {
            return Ok(None);
        }
        let mut builder = losses::Builder::default();
        for gap in gaps {
            let row = builder.row();
            builder.time.set(row, gap.from.as_nanos());
            builder.end_time.set(row, gap.to.as_nanos());
            builder.recorded_at.set(row, now.as_nanos());
            if let Some(node) = &gap.node {
                // As in the columns of events: the name may carry its cluster.
                match node.split_once('/') {
                    Some((cluster, node)) => {
                        builder.cluster.set(row, cluster);
                        builder.node.set(row, node);
                    }
                    None => builder.node.set(row, node),
                }
            }
            builder.source_kind.set(row, self.kind.as_str());
            builder.source.set(row, &self.reached.source);
            builder.stage.set(row, STAGE);
            builder.reason.set(row, DISCONNECTED);
            builder.commit();
        }
        Ok(Some(Prepared::new(Batch { table: TableId::Losses, records: builder.finish()? })))
    }
}

impl Gathered {
    fn add<W: Wire>(&mut self, listener: &Listener, message: &RawMessage) {
        self.n_messages += 1;
        let recorded_at = listener.pipeline.now();
        let origin = Origin { kind: W::KIND, source: &listener.address, recorded_at };
        if let Err(rejection) = W::decode(&message.0, &origin, &mut self.builders) {
            let number = self.n_messages;
            self.rejected.entry(rejection.reason).or_default().add(
                number,
                || rejection.detail.into_owned(),
                MAX_SAMPLES,
            );
        }
    }
}

/// First and last event time of each node. A source's word on itself is no event.
fn nodes(batches: &[Batch]) -> BTreeMap<String, (Timestamp, Timestamp)> {
    use arrow::array::AsArray as _;
    use arrow::datatypes::TimestampNanosecondType;
    use hindcast_model::column::TextView;
    let mut nodes: BTreeMap<String, (Timestamp, Timestamp)> = BTreeMap::new();
    for batch in batches.iter().filter(|batch| batch.table != TableId::Losses) {
        let column = |name| batch.records.column_by_name(name);
        let Some(times) = column("time").and_then(|it| it.as_primitive_opt::<TimestampNanosecondType>()) else {
            continue;
        };
        let cluster = TextView::of(column("cluster")).unwrap_or(TextView::Absent);
        let node = TextView::of(column("node")).unwrap_or(TextView::Absent);
        let mut last: Option<(Option<&str>, Option<&str>, String)> = None;
        for (row, time) in times.values().iter().enumerate() {
            let (in_cluster, on_node) = (cluster.get(row), node.get(row));
            let name = match &last {
                Some((cluster, node, name)) if (*cluster, *node) == (in_cluster, on_node) => name.clone(),
                _ => match (in_cluster, on_node) {
                    (Some(cluster), Some(node)) => format!("{cluster}/{node}"),
                    (None, Some(node)) => node.to_owned(),
                    // Without a node there is nothing to prove.
                    (_, None) => continue,
                },
            };
            let time = Timestamp::from_nanos(*time);
            let seen = nodes.entry(name.clone()).or_insert((time, time));
            *seen = (seen.0.min(time), seen.1.max(time));
            last = Some((in_cluster, on_node, name));
        }
    }
    nodes
}
