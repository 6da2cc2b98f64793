//! What every door shares: the engine, the recorder, credentials, and a bounded number of places for work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hindcast_model::{Clock, Timestamp};
use hindcast_query::Engine;
use prometheus_client::registry::Registry;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::auth::Auth;
use crate::config::LimitsConfig;
use crate::fault::Fault;
use crate::intake::Intake;
use crate::metrics::{Metrics, Place};

/// What the doors open onto.
#[derive(Debug)]
pub struct Parts {
    /// Answers questions.
    pub engine: Engine,
    /// Records what is pushed and knows the sources.
    pub intake: Arc<dyn Intake>,
    /// What `/metrics` shows.
    pub registry: Arc<Registry>,
    /// The doors' own metrics, registered by [`Metrics::register`].
    pub metrics: Metrics,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// What the server calls itself.
    pub version: String,
}

/// The shared state of all handlers.
#[derive(Debug)]
pub(crate) struct Doors {
    pub(crate) engine: Engine,
    pub(crate) intake: Arc<dyn Intake>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) version: String,
    pub(crate) auth: Auth,
    pub(crate) limits: LimitsConfig,
    pub(crate) started: Timestamp,
    /// Cancelled when the server stops: streams without an end stop then.
    pub(crate) stopping: CancellationToken,
    /// Whether the doors speak TLS.
    pub(crate) is_encrypted: bool,
    is_ready: AtomicBool,
    queries: Arc<Semaphore>,
    follows: Arc<Semaphore>,
}

/// A place for work under way; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    _permit: Option<OwnedSemaphorePermit>,
    _place: Place,
}

impl Doors {
    pub(crate) fn new(parts: Parts, auth: Auth, limits: LimitsConfig, is_encrypted: bool) -> Self {
        Self {
            queries: Arc::new(Semaphore::new(limits.concurrent_queries)),
            follows: Arc::new(Semaphore::new(limits.concurrent_follows)),
            started: parts.clock.now(),
            engine: parts.engine,
            intake: parts.intake,
            registry: parts.registry,
            metrics: parts.metrics,
            clock: parts.clock,
            version: parts.version,
            is_ready: AtomicBool::new(true),
            auth,
            limits,
            is_encrypted,
            stopping: CancellationToken::new(),
        }
    }

    /// A place for a query that ends by itself.
    pub(crate) fn query_permit(&self) -> Result<Permit, Fault> {
        self.permit(&self.queries, self.limits.concurrent_queries, "queries under way")
    }

    /// A place for a client that follows.
    pub(crate) fn follow_permit(&self) -> Result<Permit, Fault> {
        self.permit(&self.follows, self.limits.concurrent_follows, "clients following")
    }

    /// A place beside one that was given already.
    pub(crate) fn side_permit(&self) -> Permit {
        Permit { _permit: None, _place: self.metrics.place("loss reports followed") }
    }

    fn permit(&self, places: &Arc<Semaphore>, limit: usize, what: &'static str) -> Result<Permit, Fault> {
        match Arc::clone(places).try_acquire_owned() {
            Ok(permit) => Ok(Permit { _permit: Some(permit), _place: self.metrics.place(what) }),
            Err(_none_left) => {
                self.metrics.shed.inc();
                Err(Fault::busy(format!("{limit} {what} are as many as this server allows: try again later")))
            }
        }
    }

    /// Whether new work is welcome.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Relaxed)
    }

    /// Tells load balancers to send no more work.
    pub(crate) fn set_unready(&self) {
        self.is_ready.store(false, Ordering::Relaxed);
    }
}
