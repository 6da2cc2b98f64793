//! Follows files while they are written, through every kind of rotation.
//!
//! A file is held by its handle and known by its content, so a rename is only a new name. A file that was renamed or
//! removed is read on until its writer has had time to let go of it. A file that was cut short starts over; what its
//! rotation copied away is a backup beside it, and is read from the place reached before.

mod backups;
mod tracked;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use hindcast_model::SourceKind;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::config::{FollowConfig, ImportConfig};
use super::content::Packing;
use super::decode::Decoded;
use super::inputs::{FileKey, Inputs, Place};
use super::known::Tally;
use super::report::{ReportArgs, report};
use crate::pipeline::{Part, Pipeline, SubmitError};
use crate::source::{Source, SourceState};
use tracked::{Step, Tracked};

/// Steps of one file before the others have their turn.
const MAX_STEPS: usize = 4;

/// Follows files.
#[derive(Debug)]
pub struct Follower {
    pipeline: Pipeline,
    source: Source,
    config: FollowConfig,
    cancel: CancellationToken,
    tracked: HashMap<FileKey, Tracked>,
    /// Files that were read whole, with the length they had.
    read: HashMap<FileKey, u64>,
    /// Paths whose trouble was told.
    told: HashMap<String, String>,
}

/// What lies on disk at one moment.
#[derive(Debug, Default)]
struct Listing {
    /// Plain files to follow.
    live: Vec<(FileKey, PathBuf)>,
    /// Files to read once: packed ones and backups.
    leftovers: Vec<(FileKey, PathBuf, u64)>,
    errors: Vec<(String, String)>,
}

impl Follower {
    /// Follows what `config` names on its own account.
    #[must_use]
    pub fn new(pipeline: Pipeline, config: FollowConfig, cancel: CancellationToken) -> Self {
        let source = pipeline.source(&config.source_name());
        Self { pipeline, source, config, cancel, tracked: HashMap::new(), read: HashMap::new(), told: HashMap::new() }
    }

