//! Asking the API: one list and one watch for each kind, begun again after whatever ends it.

mod connect;
mod outlet;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use hindcast_model::{Batch, Clock, report};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, DefaultBackoff, Event};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::object::Raw;
use crate::rows::Reason;
use crate::{Config, Directory, Kind};

pub use connect::ConnectError;

/// The pause where the back-off has none to tell.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How it stands with watching a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The API was not heard yet.
    Starting,
    /// All objects are known, and changes come as they happen.
    Watched,
    /// The API does not have the kind.
    Absent,
    /// The API has the kind, and we may not see it.
    Forbidden,
    /// The API cannot be reached or does not make sense; it is asked again. What was known stays known.
    Away,
}

/// Standings by kind.
pub type Standings = BTreeMap<Kind, Standing>;

/// Watches a cluster.
pub struct Watch {
    client: Client,
    watcher: Watcher,
}

impl fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Watch").field("watcher", &self.watcher).finish_non_exhaustive()
    }
}

/// What each kind's watcher shares.
#[derive(Clone, Debug)]
struct Watcher {
    config: Arc<Config>,
    directory: Arc<Directory>,
    clock: Arc<dyn Clock>,
    standings: Arc<watch::Sender<Standings>>,
}

impl Watch {
    /// Finds the way to the cluster. Nothing is asked yet: an API that is away is asked again later.
    ///
    /// # Errors
    /// There is no way: no service account, or a kubeconfig that cannot be used.
    pub async fn connect(
        config: Config,
        directory: Arc<Directory>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConnectError> {
        let client = connect::client(&config).await?;
        let standings = config.kinds.iter().map(|kind| (*kind, Standing::Starting)).collect();
        let standings = Arc::new(watch::Sender::new(standings));
        Ok(Self { client, watcher: Watcher { config: Arc::new(config), directory, clock, standings } })
    }

    /// How it stands with each kind, now and later.
    #[must_use]
    pub fn standings(&self) -> watch::Receiver<Standings> {
        self.watcher.standings.subscribe()
    }

    /// Watches until told to stop, or until nobody takes the rows. Rows wait in a bounded place while `sink` is full;
    /// the directory is kept up meanwhile.
    ///
    /// Cancel safety: what waited to be sent is lost when the future is dropped.
    pub async fn run(self, sink: mpsc::Sender<Batch>, stop: CancellationToken) {
        let stop = stop.child_token();
        let tasks = TaskTracker::new();
        for kind in self.watcher.config.kinds.clone() {
            tasks.spawn(self.watcher.clone().watch(kind, self.client.clone(), stop.clone()));
        }
        tasks.close();
        let Watcher { config, directory, clock, .. } = &self.watcher;
        outlet::run(config, directory, clock.as_ref(), &sink, &stop).await;
        stop.cancel();
        tasks.wait().await;
        outlet::drain(config, directory, clock.as_ref(), &sink).await;
    }
}

impl Watcher {
    async fn watch(self, kind: Kind, client: Client, stop: CancellationToken) {
        // Pods that are told with their workload at once need no second row.
        if kind == Kind::Pod && !self.know_what_stands_between(&stop).await {
            return;
        }
        let mut events = self.events(kind, client);
        // It begins anew after two minutes without a failure.
        let mut backoff = DefaultBackoff::default();
        loop {
            // A watch that loses is dropped with everything.
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = events.next() => event,
            };
            let pause = match event {
                Some(Ok(event)) => {
                    self.take_in(kind, event);
                    continue;
                }
                Some(Err(error)) => {
                    self.failed(kind, &error).unwrap_or_else(|| backoff.next().unwrap_or(LONGEST_PAUSE))
                }
                None => return,
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Waits until the kinds between pods and workloads are known, or known not to come; `false` when told to stop.
    async fn know_what_stands_between(&self, stop: &CancellationToken) -> bool {
        let mut standings = self.standings.subscribe();
        let are_settled = |standings: &Standings| {
            Kind::BETWEEN.iter().all(|kind| standings.get(kind).is_none_or(|it| *it != Standing::Starting))
        };
        tokio::select! {
            () = stop.cancelled() => false,
            settled = standings.wait_for(are_settled) => settled.is_ok(),
        }
    }

    fn events(&self, kind: Kind, client: Client) -> BoxStream<'static, watcher::Result<Event<Raw>>> {
        let resource = kind.resource();
        let mut config = watcher::Config::default();
        if kind == Kind::Pod && !self.config.node.is_empty() {
            config = config.fields(&format!("spec.nodeName={}", self.config.node));
        }
        if kind.is_metadata_only() {
            let api: Api<PartialObjectMeta<Raw>> = Api::all_with(client, &resource);
            kube::runtime::watcher(api, config).map_ok(of_metadata).boxed()
        } else {
            let api: Api<Raw> = Api::all_with(client, &resource);
            kube::runtime::watcher(api, config).boxed()
        }
    }

    fn take_in(&self, kind: Kind, event: Event<Raw>) {
        let now = self.clock.now();
        match event {
            Event::Init => self.directory.listing(kind),
            Event::InitApply(raw) => self.directory.apply(kind, &raw.tree, now),
            Event::InitDone => {
                self.directory.listed(kind, now);
                self.stands(kind, Standing::Watched);
            }
            Event::Apply(raw) => {
                self.directory.apply(kind, &raw.tree, now);
                self.stands(kind, Standing::Watched);
            }
            Event::Delete(raw) => {
                self.directory.delete(kind, &raw.tree, now);
                self.stands(kind, Standing::Watched);
            }
        }
    }

    /// Sets how it stands with a kind; whether that is new. An API that is away is away for all kinds, and so it is said
    /// once for all of them, and once when the last of them is back.
    fn stands(&self, kind: Kind, standing: Standing) -> bool {
        let is_away = |standings: &Standings| standings.values().any(|it| *it == Standing::Away);
        let mut was_away = false;
        let is_new = self.standings.send_if_modified(|standings| {
            was_away = is_away(standings);
            standings.insert(kind, standing) != Some(standing)
        });
        let is_away = is_away(&self.standings.borrow());
        if is_new && was_away && !is_away {
            tracing::info!("the cluster's API answers again");
        }
        is_new && !(was_away && standing == Standing::Away)
    }

    /// Takes account of a failure; how long to pause, where the back-off does not say.
    fn failed(&self, kind: Kind, error: &watcher::Error) -> Option<Duration> {
        let (standing, pause) = match status_code(error) {
            Some(404) => (Standing::Absent, Some(self.config.absent_retry)),
            Some(401 | 403) => (Standing::Forbidden, Some(self.config.absent_retry)),
            _ => (Standing::Away, None),
        };
        let error = report(error);
        let now = self.clock.now();
        if standing != Standing::Away {
            self.directory.do_without(kind, now);
        }
        if self.stands(kind, standing) {
            match standing {
                Standing::Absent => tracing::info!(kind = kind.name(), "the cluster does not have this kind"),
                Standing::Forbidden => {
                    tracing::warn!(kind = kind.name(), error, "the cluster does not let us watch this kind");
                    self.directory.lose(Reason::Forbidden, kind, now, error);
                }
                Standing::Starting | Standing::Watched | Standing::Away => {
                    tracing::warn!(kind = kind.name(), error, "watching stopped and is tried again");
                }
            }
        } else {
            tracing::debug!(kind = kind.name(), error, "watching failed again");
        }
        pause
    }
}

fn status_code(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}

/// Metadata as a whole object would have it.
fn of_metadata(event: Event<PartialObjectMeta<Raw>>) -> Event<Raw> {
    let raw = |partial: PartialObjectMeta<Raw>| {
        let metadata = serde_json::to_value(partial.metadata).unwrap_or(Value::Null);
        Raw::new(serde_json::json!({ "metadata": metadata }))
    };
    match event {
        Event::Apply(partial) => Event::Apply(raw(partial)),
        Event::Delete(partial) => Event::Delete(raw(partial)),
        Event::InitApply(partial) => Event::InitApply(raw(partial)),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    }
}

#[cfg(test)]
mod api;
#[cfg(test)]
mod tests;
