//! Listening to an agent or relay over gRPC: connect, record what comes, connect again.
//!
//! What was recorded is acknowledged by moving the place from which the next connection asks: a batch that was not
//! recorded is asked for again. What the other side can no longer replay is recorded as a loss of unknown size.

mod connect;
mod continuity;
mod session;

pub use connect::{AuthConfig, ConnectConfig, Secret, TlsConfig};

use std::future::Future;
use std::time::Duration;

use hindcast_model::{SourceKind, Timestamp};
use hindcast_proto::{EventBuilders, Origin, RawMessage, Recorded, Rejection};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

use crate::config::{ConfigError, check_time};
use crate::pipeline::Pipeline;
use crate::source::{Source, SourceState};
use continuity::Continuity;
use session::{Ended, Session};

/// When events are recorded and connections opened again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamConfig {
    /// Events that are recorded together at most.
    pub max_batch_rows: usize,
    /// How long an event waits for company before it is recorded.
    #[serde(with = "humantime_serde")]
    pub flush_interval: Duration,
    /// Wait before a connection is opened again, at first; it doubles with each failure.
    #[serde(with = "humantime_serde")]
    pub min_backoff: Duration,
    /// Wait before a connection is opened again, at most.
    #[serde(with = "humantime_serde")]
    pub max_backoff: Duration,
    /// How far before the last recorded event a new connection asks, where the other side keeps history. Events come
    /// nearly in order, not in order; what comes twice is told by its id.
    #[serde(with = "humantime_serde")]
    pub overlap: Duration,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            max_batch_rows: 8192,
            flush_interval: Duration::from_millis(200),
            min_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(30),
            overlap: Duration::from_secs(30),
        }
    }
}

impl StreamConfig {
    pub(crate) fn check(&self, field: &str, errors: &mut Vec<ConfigError>) {
        if self.max_batch_rows == 0 {
            errors.push(ConfigError::new(format!("{field}.max_batch_rows"), "must be at least 1"));
        }
        check_time(&format!("{field}.flush_interval"), self.flush_interval, errors);
        check_time(&format!("{field}.min_backoff"), self.min_backoff, errors);
        if self.max_backoff < self.min_backoff {
            errors.push(ConfigError::new(format!("{field}.max_backoff"), "must not be below min_backoff"));
        }
    }
}

/// A stream of events on some wire.
pub(crate) trait Wire: Send + Sync {
    /// Which wire.
    const KIND: SourceKind;
    /// Whether the other side can be asked for the past.
    const REPLAYS: bool;

    /// Opens the stream, with everything from `since` on where the other side keeps it.
    fn open(&self, since: Option<Timestamp>) -> impl Future<Output = Result<Streaming<RawMessage>, Status>> + Send;

    /// Decodes one message.
    fn decode(message: &[u8], origin: &Origin<'_>, into: &mut EventBuilders) -> Result<Recorded, Rejection>;
}

/// What a listener needs besides its wire.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    pub(crate) pipeline: Pipeline,
    pub(crate) source: Source,
    /// The name in the column `source`: the address.
    pub(crate) address: String,
    pub(crate) config: StreamConfig,
    pub(crate) cancel: CancellationToken,
    /// Spreads the moments at which many listeners connect again.
    pub(crate) seed: u64,
}

impl Listener {
    /// Listens until it is cancelled, or the other side says that it has no such stream.
    pub(crate) async fn run<W: Wire>(self, wire: W) {
        let mut random = SmallRng::seed_from_u64(self.seed);
        let mut session = Session::new(&self, W::KIND, W::REPLAYS);
        let mut n_failures: u32 = 0;
        let mut is_first = true;
        self.source.set_state(SourceState::Connecting);
        while !self.cancel.is_cancelled() {
            if !is_first {
                self.source.set_state(SourceState::Reconnecting);
                let pause = backoff(&self.config, n_failures, &mut random);
                // Cancel safe: nothing is held while waiting.
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = self.cancel.cancelled() => break,
                }
                self.source.count_reconnect();
            }
            is_first = false;
            n_failures = n_failures.saturating_add(1);
            let since = session.since(&self.config);
            // Dropping the attempt closes the connection.
            let opened = tokio::select! {
                opened = wire.open(since) => opened,
                () = self.cancel.cancelled() => break,
            };
            let error = match opened {
                Ok(stream) => {
                    self.source.set_state(SourceState::Running);
                    let ended = Box::pin(session.listen::<W>(&self, stream)).await;
                    if ended.n_messages > 0 {
                        n_failures = 0;
                    }
                    match ended {
                        Ended { is_final: true, .. } => break,
                        Ended { error, .. } => error,
                    }
                }
                Err(status) => Some(status),
            };
            if let Some(status) = error {
                self.source.set_error(self.pipeline.now(), describe(&status));
                if status.code() == Code::Unimplemented {
                    self.source.set_state(SourceState::Failed);
                    return;
                }
                tracing::debug!(address = %self.address, error = %describe(&status), "stream ended");
            }
        }
        self.source.set_state(SourceState::Finished);
    }
}

/// A status as a person reads it.
pub(crate) fn describe(status: &Status) -> String {
    let mut text = format!("{:?}: {}", status.code(), status.message());
    let mut source = std::error::Error::source(status);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// The wait before the next attempt: half of it fixed, half of it random.
fn backoff(config: &StreamConfig, n_failures: u32, random: &mut SmallRng) -> Duration {
    let doubled = config.min_backoff.saturating_mul(1_u32.checked_shl(n_failures.min(20)).unwrap_or(u32::MAX));
    let pause = doubled.min(config.max_backoff);
    pause / 2 + pause.mul_f64(random.random_range(0.0..0.5))
}
