//! Reads files once. One thread reads and cuts, several decode, the order is restored, and whole batches are recorded
//! together with the position they reach: a crash loses nothing and doubles nothing.
//!
//! Memory: a fixed number of blocks is under way; the reader waits for a permit before each.

mod collect;
mod reader;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::blocks::Block;
use super::config::ImportConfig;
use super::decode::{DecodeArgs, Decoded, decode};
use super::inputs::{Input, Inputs};
use super::known::Reached;
use super::summary::{FileState, FileSummary, ImportSummary, Progress, Rejected};
use crate::pipeline::{Pipeline, SubmitError};
use crate::source::{Source, SourceState};
use collect::Collector;
use reader::{Begun, Reader};

/// Rows that have waited this long are recorded, however few they are.
const MAX_WAIT: Duration = Duration::from_millis(500);
/// How often a caller hears of progress, at most.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// Why an import ended early. What it recorded stays; the next import goes on behind it.
#[derive(Debug, thiserror::Error)]
#[error("the import stopped")]
pub struct ImportError {
    /// What went wrong.
    #[source]
    pub source: SubmitError,
    /// What was done until then.
    pub summary: Box<ImportSummary>,
}

/// A place in an input.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    position: u64,
    mark: u64,
}

/// A block to decode.
#[derive(Debug)]
struct Work {
    seq: u64,
    file: usize,
    source: String,
    block: Block,
    safe: Place,
    end: Place,
    leaves_end: bool,
    /// Set when the block, the input's first, shows that it holds no events.
    foreign: Option<Arc<AtomicBool>>,
}

/// What happened to an input, in order.
#[derive(Debug)]
enum Note {
    Begun(Box<Begun>),
    /// It was read to its end before.
    Unchanged(Box<Reached>),
    Block(Box<DecodedBlock>),
    Rejected {
        rejected: Rejected,
        end: Place,
        n_bytes: u64,
    },
    Torn(Rejected),
    Ended(FileState),
    Broken(SubmitError),
}

#[derive(Debug)]
struct DecodedBlock {
    decoded: Decoded,
    is_foreign: bool,
    safe: Place,
    end: Place,
    leaves_end: bool,
    n_lines: u64,
    n_bytes: u64,
}

/// A note with its place in the order.
#[derive(Debug)]
struct Ticket {
    seq: u64,
    file: usize,
    note: Note,
}

/// Reads `paths` (files, globs, directories, buckets, `-`) and records what is new in them, on the account of `source`.
///
/// What cannot be read or decoded is listed in the summary and does not stop the rest. Cancelling stops after the
/// blocks under way; they are recorded.
///
/// # Errors
/// The store does not take what was read.
pub async fn import(
    pipeline: &Pipeline,
    source: &Source,
    paths: &[String],
    config: &ImportConfig,
    cancel: CancellationToken,
    progress: impl FnMut(&Progress) + Send,
) -> Result<ImportSummary, ImportError> {
    let paths = paths.to_vec();
    let inputs = tokio::task::spawn_blocking(move || Inputs::expand(&paths)).await.unwrap_or_default();
    import_inputs(pipeline, source, inputs, config, cancel, progress).await
}

/// Reads inputs that were found already; otherwise as [`import`].
pub(super) async fn import_inputs(
    pipeline: &Pipeline,
    source: &Source,
    inputs: Inputs,
    config: &ImportConfig,
    cancel: CancellationToken,
    mut progress: impl FnMut(&Progress) + Send,
) -> Result<ImportSummary, ImportError> {
    let started = pipeline.now();
    let Inputs { found, errors, .. } = inputs;
    let found = Arc::new(found);
    let files = found.iter().map(|it| FileSummary::new(it.place.name(), it.is_named)).collect();
    let summary = ImportSummary { files, errors, ..ImportSummary::default() };
    source.set_state(SourceState::Running);
    let mut collector = Collector::new(pipeline.clone(), source.clone(), Arc::clone(&found), config, summary);
    let result = run(pipeline, config, &cancel, &found, &mut collector, &mut progress).await;
    let mut summary = collector.into_summary();
    summary.duration = pipeline.now().since(started);
    summary.is_stopped = cancel.is_cancelled();
    match result {
        Ok(()) => {
            source.set_state(SourceState::Finished);
            Ok(summary)
        }
        Err(error) => {
            source.set_state(SourceState::Failed);
            Err(ImportError { source: error, summary: Box::new(summary) })
        }
    }
}

