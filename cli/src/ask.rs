//! The two places that can be asked: a running server and a data directory. Either gives rows as Arrow batches, so
//! that everything behind is the same.

mod live;
mod rest;

use std::collections::VecDeque;

use anyhow::{Context as _, anyhow};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytesize::ByteSize;
use futures::StreamExt as _;
use hindcast_model::{TableId, TimeRange, Timestamp, report};
use hindcast_query::filter::text;
use hindcast_query::{Engine, EventQuery, EventStream, FilterError, Limits, Order, QueryError, SqlStream};
use hindcast_storage::Store;

use crate::args::Place;
use crate::caret;
use crate::config::Settings;
use crate::exit;
use crate::server::{self, Refused, Server};
use crate::setup::{self, Common, Voice};

/// How many of the events that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// The newest so many.
    Newest(u64),
    /// The oldest so many.
    Oldest(u64),
    /// All.
    All,
}

/// A question for events, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// Where they stand.
    pub(crate) table: TableId,
    /// Which are meant.
    pub(crate) filter: String,
    /// From when on.
    pub(crate) since: Option<Timestamp>,
    /// Up to and with when.
    pub(crate) until: Option<Timestamp>,
    /// How many.
    pub(crate) pick: Pick,
}

/// A place that answers.
#[derive(Debug)]
pub(crate) enum Asker {
    /// A running server.
    Server(Server),
    /// A data directory, opened here.
    Local(Local),
}

/// An open data directory.
#[derive(Debug)]
pub(crate) struct Local {
    store: Store,
    engine: Engine,
}

impl Local {
    /// Opens the data directory of the settings.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) async fn open(settings: Settings) -> anyhow::Result<Self> {
        setup::require_store(&settings.storage.data_dir)?;
        let store = setup::open_store(settings.storage, setup::clock()).await?;
        let engine = Engine::new(store.clone(), &settings.query, setup::clock());
        Ok(Self { store, engine })
    }

    /// Gives the data directory back.
    pub(crate) async fn close(self) {
        drop(self.engine);
        if let Err(error) = self.store.close().await {
            tracing::warn!(error = report(&error), "the store was not closed in order; nothing recorded is lost");
        }
    }

    /// What answers questions about it.
    pub(crate) const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The store.
    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }
}

impl Asker {
    /// Opens the place that the arguments name.
    ///
    /// # Errors
    /// The URL is none, or the data directory cannot be opened.
    pub(crate) async fn open(place: &Place, common: &Common) -> anyhow::Result<Self> {
        let settings = common.settings(Voice::Tool, setup::inputs(None, place.data_dir.as_ref()))?;
        if place.data_dir.is_none() {
            return Ok(Self::Server(Server::new(place.server.as_deref(), &place.access)?));
        }
        Ok(Self::Local(Local::open(settings).await?))
    }

    /// Gives the data directory back.
    pub(crate) async fn close(self) {
        match self {
            Self::Server(_) => {}
            Self::Local(local) => local.close().await,
        }
    }

    /// Events.
    ///
    /// # Errors
    /// The filter is wrong, or the place cannot be read.
    pub(crate) async fn events(&self, question: Question) -> anyhow::Result<Rows> {
        match self {
            Self::Server(server) => rest::events(server, &question).await,
            Self::Local(local) => {
                let filter = text::parse_for(question.table, &question.filter)
                    .map_err(|error| wrong_filter(&question.filter, &error))?;
                let query = EventQuery {
                    filter,
                    range: range(question.since, question.until)?,
                    pick: match question.pick {
                        Pick::Newest(n) => hindcast_query::Pick::Newest(n),
                        Pick::Oldest(n) => hindcast_query::Pick::Oldest(n),
                        Pick::All => hindcast_query::Pick::All,
                    },
                    order: Order::Ascending,
                    limits: Limits::unbounded_answer(),
                    ..EventQuery::all(question.table)
                };
                Ok(Rows::Events(local.engine.events(query).await?))
            }
        }
    }

    /// Events, and then new ones as they come.
    ///
    /// # Errors
    /// The filter is wrong, or the place cannot be read.
    pub(crate) async fn follow(&self, question: Question) -> anyhow::Result<Rows> {
        match self {
            Self::Server(server) => live::follow(server, &question).await,
            Self::Local(_) => Err(anyhow!("nothing is added to a data directory that is read directly")),
        }
    }

