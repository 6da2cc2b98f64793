//! Stopping in order: what is asked to stop first is asked first, each part is waited for, and while one takes its
//! time the log says every few seconds which parts are still pending. A second signal ends the wait.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

/// How often the names of pending parts are logged.
const PENDING_INTERVAL: Duration = Duration::from_secs(5);

/// SIGINT and SIGTERM.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes both signals over from the system. From now on they no longer end the program.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn take() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next of them and gives its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        // Losing arm: a pending `recv` keeps its signal for the next call.
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// One part on the way down.
pub(crate) struct Step<'a> {
    name: &'static str,
    stop: Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>,
}

impl std::fmt::Debug for Step<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Step").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<'a> Step<'a> {
    /// A part with the future that stops it.
    pub(crate) fn new(name: &'static str, stop: impl Future<Output = anyhow::Result<()>> + Send + 'a) -> Self {
        Self { name, stop: Box::pin(stop) }
    }
}

/// How stopping went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Every part stopped by itself and well.
    InOrder,
    /// Every part stopped, one of them with an error.
    WithErrors,
    /// A second signal came first.
    Forced,
}

/// Stops the parts one after the other.
pub(crate) async fn in_order(steps: Vec<Step<'_>>, signals: &mut Signals) -> Ended {
    let names: Vec<&'static str> = steps.iter().map(|step| step.name).collect();
    let mut ended = Ended::InOrder;
    for (position, step) in steps.into_iter().enumerate() {
        let pending = names.get(position..).unwrap_or_default();
        match stop_one(step, pending, signals).await {
            Ended::InOrder => {}
            Ended::WithErrors => ended = Ended::WithErrors,
            Ended::Forced => return Ended::Forced,
        }
    }
    ended
}

async fn stop_one(mut step: Step<'_>, pending: &[&'static str], signals: &mut Signals) -> Ended {
    let mut ticks = interval(PENDING_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        // Losing arms: the stop future is polled again in the next round, a tick or a signal is only late.
        tokio::select! {
            stopped = &mut step.stop => {
                return match stopped {
                    Ok(()) => Ended::InOrder,
                    Err(error) => {
                        error!(part = step.name, error = format!("{error:#}"), "stopped with an error");
                        Ended::WithErrors
                    }
                };
            }
            _ = ticks.tick() => info!(pending = pending.join(", "), "still stopping"),
            name = signals.next() => {
                warn!(signal = name, pending = pending.join(", "), "second signal: leaving without waiting");
                return Ended::Forced;
            }
        }
    }
}