async fn run(
    pipeline: &Pipeline,
    config: &ImportConfig,
    cancel: &CancellationToken,
    inputs: &Arc<Vec<Input>>,
    collector: &mut Collector,
    progress: &mut (impl FnMut(&Progress) + Send),
) -> Result<(), SubmitError> {
    let n_workers = config.n_workers();
    let max_under_way = n_workers * 2 + 4;
    let (permits, mut returned) = mpsc::channel(max_under_way);
    let (work, waiting) = sync_channel::<Work>(n_workers);
    let (notes, mut arriving) = mpsc::channel(max_under_way);
    let stop = cancel.child_token();
    let n_bytes = Arc::new(AtomicU64::new(0));
    let mut threads = Vec::new();
    let waiting = Arc::new(Mutex::new(waiting));
    for _ in 0..n_workers {
        let (waiting, notes, pipeline) = (Arc::clone(&waiting), notes.clone(), pipeline.clone());
        let max_samples = config.max_samples;
        threads.push(tokio::task::spawn_blocking(move || decode_blocks(&waiting, &notes, &pipeline, max_samples)));
    }
    drop(waiting);
    let reader = Reader {
        pipeline: pipeline.clone(),
        limits: config.limits(),
        cancel: stop.clone(),
        permits,
        work,
        notes,
        n_bytes: Arc::clone(&n_bytes),
        next_seq: 0,
    };
    let files = Arc::clone(inputs);
    threads.push(tokio::task::spawn_blocking(move || reader.run(&files)));
    let bytes_total = inputs.iter().map(|input| input.n_bytes).sum();
    let mut tell = |collector: &Collector| {
        let bytes_done = n_bytes.load(Ordering::Relaxed);
        progress(&Progress { bytes_done, bytes_total, ..collector.progress() });
    };
    let result = collect(collector, &mut arriving, &mut returned, &mut tell).await;
    stop.cancel();
    // Whoever waits to hand something over learns that nobody takes it.
    drop((arriving, returned));
    for thread in threads {
        if let Err(error) = thread.await {
            tracing::error!(error = %error, "a thread of an import broke");
        }
    }
    tell(collector);
    result
}

/// Takes notes in order until all threads are done.
async fn collect(
    collector: &mut Collector,
    arriving: &mut mpsc::Receiver<Ticket>,
    returned: &mut mpsc::Receiver<()>,
    tell: &mut (impl FnMut(&Collector) + Send),
) -> Result<(), SubmitError> {
    let mut early: BTreeMap<u64, Ticket> = BTreeMap::new();
    let mut next_seq = 0;
    let mut flush_at = tokio::time::Instant::now() + MAX_WAIT;
    let mut tell_at = tokio::time::Instant::now() + PROGRESS_INTERVAL;
    loop {
        // Both futures are cancel safe: a ticket is taken or stays, the deadline is absolute.
        let ticket = tokio::select! {
            biased;
            ticket = arriving.recv() => ticket,
            () = tokio::time::sleep_until(flush_at) => {
                collector.flush().await?;
                flush_at = tokio::time::Instant::now() + MAX_WAIT;
                continue;
            }
        };
        let Some(ticket) = ticket else { break };
        early.insert(ticket.seq, ticket);
        while let Some(ticket) = early.remove(&next_seq) {
            next_seq += 1;
            // The reader took a permit for every ticket, so one is there.
            let _permit = returned.try_recv();
            if collector.take(ticket.file, ticket.note)? {
                collector.flush().await?;
                flush_at = tokio::time::Instant::now() + MAX_WAIT;
            }
        }
        if tokio::time::Instant::now() >= tell_at {
            tell(collector);
            tell_at = tokio::time::Instant::now() + PROGRESS_INTERVAL;
        }
    }
    collector.flush().await
}

/// A decoding thread.
fn decode_blocks(
    waiting: &Mutex<Receiver<Work>>,
    notes: &mpsc::Sender<Ticket>,
    pipeline: &Pipeline,
    max_samples: usize,
) {
    loop {
        let next = waiting.lock().recv();
        let Ok(mut work) = next else { return };
        let args =
            DecodeArgs { source: &work.source, recorded_at: pipeline.now(), max_samples, leaves_end: work.leaves_end };
        let note = match decode(&mut work.block, args) {
            Ok(decoded) => {
                let is_foreign = decoded.foreign.is_some() && work.foreign.is_some();
                if let Some(give_up) = work.foreign.filter(|_| is_foreign) {
                    give_up.store(true, Ordering::Relaxed);
                }
                Note::Block(Box::new(DecodedBlock {
                    decoded,
                    is_foreign,
                    safe: work.safe,
                    end: work.end,
                    leaves_end: work.leaves_end,
                    n_lines: work.block.n_lines,
                    n_bytes: work.block.bytes.len() as u64,
                }))
            }
            Err(error) => Note::Broken(error),
        };
        if notes.blocking_send(Ticket { seq: work.seq, file: work.file, note }).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod rate;
#[cfg(test)]
mod tests;
