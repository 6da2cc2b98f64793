//! Reads a bucket of recordings, as exporters ship them: listed again and again, each object read once, one that grew
//! from where it was left, and removed afterwards if that is wanted.
//!
//! What was read is known by its content, so a restart reads nothing twice, and the same recording under another name
//! is no other recording. Whatever the store does (refuses, stalls, lists too little, gives half of an object), the
//! next look goes on where this one ended.

use std::collections::HashMap;
use std::sync::Arc;

use hindcast_model::{Timestamp, report};
use hindcast_storage::objects::{Object, Objects, ObjectsError};
use tokio_util::sync::CancellationToken;

use super::config::{BucketConfig, ImportConfig};
use super::import::import_inputs;
use super::inputs::Inputs;
use super::summary::{FileState, FileSummary};
use crate::pipeline::{Pipeline, SubmitError};
use crate::source::{Source, SourceState};

/// How often an object is read again that ended in its middle: its store may have, or it is cut short for good.
const MAX_ATTEMPTS: u32 = 3;

/// Reads a bucket.
#[derive(Debug)]
pub struct BucketReader {
    pipeline: Pipeline,
    source: Source,
    config: BucketConfig,
    cancel: CancellationToken,
    /// What was done with each object of the last listing.
    seen: HashMap<String, Seen>,
    /// Objects whose trouble was told.
    told: HashMap<String, String>,
}

/// What was done with an object.
#[derive(Clone, Debug)]
struct Seen {
    object: Object,
    is_done: bool,
    /// Whether all of it is recorded, so that it can be removed.
    is_kept_whole: bool,
    n_attempts: u32,
    /// When it was read.
    read_at: Timestamp,
}

impl BucketReader {
    /// Reads what `config` names on its own account.
    #[must_use]
    pub fn new(pipeline: Pipeline, config: BucketConfig, cancel: CancellationToken) -> Self {
        let source = pipeline.source(&config.source_name());
        Self { pipeline, source, config, cancel, seen: HashMap::new(), told: HashMap::new() }
    }

    /// Reads until cancelled; what was read until then is recorded.
    ///
    /// # Errors
    /// The store will not take any more.
    pub async fn run(mut self) -> Result<(), SubmitError> {
        let result = loop {
            self.source.set_state(SourceState::Running);
            if let Err(error) = self.look().await {
                break Err(error);
            }
            // Cancel safe: nothing is held while waiting.
            tokio::select! {
                () = tokio::time::sleep(self.config.poll_interval) => {}
                () = self.cancel.cancelled() => break Ok(()),
            }
        };
        super::ended(&self.pipeline, &self.source, &self.cancel, result)
    }

    /// Lists, reads what is new, removes what may go.
    async fn look(&mut self) -> Result<(), SubmitError> {
        let address = self.config.url.clone();
        let listed = blocking(move || Objects::open(&address).and_then(|objects| Ok((objects.list()?, objects))));
        let (found, objects) = match listed.await? {
            Ok(listed) => listed,
            Err(error) => {
                let address = self.config.url.clone();
                self.tell(&address, &report(&error));
                return Ok(());
            }
        };
        self.told.remove(&self.config.url);
        let new: Vec<Object> = found.iter().filter(|object| self.is_new(object)).cloned().collect();
        // A listing that leaves out what is there makes it new once more, and then it is known by its content.
        self.seen.retain(|key, _| found.iter().any(|object| object.key == *key));
        if !new.is_empty() {
            self.read(&objects, new).await?;
        }
        match self.config.delete_after {
            Some(age) if !self.cancel.is_cancelled() => {
                self.remove(&objects, self.pipeline.now().saturating_sub(age)).await
            }
            _ => Ok(()),
        }
    }

    fn is_new(&self, object: &Object) -> bool {
        self.seen.get(&object.key).is_none_or(|seen| seen.object != *object || !seen.is_done)
    }

