//! Joins the doors to the recorder: what is pushed goes down the pipeline, and its accounts are what the doors show.

use std::collections::BTreeMap;

use hindcast_ingest as ingest;
use hindcast_ingest::Pipeline;
use hindcast_storage::AppendError;
use hindcast_web_api::{BoxFuture, Intake, Push, PushError, PushReceipt, SourceState, SourceStatus};

/// The wire of a source that no configuration names.
const PUSHED: &str = "flight";

/// What a server that only answers has in the recorder's place.
#[derive(Debug)]
pub(super) struct NoIntake;

impl Intake for NoIntake {
    fn push(&self, _push: Push) -> BoxFuture<'_, Result<PushReceipt, PushError>> {
        let refused =
            PushError { kind: AppendError::ReadOnly.kind(), text: AppendError::ReadOnly.to_string(), source: None };
        Box::pin(async { Err(refused) })
    }

    fn sources(&self) -> Vec<SourceStatus> {
        Vec::new()
    }
}

/// The pipeline, as the doors see it.
#[derive(Debug)]
pub(super) struct Joint {
    pub(super) pipeline: Pipeline,
    /// Which wire each configured source reads. Others came as pushes.
    pub(super) kinds: BTreeMap<String, &'static str>,
}

impl Intake for Joint {
    fn push(&self, push: Push) -> BoxFuture<'_, Result<PushReceipt, PushError>> {
        Box::pin(async move {
            let source = self.pipeline.source(&push.source);
            let batches = push.batches.into_iter().map(|batch| (batch.table, batch.records));
            let pushed = self.pipeline.push(&source, batches).await;
            let outcome = pushed.map_err(|error| PushError {
                kind: error.kind(),
                text: "the rows were not recorded".to_owned(),
                source: Some(Box::new(error)),
            })?;
            Ok(PushReceipt {
                recorded: outcome.recorded,
                deduplicated: outcome.deduplicated,
                rejected: outcome.rejected,
            })
        })
    }

    fn sources(&self) -> Vec<SourceStatus> {
        self.pipeline.statuses().into_iter().map(|status| self.status(status)).collect()
    }
}

impl Joint {
    fn status(&self, status: ingest::SourceStatus) -> SourceStatus {
        let kind = self.kinds.get(&status.name).copied().unwrap_or(PUSHED);
        let (since, detail) = match status.last_error {
            Some((at, error)) => (Some(at), Some(error)),
            None => (None, None),
        };
        SourceStatus {
            kind: kind.to_owned(),
            state: match status.state {
                // A pushed source has no connection of ours to wait for.
                ingest::SourceState::Idle if kind == PUSHED => SourceState::Reading,
                other => state(other),
            },
            detail,
            since,
            received: status.received,
            recorded: status.recorded,
            deduplicated: status.deduplicated,
            rejected: status.rejected.into_iter().map(|(reason, n)| (reason.as_str().to_owned(), n)).collect(),
            lost: status.lost.into_iter().map(|(stage, n)| (stage.as_str().to_owned(), n)).collect(),
            last_event: status.last_event_time,
            name: status.name,
        }
    }
}

const fn state(state: ingest::SourceState) -> SourceState {
    match state {
        ingest::SourceState::Idle | ingest::SourceState::Connecting => SourceState::Connecting,
        ingest::SourceState::Running => SourceState::Reading,
        ingest::SourceState::Reconnecting | ingest::SourceState::Waiting => SourceState::Waiting,
        ingest::SourceState::Finished => SourceState::Ended,
        ingest::SourceState::Failed => SourceState::Failed,
    }
}
