//! From a source's batch to the log: validate, tell repeats, learn, append, acknowledge.
//!
//! One task owns the way: it takes what waits in a bounded queue, up to a number of rows, as one append. A source that
//! submits waits for the answer, so a full or absent store slows its sources down and loses nothing.

mod append;
mod owner;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use hindcast_model::{Batch, Clock, Kind, TableId, Timestamp};
use hindcast_proto::RejectReason;
use hindcast_storage::{AppendError, LakeError, Lsn, ReadError, Store};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::PipelineConfig;
use crate::directory::Directory;
use crate::file::known::{Known, Reached};
use crate::history::{self, Of, Others, Rows};
use crate::metrics::Metrics;
use crate::rename::rename;
use crate::seen::{BatchKeys, Seen};
use crate::source::{LostStage, Source, SourceState, SourceStatus};
use crate::validate::{PushError, conform};

/// The wait before a submission that was refused for the time being is made again.
const RETRY_PAUSE: std::time::Duration = std::time::Duration::from_millis(200);
/// How far progress may be published ahead of the events it is about: they lie in other partitions. More only reads again
/// what is known.
const PROGRESS_AHEAD: std::time::Duration = std::time::Duration::from_secs(600);

/// Why a submission was not recorded. Nothing of it was.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubmitError {
    /// The store did not take it.
    #[error("cannot append")]
    Append(#[source] AppendError),
    /// What is recorded already could not be looked at, so repeats cannot be told.
    #[error("cannot look for repeats")]
    Look(#[source] ReadError),
    /// A batch could not be put together.
    #[error("cannot put a batch together")]
    Assemble(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The pipeline has ended.
    #[error("the pipeline has ended")]
    Ended,
}

impl SubmitError {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Append(error) => error.kind(),
            Self::Look(error) => error.kind(),
            Self::Assemble(_) => Kind::Internal,
            Self::Ended => Kind::Unavailable,
        }
    }

    /// Whether the same submission may be recorded later.
    #[must_use]
    pub fn may_pass_later(&self) -> bool {
        match self {
            Self::Append(AppendError::Closed) | Self::Ended | Self::Assemble(_) => false,
            Self::Append(error) => matches!(error.kind(), Kind::Busy | Kind::Unavailable),
            Self::Look(error) => matches!(error.kind(), Kind::Busy | Kind::Unavailable),
        }
    }
}

/// Why a push was refused. Nothing of it was recorded.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// A batch does not fit.
    #[error(transparent)]
    Push(#[from] PushError),
    /// The batches fit and were not recorded.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

impl IntakeError {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Push(error) => error.kind(),
            Self::Submit(error) => error.kind(),
        }
    }
}

/// Why it could not be learned what others have recorded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LearnError {
    /// The shared catalogue does not answer.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// Their rows cannot be read.
    #[error("cannot read what others have recorded")]
    Read(#[from] ReadError),
}

/// Why a pipeline could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What was recorded before cannot be read.
    #[error("cannot read table {table}")]
    Read {
        /// The table.
        table: TableId,
        /// Why.
        #[source]
        source: ReadError,
    },
}

impl StartError {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Read { source, .. } => source.kind(),
        }
    }
}

/// Rows with what they are recognised by: the dear part of telling repeats, done by the submitter.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) batch: Batch,
    pub(crate) keys: Arc<BatchKeys>,
}

impl Prepared {
    /// Rows of a decoder, as the log accepts them at an instant.
    pub(crate) fn accepted(batch: &Batch, at: Timestamp) -> Result<Self, SubmitError> {
        let conformed = conform(batch.table, &batch.records, at);
        conformed.map(|it| Self::new(it.batch)).map_err(|error| SubmitError::Assemble(Arc::new(error)))
    }

    pub(crate) fn new(batch: Batch) -> Self {
        let keys = Arc::new(BatchKeys::of(batch.table, &batch.records));
        Self { batch, keys }
    }
}

/// What a source wants recorded together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Part {
    /// Events of the source: they stand in its account.
    pub(crate) events: Vec<Prepared>,
    /// Our own reports on the source: they do not.
    pub(crate) reports: Vec<Prepared>,
    /// Events refused since the last submission; counted by the source itself, noted with the progress.
    pub(crate) n_rejected: u64,
    /// How far the input was read with these events.
    pub(crate) progress: Option<Reached>,
}

impl Part {
    /// How many events.
    fn n_rows(&self) -> u64 {
        self.events.iter().map(|events| events.batch.n_rows() as u64).sum()
    }
}

/// What became of a submission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Rows that are durable now.
    pub recorded: u64,
    /// Rows that were recorded already.
    pub deduplicated: u64,
    /// Rows refused for want of a time.
    pub rejected: u64,
    /// The append that holds them; `None` if there was nothing to append.
    pub lsn: Option<Lsn>,
    /// Time of the latest event recorded.
    pub last_event_time: Option<Timestamp>,
}

