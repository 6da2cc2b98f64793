//! Buckets that the recorders of a lake share: each is read by one of them at a time, and every recorder has its part.
//!
//! A bucket is handed over when its reader has stopped and all it had read is published; the next one learns from the
//! lake how far that was, and tells repeats from all events there. While the shared catalogue is away everyone goes on
//! with what it has.

use std::collections::BTreeMap;
use std::time::Duration;

use hindcast_model::report;
use hindcast_storage::{Claim, LakeError, Store};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::bucket::BucketReader;
use super::config::BucketConfig;
use crate::pipeline::Pipeline;

/// How often it is looked who reads what.
const LOOK: Duration = Duration::from_secs(2);

/// Reads this recorder's part of the buckets that are shared.
#[derive(Debug)]
pub struct SharedBuckets {
    pipeline: Pipeline,
    /// By the name of their source.
    buckets: BTreeMap<String, BucketConfig>,
    held: BTreeMap<String, Held>,
    cancel: CancellationToken,
}

/// A bucket that is this recorder's.
#[derive(Debug)]
struct Held {
    stop: CancellationToken,
    /// `None` once it has ended.
    reader: Option<JoinHandle<()>>,
}

impl SharedBuckets {
    /// Reads `buckets`; `view` is the lake as all who share it see it, `own` the name of this recorder in it.
    #[must_use]
    pub fn new(
        pipeline: Pipeline,
        buckets: impl IntoIterator<Item = BucketConfig>,
        view: Store,
        own: String,
        cancel: CancellationToken,
    ) -> Self {
        pipeline.share(view, own);
        let buckets = buckets.into_iter().map(|bucket| (bucket.source_name(), bucket)).collect();
        Self { pipeline, buckets, held: BTreeMap::new(), cancel }
    }

    /// Reads until cancelled. What is read then stays this recorder's until its store has published it and closes.
    pub async fn run(mut self) {
        let mut told = None;
        loop {
            let looked = self.look().await;
            let error = looked.as_ref().err().map(|error| report(error));
            if let Some(error) = error.as_ref().filter(|error| told.as_ref() != Some(*error)) {
                tracing::warn!(error, "shared buckets are not shared out anew");
            }
            told = error;
            // The others read all of it by now; any other error may pass.
            if matches!(&looked, Err(LakeError::Retired { .. })) {
                break;
            }
            // Cancel safe: nothing is held while waiting.
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.cancel.cancelled() => break,
            }
        }
        let names: Vec<String> = self.held.keys().cloned().collect();
        for name in names {
            self.stop(&name).await;
        }
    }

    /// Takes what nobody reads, and gives back what is more than a fair share.
    async fn look(&mut self) -> Result<(), LakeError> {
        let all: Vec<String> = self.buckets.keys().cloned().collect();
        let is_read = |held: &Held| held.reader.as_ref().is_some_and(|reader| !reader.is_finished());
        let held = self.held.iter().filter(|(_, held)| is_read(held)).map(|(source, _)| source.clone());
        let held: Vec<String> = held.collect();
        let store = self.pipeline.store().clone();
        let share = store.share_sources(&all, &held).await?;
        for source in share.to_release {
            self.stop(&source).await;
            match store.release_source(&source).await {
                Ok(()) => {
                    self.held.remove(&source);
                    tracing::info!(source, "another recorder reads this bucket from now on");
                }
                // It stays held and is given back at a later look.
                Err(error) => tracing::warn!(source, error = report(&error), "cannot give a bucket back yet"),
            }
        }
        if share.claimed.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.pipeline.learn_of_others().await {
            // They are this recorder's, and are begun at a later look.
            tracing::warn!(error = report(&error), "cannot learn how far shared buckets were read");
            return Ok(());
        }
        share.claimed.into_iter().for_each(|claim| self.begin(claim));
        Ok(())
    }

    fn begin(&mut self, Claim { source, previous }: Claim) {
        let Some(config) = self.buckets.get(&source) else { return };
        tracing::info!(source, previous, "reading a shared bucket");
        let stop = self.cancel.child_token();
        let reader = BucketReader::new(self.pipeline.clone(), config.clone(), stop.clone());
        let name = source.clone();
        let reader = tokio::spawn(async move {
            if let Err(error) = reader.run().await {
                tracing::error!(source = name, error = report(&error), "the bucket is no longer read");
            }
        });
        self.held.insert(source, Held { stop, reader: Some(reader) });
    }

    /// Stops reading a bucket; what was read is recorded.
    async fn stop(&mut self, source: &str) {
        let Some(held) = self.held.get_mut(source) else { return };
        held.stop.cancel();
        if let Some(reader) = held.reader.take()
            && let Err(error) = reader.await
        {
            tracing::error!(source, error = report(&error), "the reader of a bucket broke");
        }
    }
}
