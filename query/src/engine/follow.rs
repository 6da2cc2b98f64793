//! Rows as they arrive, without a gap and without a double.
//!
//! The tail of the store is opened before the snapshot is taken; what the snapshot holds is left out of the tail by
//! its position in the log. A reader too slow for the tail is told so by it and reads what it missed from a new
//! snapshot: rows in memory by their position in the log, and of segments sealed meanwhile the rows that were
//! recorded after the last one it was given.

use std::collections::VecDeque;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampNanosecondType;
use futures::StreamExt as _;
use hindcast_model::{TableId, TimeRange};
use hindcast_storage::{Lsn, Snapshot, Tail, TailItem};

use super::walk::Scope;
use super::{Engine, EventQuery, EventStream};
use crate::filter::{Evaluator, NumberTest};
use crate::{Filter, QueryError};

/// Rows of one append, or of what was there before.
#[derive(Debug)]
pub struct Followed {
    /// The rows that match.
    pub records: RecordBatch,
    /// Everything up to this position in the log was looked at.
    pub lsn: Lsn,
}

/// A stream that ends only with the store.
#[derive(Debug)]
pub struct FollowStream {
    engine: Engine,
    table: TableId,
    filter: Filter,
    evaluator: Evaluator,
    tail: Tail,
    /// Given or passed over.
    lsn: Lsn,
    /// The latest `recorded_at` given, in nanoseconds.
    recorded_at: i64,
    ready: VecDeque<Followed>,
    history: Option<EventStream>,
}

impl Engine {
    /// Rows that match, from behind a position in the log on, as they arrive.
    ///
    /// # Errors
    /// As [`Engine::events`].
    pub async fn follow(&self, table: TableId, filter: Filter, from: Lsn) -> Result<FollowStream, QueryError> {
        let tail = self.store().tail();
        let snapshot = self.store().snapshot();
        let mut stream = self.stream(table, filter, tail, from);
        if snapshot.lsn() > from {
            stream.catch_up(&snapshot).await?;
        }
        Ok(stream)
    }

    /// Rows that match, from now on.
    #[must_use]
    pub fn follow_from_now(&self, table: TableId, filter: Filter) -> FollowStream {
        let tail = self.store().tail();
        let lsn = self.store().snapshot().lsn();
        self.stream(table, filter, tail, lsn)
    }

    /// The answer to a question, and behind it rows that match as they arrive: all of them, whatever their time and
    /// however many the question asked for.
    ///
    /// # Errors
    /// As [`Engine::events`].
    pub async fn events_then_follow(&self, query: EventQuery) -> Result<FollowStream, QueryError> {
        let tail = self.store().tail();
        let snapshot = self.store().snapshot();
        let mut stream = self.stream(query.table, query.filter.clone(), tail, snapshot.lsn());
        stream.history = Some(self.events_in(snapshot, query).await?);
        Ok(stream)
    }

    fn stream(&self, table: TableId, filter: Filter, tail: Tail, lsn: Lsn) -> FollowStream {
        FollowStream {
            engine: self.clone(),
            table,
            evaluator: Evaluator::new(filter.clone()),
            filter,
            tail,
            lsn,
            recorded_at: self.now().as_nanos(),
            ready: VecDeque::new(),
            history: None,
        }
    }
}

impl FollowStream {
    /// The next rows; `None` when the store is closed. Never empty.
    ///
    /// # Errors
    /// A part of the store cannot be read.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped while it waits for arrivals.
    pub async fn next(&mut self) -> Result<Option<Followed>, QueryError> {
        loop {
            if let Some(history) = &mut self.history {
                match history.next().await {
                    Some(records) => return Ok(Some(Followed { records: records?, lsn: self.lsn })),
                    None => self.history = None,
                }
                continue;
            }
            if let Some(ready) = self.ready.pop_front() {
                return Ok(Some(ready));
            }
            match self.tail.next().await {
                None => return Ok(None),
                Some(TailItem::Missed(_)) => {
                    let snapshot = self.engine.store().snapshot();
                    self.catch_up(&snapshot).await?;
                }
                Some(TailItem::Appended(appended)) if appended.lsn <= self.lsn => {}
                Some(TailItem::Appended(appended)) => {
                    self.lsn = appended.lsn;
                    let table = self.table;
                    for batch in appended.batches.iter().filter(|batch| batch.table == table) {
                        self.take(&batch.records)?;
                    }
                }
            }
        }
    }

    /// Whether the history before the arrivals was cut by a limit, while it is being given.
    #[must_use]
    pub fn is_in_history(&self) -> bool {
        self.history.is_some()
    }

    /// Queues the rows that match.
    fn take(&mut self, records: &RecordBatch) -> Result<(), QueryError> {
        let selected = self.evaluator.evaluate(records)?;
        if selected.true_count() == 0 {
            return Ok(());
        }
        let records =
            filter_record_batch(records, &selected).map_err(QueryError::internal("pick the rows that match"))?;
        self.note(&records);
        self.ready.push_back(Followed { records, lsn: self.lsn });
        Ok(())
    }

    fn note(&mut self, records: &RecordBatch) {
        let array = records.column_by_name("recorded_at");
        let latest = array
            .and_then(|array| array.as_primitive_opt::<TimestampNanosecondType>())
            .and_then(|array| array.values().iter().copied().max());
        self.recorded_at = self.recorded_at.max(latest.unwrap_or(i64::MIN));
    }

    /// Reads everything between the last position and a snapshot's.
    async fn catch_up(&mut self, snapshot: &Snapshot) -> Result<(), QueryError> {
        let (from, recorded_at) = (self.lsn, self.recorded_at);
        let sealed = snapshot.segments(self.table, TimeRange::ALL);
        if sealed.iter().any(|segment| segment.last_lsn > from) {
            let later = NumberTest::Between(i128::from(recorded_at).saturating_add(1), i128::MAX);
            let recent = Filter::Number { column: "recorded_at", test: later };
            let mut query = EventQuery::all(self.table);
            query.filter = Filter::all([self.filter.clone(), recent]);
            query.limits = crate::Limits::unbounded_answer();
            let mut rows = self.engine.events_scoped(snapshot.clone(), query, Scope::SegmentsAfter(from)).await?;
            while let Some(records) = rows.next().await {
                let records = records?;
                self.note(&records);
                self.ready.push_back(Followed { records, lsn: from });
            }
        }
        for batch in snapshot.memory(self.table, TimeRange::ALL) {
            if batch.lsn > from {
                self.take(&batch.records)?;
            }
        }
        self.lsn = snapshot.lsn();
        Ok(())
    }
}