/// One submission on its way.
#[derive(Debug)]
struct Job {
    source: Source,
    parts: Vec<Part>,
    reply: oneshot::Sender<Result<Vec<Outcome>, SubmitError>>,
}

impl Job {
    fn n_rows(&self) -> usize {
        self.parts.iter().flat_map(|part| &part.events).map(|events| events.batch.n_rows()).sum()
    }
}

/// What the owner task changes and others look at.
#[derive(Debug)]
struct Core {
    seen: Mutex<Seen>,
    directory: Mutex<Directory>,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    config: PipelineConfig,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    core: Core,
    sources: Mutex<BTreeMap<String, Source>>,
    /// What all who share the lake have published, where sources are shared.
    lake: OnceLock<SharedLake>,
    /// Whether others may have recorded what is not in the keys that are held.
    has_news: AtomicBool,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// The lake as all who share it see it.
#[derive(Debug)]
struct SharedLake {
    view: Store,
    others: Mutex<Others>,
}

/// The way of all events into the store. Clones share it.
#[derive(Clone, Debug)]
pub struct Pipeline {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Job>,
}

impl Pipeline {
    /// Reads what was recorded of inputs and workloads, and starts.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn start(
        store: Store,
        config: PipelineConfig,
        clock: Arc<dyn Clock>,
        registry: &mut Registry,
    ) -> Result<Self, StartError> {
        let metrics = Metrics::new(registry);
        let snapshot = store.snapshot();
        let read = |table| move |source| StartError::Read { table, source };
        let own = Rows { snapshot: &snapshot, of: Of::This };
        let known = history::known(&[own]).await.map_err(read(TableId::Ingested))?;
        let directory = Directory::new(config.max_directory_entries);
        let directory = history::directory(&snapshot, directory).await.map_err(read(TableId::Workloads))?;
        drop(snapshot);
        let core = Core {
            seen: Mutex::new(Seen::new(config.max_seen_keys)),
            directory: Mutex::new(directory),
            known: Mutex::new(known),
        };
        let (queue, waiting) = mpsc::channel(config.queue_len);
        let shared = Arc::new(Shared {
            store,
            config,
            clock,
            metrics,
            core,
            sources: Mutex::new(BTreeMap::new()),
            lake: OnceLock::new(),
            has_news: AtomicBool::new(false),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        shared.tasks.spawn(owner::run(Arc::clone(&shared), waiting));
        Ok(Self { shared, queue })
    }

    /// The source of that name; registered when it is named first.
    #[must_use]
    pub fn source(&self, name: &str) -> Source {
        let mut sources = self.shared.sources.lock();
        let source = sources.entry(name.to_owned()).or_insert_with(|| Source::new(name, self.shared.metrics.clone()));
        source.clone()
    }

    /// The accounts of all sources, by name.
    #[must_use]
    pub fn statuses(&self) -> Vec<SourceStatus> {
        self.shared.sources.lock().values().map(Source::status).collect()
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// What was known of an address at an instant: workload facts learned from the events' own words.
    #[must_use]
    pub fn look_up(&self, cluster: Option<&str>, ip: &str, at: Timestamp) -> Option<crate::directory::Fact> {
        self.shared.core.directory.lock().look_up(cluster, ip, at)
    }

    /// Records batches that somebody pushed; durable on return. All of them or, on an error, none.
    ///
    /// # Errors
    /// A batch does not fit its table, or the store does not take it.
    pub async fn push(
        &self,
        source: &Source,
        batches: impl IntoIterator<Item = (TableId, arrow::array::RecordBatch)> + Send,
    ) -> Result<Outcome, IntakeError> {
        let recorded_at = self.now();
        let (mut part, mut n_received) = (Part::default(), 0);
        for (table, records) in batches {
            let conformed = conform(table, &records, recorded_at)?;
            n_received += records.num_rows() as u64;
            part.n_rejected += conformed.n_without_time;
            part.events.push(Prepared::new(conformed.batch));
        }
        let rejected = part.n_rejected;
        source.count_received(n_received);
        source.count_rejected(RejectReason::MissingTime, rejected);
        let outcome = self.submit_or_lose(source, vec![part]).await?;
        Ok(Outcome { rejected, ..outcome.into_iter().next().unwrap_or_default() })
    }

    /// Records parts; durable on return. The answer has one outcome per part, in order. On an error the source may
    /// submit them again only if it kept them.
    pub(crate) async fn submit(&self, source: &Source, parts: Vec<Part>) -> Result<Vec<Outcome>, SubmitError> {
        let parts = self.renamed(source, parts).await?;
        let (reply, answer) = oneshot::channel();
        let job = Job { source: source.clone(), parts, reply };
        self.shared.metrics.queue_len.inc();
        let sent = self.queue.send(job).await;
        self.shared.metrics.queue_len.dec();
        sent.map_err(|_closed| SubmitError::Ended)?;
        answer.await.unwrap_or(Err(SubmitError::Ended))
    }

    /// The parts with the names of clusters that their source's events are recorded under.
    async fn renamed(&self, source: &Source, mut parts: Vec<Part>) -> Result<Vec<Part>, SubmitError> {
        let all = &self.shared.config.rename_clusters;
        let Some(names) = all.get(source.name()).or_else(|| all.get("*")).cloned() else { return Ok(parts) };
        let renaming = tokio::task::spawn_blocking(move || {
            for prepared in parts.iter_mut().flat_map(|part| part.events.iter_mut().chain(&mut part.reports)) {
                if let Some(batch) = rename(&prepared.batch, &names) {
                    *prepared = Prepared::new(batch);
                }
            }
            parts
        });
        renaming.await.map_err(|error| SubmitError::Assemble(Arc::new(error)))
    }

    /// Like `submit`; what is not recorded is counted as lost.
    pub(crate) async fn submit_or_lose(&self, source: &Source, parts: Vec<Part>) -> Result<Vec<Outcome>, SubmitError> {
        let n_rows = parts.iter().map(Part::n_rows).sum();
        let result = self.submit(source, parts).await;
        if let Err(error) = &result {
            let stage = if matches!(error, SubmitError::Ended) { LostStage::Shutdown } else { LostStage::Append };
            source.count_lost(stage, n_rows);
            source.set_error(self.now(), hindcast_model::report(error));
        }
        result
    }

    /// Records a part, for as long as it takes: a source that can wait waits. What is not recorded in the end is
    /// counted as lost.
    pub(crate) async fn submit_patiently(
        &self,
        source: &Source,
        part: Part,
        cancel: &CancellationToken,
    ) -> Result<Outcome, SubmitError> {
        loop {
            let error = match self.submit(source, vec![part.clone()]).await {
                Ok(outcomes) => return Ok(outcomes.into_iter().next().unwrap_or_default()),
                Err(error) => error,
            };
            source.set_error(self.now(), hindcast_model::report(&error));
            let mut is_over = !error.may_pass_later() || cancel.is_cancelled();
            if !is_over {
                source.set_state(SourceState::Waiting);
                // Cancel safe: the part is kept here.
                tokio::select! {
                    () = tokio::time::sleep(RETRY_PAUSE) => source.set_state(SourceState::Running),
                    () = cancel.cancelled() => is_over = true,
                }
            }
            if is_over {
                let is_end = matches!(error, SubmitError::Ended) || cancel.is_cancelled();
                source.count_lost(if is_end { LostStage::Shutdown } else { LostStage::Append }, part.n_rows());
                return Err(error);
            }
        }
    }

    /// The inputs that content starting with `head` may be.
    pub(crate) fn candidates(&self, head: &[u8]) -> Vec<Reached> {
        self.shared.core.known.lock().candidates(head)
    }

    /// How far a stream was recorded.
    pub(crate) fn stream_reached(&self, source: &str) -> Option<Reached> {
        self.shared.core.known.lock().stream(source)
    }

    /// Tells repeats also from what the other recorders of a lake have published; `view` is that lake, `own` this recorder's
    /// name in it.
    pub(crate) fn share(&self, view: Store, own: String) {
        let others = Mutex::new(Others { own, ..Others::default() });
        if self.shared.lake.set(SharedLake { view, others }).is_err() {
            tracing::debug!("the lake is shared already");
        }
    }

    /// Learns what the other recorders have published by now: how far they read what is shared, and which events.
    pub(crate) async fn learn_of_others(&self) -> Result<(), LearnError> {
        let Some(lake) = self.shared.lake.get() else { return Ok(()) };
        lake.view.refresh().await?;
        let recorders = lake.view.status().lake.map(|lake| lake.recorders).unwrap_or_default();
        let given_up = recorders.into_iter().filter(|recorder| recorder.retired_at.is_some());
        let others = Others {
            own: lake.others.lock().own.clone(),
            believed_until: given_up
                .map(|recorder| (recorder.recorder, recorder.named_until.saturating_sub(PROGRESS_AHEAD)))
                .collect(),
        };
        let (own, all) = (self.shared.store.snapshot(), lake.view.snapshot());
        let rows = [Rows { snapshot: &own, of: Of::This }, Rows { snapshot: &all, of: Of::Others(&others) }];
        let known = history::known(&rows).await?;
        *self.shared.core.known.lock() = known;
        *lake.others.lock() = others;
        self.shared.has_news.store(true, Ordering::Release);
        Ok(())
    }

    /// What was received until then, all who share the lake can read; `None` where none is shared.
    pub(crate) fn published_until(&self) -> Option<Timestamp> {
        self.shared.store.published_until()
    }

    /// The store that it records into.
    pub(crate) fn store(&self) -> &Store {
        &self.shared.store
    }

    /// The settings.
    pub(crate) fn config(&self) -> &PipelineConfig {
        &self.shared.config
    }

    /// Records what was submitted and ends. Sources are stopped first: a later submission is refused.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

#[cfg(test)]
mod tests;
