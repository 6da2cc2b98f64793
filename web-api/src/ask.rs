//! The questions that doors ask the engine, in one form of answer.

mod inventory;
mod sql;

use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use hindcast_model::{TableId, TimeRange, Timestamp, report};
use hindcast_query::filter::Filter;
use hindcast_query::{
    Cursor, Cut, EventQuery, EventStream, FilterError, FollowStream, Followed, Limits, Lsn, Order, QueryError,
};

pub(crate) use self::inventory::{n_flows_since, namespaces, nodes};
pub(crate) use self::sql::{sql, sql_schema};
pub(crate) use hindcast_query::Pick;

use crate::answer::{Answer, Piece, failed};
use crate::doors::Doors;
use crate::fault::Fault;
use crate::render::{CutDto, Ending};

/// A question about the events of one table.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) table: TableId,
    pub(crate) filter: Filter,
    pub(crate) range: TimeRange,
    pub(crate) pick: Pick,
    pub(crate) order: Order,
    pub(crate) after: Option<Cursor>,
    pub(crate) columns: Option<Vec<&'static str>>,
    pub(crate) limits: Limits,
}

impl Question {
    /// Whole rows, oldest first, for a client that takes them as fast as it likes.
    pub(crate) fn stream(table: TableId, filter: Filter, range: TimeRange, pick: Pick) -> Self {
        Self {
            table,
            filter,
            range,
            pick,
            order: Order::Ascending,
            after: None,
            columns: None,
            limits: Limits::unbounded_answer(),
        }
    }

    fn query(self) -> EventQuery {
        let Self { table, filter, range, pick, order, after, columns, limits } = self;
        EventQuery { table, filter, range, pick, order, after, columns, limits }
    }
}

impl From<FilterError> for Fault {
    fn from(error: FilterError) -> Self {
        let mut text = error.message.clone();
        if let Some(suggestion) = &error.suggestion {
            text = format!("{text}; did you mean {suggestion}?");
        }
        let span = error.span.as_ref().map(|span| (span.start, span.end));
        Self { span, parameter: Some("filter"), ..Self::new(error.kind(), text) }
    }
}

impl From<QueryError> for Fault {
    fn from(error: QueryError) -> Self {
        let kind = error.kind();
        match error {
            QueryError::Filter(error) => error.into(),
            QueryError::Sql { message, suggestion: Some(suggestion), .. } => {
                Self::new(kind, format!("{message}; did you mean {suggestion}?"))
            }
            error => Self::new(kind, report(&error)),
        }
    }
}

impl From<Cut> for CutDto {
    fn from(cut: Cut) -> Self {
        let reason = cut.reason.as_str();
        Self { reason: reason.to_owned(), detail: cut.to_string() }
    }
}

/// Events, page by page or all.
pub(crate) async fn events(doors: &Arc<Doors>, question: Question) -> Result<Answer, Fault> {
    // A page that is full may have one after it; where all is asked for nothing comes after.
    let page = match question.pick {
        Pick::Newest(n_rows) | Pick::Oldest(n_rows) => Some(n_rows),
        Pick::All => None,
    };
    let stream = doors.engine.events(question.query()).await?;
    Ok(Answer { schema: stream.schema(), pieces: event_pieces(stream, page).boxed() })
}

fn event_pieces(stream: EventStream, page: Option<u64>) -> impl Stream<Item = Piece> + Send {
    futures::stream::unfold(Some((stream, 0_u64)), move |state| async move {
        let (mut stream, n_given) = state?;
        match stream.next().await {
            Some(Ok(records)) => {
                let n_given = n_given + u64::try_from(records.num_rows()).unwrap_or(0);
                Some((Piece::Rows(records), Some((stream, n_given))))
            }
            Some(Err(error)) => Some((failed(error.into()), None)),
            None => {
                let cut = stream.cut();
                let is_full = page.is_some_and(|page| n_given >= page) || cut.is_some();
                let next_cursor = stream.cursor().filter(|_| is_full).map(|cursor| cursor.to_string());
                let ending = Ending { cut: cut.map(CutDto::from), next_cursor, fault: None };
                Some((Piece::End(ending), None))
            }
        }
    })
}

/// Time of the first and of the last row of a table.
pub(crate) fn held(doors: &Doors, table: TableId) -> Option<(Timestamp, Timestamp)> {
    doors.engine.held_range(table)
}

/// Rows that match, as they arrive from now on.
pub(crate) async fn follow(
    doors: &Arc<Doors>,
    table: TableId,
    filter: Filter,
) -> Result<BoxStream<'static, Piece>, Fault> {
    check_arrivals(doors)?;
    check_columns(table, &filter)?;
    Ok(pieces_of(arrivals(doors.engine.follow_from_now(table, filter))))
}

/// The answer to a question, then what arrives, without a gap or a double.
pub(crate) async fn events_then_follow(
    doors: &Arc<Doors>,
    question: Question,
) -> Result<BoxStream<'static, Piece>, Fault> {
    check_arrivals(doors)?;
    Ok(pieces_of(arrivals(doors.engine.events_then_follow(question.query()).await?)))
}

/// Rows that match with their position in the log: from behind a position, or from now on.
pub(crate) async fn follow_positions(
    doors: &Arc<Doors>,
    table: TableId,
    filter: Filter,
    behind: Option<u64>,
) -> Result<BoxStream<'static, Result<Followed, Fault>>, Fault> {
    check_arrivals(doors)?;
    check_columns(table, &filter)?;
    let stream = match behind {
        None => doors.engine.follow_from_now(table, filter),
        Some(lsn) => doors.engine.follow(table, filter, Lsn::new(lsn)).await?,
    };
    Ok(arrivals(stream))
}

/// Nothing arrives at a server that only answers.
fn check_arrivals(doors: &Doors) -> Result<(), Fault> {
    match doors.engine.store().is_read_only() {
        true => Err(QueryError::Invalid("this server only answers: follow events at a recorder".to_owned()).into()),
        false => Ok(()),
    }
}

/// A filter with columns that the table does not have matches nothing and would never end.
fn check_columns(table: TableId, filter: &Filter) -> Result<(), Fault> {
    if filter.fits(table) {
        return Ok(());
    }
    Err(Fault::invalid(format!("the filter speaks of columns that {table} does not have")).of("filter"))
}

fn arrivals(stream: FollowStream) -> BoxStream<'static, Result<Followed, Fault>> {
    futures::stream::unfold(Some(stream), |stream| async move {
        let mut stream = stream?;
        match stream.next().await {
            Ok(Some(followed)) => Some((Ok(followed), Some(stream))),
            Ok(None) => None,
            Err(error) => Some((Err(error.into()), None)),
        }
    })
    .boxed()
}

fn pieces_of(arrivals: BoxStream<'static, Result<Followed, Fault>>) -> BoxStream<'static, Piece> {
    arrivals
        .map(|arrival| match arrival {
            Ok(followed) => Piece::Rows(followed.records),
            Err(fault) => failed(fault),
        })
        .boxed()
}

/// Rows of a table, wherever they are.
pub(crate) fn n_rows(doors: &Doors, table: TableId) -> u64 {
    doors.engine.store().snapshot().stats(table).n_rows()
}
