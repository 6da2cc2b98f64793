//! From the spool to the server, oldest first: what the server has made durable is freed, everything else is sent again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use hindcast_model::report;
use hindcast_storage::{Lsn, SpoolError};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::lost::Reason;
use super::waiting::{Account, Next, Waiting, detail};
use crate::flight::{Acknowledged, Door, PutError, Said};

/// Batches on the wire at once. Their order is kept.
const IN_FLIGHT: usize = 4;
/// How long the server may take for a batch.
const PUT_TIMEOUT: Duration = Duration::from_secs(60);
/// The wait after a failure, at first and at most.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LAST_WAIT: Duration = Duration::from_secs(30);
/// The longest text of a server that is kept as the reason of a loss.
const MAX_REASON_CHARS: usize = 200;

/// Why the server has not got a batch.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// It may have it later.
    #[error("{0}")]
    Later(String),
    /// It asks for another credential.
    #[error("{0}")]
    Credential(String),
    /// It will never take it.
    #[error("{0}")]
    Never(String),
}

impl From<PutError> for Failure {
    fn from(error: PutError) -> Self {
        let text = report(&error);
        match error {
            // The same rows make the same message.
            PutError::Encode(_) => Self::Never(text),
            PutError::Refused(status) => match status.code() {
                // What the server calls invalid is so for ever. That it does not know a table or a column, as an older
                // one, is told by another code: it may be replaced.
                Code::InvalidArgument => Self::Never(status.message().to_owned()),
                Code::Unauthenticated | Code::PermissionDenied => Self::Credential(text),
                _ => Self::Later(text),
            },
        }
    }
}

/// The task that sends.
#[derive(Debug)]
pub(super) struct Delivery {
    waiting: Arc<Waiting>,
    door: Door,
    source: String,
    /// Read from the spool and not acknowledged.
    window: VecDeque<Next>,
    wait: Duration,
    last_failure: Option<String>,
}

impl Delivery {
    pub(super) fn new(waiting: Arc<Waiting>, door: Door, source: String) -> Self {
        Self { waiting, door, source, window: VecDeque::new(), wait: FIRST_WAIT, last_failure: None }
    }

    /// Sends until `stop`, and then what is left, up to the first failure; `drop` ends it at once.
    pub(super) async fn run(mut self, stop: CancellationToken, drop: CancellationToken) {
        // Losing arm: what is on the wire is not acknowledged here and will be sent again.
        tokio::select! {
            () = self.deliver(&stop) => {}
            () = drop.cancelled() => {}
        }
    }

    async fn deliver(&mut self, stop: &CancellationToken) {
        loop {
            let is_stopping = stop.is_cancelled();
            let step = match self.refill().await {
                Ok(()) if self.window.is_empty() => {
                    if is_stopping {
                        return;
                    }
                    // Losing arms: news that came meanwhile is kept for the next round.
                    tokio::select! {
                        () = self.waiting.news.notified() => {}
                        () = stop.cancelled() => {}
                    }
                    continue;
                }
                Ok(()) => self.send().await,
                Err(failure) => Err(failure),
            };
            match step {
                Ok(()) => self.is_well(),
                Err(_failure) if is_stopping => return,
                Err(failure) => self.back_off(&failure, stop).await,
            }
        }
    }

    /// Reads from the spool what there is room for.
    async fn refill(&mut self) -> Result<(), Failure> {
        let most = IN_FLIGHT - self.window.len().min(IN_FLIGHT);
        if most == 0 {
            return Ok(());
        }
        let waiting = Arc::clone(&self.waiting);
        let taken = tokio::task::spawn_blocking(move || waiting.take(most)).await;
        let taken = taken.map_err(|error| Failure::Later(report(&error)))?;
        self.window.extend(taken.map_err(|error: SpoolError| Failure::Later(report(&error)))?);
        Ok(())
    }

    /// Sends what was read; the first failure ends it, and what comes after waits with it.
    async fn send(&mut self) -> Result<(), Failure> {
        let (door, source) = (&self.door, self.source.as_str());
        let sending = self.window.iter().map(|next| put(door, source, next)).collect::<Vec<_>>();
        let answers: Vec<_> = futures::stream::iter(sending).buffered(IN_FLIGHT).collect().await;
        let (mut reached, mut failure) = (None, None);
        for answer in answers {
            let Some(next) = self.window.front() else { break };
            match answer {
                Ok(acknowledged) => self.count(acknowledged),
                Err(Failure::Never(text)) => self.refused(next, &text),
                Err(other) => {
                    failure = Some(other);
                    break;
                }
            }
            reached = self.window.pop_front().map(|next| next.position);
        }
        if let Some(position) = reached {
            self.done(position).await;
        }
        failure.map_or(Ok(()), Err)
    }

    fn count(&self, acknowledged: Acknowledged) {
        let account = &self.waiting.account;
        Account::add(&account.recorded, acknowledged.recorded);
        Account::add(&account.deduplicated, acknowledged.deduplicated);
        Account::add(&account.lost, acknowledged.rejected);
    }

    fn refused(&self, next: &Next, text: &str) {
        let Some(batch) = &next.batch else { return };
        tracing::error!(error = text, table = %batch.table, rows = batch.n_rows(), "the server will never take a batch");
        let text: String = text.chars().take(MAX_REASON_CHARS).collect();
        self.waiting.lose(Reason::Refused, detail(batch.table, &text), Some(batch.n_rows() as u64));
    }

    async fn done(&self, position: Lsn) {
        let waiting = Arc::clone(&self.waiting);
        if tokio::task::spawn_blocking(move || waiting.done(position)).await.is_err() {
            tracing::error!("what the server has could not be noted");
        }
    }

    fn is_well(&mut self) {
        self.wait = FIRST_WAIT;
        if self.last_failure.take().is_some() {
            tracing::info!("the server takes batches again");
        }
    }

    async fn back_off(&mut self, failure: &Failure, stop: &CancellationToken) {
        let text = failure.to_string();
        if self.last_failure.as_ref() != Some(&text) {
            tracing::warn!(
                error = text,
                "the server does not take batches; they wait in the spool, and are sent again"
            );
            self.last_failure = Some(text);
        }
        // Not all of a fleet at once when its server is back.
        let wait = self.wait.mul_f64(rand::random_range(0.5..1.0));
        self.wait = (self.wait * 2).min(LAST_WAIT);
        // Losing arms: the window is kept.
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => {}
        }
        if matches!(failure, Failure::Credential(_))
            && let Err(error) = self.door.read_token()
        {
            tracing::warn!(error = format!("{error:#}"), "the token cannot be read again");
        }
    }
}

/// One batch to the server. All of its rows are accounted for in the answer, or they are not there for sure.
async fn put(door: &Door, source: &str, next: &Next) -> Result<Acknowledged, Failure> {
    let Some(batch) = &next.batch else { return Ok(Acknowledged::default()) };
    let said = Said { source, position: Some(next.position.get()) };
    let answer = tokio::time::timeout(PUT_TIMEOUT, door.put(batch, &said)).await;
    let Acknowledged { recorded, deduplicated, rejected } =
        answer.map_err(|_elapsed| Failure::Later("the server does not answer".to_owned()))??;
    let n_rows = recorded + deduplicated + rejected;
    if n_rows != batch.n_rows() as u64 {
        return Err(Failure::Later(format!("the server acknowledged {n_rows} of {} rows", batch.n_rows())));
    }
    Ok(Acknowledged { recorded, deduplicated, rejected })
}

#[cfg(test)]
mod tests;