    /// Follows until cancelled; what was read until then is recorded.
    ///
    /// # Errors
    /// The store will not take any more.
    pub async fn run(mut self) -> Result<(), SubmitError> {
        self.source.set_state(SourceState::Running);
        let result = loop {
            if let Err(error) = self.poll().await {
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

    /// Looks at everything once.
    async fn poll(&mut self) -> Result<(), SubmitError> {
        let config = self.config.clone();
        let listing = tokio::task::spawn_blocking(move || Listing::take(&config)).await.unwrap_or_default();
        for (path, error) in &listing.errors {
            self.tell(path, error);
        }
        self.read_leftovers(&listing).await?;
        for (key, path) in &listing.live {
            if let Some(tracked) = self.tracked.get_mut(key) {
                tracked.found(path);
                continue;
            }
            let (pipeline, place) = (self.pipeline.clone(), path.clone());
            let opened = tokio::task::spawn_blocking(move || Tracked::open(place, |head| pipeline.candidates(head)));
            match opened.await {
                // The file may have been exchanged since it was listed.
                Ok(Ok(tracked)) => {
                    let key = tracked.key;
                    self.tracked.entry(key).or_insert(tracked);
                }
                Ok(Err(error)) => self.tell(&path.display().to_string(), &error.to_string()),
                Err(error) => return Err(SubmitError::Assemble(Arc::new(error))),
            }
        }
        let keys: Vec<FileKey> = self.tracked.keys().copied().collect();
        for key in keys {
            let is_listed = listing.live.iter().any(|(live, _)| *live == key);
            self.follow(key, is_listed).await?;
        }
        Ok(())
    }

    /// Takes note of a path's trouble, once for each.
    fn tell(&mut self, path: &str, error: &str) {
        if self.told.get(path).is_none_or(|told| told != error) {
            tracing::warn!(path, error, "cannot follow");
            self.source.set_error(self.pipeline.now(), format!("{path}: {error}"));
            self.told.insert(path.to_owned(), error.to_owned());
        }
    }

    /// Reads packed files and backups that are new or have grown.
    async fn read_leftovers(&mut self, listing: &Listing) -> Result<(), SubmitError> {
        let mut paths = Vec::new();
        for (key, path, len) in &listing.leftovers {
            if !self.tracked.contains_key(key) && self.read.get(key) != Some(len) {
                self.read.insert(*key, *len);
                paths.push(path.display().to_string());
            }
        }
        if paths.is_empty() {
            return Ok(());
        }
        let config = ImportConfig { max_line_size: self.config.max_line_size, ..ImportConfig::default() };
        let cancel = self.cancel.child_token();
        // A boxed future: an import is large.
        let importing = super::import(&self.pipeline, &self.source, &paths, &config, cancel, |_progress| {});
        let summary = Box::pin(importing).await.map_err(|error| error.source)?;
        for error in &summary.errors {
            let text = hindcast_model::report(error);
            self.tell(&text, &text);
        }
        self.source.set_state(SourceState::Running);
        Ok(())
    }

    /// Reads what was added to a file.
    async fn follow(&mut self, key: FileKey, is_listed: bool) -> Result<(), SubmitError> {
        let Some(mut tracked) = self.tracked.remove(&key) else { return Ok(()) };
        tracked.listed(is_listed, Instant::now());
        for _ in 0..MAX_STEPS {
            let is_last = tracked.is_let_go(Instant::now(), self.config.rotate_grace);
            let (source, pipeline) = (self.source.clone(), self.pipeline.clone());
            let max_line = usize::try_from(self.config.max_line_size.as_u64()).unwrap_or(usize::MAX);
            let stepping = tokio::task::spawn_blocking(move || {
                let step = tracked.step(max_line, pipeline.now(), is_last);
                (tracked, step)
            });
            let step;
            (tracked, step) = match stepping.await {
                Ok(done) => done,
                Err(error) => return Err(SubmitError::Assemble(Arc::new(error))),
            };
            match step {
                Ok(Step::Idle) => break,
                Ok(Step::Ended) => {
                    self.read.insert(key, tracked.reached.position);
                    return self.record(&mut tracked, None, &source).await;
                }
                Ok(Step::Read(decoded)) => {
                    let decoded = *decoded;
                    if let Err(error) = self.record(&mut tracked, Some(decoded), &source).await {
                        self.tracked.insert(key, tracked);
                        return Err(error);
                    }
                }
                Err(error) => {
                    self.tell(&tracked.path.display().to_string(), &error.to_string());
                    break;
                }
            }
        }
        self.tracked.insert(key, tracked);
        Ok(())
    }

    /// Records a step and the place it reaches.
    async fn record(
        &self,
        tracked: &mut Tracked,
        decoded: Option<Decoded>,
        source: &Source,
    ) -> Result<(), SubmitError> {
        let Decoded { events, n_records, rejected, first_time, kind, .. } = decoded.unwrap_or_default();
        source.count_received(n_records);
        let n_rejected: u64 = rejected.values().map(|lines| lines.count).sum();
        rejected.iter().for_each(|(reason, lines)| source.count_rejected(*reason, lines.count));
        let now = self.pipeline.now();
        let time = first_time.or(tracked.reached.last_event_time).or_else(|| tracked.modified()).unwrap_or(now);
        let name = tracked.reached.source.clone();
        let kind = kind.unwrap_or(SourceKind::Hubble);
        let args = ReportArgs { source: &name, kind, time, recorded_at: now };
        let reports = report(&rejected, args).map_err(|error| SubmitError::Assemble(Arc::new(error)))?;
        let progress = tracked.reached.fingerprint.is_some().then(|| tracked.reached.clone());
        let part = Part { events, reports: reports.into_iter().collect(), n_rejected, progress };
        let outcome = self.pipeline.submit_patiently(source, part, &self.cancel).await?;
        tracked.reached.tally +=
            Tally { recorded: outcome.recorded, deduplicated: outcome.deduplicated, rejected: n_rejected };
        tracked.reached.last_event_time = tracked.reached.last_event_time.max(outcome.last_event_time);
        Ok(())
    }
}

impl Listing {
    /// Looks at the disk.
    fn take(config: &FollowConfig) -> Self {
        let inputs = Inputs::expand(&config.paths);
        let mut listing = Self::default();
        for error in &inputs.errors {
            // A file that is not there yet is what following waits for.
            listing.errors.push((error.to_string(), hindcast_model::report(error)));
        }
        for input in inputs.found {
            let Place::File(path) = input.place else { continue };
            match tracked::look(&path) {
                Ok((key, Packing::Plain, _)) => listing.live.push((key, path)),
                Ok((key, Packing::Gzip | Packing::Zstd, len)) => listing.leftovers.push((key, path, len)),
                Err(error) => listing.errors.push((path.display().to_string(), error.to_string())),
            }
        }
        if config.read_backups {
            // A path that is away just now, in the middle of its rotation, has backups too.
            let paths = config.paths.iter().map(PathBuf::from);
            for path in paths.chain(listing.live.iter().map(|(_, path)| path.clone()).collect::<Vec<_>>()) {
                for backup in backups::of(&path) {
                    let Ok((key, _, len)) = tracked::look(&backup) else { continue };
                    let is_known = listing.live.iter().any(|(live, _)| *live == key)
                        || listing.leftovers.iter().any(|(leftover, _, _)| *leftover == key);
                    if !is_known {
                        listing.leftovers.push((key, backup, len));
                    }
                }
            }
        }
        listing
    }
}

#[cfg(test)]
mod tests;