    /// Takes note of an object's trouble, once for each.
    fn tell(&mut self, url: &str, error: &str) {
        if self.told.get(url).is_none_or(|told| told != error) {
            tracing::warn!(object = url, error, "cannot read");
            self.source.set_error(self.pipeline.now(), format!("{url}: {error}"));
            self.told.insert(url.to_owned(), error.to_owned());
        }
    }

    async fn read(&mut self, objects: &Objects, new: Vec<Object>) -> Result<(), SubmitError> {
        let mut inputs = Inputs::default();
        inputs.objects(objects, new.clone());
        let config = ImportConfig { max_line_size: self.config.max_line_size, ..ImportConfig::default() };
        let cancel = self.cancel.child_token();
        let importing = import_inputs(&self.pipeline, &self.source, inputs, &config, cancel, |_progress| {});
        // A boxed future: an import is large.
        let summary = Box::pin(importing).await.map_err(|error| error.source)?;
        for (object, file) in new.into_iter().zip(&summary.files) {
            let before = self.seen.get(&object.key).filter(|seen| seen.object == object);
            let n_attempts = before.map_or(0, |seen| seen.n_attempts) + 1;
            let seen = seen(object, file, n_attempts, self.pipeline.now());
            match &file.state {
                FileState::Failed { error } | FileState::Truncated { error, .. } => self.tell(&file.source, error),
                FileState::NotEvents { first_line, .. } => {
                    self.tell(
                        &file.source,
                        &format!("it holds neither events nor packets nor flow logs: {first_line}"),
                    );
                }
                _ => drop(self.told.remove(&file.source)),
            }
            self.seen.insert(seen.object.key.clone(), seen);
        }
        Ok(())
    }

    /// Removes objects that were written before `before` and are recorded whole.
    async fn remove(&mut self, objects: &Objects, before: Timestamp) -> Result<(), SubmitError> {
        // Whoever reads a shared bucket next must find what is only in this recorder's log.
        let is_for_all = |seen: &Seen| {
            !self.config.shared || self.pipeline.published_until().is_some_and(|until| seen.read_at < until)
        };
        let due = self.seen.values().filter(|seen| seen.is_kept_whole && seen.object.modified < before);
        let due = due.filter(|seen| is_for_all(seen));
        let due: Vec<Object> = due.map(|seen| seen.object.clone()).collect();
        for object in due {
            let (bucket, gone) = (objects.clone(), object.clone());
            let removed = blocking(move || -> Result<bool, ObjectsError> {
                // It may have grown since it was listed.
                match bucket.look(&gone.key) {
                    Ok(now) if now == gone => bucket.delete(&gone.key).map(|()| true),
                    Ok(_) => Ok(false),
                    Err(error) if error.is_gone() => Ok(true),
                    Err(error) => Err(error),
                }
            });
            match removed.await? {
                Ok(true) => {
                    tracing::info!(object = objects.url(&object.key), "recorded, and removed from its bucket");
                    self.seen.remove(&object.key);
                }
                Ok(false) => {}
                Err(error) => self.tell(&objects.url(&object.key), &report(&error)),
            }
        }
        Ok(())
    }
}

/// What reading an object came to.
fn seen(object: Object, file: &FileSummary, n_attempts: u32, read_at: Timestamp) -> Seen {
    let is_done = match &file.state {
        FileState::Complete | FileState::Unchanged | FileState::Empty | FileState::NotEvents { .. } => true,
        FileState::Truncated { .. } => n_attempts >= MAX_ATTEMPTS,
        FileState::Failed { .. } | FileState::Stopped | FileState::Unread => false,
    };
    // A line that was refused is nowhere else.
    let has_all = file.tally.rejected == 0 && file.rejected_before == 0;
    let is_kept_whole = has_all && matches!(file.state, FileState::Complete | FileState::Unchanged);
    Seen { object, is_done, is_kept_whole, n_attempts, read_at }
}

/// Runs what waits for the store on a thread for that.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, SubmitError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| SubmitError::Assemble(Arc::new(error)))
}