    /// The answer to a statement.
    ///
    /// # Errors
    /// The statement is wrong, or the place cannot be read.
    pub(crate) async fn sql(&self, statement: &str) -> anyhow::Result<Rows> {
        let answer = match self {
            Self::Server(server) => {
                let body = serde_json::json!({ "query": statement });
                server.rows_of_post("/api/v1/sql", &body).await.map(|rows| Rows::Server(Box::new(rows)))
            }
            Self::Local(local) => {
                let limits = Limits { max_rows: u64::MAX, max_bytes: ByteSize(u64::MAX), ..Limits::default() };
                let answer = local.engine.sql(statement, limits).await;
                answer.map(Rows::Sql).map_err(anyhow::Error::from)
            }
        };
        answer.map_err(|error| wrong_statement(statement, error))
    }
}

/// Half-open, where the question includes its end.
fn range(since: Option<Timestamp>, until: Option<Timestamp>) -> anyhow::Result<TimeRange> {
    let start = since.unwrap_or(Timestamp::MIN);
    let end = until.map_or(Timestamp::MAX, |until| Timestamp::from_nanos(until.as_nanos().saturating_add(1)));
    TimeRange::new(start, end).context("--until is before --since")
}

fn wrong_filter(text: &str, error: &FilterError) -> anyhow::Error {
    exit::usage(format!("in the filter: {}", error.with_caret(text)))
}

/// What is wrong with a statement, with the place at fault where it is known.
fn wrong_statement(statement: &str, error: anyhow::Error) -> anyhow::Error {
    let (text, span) = if let Some(refused) = error.downcast_ref::<Refused>() {
        (refused.detail.clone(), refused.span)
    } else if let Some(QueryError::Sql { message, place, suggestion }) = error.downcast_ref::<QueryError>() {
        let meant = suggestion.as_ref().map(|word| format!("; did you mean {word}?")).unwrap_or_default();
        (format!("{message}{meant}"), place.and_then(|(line, column)| caret::of_place(statement, line, column)))
    } else {
        return error;
    };
    match span {
        Some(span) => anyhow!("{text}\n{}", caret::point_at(statement, span)),
        None => anyhow!(text),
    }
}

/// Rows as they come.
#[derive(Debug)]
pub(crate) enum Rows {
    /// An answer of a server.
    Server(Box<server::Rows>),
    /// Events of a server, page by page.
    Pages(Box<rest::Pages>),
    /// Events that had to be gathered first.
    Held {
        /// Their columns.
        schema: Option<SchemaRef>,
        /// The events.
        rows: VecDeque<RecordBatch>,
        /// Why there are fewer than asked for.
        cut: Option<String>,
    },
    /// Events of a server, and then new ones as they come.
    Live(Box<live::Live>),
    /// Events of a data directory.
    Events(EventStream),
    /// An answer to SQL over a data directory.
    Sql(SqlStream),
}

impl Rows {
    /// The columns.
    pub(crate) fn schema(&self) -> Option<SchemaRef> {
        match self {
            Self::Server(rows) => rows.schema(),
            Self::Pages(pages) => pages.schema(),
            Self::Held { schema, .. } => schema.clone(),
            Self::Live(live) => Some(live.schema()),
            Self::Events(stream) => Some(stream.schema()),
            Self::Sql(stream) => Some(stream.schema()),
        }
    }

    /// The next rows; `None` after the last.
    ///
    /// # Errors
    /// The rows cannot be read.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<RecordBatch>> {
        match self {
            Self::Server(rows) => rows.next().await,
            Self::Pages(pages) => pages.next().await,
            Self::Held { rows, .. } => Ok(rows.pop_front()),
            Self::Live(live) => live.next().await,
            Self::Events(stream) => Ok(stream.next().await.transpose()?),
            Self::Sql(stream) => Ok(stream.next().await.transpose()?),
        }
    }

    /// Why there are fewer than were asked for; known after the last.
    pub(crate) fn cut(&self) -> Option<String> {
        let local = |cut: hindcast_query::Cut| cut.to_string();
        match self {
            Self::Server(rows) => rows.cut().map(str::to_owned),
            Self::Pages(pages) => pages.cut().map(str::to_owned),
            Self::Held { cut, .. } => cut.clone(),
            Self::Live(_) => None,
            Self::Events(stream) => stream.cut().map(local),
            Self::Sql(stream) => stream.cut().map(local),
        }
    }
}
