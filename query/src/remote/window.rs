//! Walking through time on the server: window after window, each in order, wider where little is found.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use hindcast_model::{TimeRange, Timestamp};
use hindcast_storage::rollup::HOUR_NS;
use hindcast_storage::{Remote, RemoteRows};
use tokio::sync::Mutex;

use crate::QueryError;

/// How often somebody who waits looks whether anybody waits for him.
const LOOK: Duration = Duration::from_millis(200);

/// Rows that were not asked for yet.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) remote: Remote,
    /// Width of the next window in nanoseconds.
    pub(crate) width: i64,
}

impl Span {
    /// All of what is there, an hour first.
    pub(crate) const fn new(remote: Remote) -> Self {
        Self { remote, width: HOUR_NS }
    }

    /// The first window, from the end if `backward`, and what is left.
    pub(crate) fn split(self, backward: bool) -> (Remote, Option<Self>) {
        let range = self.remote.range();
        let (start, end) = (range.start().as_nanos(), range.end().as_nanos());
        let middle = if backward {
            Timestamp::from_nanos(end.saturating_sub(1)).bucket(HOUR_NS).as_nanos().saturating_sub(self.width - HOUR_NS)
        } else {
            Timestamp::from_nanos(start).bucket(HOUR_NS).as_nanos().saturating_add(self.width)
        };
        if middle <= start || middle >= end {
            return (self.remote, None);
        }
        let middle = Timestamp::from_nanos(middle);
        let parts = [TimeRange::new(range.start(), middle), TimeRange::new(middle, range.end())];
        let [Ok(early), Ok(late)] = parts else { return (self.remote, None) };
        let (first, rest) = if backward { (late, early) } else { (early, late) };
        let left = Self { remote: self.remote.within(rest), width: self.width };
        (self.remote.within(first), Some(left))
    }

    /// The same rows, after a window in which so many were found. Where every row comes and there are some, what the
    /// server has to put in order stays small; else the next window is wider, so that nothing is passed over quickly, and
    /// much wider where it gives only as many as are wanted.
    pub(crate) fn after(self, n_rows: u64, is_everything: bool, is_limited: bool) -> Self {
        let factor = if is_limited { 32 } else { 2 };
        let width = if is_everything && n_rows > 0 { HOUR_NS } else { self.width.saturating_mul(factor) };
        Self { width, ..self }
    }
}

/// The rows of a window, in order, as they come.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    rows: Arc<Mutex<RemoteRows>>,
    remote: Remote,
    /// How many rows were asked for; more may be behind them.
    limit: Option<u64>,
    n_rows: u64,
    /// Time of the last row that came.
    last: Option<i64>,
    /// What is to be asked for behind it.
    next: Option<Span>,
}

/// What waiting for rows came to.
pub(crate) enum Arrived {
    Rows(RecordBatch),
    End,
    /// Nothing yet, and it is time to look around.
    Nothing,
}

impl Window {
    pub(crate) fn new((remote, next): (Remote, Option<Span>), rows: RemoteRows, limit: Option<u64>) -> Self {
        Self { rows: Arc::new(Mutex::new(rows)), remote, limit, n_rows: 0, last: None, next }
    }

    /// Notes rows that came, the last one of that time.
    pub(crate) fn took(&mut self, n_rows: usize, last: Option<i64>) {
        self.n_rows = self.n_rows.saturating_add(u64::try_from(n_rows).unwrap_or(u64::MAX));
        self.last = last.or(self.last);
    }

    /// What is asked for next, once all of its rows have come.
    pub(crate) fn next_spans(self, backward: bool, is_everything: bool) -> impl Iterator<Item = Span> {
        let left = self.left(backward).map(Span::new);
        let next = self.next.map(|next| next.after(self.n_rows, is_everything, self.limit.is_some()));
        left.into_iter().chain(next)
    }

    /// What may be left of its time behind rows of which only so many were asked for: rows of the last one's time all
    /// came.
    fn left(&self, backward: bool) -> Option<Remote> {
        let last = self.last.filter(|_| self.limit.is_some_and(|limit| self.n_rows >= limit))?;
        let range = self.remote.range();
        let left = if backward {
            TimeRange::new(range.start(), Timestamp::from_nanos(last))
        } else {
            TimeRange::new(Timestamp::from_nanos(last.saturating_add(1)), range.end())
        };
        left.ok().filter(|left| !left.is_empty()).map(|left| self.remote.within(left))
    }

    /// The next rows, if they come soon.
    pub(crate) async fn next(&self, left: Duration) -> Result<Arrived, QueryError> {
        let mut rows = self.rows.lock().await;
        match tokio::time::timeout(LOOK.min(left), rows.next()).await {
            Err(_elapsed) => Ok(Arrived::Nothing),
            Ok(None) => Ok(Arrived::End),
            Ok(Some(batch)) => Ok(Arrived::Rows(batch?)),
        }
    }
}
