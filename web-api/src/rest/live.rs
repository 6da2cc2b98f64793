//! `GET /api/v1/live`: events as they arrive, as server-sent events.
//!
//! Every event is one row. Its id is the position behind which a client that comes back (`Last-Event-ID`) goes on:
//! nothing is missed, and at most the rows of one append come again. While nothing arrives a heartbeat moves the id on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use hindcast_model::TableId;
use hindcast_query::Followed;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use utoipa::IntoParams;

use super::events::{parse_columns, parse_filter};
use crate::ask;
use crate::doors::{Doors, Permit};
use crate::fault::Fault;
use crate::params::Params;
use crate::problem::Problem;
use crate::render::{Objects, Style};

/// How long a client hears nothing at most.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Where a client that comes back goes on.
const LAST_EVENT_ID: &str = "last-event-id";

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LiveParams {
    /// Which events, in the filter language.
    filter: Option<String>,
    /// Which table; flows if absent.
    #[param(inline)]
    table: Option<LiveTable>,
    /// Which columns, separated by commas; all but raw bytes if absent.
    columns: Option<String>,
}

/// A table of events.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LiveTable {
    /// Flows.
    Flows,
    /// Runtime events.
    RuntimeEvents,
    /// Agent and debug events.
    AgentEvents,
    /// Losses.
    Losses,
}

impl From<LiveTable> for TableId {
    fn from(table: LiveTable) -> Self {
        match table {
            LiveTable::Flows => Self::Flows,
            LiveTable::RuntimeEvents => Self::RuntimeEvents,
            LiveTable::AgentEvents => Self::AgentEvents,
            LiveTable::Losses => Self::Losses,
        }
    }
}

/// Events as they arrive.
#[utoipa::path(get, path = "/api/v1/live", tag = "events",
    params(
        LiveParams,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that a client which comes back has seen."),
    ),
    responses(
        (status = 200, description = "One event per row, named after its table; `data` is the row as JSON.",
            body = String, content_type = "text/event-stream"),
        crate::openapi::Problems,
    ))]
pub(crate) async fn live(
    State(doors): State<Arc<Doors>>,
    headers: HeaderMap,
    Params(params): Params<LiveParams>,
) -> Result<Response, Problem> {
    let table = params.table.map_or(TableId::Flows, TableId::from);
    let filter = parse_filter(table, params.filter.as_deref())?;
    let columns = parse_columns(table, params.columns.as_deref())?;
    let behind = match headers.get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or("?")) {
        None | Some("") => None,
        Some(text) => Some(text.parse().map_err(|_not_ours| {
            Problem::parameter("Last-Event-ID", "the id is none that this server gave: leave it out to begin now")
        })?),
    };
    let permit = doors.follow_permit()?;
    let arrivals = ask::follow_positions(&doors, table, filter, behind).await?;
    let state = Live { doors, table, columns, arrivals, ready: VecDeque::new(), seen: behind, _permit: permit };
    let events = futures::stream::unfold(state, |mut state| async move { Some((state.next().await?, state)) });
    let mut response = Sse::new(events).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

struct Live {
    doors: Arc<Doors>,
    table: TableId,
    columns: Vec<&'static str>,
    arrivals: BoxStream<'static, Result<Followed, Fault>>,
    ready: VecDeque<Event>,
    /// Everything up to this position was sent.
    seen: Option<u64>,
    _permit: Permit,
}

impl Live {
    async fn next(&mut self) -> Option<Result<Event, axum::Error>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.doors.metrics.rows.inc();
                return Some(Ok(event));
            }
            tokio::select! {
                // Cancel safe: the stream keeps its place and its work.
                arrival = self.arrivals.next() => match arrival? {
                    Ok(followed) => {
                        if let Err(fault) = self.take(&followed) {
                            return Some(Ok(self.broken(fault)));
                        }
                    }
                    Err(fault) => return Some(Ok(self.broken(fault))),
                },
                () = tokio::time::sleep(HEARTBEAT) => return Some(Ok(self.heartbeat())),
                () = self.doors.stopping.cancelled() => return None,
            }
        }
    }

    fn take(&mut self, followed: &Followed) -> Result<(), Fault> {
        let lsn = followed.lsn.get();
        let schema = followed.records.schema();
        let picked: Vec<usize> = self.columns.iter().filter_map(|name| schema.index_of(name).ok()).collect();
        let records = followed.records.project(&picked).map_err(crate::render::RenderError::Arrow)?;
        let rows = Objects::new(&records, Style::EVENTS)?;
        for row in 0..records.num_rows() {
            let mut json = Vec::new();
            rows.write(row, &mut json);
            let json = String::from_utf8(json).unwrap_or_default();
            // More rows of the same append may come: who comes back now must be given all of it.
            let id = lsn.saturating_sub(1).to_string();
            self.ready.push_back(Event::default().id(id).event(self.table.name()).data(json));
        }
        self.seen = Some(lsn);
        Ok(())
    }

    fn heartbeat(&self) -> Event {
        let beat = Event::default().comment("heartbeat");
        match self.seen {
            Some(lsn) => beat.id(lsn.to_string()),
            None => beat,
        }
    }

    /// The last event of a stream that cannot go on.
    fn broken(&mut self, fault: Fault) -> Event {
        self.arrivals = futures::stream::empty().boxed();
        let problem = Problem::from(fault);
        Event::default().event("problem").data(String::from_utf8(problem.json()).unwrap_or_default())
    }
}
