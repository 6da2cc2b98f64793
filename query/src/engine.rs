//! The front door: questions about events in exact order of time.

mod candidates;
mod compact;
mod cursor;
mod dictionary;
mod first;
mod follow;
mod pages;
mod part;
mod read;
mod rolled;
mod side_by_side;
mod statistics;
mod stream;
mod times;
mod walk;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hindcast_model::{Clock, TableId, TimeRange, Timestamp};
use hindcast_storage::{Snapshot, Store};
use tokio::sync::mpsc;

pub use self::cursor::{Cursor, CursorError};
pub(crate) use self::cursor::{inside, times};
pub use self::follow::{FollowStream, Followed};
pub(crate) use self::part::{Part, time_column};
pub(crate) use self::read::{Reader, Sealed, SegmentBytes, parts, read_part, shape};
pub(crate) use self::rolled::{folded_from, read_folded, unrolled};
pub use self::stream::EventStream;
use self::walk::{Scope, Walk};
use crate::{Filter, Limits, QueryError};

/// Batches of an answer that may wait for a slow client; then the scan waits.
const ANSWER_QUEUE: usize = 2;

/// Settings of the engine.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Questions worked out at the same time; more wait. Each takes a thread and up to its limit of memory.
    pub max_concurrent: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_concurrent: 8 }
    }
}

/// Which rows of all that match are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// The last so many.
    Newest(u64),
    /// The first so many.
    Oldest(u64),
    /// All.
    All,
}

/// The order in which rows are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// A question about the events of one table.
#[derive(Clone, Debug)]
pub struct EventQuery {
    /// The table.
    pub table: TableId,
    /// Which rows are meant.
    pub filter: Filter,
    /// From when up to when.
    pub range: TimeRange,
    /// How many of them.
    pub pick: Pick,
    /// In which order.
    pub order: Order,
    /// Go on behind this row: after it for oldest or ascending, before it for newest or descending.
    pub after: Option<Cursor>,
    /// The columns to give, in this order; all if `None`.
    pub columns: Option<Vec<&'static str>>,
    /// What the answer may take.
    pub limits: Limits,
}

impl EventQuery {
    /// All rows of `table`, oldest first.
    #[must_use]
    pub fn all(table: TableId) -> Self {
        Self {
            table,
            filter: Filter::True,
            range: TimeRange::ALL,
            pick: Pick::All,
            order: Order::Ascending,
            after: None,
            columns: None,
            limits: Limits::default(),
        }
    }

    /// The newest `count` rows of `table`, oldest first.
    #[must_use]
    pub fn newest(table: TableId, count: u64) -> Self {
        Self { pick: Pick::Newest(count), ..Self::all(table) }
    }
}

/// Answers questions about a store. Clones share it.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) reader: Arc<Reader>,
    permits: Arc<tokio::sync::Semaphore>,
}

impl Engine {
    /// An engine over `store`.
    #[must_use]
    pub fn new(store: Store, config: &Config, clock: Arc<dyn Clock>) -> Self {
        let permits = Arc::new(tokio::sync::Semaphore::new(config.max_concurrent.max(1)));
        Self(Arc::new(Inner { store, clock, reader: Arc::new(Reader::default()), permits }))
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The present, as the engine's clock shows it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The time of the oldest and the newest row that a table holds.
    #[must_use]
    pub fn held_range(&self, table: TableId) -> Option<(Timestamp, Timestamp)> {
        self.0.store.snapshot().held_range(table)
    }

    /// Events in exact order of time; rows of the same time in an order that is the same every time.
    ///
    /// The work is done on a thread of its own while the stream is read, and stops when the stream is dropped.
    ///
    /// # Errors
    /// The filter speaks of columns that the table does not have.
    pub async fn events(&self, query: EventQuery) -> Result<EventStream, QueryError> {
        self.events_in(self.0.store.snapshot(), query).await
    }

    /// Like [`Engine::events`], in a snapshot that the caller holds.
    ///
    /// # Errors
    /// As [`Engine::events`].
    pub async fn events_in(&self, snapshot: Snapshot, query: EventQuery) -> Result<EventStream, QueryError> {
        self.events_scoped(snapshot, query, Scope::All).await
    }

    /// Like [`Engine::events_in`], for a part of a question that has its permit already.
    pub(crate) fn events_beside(&self, snapshot: &Snapshot, query: EventQuery) -> Result<EventStream, QueryError> {
        self.start(snapshot, query, Scope::All, None)
    }

    async fn events_scoped(
        &self,
        snapshot: Snapshot,
        query: EventQuery,
        scope: Scope,
    ) -> Result<EventStream, QueryError> {
        let permit = self.permit().await?;
        self.start(&snapshot, query, scope, Some(permit))
    }

    fn start(
        &self,
        snapshot: &Snapshot,
        query: EventQuery,
        scope: Scope,
        permit: Option<tokio::sync::OwnedSemaphorePermit>,
    ) -> Result<EventStream, QueryError> {
        if !query.filter.fits(query.table) {
            let known = query.table.columns();
            let strange =
                query.filter.columns().into_iter().find(|name| known.iter().all(|column| column.name != *name));
            let message = format!("{} have no column {}", query.table, strange.unwrap_or_default());
            return Err(QueryError::Invalid(message));
        }
        let schema = walk::answer_schema(&query)?;
        let (sender, receiver) = mpsc::channel(ANSWER_QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let walk =
            Walk::new(snapshot, scope, query, Arc::clone(&self.0.reader), Arc::clone(&schema), Arc::clone(&stop));
        let runtime = tokio::runtime::Handle::current();
        // The thread ends when the walk does, or at its next step after the stream was dropped.
        let _detached = tokio::task::spawn_blocking(move || {
            runtime.block_on(walk.run(sender));
            drop(permit);
        });
        Ok(EventStream::new(schema, receiver, stop))
    }

    pub(crate) fn reader(&self) -> Arc<Reader> {
        Arc::clone(&self.0.reader)
    }

    pub(crate) async fn permit(&self) -> Result<tokio::sync::OwnedSemaphorePermit, QueryError> {
        Arc::clone(&self.0.permits)
            .acquire_owned()
            .await
            .map_err(|_closed| QueryError::Invalid("the engine is closed".to_owned()))
    }
}

#[cfg(test)]
pub(crate) mod tests;
